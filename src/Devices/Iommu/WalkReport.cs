using Vmm.Platform.Dma;
using Vmm.Platform.Memory;
using Vmm.Specs.VtD;

namespace Vmm.Iommu;

/// <summary>One structure that a translation passes through.</summary>
/// <param name="Table">Kind of structure.</param>
/// <param name="Level">Paging level, 1 to 5; 0 where there are none.</param>
/// <param name="Address">Guest-physical address of the entry.</param>
/// <param name="Value">Lowest 64 bits of the entry.</param>
/// <param name="HighValue">Next 64 bits, where the entry is longer.</param>
/// <param name="IsCached">A cache of the unit holds this entry, or what it led to.</param>
/// <param name="Fault">Condition that this entry raises, or None.</param>
public readonly record struct WalkStep(
    VtdTable Table, int Level, Gpa Address, ulong Value, ulong HighValue, bool IsCached, FaultReason Fault);

/// <summary>
/// A translation explained level by level from the tables as they are now, without touching a cache, a flag in memory or
/// a fault register.
/// </summary>
public sealed class WalkReport
{
    readonly List<WalkStep> steps = [];

    /// <summary>The request.</summary>
    public DmaRequest Request { get; internal set; }

    /// <summary>Structures in the order a walk reads them.</summary>
    public IReadOnlyList<WalkStep> Steps => steps;

    /// <summary>Condition that the tables raise for the request, or None.</summary>
    public FaultReason Fault { get; internal set; }

    /// <summary>FPD suppresses the record of <see cref="Fault"/>.</summary>
    public bool IsFaultSuppressed { get; internal set; }

    /// <summary>Where the tables lead; meaningful without <see cref="Fault"/>.</summary>
    public DmaWindow Window { get; internal set; }

    /// <summary>The unit does not translate: it is off, or the entry says pass-through.</summary>
    public bool IsPassThrough { get; internal set; }

    /// <summary>Domain id, when one was reached.</summary>
    public ushort? Domain { get; internal set; }

    /// <summary>A live request would be answered from the caches alone, by <see cref="CachedWindow"/> or <see cref="CachedFault"/>.</summary>
    public bool IsCached { get; internal set; }

    /// <summary>What the caches answer.</summary>
    public DmaWindow CachedWindow { get; internal set; }

    /// <summary>Condition that the caches answer, or None.</summary>
    public FaultReason CachedFault { get; internal set; }

    /// <summary>The caches answer differently from the tables: an invalidation is missing or still to come.</summary>
    public bool IsStale => IsCached && (CachedFault != Fault || Fault == FaultReason.None && CachedWindow.Address != Window.Address);

    internal void Add(VtdTable table, int level, ulong address, ulong value, ulong high, FaultReason fault, bool cached = false) =>
        steps.Add(new(table, level, new(address), value, high, cached, fault));

    internal void MarkLastCached() => steps[^1] = steps[^1] with { IsCached = true };

    internal void MarkLast(FaultReason fault) => steps[^1] = steps[^1] with { Fault = fault };
}
