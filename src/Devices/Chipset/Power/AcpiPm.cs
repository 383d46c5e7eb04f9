using Vmm.Platform.Bus;
using Vmm.Platform.Interrupts;
using Vmm.Platform.Snapshots;
using Vmm.Platform.Time;

namespace Vmm.Chipset;

/// <summary>How the ACPI tables describe the power management block.</summary>
public sealed record AcpiPmOptions
{
    /// <summary>SLP_TYP of the \_S5 package.</summary>
    public byte SoftOffType { get; init; }

    /// <summary>FADT TMR_VAL_EXT: the timer has 32 bits, otherwise 24.</summary>
    public bool ExtendedTimer { get; init; } = true;
}

/// <summary>
/// ACPI fixed hardware (ACPI §4.8), 128 ports at 0x600: PM1a event block +0 (4), PM1a control +4 (2), PM timer +8 (4),
/// GPE0 block +0x20 (16: 64 status and 64 enable bits). Always in ACPI mode: SCI_EN is set after reset. SCI is a level on IRQ 9.
/// </summary>
public sealed class AcpiPm : IBytePorts, ITimerTarget, ISnapshotPart
{
    /// <summary>Ports the block takes.</summary>
    public const int PortCount = 128;

    const ushort TimerStatus = 1, PowerButton = 1 << 8, SleepButton = 1 << 9;
    const ushort StatusBits = 0x8731, EnableBits = 0x0721, ControlBits = 0x1C03;
    const int Status = 0, Enable = 2, Control = 4, Timer = 8, Gpe0 = 0x20;

    readonly VirtualClock clock;
    readonly IInterruptLine sci;
    readonly IPowerControl power;
    readonly AcpiPmOptions options;
    readonly PmTimer timer;
    readonly ClockTimer carry;

    ushort status, enable, control;
    ulong gpeStatus, gpeEnable, carriesSeen;

    /// <param name="clock">Source of time.</param>
    /// <param name="sci">System control interrupt.</param>
    /// <param name="power">Takes power-off requests.</param>
    /// <param name="options">What the ACPI tables say.</param>
    public AcpiPm(VirtualClock clock, IInterruptLine sci, IPowerControl power, AcpiPmOptions options)
    {
        this.clock = clock;
        this.sci = sci;
        this.power = power;
        this.options = options;
        timer = new(clock, options.ExtendedTimer);
        carry = clock.CreateTimer("acpi-pm", this);
        Ports = new BytePortWindow(this, 0);
        Reset();
    }

    /// <summary>The port block.</summary>
    public IBusTarget Ports { get; }

    /// <inheritdoc/>
    public string SectionName => "acpi-pm";

    /// <inheritdoc/>
    public ushort SectionVersion => 1;

    /// <summary>Power-up state; the timer counts on.</summary>
    public void Reset()
    {
        (status, enable, control) = (0, 0, 1);
        (gpeStatus, gpeEnable) = (0, 0);
        carriesSeen = timer.Carries;
        Update();
    }

    /// <summary>The user pressed the power button.</summary>
    public void PressPowerButton() => RaiseFixed(PowerButton);

    /// <summary>The user pressed the sleep button.</summary>
    public void PressSleepButton() => RaiseFixed(SleepButton);

    /// <summary>A general-purpose event, 0 to 63, happened.</summary>
    public void RaiseGpe(int number)
    {
        gpeStatus |= 1ul << number;
        Update();
    }

    void RaiseFixed(ushort bit)
    {
        status |= bit;
        Update();
    }

    byte IBytePorts.ReadPort(int port)
    {
        NoteCarry();
        switch (port)
        {
            case Status or Status + 1:
                return (byte)(status >> port * 8);
            case Enable or Enable + 1:
                return (byte)(enable >> (port - Enable) * 8);
            case Control or Control + 1:
                return (byte)(control >> (port - Control) * 8);
            case >= Timer and < Timer + 4:
                return (byte)(timer.Value >> (port - Timer) * 8);
            case >= Gpe0 and < Gpe0 + 8:
                return (byte)(gpeStatus >> (port - Gpe0) * 8);
            case >= Gpe0 + 8 and < Gpe0 + 16:
                return (byte)(gpeEnable >> (port - Gpe0 - 8) * 8);
            default:
                return 0;
        }
    }

    void IBytePorts.WritePort(int port, byte value)
    {
        NoteCarry();
        switch (port)
        {
            case Status or Status + 1:
                status &= (ushort)~(value << port * 8);
                break;
            case Enable or Enable + 1:
                enable = (ushort)(Merge(enable, port - Enable, value) & EnableBits);
                break;
            case Control or Control + 1:
                WriteControl(port - Control, value);
                break;
            case >= Gpe0 and < Gpe0 + 8:
                gpeStatus &= ~((ulong)value << (port - Gpe0) * 8);
                break;
            case >= Gpe0 + 8 and < Gpe0 + 16:
                gpeEnable = Merge(gpeEnable, port - Gpe0 - 8, value);
                break;
            default:
                break;
        }

        Update();
    }

    static ulong Merge(ulong word, int index, byte value) => word & ~(0xFFul << index * 8) | (ulong)value << index * 8;

    /// <summary>PM1_CNT: SLP_EN acts when it is written and never reads back. Sleep states other than S5 are not offered.</summary>
    void WriteControl(int index, byte value)
    {
        control = (ushort)(Merge(control, index, value) & ControlBits);
        var sleeps = index == 1 && (value & 0x20) != 0;
        if (sleeps && (value >> 2 & 7) == options.SoftOffType)
        {
            power.PowerOff();
        }
    }

    void NoteCarry()
    {
        var carries = timer.Carries;
        if (carries > carriesSeen)
        {
            carriesSeen = carries;
            status |= TimerStatus;
        }
    }

    void Update()
    {
        sci.Set((control & 1) != 0 && ((status & enable) != 0 || (gpeStatus & gpeEnable) != 0));
        if ((enable & TimerStatus) != 0 && (status & TimerStatus) == 0)
        {
            carry.Arm(timer.NextCarry);
        }
        else
        {
            carry.Disarm();
        }
    }

    /// <inheritdoc/>
    public void Expired(ClockTimer timer, ulong due)
    {
        NoteCarry();
        Update();
    }

    /// <inheritdoc/>
    public void Save(SnapshotWriter writer)
    {
        writer.U16(status);
        writer.U16(enable);
        writer.U16(control);
        writer.U64(gpeStatus);
        writer.U64(gpeEnable);
        writer.U64(carriesSeen);
        writer.Timer(carry);
    }

    /// <inheritdoc/>
    public void Load(SnapshotReader reader)
    {
        status = (ushort)(reader.U16() & StatusBits);
        enable = (ushort)(reader.U16() & EnableBits);
        control = (ushort)(reader.U16() & ControlBits);
        gpeStatus = reader.U64();
        gpeEnable = reader.U64();
        carriesSeen = reader.U64();
        reader.Timer(carry);
    }
}
