namespace Vmm.Platform.Time;

/// <summary>
/// What passes virtual time. Each kind has one price in cycles (<see cref="CostModel"/>), one key (its name in kebab case)
/// on the command line and in profiles, and one row in docs/cost-model.md. Exits not named here cost <see cref="Light"/>
/// or <see cref="User"/>.
/// </summary>
public enum CostKind : byte
{
    /// <summary>A retired instruction.</summary>
    Instruction,

    /// <summary>PAUSE, beyond the instruction.</summary>
    Pause,

    /// <summary>An exit that the hypervisor's kernel part handles, with little work.</summary>
    Light,

    /// <summary>An exit that the hypervisor's process handles, with little work.</summary>
    User,

    /// <summary>CPUID.</summary>
    Cpuid,

    /// <summary>VMCALL.</summary>
    Vmcall,

    /// <summary>HLT, up to the moment the processor sleeps.</summary>
    Halt,

    /// <summary>From the event that wakes a halted processor to its next instruction.</summary>
    Wake,

    /// <summary>RDMSR or WRMSR that exits.</summary>
    Msr,

    /// <summary>External interrupt while the guest runs.</summary>
    ExternalInterrupt,

    /// <summary>VMX-preemption timer.</summary>
    PreemptionTimer,

    /// <summary>EPT violation that is not a device access: a page is filled in.</summary>
    EptViolation,

    /// <summary>Port access to a device in the kernel.</summary>
    PortKernel,

    /// <summary>Port write that signals an eventfd.</summary>
    PortEventfd,

    /// <summary>Port access to a device in the hypervisor's process.</summary>
    PortUser,

    /// <summary>Access to memory-mapped registers of a device in the kernel.</summary>
    MmioKernel,

    /// <summary>Write of a memory-mapped register that signals an eventfd.</summary>
    MmioEventfd,

    /// <summary>Access to memory-mapped registers of a device in the hypervisor's process.</summary>
    MmioUser,

    /// <summary>An interrupt put into the guest at VM entry.</summary>
    Injection,

    /// <summary>An interrupt posted to a running guest.</summary>
    PostedInterrupt,

    /// <summary>Host read of CR4 at a VM exit or entry.</summary>
    Cr4Read,

    /// <summary>One request of a paravirtual queue taken and answered, without its backend.</summary>
    VirtioRequest,

    /// <summary>Backend of a map of 4 KiB: VFIO pins the page and enters it into the host's IOMMU.</summary>
    VfioMap,

    /// <summary>Backend of an unmap of 4 KiB, without the host's IOTLB invalidation.</summary>
    VfioUnmap,

    /// <summary>Invalidation of a hardware IOTLB through its queue, waited for.</summary>
    IotlbInvalidation,

    /// <summary>A descriptor that the remapping unit takes off its invalidation queue.</summary>
    InvalidationDescriptor,

    /// <summary>A table entry that the remapping unit reads from memory.</summary>
    WalkRead,

    /// <summary>64 bytes moved by a device.</summary>
    DmaLine,

    /// <summary>CLFLUSH, CLFLUSHOPT or CLWB of one line.</summary>
    CacheFlush,

    /// <summary>Guest software: IOVA from a per-processor cache, or back to it.</summary>
    IovaCached,

    /// <summary>Guest software: IOVA allocated in the tree.</summary>
    IovaTree,

    /// <summary>Guest software: IOVA found in the tree.</summary>
    IovaFind,

    /// <summary>Guest software: IOVA given back to the tree.</summary>
    IovaFree,

    /// <summary>Guest software: one page entered into a page table.</summary>
    PageTableMap,

    /// <summary>Guest software: one page taken out of a page table.</summary>
    PageTableUnmap,

    /// <summary>Guest software: 64 bytes copied, in the cache.</summary>
    CopyLineHot,

    /// <summary>Guest software: 64 bytes copied, not in the cache.</summary>
    CopyLineCold,

    /// <summary>Guest software: an uncontended lock taken and given back.</summary>
    Lock,

    /// <summary>Guest software: an atomic read-modify-write.</summary>
    Atomic,

    /// <summary>Not a price: what REP uses beyond the instruction, in units of <see cref="Instruction"/>.</summary>
    Stall,

    /// <summary>Not a price: a processor sleeps or has not been started.</summary>
    Idle,
}

/// <summary>Names and order of cost kinds.</summary>
public static class CostKinds
{
    /// <summary>Kinds, those without a price included.</summary>
    public const int Count = (int)CostKind.Idle + 1;

    /// <summary>Kinds with a price; they come first.</summary>
    public const int Priced = (int)CostKind.Stall;

    static readonly string[] Keys = [.. Enum.GetValues<CostKind>().Select(static k => Kebab(k.ToString()))];

    /// <summary>The kind's key: "mmio-user".</summary>
    public static string Key(this CostKind kind) => Keys[(int)kind];

    /// <summary>The priced kind of a key.</summary>
    public static bool TryParse(string key, out CostKind kind)
    {
        var at = Array.IndexOf(Keys, key, 0, Priced);
        kind = (CostKind)Math.Max(at, 0);
        return at >= 0;
    }

    /// <summary>Keys of the priced kinds.</summary>
    public static IEnumerable<string> PricedKeys => Keys.Take(Priced);

    static string Kebab(string name) =>
        string.Concat(name.Select(static (c, i) => char.IsUpper(c) ? (i == 0 ? "" : "-") + char.ToLowerInvariant(c) : c.ToString()));
}
