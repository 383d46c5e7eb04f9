using Vmm.GuestDma.Cost;
using Vmm.GuestDma.Domains;
using Vmm.GuestDma.Guest;
using Vmm.GuestDma.Addresses;
using Vmm.Platform.Time;

namespace Vmm.GuestDma.Flush;

/// <summary>
/// Ranges that were unmapped but may still be cached. They are invalidated together when the queue is full or the oldest has
/// waited for the time-out; only then are their addresses used again.
/// </summary>
public sealed class FlushQueue : ITimerTarget
{
    /// <summary>Ranges that wait at most.</summary>
    public const int Capacity = 250;

    /// <summary>Longest wait, in nanoseconds.</summary>
    public const ulong TimeoutNanoseconds = 10_000_000;

    /// <summary>Ranges that are invalidated one by one at most; more are one invalidation of the domain.</summary>
    public const int MostRanges = 8;

    readonly InvalidationGather[] waiting = new InvalidationGather[Capacity];
    readonly InvalidationGather[] sorted = new InvalidationGather[Capacity];
    readonly IGuestView view;
    readonly CostMeter meter;
    readonly GuestPages pages;
    readonly IIommuDomain domain;
    readonly IIovaAllocator iovas;
    readonly ClockTimer timer;
    bool ranges;

    /// <param name="view">The machine.</param>
    /// <param name="meter">Prices.</param>
    /// <param name="pages">Holds references.</param>
    /// <param name="domain">What is invalidated.</param>
    /// <param name="iovas">Gets the addresses back.</param>
    public FlushQueue(IGuestView view, CostMeter meter, GuestPages pages, IIommuDomain domain, IIovaAllocator iovas)
    {
        this.view = view;
        this.meter = meter;
        this.pages = pages;
        this.domain = domain;
        this.iovas = iovas;
        timer = view.Clock.CreateTimer("flush-queue", this);
    }

    /// <summary>Ranges that wait.</summary>
    public int Count { get; private set; }

    /// <summary>Flushes so far.</summary>
    public ulong Flushes { get; private set; }

    /// <summary>Pages that stay referred to until the flush.</summary>
    public PageRuns Held { get; } = new();

    /// <summary>Adds a range that was unmapped.</summary>
    public void Add(ulong address, ulong bytes, FlushMode mode)
    {
        meter.Lock();
        waiting[Count++] = new() { Start = address, End = address + bytes };
        ranges = mode == FlushMode.Batched && (ranges || Count == 1);
        if (Count == Capacity)
        {
            Flush();
        }
        else if (!timer.IsArmed)
        {
            timer.Arm(view.Clock.Now + view.Clock.ToCycles(TimeoutNanoseconds, 1_000_000_000));
        }
    }

    /// <summary>Invalidates everything that waits.</summary>
    public void Flush()
    {
        timer.Disarm();
        if (Count == 0)
        {
            return;
        }

        var joined = ranges ? Join() : int.MaxValue;
        if (joined <= MostRanges)
        {
            domain.Invalidate(sorted.AsSpan(0, joined));
        }
        else
        {
            domain.FlushAll();
        }

        Flushes++;
        Held.Release(pages);
        foreach (ref readonly var range in waiting.AsSpan(0, Count))
        {
            iovas.Free(range.Start >> 12, (int)(range.End - range.Start >> 12));
        }

        Count = 0;
    }

    /// <summary>Sorts what waits and joins neighbours; returns how many ranges there are then.</summary>
    int Join()
    {
        var all = sorted.AsSpan(0, Count);
        waiting.AsSpan(0, Count).CopyTo(all);
        all.Sort(static (a, b) => a.Start.CompareTo(b.Start));
        meter.PoolNodes(Count);
        var last = 0;
        for (var i = 1; i < Count; i++)
        {
            if (all[i].Start == all[last].End)
            {
                all[last].End = all[i].End;
            }
            else
            {
                all[++last] = all[i];
            }
        }

        return last + 1;
    }

    /// <inheritdoc/>
    void ITimerTarget.Expired(ClockTimer timer, ulong due)
    {
        var outer = meter.Ledger.Enter(DmaOperation.Background);
        Flush();
        meter.Ledger.Leave(outer);
    }
}
