using Vmm.Platform.Bus;
using Vmm.Platform.Interrupts;
using Vmm.Platform.Snapshots;
using Vmm.Platform.Time;

namespace Vmm.Chipset;

/// <summary>
/// MC146818 real-time clock with 128 bytes of CMOS memory: index at port 0x70, data at 0x71, IRQ 8. The time is a
/// configured start plus virtual time. Daylight saving and the square wave output are not modelled.
/// </summary>
public sealed partial class Rtc : IBytePorts, ITimerTarget, ISnapshotPart
{
    const byte Uip = 0x80, Set = 0x80, Pie = 0x40, Aie = 0x20, Uie = 0x10, Binary = 0x04, Hours24 = 0x02;
    const byte Irqf = 0x80, Pf = 0x40, Af = 0x20, Uf = 0x10;

    /// <summary>UIP rises 244 microseconds before an update.</summary>
    const ulong UpdateTicks = 8;

    readonly VirtualClock clock;
    readonly IInterruptLine irq;
    readonly RtcOptions options;
    readonly RtcClock time;
    readonly ClockTimer alarm;
    readonly byte[] cmos = new byte[128];
    byte index;
    ulong scanned;

    /// <param name="clock">Source of time.</param>
    /// <param name="irq">IRQ 8.</param>
    /// <param name="options">Start time and configuration bytes.</param>
    public Rtc(VirtualClock clock, IInterruptLine irq, RtcOptions options)
    {
        this.clock = clock;
        this.irq = irq;
        this.options = options;
        time = new(clock);
        alarm = clock.CreateTimer("rtc", this);
        Ports = new BytePortWindow(this, 0x70);
        time.Start(options.Epoch);
        cmos[RtcRegister.A] = 0x26;
        cmos[RtcRegister.B] = Hours24;
        cmos[RtcRegister.D] = 0x80;
        RtcRegister.FillConfiguration(cmos, options);
    }

    /// <summary>Ports 0x70-0x71.</summary>
    public IBusTarget Ports { get; }

    /// <inheritdoc/>
    public string SectionName => "rtc";

    /// <inheritdoc/>
    public ushort SectionVersion => 1;

    /// <summary>The divider chain counts.</summary>
    bool Divides => (cmos[RtcRegister.A] & 0x70) <= 0x20;

    /// <summary>The time advances.</summary>
    bool Runs => Divides && (cmos[RtcRegister.B] & Set) == 0;

    /// <summary>The RESET pin: interrupts go off; time and memory stay, as the battery keeps them.</summary>
    public void Reset()
    {
        cmos[RtcRegister.B] &= unchecked((byte)~(Pie | Aie | Uie | 0x08));
        cmos[RtcRegister.C] = 0;
        index = 0;
        scanned = clock.Now;
        Update();
    }

    /// <summary>A byte of CMOS memory as firmware would leave it; time registers excepted.</summary>
    public void SetMemory(int at, byte value)
    {
        if (at is > RtcRegister.D and < 128)
        {
            cmos[at] = value;
        }
    }

    byte IBytePorts.ReadPort(int port)
    {
        if (port != 0x71)
        {
            return 0xFF;
        }

        var at = index == RtcRegister.CenturyAlias ? RtcRegister.Century : index;
        switch (at)
        {
            case RtcRegister.A:
                return (byte)(cmos[at] | (InUpdate ? Uip : 0));
            case RtcRegister.C:
                return ReadC();
            default:
                if (RtcRegister.IsTime(at) && Runs)
                {
                    ShowTime();
                }

                return cmos[at];
        }
    }

    bool InUpdate => Runs && time.TicksIntoSecond >= RtcClock.Hertz - UpdateTicks;

    void IBytePorts.WritePort(int port, byte value)
    {
        if (port == 0x70)
        {
            // Bit 7 masks NMI on a PC; nothing here raises one.
            index = (byte)(value & 0x7F);
            return;
        }

        Scan();
        var at = index == RtcRegister.CenturyAlias ? RtcRegister.Century : index;
        switch (at)
        {
            case RtcRegister.A:
                WriteA(value);
                break;
            case RtcRegister.B:
                WriteB(value);
                break;
            case RtcRegister.C or RtcRegister.D:
                break;
            default:
                WriteByte(at, value);
                break;
        }

        Update();
    }

    void WriteByte(int at, byte value)
    {
        var live = RtcRegister.IsTime(at) && Runs;
        if (live)
        {
            ShowTime();
        }

        cmos[at] = value;
        if (live)
        {
            time.SetSeconds(ReadTime());
            KeepWeekDay();
        }
    }

    void WriteA(byte value)
    {
        var (ran, divided) = (Runs, Divides);
        if (ran)
        {
            ShowTime();
        }

        cmos[RtcRegister.A] = (byte)(value & 0x7F);
        if (!divided && Divides)
        {
            time.Restart(ReadTime());
            scanned = clock.Now;
        }

        TakeTimeIfStarted(ran);
    }

    void WriteB(byte value)
    {
        var ran = Runs;
        if (ran)
        {
            ShowTime();
        }

        // Setting SET cancels the update-ended interrupt.
        cmos[RtcRegister.B] = (value & Set) != 0 ? (byte)(value & ~Uie) : value;
        TakeTimeIfStarted(ran);
    }

    void TakeTimeIfStarted(bool ran)
    {
        if (!ran && Runs)
        {
            time.SetSeconds(ReadTime());
            KeepWeekDay();
        }
    }

    byte ReadC()
    {
        Scan();
        var value = cmos[RtcRegister.C];
        cmos[RtcRegister.C] = 0;
        Update();
        return value;
    }

    /// <inheritdoc/>
    public void Expired(ClockTimer timer, ulong due)
    {
        Scan();
        Update();
    }

    /// <inheritdoc/>
    public void Save(SnapshotWriter writer)
    {
        writer.U8(index);
        writer.U64(scanned);
        writer.Bytes(cmos);
        time.Save(writer);
        writer.Timer(alarm);
    }

    /// <inheritdoc/>
    public void Load(SnapshotReader reader)
    {
        index = (byte)(reader.U8() & 0x7F);
        scanned = reader.U64();
        reader.BytesInto(cmos);
        time.Load(reader);
        reader.Timer(alarm);
    }
}
