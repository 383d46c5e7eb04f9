using Vmm.Platform.Time;

namespace Vmm.GuestDma.Cost;

/// <summary>What cycles were spent on.</summary>
public enum CycleCause
{
    /// <summary>The load itself: everything of an operation that is not DMA mapping.</summary>
    Application,

    /// <summary>Nodes visited and magazines handled to find an IO virtual address.</summary>
    IovaSearch,

    /// <summary>Locks and atomic operations.</summary>
    Lock,

    /// <summary>Walking and writing translation tables, and looking up software copies of them.</summary>
    Tables,

    /// <summary>Cache lines flushed for page walks that are not coherent.</summary>
    CacheFlush,

    /// <summary>Waiting for an invalidation.</summary>
    Invalidation,

    /// <summary>Waiting for requests to a paravirtual IOMMU.</summary>
    Request,

    /// <summary>Exits to the hypervisor for register accesses.</summary>
    Exit,

    /// <summary>Copying and clearing bytes of bounce buffers.</summary>
    Copy,

    /// <summary>Handling slots and adopted buffers.</summary>
    Pool,

    /// <summary>References on pages.</summary>
    PageReference,

    /// <summary>Nothing to do: the processor waits for a device.</summary>
    Idle,
}

/// <summary>Operation of the DMA API on whose behalf cycles are spent.</summary>
public enum DmaOperation
{
    /// <summary>None: the load.</summary>
    None,

    /// <summary>Map.</summary>
    Map,

    /// <summary>Unmap.</summary>
    Unmap,

    /// <summary>Synchronisation.</summary>
    Sync,

    /// <summary>Work that a timer does: flushing, eviction.</summary>
    Background,
}

/// <summary>
/// Cycles by operation and cause. Every charge passes virtual time, so the sum of all is the time that went by.
/// </summary>
/// <param name="clock">The machine's clock.</param>
public sealed class CycleLedger(VirtualClock clock)
{
    /// <summary>Number of causes.</summary>
    public static int Causes { get; } = Enum.GetValues<CycleCause>().Length;

    /// <summary>Number of operations.</summary>
    public static int Operations { get; } = Enum.GetValues<DmaOperation>().Length;

    readonly ulong[] cycles = new ulong[Causes * Operations];
    readonly ulong[] counts = new ulong[Causes * Operations];

    /// <summary>What is being done now.</summary>
    public DmaOperation Operation { get; private set; }

    /// <summary>Virtual time.</summary>
    public ulong Now => clock.Now;

    /// <summary>Charges cycles to a cause and lets them pass.</summary>
    public void Charge(CycleCause cause, ulong amount, ulong count = 1)
    {
        Book(cause, amount, count);
        clock.Charge(amount);
    }

    /// <summary>Cycles charged so far; never forgotten.</summary>
    public ulong Total { get; private set; }

    /// <summary>Counts cycles that passed already.</summary>
    public void Book(CycleCause cause, ulong amount, ulong count = 1)
    {
        var at = (int)Operation * Causes + (int)cause;
        cycles[at] += amount;
        counts[at] += count;
        Total += amount;
    }

    /// <summary>Begins an operation; the result goes to <see cref="Leave"/>.</summary>
    public DmaOperation Enter(DmaOperation operation)
    {
        var outer = Operation;
        // What an operation causes inside another one belongs to the outer one.
        Operation = outer == DmaOperation.None ? operation : outer;
        return outer;
    }

    /// <summary>Ends an operation.</summary>
    public void Leave(DmaOperation outer) => Operation = outer;

    /// <summary>Cycles of an operation and cause.</summary>
    public ulong Cycles(DmaOperation operation, CycleCause cause) => cycles[(int)operation * Causes + (int)cause];

    /// <summary>Events of an operation and cause.</summary>
    public ulong Count(DmaOperation operation, CycleCause cause) => counts[(int)operation * Causes + (int)cause];

    /// <summary>Cycles of a cause in all operations.</summary>
    public ulong Cycles(CycleCause cause)
    {
        var sum = 0ul;
        for (var operation = 0; operation < Operations; operation++)
        {
            sum += cycles[operation * Causes + (int)cause];
        }

        return sum;
    }

    /// <summary>Events of a cause in all operations.</summary>
    public ulong Count(CycleCause cause)
    {
        var sum = 0ul;
        for (var operation = 0; operation < Operations; operation++)
        {
            sum += counts[operation * Causes + (int)cause];
        }

        return sum;
    }

    /// <summary>Cycles of an operation, all causes.</summary>
    public ulong Cycles(DmaOperation operation)
    {
        var sum = 0ul;
        foreach (var amount in cycles.AsSpan((int)operation * Causes, Causes))
        {
            sum += amount;
        }

        return sum;
    }

    /// <summary>Forgets everything; time stays.</summary>
    public void Clear()
    {
        Array.Clear(cycles);
        Array.Clear(counts);
    }
}
