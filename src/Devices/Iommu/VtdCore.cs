using Vmm.Platform.Dma;
using Vmm.Platform.Faults;
using Vmm.Platform.Interrupts;
using Vmm.Platform.Memory;
using Vmm.Platform.Registers;
using Vmm.Platform.Time;
using Vmm.Specs.VtD;

namespace Vmm.Iommu;

/// <summary>What the mechanisms of one unit share: registers, memory, caches, counters.</summary>
sealed class VtdCore
{
    readonly VirtualClock? clock;

    public VtdCore(VtdOptions options, GuestMemory memory, IInterruptSink sink, VirtualClock? clock)
    {
        Options = options;
        Capabilities = new(options);
        Memory = memory;
        Sink = sink;
        this.clock = clock;
        Counters = new(clock?.Ledger, options.Name);
        Iotlb = new(options, Clock);
        Contexts = new(options.CacheEntries, Clock);
        Pasids = new(options.CacheEntries, Clock);
        InterruptEntries = new(options.CacheEntries, Clock);
        Registers = new(VtdRegisterTable.Length, VtdRegisterTable.Build(Capabilities));
    }

    /// <summary>Takes events, or null.</summary>
    public IEventTrace? Trace => clock?.Trace;

    /// <summary>Told of each blocked request, or null.</summary>
    public Action<BlockedRequest>? Blocked { get; set; }

    public VtdOptions Options { get; }

    public VtdCapabilities Capabilities { get; }

    public GuestMemory Memory { get; }

    /// <summary>Takes the unit's own messages, which are not remapped (VT-d §5.1.6).</summary>
    public IInterruptSink Sink { get; }

    public RegisterFile Registers { get; }

    public VtdCounters Counters { get; }

    /// <summary>Fault rules, or null.</summary>
    public FaultPlan? Faults { get; set; }

    public CacheClock Clock { get; } = new();

    public Iotlb Iotlb { get; }

    public KeyedCache<ContextCacheEntry> Contexts { get; }

    public KeyedCache<PasidCacheEntry> Pasids { get; }

    public KeyedCache<InterruptCacheEntry> InterruptEntries { get; }

    /// <summary>Root table in use: RTADDR_REG as SRTP latched it.</summary>
    public Rtaddr RootTable { get; set; }

    /// <summary>Interrupt remapping table in use: IRTA_REG as SIRTP latched it.</summary>
    public Irta InterruptTable { get; set; }

    public Gsts Gsts
    {
        get => new(Registers.Get32(VtdRegister.GSTS));
        set
        {
            Registers.Set32(VtdRegister.GSTS, value.Raw);
            IsTranslating = value.TES;
        }
    }

    /// <summary>GSTS.TES, at hand for every request.</summary>
    public bool IsTranslating { get; private set; }

    public bool HasHabit(VtdHabits habit) => (Options.Habits & habit) != 0;

    /// <summary>Empties every cache and its history.</summary>
    public void ClearCaches()
    {
        Iotlb.Clear();
        Contexts.Clear();
        Pasids.Clear();
        InterruptEntries.Clear();
        Clock.Reset();
    }
}
