using System.Reflection;
using System.Reflection.Metadata;
using System.Reflection.PortableExecutable;
using Xunit;

namespace Vmm.Unit.House;

/// <summary>Dependencies point one way: the assemblies themselves are read, not the project files.</summary>
public sealed class DependencyTests
{
    static readonly Dictionary<string, string[]> Allowed = new()
    {
        ["Vmm.Specs"] = [],
        ["Vmm.Platform"] = ["Vmm.Specs"],
        ["Vmm.Cpu"] = ["Vmm.Platform", "Vmm.Specs", "Iced"],
        ["Vmm.Chipset"] = ["Vmm.Platform", "Vmm.Specs"],
        ["Vmm.Iommu"] = ["Vmm.Platform", "Vmm.Specs"],
        ["Vmm.Nvme"] = ["Vmm.Platform", "Vmm.Specs"],
        ["Vmm.GuestDma"] = ["Vmm.Platform", "Vmm.Specs"],
        ["Vmm.Virtio"] = ["Vmm.Platform", "Vmm.Specs"],
        ["Vmm.VirtioBlk"] = ["Vmm.Virtio", "Vmm.Platform", "Vmm.Specs"],
        ["Vmm.VirtioIommu"] = ["Vmm.Virtio", "Vmm.Platform", "Vmm.Specs"],
        ["Vmm.Firmware"] = ["Vmm.Platform", "Vmm.Specs", "Iced", "ICSharpCode.SharpZipLib"],
    };

    /// <summary>What stands beside the machine: it knows nothing of machines, and nothing below the program sees it.</summary>
    static readonly Dictionary<string, string[]> Beside = new()
    {
        ["Vmm.Protos"] = ["Google.Protobuf"],
        ["Vmm.Grpc"] = ["Vmm.Protos", "Google.Protobuf", "Microsoft.AspNetCore*", "Microsoft.Extensions*"],
    };

    public static TheoryData<string> Assemblies => [.. Allowed.Keys];

    public static TheoryData<string> AssembliesBeside => [.. Beside.Keys];

    [Theory]
    [MemberData(nameof(Assemblies))]
    [MemberData(nameof(AssembliesBeside))]
    public void An_assembly_refers_only_to_what_lies_below_it(string name)
    {
        using var file = new PEReader(File.OpenRead(PathOf(name)));
        var metadata = file.GetMetadataReader();
        var references = metadata.AssemblyReferences
            .Select(r => metadata.GetString(metadata.GetAssemblyReference(r).Name))
            .Where(r => r.StartsWith("Vmm", StringComparison.Ordinal) || r is "Iced" or "ICSharpCode.SharpZipLib" or "Google.Protobuf" || r.StartsWith("Microsoft.AspNetCore", StringComparison.Ordinal) || r.StartsWith("Microsoft.Extensions", StringComparison.Ordinal));
        var allowed = Allowed.TryGetValue(name, out var below) ? below : Beside[name];
        Assert.DoesNotContain(references, r => !allowed.Any(a => a.EndsWith('*') ? r.StartsWith(a[..^1], StringComparison.Ordinal) : r == a));
    }

    [Theory]
    [MemberData(nameof(Assemblies))]
    public void Below_the_program_nothing_reads_the_hosts_clock_threads_or_randomness(string name)
    {
        using var file = new PEReader(File.OpenRead(PathOf(name)));
        var metadata = file.GetMetadataReader();
        string[] forbiddenTypes = ["Thread", "Task", "Task`1", "Timer", "Stopwatch", "TimeProvider", "RandomNumberGenerator"];
        var types = metadata.TypeReferences.Select(metadata.GetTypeReference)
            .Select(t => (Space: metadata.GetString(t.Namespace), Name: metadata.GetString(t.Name)))
            .Where(t => t.Space.StartsWith("System", StringComparison.Ordinal) && forbiddenTypes.Contains(t.Name))
            .Select(t => $"{t.Space}.{t.Name}");
        var members = metadata.MemberReferences.Select(metadata.GetMemberReference)
            .Where(m => m.Parent.Kind == HandleKind.TypeReference)
            .Select(m => (Type: metadata.GetString(metadata.GetTypeReference((TypeReferenceHandle)m.Parent).Name), Member: metadata.GetString(m.Name)))
            .Where(m => m is ("DateTime" or "DateTimeOffset", "get_Now" or "get_UtcNow") or ("Random", "get_Shared") or ("Environment", "get_TickCount" or "get_TickCount64") or ("Guid", "NewGuid"))
            .Select(m => $"{m.Type}.{m.Member}");
        Assert.Empty(types.Concat(members));
    }

    static string PathOf(string name) => Path.Combine(Path.GetDirectoryName(Assembly.GetExecutingAssembly().Location)!, name + ".dll");
}
