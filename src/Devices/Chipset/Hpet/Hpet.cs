using Vmm.Platform.Bus;
using Vmm.Platform.Interrupts;
using Vmm.Platform.Snapshots;
using Vmm.Platform.Time;

namespace Vmm.Chipset;

/// <summary>
/// HPET (IA-PC HPET 1.0a) with a 64-bit counter and three periodic comparators, 1 KiB at 0xFED00000. Legacy replacement takes
/// IRQ 0 and IRQ 8 from the PIT and the RTC, whose lines therefore pass through <see cref="ReplacePit"/> and
/// <see cref="ReplaceRtc"/>. FSB interrupts are not offered.
/// </summary>
public sealed class Hpet : IBusTarget, ITimerTarget, ISnapshotPart
{
    /// <summary>Bytes of MMIO.</summary>
    public const int Size = 0x400;

    /// <summary>Counter frequency in Hz.</summary>
    public const ulong Hertz = 14_318_180;

    const ulong PeriodFemtoseconds = 69_841_279;
    const ulong Capabilities = PeriodFemtoseconds << 32 | 0x8086_0000 | 1 << 15 | 1 << 13 | 2 << 8 | 1;
    const ulong Enable = 1, LegacyRoute = 2;

    readonly VirtualClock clock;
    readonly IReadOnlyList<IInterruptLine> lines;
    readonly HpetTimer[] timers = new HpetTimer[3];
    readonly HpetLegacyLine pit, rtc;
    ulong configuration, status, halted, origin;

    /// <param name="clock">Source of time.</param>
    /// <param name="lines">24 lines of its own by global system interrupt.</param>
    /// <param name="irq0">IRQ 0, which PIT and HPET share.</param>
    /// <param name="irq8">IRQ 8, which RTC and HPET share.</param>
    public Hpet(VirtualClock clock, IReadOnlyList<IInterruptLine> lines, IInterruptLine irq0, IInterruptLine irq8)
    {
        this.clock = clock;
        this.lines = lines;
        pit = new(irq0);
        rtc = new(irq8);
        for (var i = 0; i < timers.Length; i++)
        {
            timers[i] = new(clock.CreateTimer($"hpet{i}", this));
        }
    }

    /// <summary>IRQ 0 for the PIT.</summary>
    public IInterruptLine ReplacePit => pit;

    /// <summary>IRQ 8 for the RTC.</summary>
    public IInterruptLine ReplaceRtc => rtc;

    /// <inheritdoc/>
    public string SectionName => "hpet";

    /// <inheritdoc/>
    public ushort SectionVersion => 1;

    bool Counts => (configuration & Enable) != 0;

    ulong Counter => Counts && clock.Now > origin ? halted + clock.FromCycles(clock.Now - origin, Hertz) : halted;

    /// <summary>Power-up state: halted at zero.</summary>
    public void Reset()
    {
        WriteConfiguration(0);
        (status, halted) = (0, 0);
        for (var i = 0; i < timers.Length; i++)
        {
            Line(i).Set(false);
            timers[i].Reset();
        }
    }

    /// <inheritdoc/>
    public IoResult Read(ulong offset, Span<byte> data)
    {
        AccessBytes.Store(data, ReadRegister(offset & ~7ul) >> (int)(offset & 7) * 8);
        return IoResult.Ok;
    }

    /// <inheritdoc/>
    public IoResult Write(ulong offset, ReadOnlySpan<byte> data)
    {
        var aligned = offset & ~7ul;
        var shift = (int)(offset & 7) * 8;
        var bits = Math.Min(data.Length * 8, 64 - shift);
        var mask = (bits == 64 ? ulong.MaxValue : (1ul << bits) - 1) << shift;
        var value = AccessBytes.Load(data) << shift & mask;
        if (aligned == 0x20)
        {
            ClearStatus(value);
        }
        else if (aligned is >= 0x100 and < 0x160 && (aligned & 0x1F) == 8)
        {
            timers[Index(aligned)].WriteComparator(value, mask);
            Arm(timers[Index(aligned)]);
        }
        else
        {
            WriteRegister(aligned, ReadRegister(aligned) & ~mask | value);
        }

        return IoResult.Ok;
    }

    ulong ReadRegister(ulong offset) => offset switch
    {
        0x00 => Capabilities,
        0x10 => configuration,
        0x20 => status,
        0xF0 => Counter,
        >= 0x100 and < 0x160 => (offset & 0x1F) switch
        {
            0x00 => timers[Index(offset)].Configuration,
            0x08 => timers[Index(offset)].Comparator,
            _ => 0,
        },
        _ => 0,
    };

    static int Index(ulong offset) => (int)(offset - 0x100 >> 5);

    void WriteRegister(ulong offset, ulong value)
    {
        switch (offset)
        {
            case 0x10:
                WriteConfiguration(value);
                break;
            case 0xF0 when !Counts:
                halted = value;
                break;
            case >= 0x100 and < 0x160 when (offset & 0x1F) == 0:
                WriteTimer(Index(offset), value);
                break;
            default:
                break;
        }
    }

    void WriteConfiguration(ulong value)
    {
        var counter = Counter;
        for (var i = 0; i < timers.Length; i++)
        {
            Line(i).Set(false);
        }

        configuration = value & (Enable | LegacyRoute);
        halted = counter;
        origin = clock.Now;
        pit.Replaced = rtc.Replaced = (configuration & LegacyRoute) != 0;
        for (var i = 0; i < timers.Length; i++)
        {
            Arm(timers[i]);
            DriveLevel(i);
        }
    }

    void WriteTimer(int index, ulong value)
    {
        Line(index).Set(false);
        timers[index].WriteConfiguration(value);
        Arm(timers[index]);
        DriveLevel(index);
    }

    void ClearStatus(ulong bits)
    {
        status &= ~bits;
        for (var i = 0; i < timers.Length; i++)
        {
            if ((bits >> i & 1) != 0)
            {
                DriveLevel(i);
            }
        }
    }

    void DriveLevel(int index)
    {
        if (timers[index].IsLevel)
        {
            Line(index).Set(timers[index].IsEnabled && (status >> index & 1) != 0);
        }
    }

    /// <summary>Where a comparator's interrupt goes: timers 0 and 1 to IRQ 0 and 8 under legacy replacement.</summary>
    IInterruptLine Line(int index) => (configuration & LegacyRoute) == 0 || index == 2
        ? lines[timers[index].Route]
        : index == 0 ? pit.Target : rtc.Target;

    void Arm(HpetTimer timer)
    {
        var wait = Counts ? timer.Wait(Counter) : 0;
        var ticks = Counter - halted;
        var due = wait == 0 || ticks + wait < ticks ? ulong.MaxValue : clock.ToCycles(ticks + wait, Hertz);
        if (due < ulong.MaxValue - origin)
        {
            timer.Alarm.Arm(origin + due);
        }
        else
        {
            timer.Alarm.Disarm();
        }
    }

    /// <inheritdoc/>
    public void Expired(ClockTimer timer, ulong due)
    {
        for (var i = 0; i < timers.Length; i++)
        {
            if (timers[i].Alarm == timer)
            {
                Match(i);
            }
        }
    }

    void Match(int index)
    {
        var timer = timers[index];
        timer.Advance(Counter);
        Arm(timer);
        if (timer.IsLevel)
        {
            status |= 1ul << index;
            DriveLevel(index);
        }
        else if (timer.IsEnabled)
        {
            // An edge: the line stays up until the next one.
            Line(index).Set(false);
            Line(index).Set(true);
        }
    }

    /// <inheritdoc/>
    public void Save(SnapshotWriter writer)
    {
        writer.U64(configuration);
        writer.U64(status);
        writer.U64(halted);
        writer.U64(origin);
        writer.Flag(pit.Level);
        writer.Flag(rtc.Level);
        foreach (var timer in timers)
        {
            timer.Save(writer);
        }
    }

    /// <inheritdoc/>
    public void Load(SnapshotReader reader)
    {
        configuration = reader.U64() & (Enable | LegacyRoute);
        status = reader.U64() & 7;
        halted = reader.U64();
        origin = reader.U64();
        pit.Restore(reader.Flag(), (configuration & LegacyRoute) != 0);
        rtc.Restore(reader.Flag(), (configuration & LegacyRoute) != 0);
        foreach (var timer in timers)
        {
            timer.Load(reader);
        }
    }
}
