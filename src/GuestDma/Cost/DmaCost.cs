using Vmm.Platform.Time;

namespace Vmm.GuestDma.Cost;

/// <summary>
/// What the layer's own work costs, in cycles of the machine's clock. What a device or a hypervisor does for it is charged by
/// the models themselves. docs/dma-layer.md gives the source of every number.
/// </summary>
public sealed record DmaCost
{
    /// <summary>Name in tables.</summary>
    public required string Name { get; init; }

    /// <summary>Taking and releasing a free lock.</summary>
    public required ulong Lock { get; init; }

    /// <summary>A lock that another processor held last: its cache line comes from there.</summary>
    public ulong LockHandOff { get; init; } = 150;

    /// <summary>An atomic read-modify-write.</summary>
    public required ulong Atomic { get; init; }

    /// <summary>A node of a tree or list that is visited: a load that hits the cache.</summary>
    public ulong Node { get; init; } = 8;

    /// <summary>Taking from or giving to a magazine of this processor.</summary>
    public required ulong Magazine { get; init; }

    /// <summary>A level of a table walk.</summary>
    public required ulong TableLevel { get; init; }

    /// <summary>A table entry that is written.</summary>
    public ulong TableEntry { get; init; } = 4;

    /// <summary>A cache line that is flushed to memory.</summary>
    public required ulong CacheFlush { get; init; }

    /// <summary>Copying 1 KiB that is not in the cache.</summary>
    public required ulong CopyKibibyte { get; init; }

    /// <summary>Clearing 1 KiB.</summary>
    public required ulong ClearKibibyte { get; init; }

    /// <summary>Taking or giving back a slot, beyond its lock.</summary>
    public ulong Slot { get; init; } = 20;

    /// <summary>Comparing an address of an adopted buffer.</summary>
    public ulong Compare { get; init; } = 2;

    /// <summary>Allocating or freeing a block of pages.</summary>
    public ulong PageAllocation { get; init; } = 300;

    /// <summary>The prices of a cost model; what the model does not know keeps its default.</summary>
    public static DmaCost From(CostModel model) => new()
    {
        Name = model.Profile,
        Lock = model[CostKind.Lock],
        Atomic = model[CostKind.Atomic],
        Magazine = model[CostKind.IovaCached],
        // One page is a walk of four levels and one entry.
        TableLevel = (model[CostKind.PageTableMap] - Math.Min(4, model[CostKind.PageTableMap])) / 4,
        CacheFlush = model[CostKind.CacheFlush],
        CopyKibibyte = model[CostKind.CopyLineCold] * 16,
        ClearKibibyte = model[CostKind.CopyLineHot] * 16,
    };
}
