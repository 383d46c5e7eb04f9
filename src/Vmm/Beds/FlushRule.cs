namespace Vmm.Beds;

/// <summary>
/// When a queue of deferred invalidations is flushed. Linux (queue_iova and fq_flush_timeout in drivers/iommu/dma-iommu.c):
/// a ring of 256 holds 255 ranges and is flushed when one more comes; a timer is started by the first range after it last
/// ran out, is not stopped by a full queue, and ends after 10 ms in whole ticks and one more, because the timer wheel ends
/// nothing early. Every processor
/// has a ring of its own, and a flush is for all. The layer: 250 ranges, flushed when the last comes; 10 ms from the oldest.
/// </summary>
/// <param name="Capacity">Ranges that are held.</param>
/// <param name="FlushesBefore">A full queue is flushed when one more comes, not at once.</param>
/// <param name="RunsOn">A full queue leaves the timer as it is.</param>
/// <param name="TickHertz">Ticks in a second that the timer counts; 0: it ends after 10 ms.</param>
/// <param name="PerQueue">There is a ring for each submission queue, as interrupts of one go to one processor.</param>
internal sealed record FlushRule(int Capacity, bool FlushesBefore, bool RunsOn, int TickHertz, bool PerQueue)
{
    /// <summary>
    /// Queue of the processor that counts ticks. A timer of another one, whose own tick comes just before it, ends a tick
    /// later. 0: no timer does.
    /// </summary>
    public int Timekeeper { get; init; }

    const ulong Hertz = 2_112_000_000, Timeout = Hertz / 100;

    /// <summary>The DMA layer.</summary>
    public static FlushRule Layer => new(250, false, false, 0, false);

    /// <summary>Linux.</summary>
    /// <param name="hertz">CONFIG_HZ.</param>
    public static FlushRule Linux(int hertz) => new(255, true, true, hertz, true);

    /// <summary>Times of the flushes that are exits.</summary>
    /// <param name="steps">Maps and unmaps.</param>
    /// <param name="end">When counting ends.</param>
    /// <param name="tick">A time at which a tick came.</param>
    /// <param name="lag">Cycles from a completion to its unmap.</param>
    /// <param name="requests">A flush is an exit only when UNMAP requests wait; a map takes them along.</param>
    public List<ulong> Exits(IEnumerable<DmaStep> steps, ulong end, ulong tick, bool requests, ulong lag = 0)
    {
        var exits = new List<ulong>();
        var counts = new Dictionary<int, int>();
        var (waiting, due) = (0, ulong.MaxValue);
        void Flush(ulong time)
        {
            if (!requests || waiting > 0)
            {
                exits.Add(time);
            }

            counts.Clear();
            waiting = 0;
        }

        void FlushFull(ulong time)
        {
            Flush(time);
            due = RunsOn ? due : ulong.MaxValue;
        }

        foreach (var step in steps.Select(s => s.IsMap ? s : s with { Time = s.Time + lag }).OrderBy(static s => s.Time).Append(new(end, null!, 0, true)))
        {
            if (due <= step.Time)
            {
                Flush(due);
                due = ulong.MaxValue;
            }

            if (step.IsMap)
            {
                waiting = 0;
                continue;
            }

            waiting++;
            var ring = PerQueue ? step.Queue : 0;
            if (FlushesBefore && counts.GetValueOrDefault(ring) == Capacity)
            {
                FlushFull(step.Time);
            }

            counts[ring] = counts.GetValueOrDefault(ring) + 1;
            if (!FlushesBefore && counts[ring] == Capacity)
            {
                FlushFull(step.Time);
            }
            else if (due == ulong.MaxValue)
            {
                due = TickHertz == 0 ? step.Time + Timeout : LastTick(step.Time, tick, Timekeeper != 0 && step.Queue != Timekeeper);
            }
        }

        return exits;
    }

    ulong LastTick(ulong time, ulong tick, bool isLate)
    {
        var length = Hertz / (ulong)TickHertz;
        return time - (time - tick % length) % length + ((ulong)(TickHertz + 99) / 100 + (isLate ? 2u : 1)) * length;
    }
}
