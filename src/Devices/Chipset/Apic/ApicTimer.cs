using Vmm.Platform.Snapshots;
using Vmm.Platform.Time;

namespace Vmm.Chipset;

/// <summary>What an <see cref="ApicTimer"/> does when it reaches its end (LVT timer bits 18:17).</summary>
enum ApicTimerMode
{
    OneShot,
    Periodic,
    TscDeadline,
    Reserved,
}

/// <summary>
/// The APIC timer (SDM 3A §11.5.4). The count is never stored: it follows from the cycle at which counting began.
/// </summary>
sealed class ApicTimer(VirtualClock clock, ClockTimer alarm, ulong hertz)
{
    bool running;
    ulong origin;
    ulong endTicks;
    uint initialCount;
    uint divide;
    ApicTimerMode mode;
    ulong deadline;
    ulong tscOffset;

    /// <summary>TMICT.</summary>
    public uint InitialCount => initialCount;

    /// <summary>DCR, bits 3, 1 and 0.</summary>
    public uint DivideConfiguration => divide;

    /// <summary>IA32_TSC_DEADLINE: zero once reached, and in the other modes.</summary>
    public ulong Deadline => deadline;

    /// <summary>Guest TSC minus virtual time, in cycles.</summary>
    public ulong TscOffset => tscOffset;

    /// <summary>DCR codes 0 to 6 divide by 2 to 128, code 7 by 1.</summary>
    ulong Divisor => 1ul << ((int)((divide & 3 | divide >> 1 & 4) + 1) & 7);

    ulong Ticks => clock.Now > origin ? clock.FromCycles(clock.Now - origin, hertz) : 0;

    /// <summary>TMCCT.</summary>
    public uint CurrentCount
    {
        get
        {
            if (!running)
            {
                return 0;
            }

            var ticks = Ticks;
            if (ticks < endTicks)
            {
                return (uint)((endTicks - ticks + Divisor - 1) / Divisor);
            }

            var period = initialCount * Divisor;
            return mode == ApicTimerMode.Periodic && period != 0 ? (uint)((period - (ticks - endTicks) % period + Divisor - 1) / Divisor) : 0;
        }
    }

    /// <summary>State after power-up or INIT. The TSC offset belongs to the core and stays.</summary>
    public void Reset()
    {
        Stop();
        initialCount = 0;
        divide = 0;
        mode = ApicTimerMode.OneShot;
    }

    /// <summary>Takes the mode bits of an LVT timer write. Going to or from TSC-deadline mode disarms the timer.</summary>
    public void SetMode(ApicTimerMode next)
    {
        if (next == mode)
        {
            return;
        }

        var counting = mode is ApicTimerMode.OneShot or ApicTimerMode.Periodic && next is ApicTimerMode.OneShot or ApicTimerMode.Periodic;
        mode = next;
        if (!counting)
        {
            Stop();
            initialCount = 0;
        }
    }

    /// <summary>Starts, or with zero stops, a countdown; ignored in TSC-deadline mode.</summary>
    public void SetInitialCount(uint value)
    {
        if (mode == ApicTimerMode.TscDeadline)
        {
            return;
        }

        Stop();
        initialCount = value;
        if (value != 0 && mode != ApicTimerMode.Reserved)
        {
            Start(value);
        }
    }

    /// <summary>Changes the divisor; a running count goes on from its present value.</summary>
    public void SetDivideConfiguration(uint value)
    {
        var left = CurrentCount;
        divide = value & 0xB;
        var expired = alarm.IsArmed && alarm.Due <= clock.Now;
        if (running && left != 0 && !expired)
        {
            Start(left);
        }
    }

    /// <summary>Writes IA32_TSC_DEADLINE. True when the deadline has already passed: the interrupt is due at once.</summary>
    public bool SetDeadline(ulong value)
    {
        if (mode != ApicTimerMode.TscDeadline)
        {
            return false;
        }

        deadline = value;
        return ArmDeadline();
    }

    /// <summary>Follows a change of the guest's TSC. True when the deadline has thereby passed.</summary>
    public bool SetTscOffset(ulong value)
    {
        tscOffset = value;
        return deadline != 0 && ArmDeadline();
    }

    /// <summary>The alarm rang: counts on or stops.</summary>
    public void Expire()
    {
        if (mode == ApicTimerMode.Periodic && initialCount != 0)
        {
            // Periods that passed unobserved coalesce, as a single IRR bit would.
            var period = initialCount * Divisor;
            var ticks = Ticks;
            endTicks += period;
            if (endTicks <= ticks)
            {
                endTicks += (ticks - endTicks) / period * period + period;
            }

            Arm();
            return;
        }

        running = false;
        deadline = 0;
    }

    void Stop()
    {
        alarm.Disarm();
        running = false;
        deadline = 0;
    }

    void Start(uint count)
    {
        running = true;
        origin = clock.Now;
        endTicks = count * Divisor;
        Arm();
    }

    void Arm()
    {
        var due = origin + (UInt128)clock.ToCycles(endTicks, hertz);
        if (due < ulong.MaxValue)
        {
            alarm.Arm((ulong)due);
        }
    }

    bool ArmDeadline()
    {
        alarm.Disarm();
        var tsc = clock.Now + tscOffset;
        if (deadline == 0)
        {
            return false;
        }

        if (deadline <= tsc)
        {
            deadline = 0;
            return true;
        }

        var wait = deadline - tsc;
        if (wait < ulong.MaxValue - clock.Now)
        {
            alarm.Arm(clock.Now + wait);
        }

        return false;
    }

    /// <summary>Saves the count, the deadline and the alarm.</summary>
    public void Save(SnapshotWriter writer)
    {
        writer.Flag(running);
        writer.U64(origin);
        writer.U64(endTicks);
        writer.U32(initialCount);
        writer.U32(divide);
        writer.U8((byte)mode);
        writer.U64(deadline);
        writer.U64(tscOffset);
        writer.Timer(alarm);
    }

    /// <summary>Loads what <see cref="Save"/> wrote.</summary>
    public void Load(SnapshotReader reader)
    {
        running = reader.Flag();
        origin = reader.U64();
        endTicks = reader.U64();
        initialCount = reader.U32();
        divide = reader.U32() & 0xB;
        mode = (ApicTimerMode)(reader.U8() & 3);
        deadline = reader.U64();
        tscOffset = reader.U64();
        reader.Timer(alarm);
    }
}
