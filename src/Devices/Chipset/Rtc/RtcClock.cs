using Vmm.Platform.Snapshots;
using Vmm.Platform.Time;

namespace Vmm.Chipset;

/// <summary>
/// The divider chain and the seconds it counts. Seconds pass at whole multiples of one second after an origin in virtual time.
/// </summary>
sealed class RtcClock(VirtualClock clock)
{
    /// <summary>Frequency of the divider chain in Hz.</summary>
    public const ulong Hertz = 32_768;

    ulong origin;
    long secondsAtOrigin;
    int weekDayShift;

    /// <summary>Cycle at which the divider chain was last released.</summary>
    public ulong Origin => origin;

    /// <summary>Whole seconds that passed since the origin.</summary>
    ulong Passed(ulong at) => at > origin ? (at - origin) / clock.Hertz : 0;

    /// <summary>Seconds since 1970 at a cycle.</summary>
    public long SecondsAt(ulong at) => secondsAtOrigin + (long)Passed(at);

    /// <summary>Ticks of the divider chain at a cycle.</summary>
    public ulong TicksAt(ulong at) => at > origin ? clock.FromCycles(at - origin, Hertz) : 0;

    /// <summary>Cycle of a divider tick.</summary>
    public ulong CycleOfTick(ulong tick) => Add(origin, clock.ToCycles(tick, Hertz));

    /// <summary>Cycle at which second number <paramref name="second"/> begins.</summary>
    public ulong CycleOfSecond(long second)
    {
        var wait = second - secondsAtOrigin;
        return wait <= 0 ? origin : Add(origin, (ulong)UInt128.Min((UInt128)wait * clock.Hertz, ulong.MaxValue));
    }

    /// <summary>Divider ticks into the present second.</summary>
    public ulong TicksIntoSecond => TicksAt(clock.Now) % Hertz;

    /// <summary>Sets the time at now, keeping the phase of the divider chain.</summary>
    public void SetSeconds(long seconds) => secondsAtOrigin = seconds - (long)Passed(clock.Now);

    /// <summary>Releases the divider chain from reset: the first second ends half a second from now.</summary>
    public void Restart(long seconds)
    {
        var half = clock.Hertz / 2;
        origin = clock.Now > half ? clock.Now - half : 0;
        secondsAtOrigin = seconds;
    }

    /// <summary>Starts at virtual time zero.</summary>
    public void Start(long epoch)
    {
        origin = 0;
        secondsAtOrigin = epoch;
        weekDayShift = 0;
    }

    /// <summary>Day of the week, 1 (Sunday) to 7: counted by days, from wherever software set it.</summary>
    public int WeekDay(long days) => (int)((days + 4 + weekDayShift) % 7 + 7) % 7 + 1;

    /// <summary>Sets the day of the week of a day.</summary>
    public void SetWeekDay(long days, int weekDay)
    {
        weekDayShift = 0;
        weekDayShift = (weekDay - WeekDay(days) + 7 * 256) % 7;
    }

    static ulong Add(ulong a, ulong b) => a + b < a ? ulong.MaxValue : a + b;

    /// <summary>Saves origin and time.</summary>
    public void Save(SnapshotWriter writer)
    {
        writer.U64(origin);
        writer.U64((ulong)secondsAtOrigin);
        writer.U8((byte)weekDayShift);
    }

    /// <summary>Loads what <see cref="Save"/> wrote.</summary>
    public void Load(SnapshotReader reader)
    {
        origin = reader.U64();
        secondsAtOrigin = Math.Clamp((long)reader.U64(), -1L << 40, 1L << 40);
        weekDayShift = reader.U8() % 7;
    }
}
