using System.Reflection;
using Vmm.Api.V1;
using Vmm.Control.Hosting;
using Vmm.Control.Operations;
using Vmm.Grpc;
using Vmm.Iommu;

namespace Vmm.Control.Services;

/// <summary>vmm.v1.CapabilityService.</summary>
internal sealed class CapabilityService(MachineRegistry machines)
{
    /// <summary>The methods.</summary>
    public MethodTable Methods => new MethodTable(CapabilityReflection.Descriptor.Services[0])
        .Unary<GetCapabilitiesRequest, GetCapabilitiesResponse>("GetCapabilities", (_, _) => Task.FromResult(Describe()));

    /// <summary>Version of this build.</summary>
    public static string Build => typeof(CapabilityService).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "unknown";

    GetCapabilitiesResponse Describe() => new()
    {
        Build = Build,
        ApiVersions = { "vmm.v1" },
        Devices = { "nvme", "virtio-blk", "edu", "vtd", "virtio-iommu", "uart", "hpet", "pit", "rtc", "ioapic", "lapic" },
        IommuProfiles = { Enum.GetNames<VtdProfile>().Select(n => n.ToLowerInvariant()) },
        CpuFeatures = { CpuFeatureNames.Of(new() { MachineCheck = new() }) },
        MachineCheckBanks = (uint)new Cpu.MachineCheck.MachineCheckOptions().Banks,
        FaultActions = { FaultActionNames() },
        Limits = new()
        {
            Machines = (uint)machines.Limits.Machines, MemoryBytes = machines.Limits.MemoryBytes, MessageBytes = GrpcLimits.DefaultMaxMessage,
            Watchers = (uint)machines.Limits.Watchers, KeptEvents = (uint)machines.Limits.KeptEvents, KeptConsoleBytes = ConsoleLog.Capacity,
            FaultRules = Platform.Faults.FaultPlan.RuleLimit, Operations = (uint)machines.Limits.Operations, KeptOperations = OperationRegistry.Kept,
        },
    };

    /// <summary>"translation" and the like, or "dma.drop" where an action has kinds: read from the messages themselves.</summary>
    static IEnumerable<string> FaultActionNames() => FaultAction.Descriptor.Fields.InDeclarationOrder().SelectMany(field =>
    {
        var kinds = field.MessageType.FindFieldByName("kind")?.EnumType.Values.Where(v => v.Number != 0).ToList();
        var prefix = kinds?.Count > 0 ? kinds[0].EnumDescriptor.Name : "";
        return kinds == null ? [field.Name] : kinds.Select(v => $"{field.Name}.{v.Name[(Snake(prefix).Length + 1)..].ToLowerInvariant()}");
    });

    static string Snake(string name) => string.Concat(name.Select((c, i) => char.IsUpper(c) && i > 0 ? "_" + c : $"{c}"));
}
