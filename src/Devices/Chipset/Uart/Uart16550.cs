using Vmm.Platform.Bus;
using Vmm.Platform.Interrupts;
using Vmm.Platform.Snapshots;
using Vmm.Platform.Time;

namespace Vmm.Chipset;

/// <summary>How fast characters pass through a UART.</summary>
public enum UartPacing
{
    /// <summary>
    /// A written character is sent at once and the transmitter is always empty; received characters wait in the host queue
    /// until there is room. Fast, and what the guest sees is a UART that is never busy.
    /// </summary>
    Immediate,

    /// <summary>Each character takes its time by divisor and line control, in both directions; a slow guest loses input.</summary>
    LineRate,
}

/// <summary>
/// 16550A UART (PC16550D data sheet): eight ports at 0x3F8 with IRQ 4 (COM1), 0x2F8 with IRQ 3 (COM2). The interrupt
/// output is enabled by MCR.OUT2, as PCs wire it.
/// </summary>
public sealed partial class Uart16550 : IBytePorts, ITimerTarget, ISnapshotPart
{
    const byte Dlab = 0x80, Loop = 0x10, Out2 = 0x08;
    const byte LineErrors = 0x1E, OverrunError = 0x02;
    const uint InputClock = 1_843_200;

    readonly VirtualClock clock;
    readonly IInterruptLine irq;
    readonly IConsoleOutput output;
    readonly ClockTimer timeoutTimer, arrivalTimer, shiftTimer;
    readonly UartReceiver receiver;
    readonly UartTransmitter transmitter;

    byte ier, fcr, lcr, mcr, scratch, modemInputs, modemDelta;
    ushort divisor;
    bool transmitterInterrupt;

    /// <param name="name">Section name and name in reports ("uart0").</param>
    /// <param name="clock">Source of time.</param>
    /// <param name="irq">Interrupt output.</param>
    /// <param name="output">Takes what the guest sends.</param>
    /// <param name="pacing">Speed of the line.</param>
    /// <param name="inputLimit">Characters from the host that wait at most.</param>
    public Uart16550(string name, VirtualClock clock, IInterruptLine irq, IConsoleOutput output, UartPacing pacing = UartPacing.Immediate, int inputLimit = 4096)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(inputLimit, 1);
        SectionName = name;
        this.clock = clock;
        this.irq = irq;
        this.output = output;
        timeoutTimer = clock.CreateTimer(name + " timeout", this);
        arrivalTimer = clock.CreateTimer(name + " arrival", this);
        shiftTimer = clock.CreateTimer(name + " shift", this);
        var paced = pacing == UartPacing.LineRate;
        receiver = new(clock, timeoutTimer, arrivalTimer, paced, inputLimit);
        transmitter = new(clock, shiftTimer, paced);
        Ports = new BytePortWindow(this, 0);
        Reset();
    }

    /// <summary>The eight ports.</summary>
    public IBusTarget Ports { get; }

    /// <inheritdoc/>
    public string SectionName { get; }

    /// <summary>Power-up state: 115200 baud would need programming; the divisor latch starts at 12 (9600 baud) as firmware leaves it.</summary>
    public void Reset()
    {
        (ier, fcr, lcr, mcr, scratch, modemDelta) = (0, 0, 0, 0, 0, 0);
        // A terminal is connected and ready: CTS, DSR, DCD.
        modemInputs = 0xB0;
        divisor = 12;
        transmitterInterrupt = false;
        SetCharacterTime();
        receiver.Reset();
        transmitter.Reset();
        UpdateIrq();
    }

    /// <summary>Characters from the host. Returns how many were taken; the rest must be offered again later.</summary>
    public int Receive(ReadOnlySpan<byte> data)
    {
        var taken = receiver.Enqueue(data);
        UpdateIrq();
        return taken;
    }

    /// <summary>A break condition from the host (Linux: SysRq). False when the input queue is full.</summary>
    public bool ReceiveBreak()
    {
        var taken = receiver.EnqueueBreak();
        UpdateIrq();
        return taken;
    }

    byte IBytePorts.ReadPort(int port)
    {
        var value = (port & 7) switch
        {
            0 => (lcr & Dlab) != 0 ? (byte)divisor : receiver.Read(),
            1 => (lcr & Dlab) != 0 ? (byte)(divisor >> 8) : ier,
            2 => ReadIir(),
            3 => lcr,
            4 => mcr,
            5 => ReadLsr(),
            6 => ReadMsr(),
            _ => scratch,
        };
        UpdateIrq();
        return value;
    }

    void IBytePorts.WritePort(int port, byte value)
    {
        switch (port & 7)
        {
            case 0 when (lcr & Dlab) != 0:
                SetDivisor((ushort)(divisor & 0xFF00 | value));
                break;
            case 0:
                Transmit(value);
                break;
            case 1 when (lcr & Dlab) != 0:
                SetDivisor((ushort)(divisor & 0xFF | value << 8));
                break;
            case 1:
                WriteIer(value);
                break;
            case 2:
                WriteFcr(value);
                break;
            case 3:
                WriteLcr(value);
                break;
            case 4:
                WriteMcr(value);
                break;
            case 7:
                scratch = value;
                break;
            default:
                break;
        }

        UpdateIrq();
    }

    void WriteIer(byte value)
    {
        var enabled = (value & ~ier & 2) != 0;
        ier = (byte)(value & 0x0F);
        if (enabled && transmitter.HoldingEmpty)
        {
            transmitterInterrupt = true;
        }
    }

    void WriteFcr(byte value)
    {
        var fifo = (value & 1) != 0;
        receiver.SetFifoMode(fifo);
        transmitter.SetFifoMode(fifo);
        if (!fifo)
        {
            fcr = 0;
            return;
        }

        fcr = (byte)(value & 0xC9);
        receiver.Trigger = (value >> 6) switch { 0 => 1, 1 => 4, 2 => 8, _ => 14 };
        if ((value & 2) != 0)
        {
            receiver.Clear();
        }

        if ((value & 4) != 0)
        {
            transmitter.Clear();
            transmitterInterrupt = true;
        }
    }

    void WriteLcr(byte value)
    {
        var breakStarts = (value & ~lcr & 0x40) != 0;
        lcr = value;
        SetCharacterTime();
        if (breakStarts && InLoopback)
        {
            receiver.Arrive(UartReceiver.BreakInterrupt << 8);
        }
    }

    void WriteMcr(byte value)
    {
        var before = ModemLines;
        mcr = (byte)(value & 0x1F);
        receiver.Connected = !InLoopback;
        receiver.Refill();
        NoteModemChange(before, ModemLines);
    }

    /// <summary>MSR bits 3:0: CTS, DSR and DCD on any change, RI on its trailing edge.</summary>
    void NoteModemChange(byte before, byte after)
    {
        var changed = (before ^ after) >> 4;
        var ringEnded = (before & ~after & 0x40) != 0;
        modemDelta |= (byte)(changed & 0x0B | (ringEnded ? 4 : 0));
    }

    void Transmit(byte value)
    {
        transmitterInterrupt = false;
        if (transmitter.Write(value))
        {
            transmitterInterrupt = true;
            Send(value);
        }
        else if (transmitter.HoldingEmpty)
        {
            transmitterInterrupt = true;
        }
    }

    void Send(byte value)
    {
        if (InLoopback)
        {
            receiver.Arrive(value);
            return;
        }

        output.Write([value]);
    }

    /// <inheritdoc/>
    public void Expired(ClockTimer timer, ulong due)
    {
        if (timer == timeoutTimer)
        {
            receiver.TimeOut();
        }
        else if (timer == arrivalTimer)
        {
            receiver.LineArrival();
        }
        else
        {
            var heldSome = !transmitter.HoldingEmpty;
            Send(transmitter.Shifted());
            transmitterInterrupt |= heldSome && transmitter.HoldingEmpty;
        }

        UpdateIrq();
    }

    void SetDivisor(ushort value)
    {
        divisor = value;
        SetCharacterTime();
    }

    /// <summary>Start bit, 5 to 8 data bits, parity, 1 or 2 stop bits (1.5 with 5 data bits), each 16 divided clocks.</summary>
    void SetCharacterTime()
    {
        var halfBits = 2 * (1 + 5 + (lcr & 3) + (lcr >> 3 & 1)) + 2;
        halfBits += (lcr & 4) == 0 ? 0 : (lcr & 3) == 0 ? 1 : 2;
        var cycles = clock.ToCycles((ulong)halfBits * 8 * Math.Max(divisor, (ushort)1), InputClock);
        receiver.CharacterTime = cycles;
        transmitter.CharacterTime = cycles;
    }

    void UpdateIrq() => irq.Set((mcr & (Out2 | Loop)) == Out2 && PendingSource() != 0x01);
}
