using Vmm.GuestDma.Cost;
using Vmm.GuestDma.Domains;
using Vmm.GuestDma.Guest;
using Vmm.GuestDma.Addresses;
using Vmm.Platform.Time;

namespace Vmm.GuestDma.Flush;

/// <summary>
/// Ranges that were unmapped but may still be cached, in a ring for each processor. They are invalidated together when a ring is
/// full or the oldest has waited for the time-out; only then are their addresses used again.
/// </summary>
public sealed class FlushQueue : ITimerTarget
{
    /// <summary>Ranges that wait in a ring at most.</summary>
    public const int Capacity = 250;

    /// <summary>Longest wait, in nanoseconds.</summary>
    public const ulong TimeoutNanoseconds = 10_000_000;

    /// <summary>Ranges that are invalidated one by one at most; more are one invalidation of the domain.</summary>
    public const int MostRanges = 8;

    readonly List<Ring> rings = [];
    readonly InvalidationGather[] sorted = new InvalidationGather[Capacity];
    readonly IGuestView view;
    readonly CostMeter meter;
    readonly GuestPages pages;
    readonly IIommuDomain domain;
    readonly IIovaAllocator iovas;
    readonly ClockTimer timer;

    /// <summary>What one processor unmapped.</summary>
    sealed class Ring
    {
        public readonly InvalidationGather[] Waiting = new InvalidationGather[Capacity];
        public readonly PageRuns Held = new();
        public readonly Gate Gate = new();
        public int Count;
        public bool Joins;
    }

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
        rings.Add(new());
        timer = view.Clock.CreateTimer("flush-queue", this);
    }

    /// <summary>Ranges that wait.</summary>
    public int Count
    {
        get
        {
            var sum = 0;
            foreach (var ring in rings)
            {
                sum += ring.Count;
            }

            return sum;
        }
    }

    /// <summary>Flushes so far.</summary>
    public ulong Flushes { get; private set; }

    /// <summary>Pages that stay referred to until the flush of this processor's ring.</summary>
    public PageRuns Held => Own.Held;

    /// <summary>Pages that stay referred to until some flush.</summary>
    public int HeldPages
    {
        get
        {
            var sum = 0;
            foreach (var ring in rings)
            {
                sum += ring.Held.Pages;
            }

            return sum;
        }
    }

    Ring Own
    {
        get
        {
            while (rings.Count <= view.Cpu)
            {
                rings.Add(new());
            }

            return rings[view.Cpu];
        }
    }

    /// <summary>Adds a range that was unmapped.</summary>
    public void Add(ulong address, ulong bytes, FlushMode mode)
    {
        var ring = Own;
        meter.Lock(ring.Gate);
        ring.Waiting[ring.Count++] = new() { Start = address, End = address + bytes };
        ring.Joins = mode == FlushMode.Batched && (ring.Joins || ring.Count == 1);
        if (ring.Count == Capacity)
        {
            Flush(ring);
            Rest();
        }
        else if (!timer.IsArmed)
        {
            timer.Arm(view.Clock.Now + view.Clock.ToCycles(TimeoutNanoseconds, 1_000_000_000));
        }

        meter.Unlock(ring.Gate);
    }

    /// <summary>Invalidates everything that waits.</summary>
    public void Flush()
    {
        foreach (var ring in rings)
        {
            Flush(ring);
        }

        Rest();
    }

    /// <summary>The timer has nothing to wait for when nothing waits.</summary>
    void Rest()
    {
        if (Count == 0)
        {
            timer.Disarm();
        }
    }

    void Flush(Ring ring)
    {
        if (ring.Count == 0)
        {
            return;
        }

        var joined = ring.Joins ? Join(ring) : int.MaxValue;
        if (joined <= MostRanges)
        {
            domain.Invalidate(sorted.AsSpan(0, joined));
        }
        else
        {
            domain.FlushAll();
        }

        Flushes++;
        ring.Held.Release(pages);
        foreach (ref readonly var range in ring.Waiting.AsSpan(0, ring.Count))
        {
            iovas.Free(range.Start >> 12, (int)(range.End - range.Start >> 12));
        }

        ring.Count = 0;
    }

    /// <summary>Sorts what waits and joins neighbours; returns how many ranges there are then.</summary>
    int Join(Ring ring)
    {
        var all = sorted.AsSpan(0, ring.Count);
        ring.Waiting.AsSpan(0, ring.Count).CopyTo(all);
        all.Sort(static (a, b) => a.Start.CompareTo(b.Start));
        meter.PoolNodes(ring.Count);
        var last = 0;
        for (var i = 1; i < all.Length; i++)
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
