using Vmm.Beds;
using Vmm.GuestDma;
using Vmm.Guests.Kit;
using Xunit;
using Xunit.Abstractions;

namespace Vmm.Guests.Fidelity;

/// <summary>
/// Debian's VT-d and virtio-iommu drivers beside the DMA layer's: the same buffers in the same order, the same counts, and
/// a name for every difference. VMM_FIDELITY names a file for the tables.
/// </summary>
public sealed class FidelityTests(ITestOutputHelper log)
{
    const string Strict = "iommu.strict=1", SaysStrict = "invalidation policy: strict", Lazy = "iommu.strict=0";
    const string Refused = "DMAR: IOMMU batching disallowed due to virtualization";

    static readonly string[] All =
    [
        "read 4 64", "read 12 32", "read 28 32", "read 64 32", "read 128 32", "read 1024 8", "read 4096 2", "write 4 64", "write 64 32", "write 1024 8",
        "cached-read 1024 4", "cached-write 1024 4", "discard 64 8", "mixed 0 8", "read 4 252", "read 4 1200",
    ];

    static readonly string[] Some = ["read 4 64", "read 28 16", "read 1024 4", "write 64 16", "mixed 0 4", "read 4 600"];

    static readonly string[] Pinned = ["read 4 64", "mixed 0 4", "pinned 4 700"];

    static readonly SortedDictionary<string, string> Sections = [];

    /// <summary>Title, kernel, unit, processors, what is appended, what the kernel says to that, loads.</summary>
    public static TheoryData<string, string, string, int, string, string, string[]> Machines => new()
    {
        { "1. VT-d, 6.12", "6.12", "vtd", 1, Strict, SaysStrict, All },
        { "2. VT-d with caching mode, 6.12", "6.12", "vtd-cm", 1, Lazy, Refused, All },
        { "3. virtio-iommu, 6.12", "6.12", "viommu", 1, Strict, SaysStrict, All },
        { "4. VT-d in scalable mode, 6.12", "6.12", "vtd-sm", 1, Strict, SaysStrict, Some },
        { "5. VT-d with two processors, 6.12", "6.12", "vtd", 2, Strict, SaysStrict, Pinned },
        { "6. virtio-iommu with two processors, 6.12", "6.12", "viommu", 2, Strict, SaysStrict, Pinned },
        { "7. VT-d, 6.1", "6.1", "vtd", 1, Strict, SaysStrict, Some },
        { "8. VT-d with caching mode, 6.1", "6.1", "vtd-cm", 1, Lazy, Refused, Some },
    };

    /// <summary>Boots strict, and changes the disk's domain to a lazy one; with caching mode Linux takes strict for lazy, and only that change makes it lazy.</summary>
    [SkippableTheory]
    [MemberData(nameof(Machines))]
    public void Debians_driver_and_the_layer_do_the_same_for_the_same_buffers(
        string title, string version, string unit, int vcpus, string append, string said, string[] loads)
    {
        var kernel = version == "6.1" ? Kernel.Cloud : Kernel.Backport;
        using var run = new KernelRun(kernel, unit, append, loads, vcpus);
        Assert.Contains(said, run.Output);
        Assert.Equal(2 * loads.Length, run.Windows.Count);
        Assert.All(run.Windows, AssertMachineAgrees);
        var rows = new List<FidelityRow>();
        foreach (var window in run.Windows)
        {
            FidelityRow Row(string mode, DmaPolicy policy) => new(mode, window.Load, DriverComparison.Of(run.Config, window.Recorder, window.End, policy));
            var isDeferred = window.Type == KernelRun.DeferredType;
            rows.Add(Row(isDeferred ? "lazy" : "strict", isDeferred ? DmaPolicy.Lazy : DmaPolicy.Strict));
            if (!isDeferred && append == Lazy)
            {
                rows.Add(Row("lazy on the command line", DmaPolicy.Lazy));
            }
        }

        var text = FidelityReport.Unit(title, rows, run.Config.VirtioIommu != null);
        log.WriteLine(text);
        Assert.All(rows, static r => Assert.True(r.Counts.IsExplained, $"{r.Mode}, {r.Load}: unexplained {r.Counts.Rest}; {string.Join("; ", r.Counts.Problems)}"));
        Write(title, text);
    }

    /// <summary>The recorder saw what the ledger and the unit counted, every exit asked for something, and every buffer came back.</summary>
    static void AssertMachineAgrees(KernelRun.Window window)
    {
        var tally = window.Recorder.Tally;
        Assert.Equal(0, window.Recorder.Idle);
        Assert.Equal(
            new KernelRun.Counters(
                window.After.Exits - window.Before.Exits, window.After.Invalidations - window.Before.Invalidations, window.After.Waits - window.Before.Waits,
                window.After.Maps - window.Before.Maps, window.After.Unmaps - window.Before.Unmaps),
            new(
                (ulong)tally.Exits, (ulong)(tally.MapPages + tally.UnmapPages + tally.Domains + tally.Pasids), (ulong)tally.Waits, (ulong)tally.Maps,
                (ulong)tally.Unmaps));
        Assert.NotEqual(0, tally.Buffers);
        Assert.Equal(tally.Buffers, window.Recorder.Steps.Count(static s => !s.IsMap));
    }

    static void Write(string title, string text)
    {
        Sections[title] = text;
        if (Environment.GetEnvironmentVariable("VMM_FIDELITY") is { Length: > 0 } file && Sections.Count == Machines.Count)
        {
            File.WriteAllText(file, FidelityReport.Page([DebianArchive.ResolveBackport(), DebianArchive.Resolve("linux-image-cloud-amd64")], Sections.Values));
        }
    }
}
