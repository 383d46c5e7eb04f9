namespace Vmm.Chipset;

/// <summary>Time registers and interrupt flags.</summary>
public sealed partial class Rtc
{
    /// <summary>Puts the present time into the registers, in the format that register B asks for.</summary>
    void ShowTime()
    {
        var seconds = time.SecondsAt(clock.Now);
        var days = DaysOf(seconds);
        var rest = (int)(seconds - days * 86_400);
        var (year, month, day) = CivilTime.FromDays(days);
        cmos[RtcRegister.Seconds] = Encode(rest % 60);
        cmos[RtcRegister.Minutes] = Encode(rest / 60 % 60);
        cmos[RtcRegister.Hours] = EncodeHour(rest / 3600);
        cmos[RtcRegister.WeekDay] = Encode(time.WeekDay(days));
        cmos[RtcRegister.Day] = Encode(day);
        cmos[RtcRegister.Month] = Encode(month);
        cmos[RtcRegister.Year] = Encode((year % 100 + 100) % 100);
        cmos[RtcRegister.Century] = Encode((year / 100 % 100 + 100) % 100);
    }

    /// <summary>The time that the registers say, in seconds since 1970.</summary>
    long ReadTime() => CivilTime.ToSeconds(
        Decode(cmos[RtcRegister.Century]) * 100 + Decode(cmos[RtcRegister.Year]),
        Decode(cmos[RtcRegister.Month]),
        Decode(cmos[RtcRegister.Day]),
        DecodeHour(cmos[RtcRegister.Hours]),
        Decode(cmos[RtcRegister.Minutes]),
        Decode(cmos[RtcRegister.Seconds]));

    void KeepWeekDay() => time.SetWeekDay(DaysOf(time.SecondsAt(clock.Now)), Decode(cmos[RtcRegister.WeekDay]));

    static long DaysOf(long seconds) => (seconds >= 0 ? seconds : seconds - 86_399) / 86_400;

    byte Encode(int value) => (cmos[RtcRegister.B] & Binary) != 0 ? (byte)value : (byte)(value / 10 % 10 << 4 | value % 10);

    int Decode(byte value) => (cmos[RtcRegister.B] & Binary) != 0 ? value : (value >> 4) * 10 + (value & 15);

    byte EncodeHour(int hour)
    {
        if ((cmos[RtcRegister.B] & Hours24) != 0)
        {
            return Encode(hour);
        }

        var twelve = Encode(hour % 12 == 0 ? 12 : hour % 12);
        return (byte)(twelve | (hour >= 12 ? 0x80 : 0));
    }

    int DecodeHour(byte value)
    {
        if ((cmos[RtcRegister.B] & Hours24) != 0)
        {
            return Decode(value);
        }

        var twelve = Decode((byte)(value & 0x7F));
        return (twelve == 12 ? 0 : twelve) + ((value & 0x80) != 0 ? 12 : 0);
    }

    /// <summary>Alarm bytes with both top bits set match anything.</summary>
    RtcAlarm Alarm => new(
        IsAny(RtcRegister.HoursAlarm) ? -1 : DecodeHour(cmos[RtcRegister.HoursAlarm]),
        IsAny(RtcRegister.MinutesAlarm) ? -1 : Decode(cmos[RtcRegister.MinutesAlarm]),
        IsAny(RtcRegister.SecondsAlarm) ? -1 : Decode(cmos[RtcRegister.SecondsAlarm]));

    bool IsAny(int at) => (cmos[at] & 0xC0) == 0xC0;

    /// <summary>Period of PF in divider ticks, 0 for none. Rates 1 and 2 repeat rates 8 and 9.</summary>
    ulong PeriodTicks
    {
        get
        {
            var rate = cmos[RtcRegister.A] & 15;
            return rate == 0 || !Divides ? 0 : 1ul << (rate <= 2 ? rate + 6 : rate - 1);
        }
    }

    /// <summary>Sets the flags of what happened since the last look.</summary>
    void Scan()
    {
        var (from, to) = (scanned, clock.Now);
        if (to <= from)
        {
            return;
        }

        scanned = to;
        var flags = 0;
        var period = PeriodTicks;
        if (period != 0 && time.TicksAt(to) / period != time.TicksAt(from) / period)
        {
            flags |= Pf;
        }

        var second = time.SecondsAt(from);
        if (Runs && time.SecondsAt(to) != second)
        {
            flags |= Uf;
            if (Alarm.TryNext(second, out var wait) && second + wait <= time.SecondsAt(to))
            {
                flags |= Af;
            }
        }

        cmos[RtcRegister.C] |= (byte)flags;
    }

    /// <summary>Drives IRQ 8 and arms the timer for the next flag that would raise it.</summary>
    void Update()
    {
        var raised = cmos[RtcRegister.C] & cmos[RtcRegister.B] & (Pf | Af | Uf);
        cmos[RtcRegister.C] = (byte)(cmos[RtcRegister.C] & 0x70 | (raised != 0 ? Irqf : 0));
        irq.Set(raised != 0);

        var due = NextFlag(cmos[RtcRegister.B] & ~cmos[RtcRegister.C]);
        if (raised != 0 || due == ulong.MaxValue)
        {
            alarm.Disarm();
        }
        else
        {
            alarm.Arm(due);
        }
    }

    /// <summary>Earliest cycle at which one of the wanted flags is set.</summary>
    ulong NextFlag(int wanted)
    {
        var due = ulong.MaxValue;
        var period = PeriodTicks;
        if ((wanted & Pie) != 0 && period != 0)
        {
            due = time.CycleOfTick((time.TicksAt(clock.Now) / period + 1) * period);
        }

        var second = time.SecondsAt(clock.Now);
        if ((wanted & Uie) != 0 && Runs)
        {
            due = Math.Min(due, time.CycleOfSecond(second + 1));
        }

        if ((wanted & Aie) != 0 && Runs && Alarm.TryNext(second, out var wait))
        {
            due = Math.Min(due, time.CycleOfSecond(second + wait));
        }

        return due;
    }
}
