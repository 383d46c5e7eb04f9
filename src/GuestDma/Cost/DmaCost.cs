namespace Vmm.GuestDma.Cost;

/// <summary>
/// What the layer's work costs, in cycles of the machine's clock. docs/dma-layer.md gives the source of every number;
/// those without one are marked as fitted there.
/// </summary>
public sealed record DmaCost
{
    /// <summary>Name in tables.</summary>
    public string Name { get; init; } = "kernel";

    /// <summary>Everything of one I/O that is not mapping.</summary>
    public ulong Application { get; init; } = 8448;

    /// <summary>Taking and releasing a free lock.</summary>
    public ulong Lock { get; init; } = 51;

    /// <summary>An atomic read-modify-write.</summary>
    public ulong Atomic { get; init; } = 20;

    /// <summary>A node of a tree or list that is visited.</summary>
    public ulong Node { get; init; } = 8;

    /// <summary>Taking from or giving to a magazine of this processor.</summary>
    public ulong Magazine { get; init; } = 60;

    /// <summary>A level of a table walk.</summary>
    public ulong TableLevel { get; init; } = 40;

    /// <summary>A table entry that is written.</summary>
    public ulong TableEntry { get; init; } = 4;

    /// <summary>A cache line that is flushed to memory.</summary>
    public ulong CacheFlush { get; init; } = 100;

    /// <summary>From a submitted invalidation to its completion, in the unit or in the hypervisor that plays it.</summary>
    public ulong Invalidation { get; init; } = 2130;

    /// <summary>A register access in memory space: an exit.</summary>
    public ulong Exit { get; init; } = 2800;

    /// <summary>A MAP request of a paravirtual IOMMU, carried out.</summary>
    public ulong MapRequest { get; init; }

    /// <summary>An UNMAP request, carried out, without its pages.</summary>
    public ulong UnmapRequest { get; init; }

    /// <summary>Each page of an UNMAP request.</summary>
    public ulong UnmapRequestPage { get; init; }

    /// <summary>Copying 1 KiB.</summary>
    public ulong CopyKibibyte { get; init; } = 270;

    /// <summary>Clearing 1 KiB.</summary>
    public ulong ClearKibibyte { get; init; } = 68;

    /// <summary>Taking or giving back a slot, beyond its lock.</summary>
    public ulong Slot { get; init; } = 20;

    /// <summary>Comparing an address of an adopted buffer.</summary>
    public ulong Compare { get; init; } = 2;

    /// <summary>Allocating and freeing a block of pages.</summary>
    public ulong PageAllocation { get; init; } = 300;
}
