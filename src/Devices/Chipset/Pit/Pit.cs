using Vmm.Platform.Bus;
using Vmm.Platform.Interrupts;
using Vmm.Platform.Snapshots;
using Vmm.Platform.Time;

namespace Vmm.Chipset;

/// <summary>
/// 8254 timer of a PC: counters and control word at ports 0x40-0x43, system control port B at 0x61. Counter 0 drives IRQ 0,
/// counter 1 is the refresh request, counter 2 with its gate at port 0x61 bit 0 the speaker.
/// </summary>
public sealed class Pit : IBytePorts, ITimerTarget, ISnapshotPart
{
    /// <summary>Input clock in Hz.</summary>
    public const ulong Hertz = 1_193_182;

    /// <summary>Clocks between two toggles of the refresh bit of port 0x61: 15 microseconds.</summary>
    const ulong RefreshClocks = 18;

    readonly VirtualClock clock;
    readonly IInterruptLine irq;
    readonly ClockTimer edge;
    readonly PitCounter[] counters = [new(), new(), new()];
    byte portB;
    ulong driven;

    /// <param name="clock">Source of time.</param>
    /// <param name="irq">IRQ 0.</param>
    public Pit(VirtualClock clock, IInterruptLine irq)
    {
        this.clock = clock;
        this.irq = irq;
        edge = clock.CreateTimer("pit", this);
        Ports = new BytePortWindow(this, 0x40);
        SystemControlPortB = new BytePortWindow(this, 0x61);
        Reset();
    }

    /// <summary>Ports 0x40-0x43.</summary>
    public IBusTarget Ports { get; }

    /// <summary>Port 0x61.</summary>
    public IBusTarget SystemControlPortB { get; }

    /// <inheritdoc/>
    public string SectionName => "pit";

    /// <inheritdoc/>
    public ushort SectionVersion => 1;

    /// <summary>Input clocks; never goes back when a processor whose own time is behind accesses the ports.</summary>
    ulong Now => Math.Max(driven, clock.FromCycles(clock.Now, Hertz));

    /// <summary>Power-up state: no counter runs.</summary>
    public void Reset()
    {
        portB = 0;
        for (var i = 0; i < counters.Length; i++)
        {
            counters[i].Reset(gateLevel: i != 2);
        }

        driven = Now;
        edge.Disarm();
        irq.Set(false);
    }

    byte IBytePorts.ReadPort(int port) => port switch
    {
        >= 0x40 and <= 0x42 => counters[port - 0x40].Read(Now),
        0x61 => ReadPortB(),
        _ => 0xFF,
    };

    void IBytePorts.WritePort(int port, byte value)
    {
        var now = Now;
        Drive(now);
        switch (port)
        {
            case >= 0x40 and <= 0x42:
                counters[port - 0x40].Write(value, now);
                break;
            case 0x43:
                WriteControl(value, now);
                break;
            case 0x61:
                portB = (byte)(value & 0x0F);
                counters[2].SetGate((value & 1) != 0, now);
                break;
            default:
                break;
        }

        Drive(now);
    }

    byte ReadPortB()
    {
        var now = Now;
        counters[2].Advance(now);
        var refresh = now / RefreshClocks % 2 != 0;
        return (byte)(portB | (refresh ? 0x10 : 0) | (counters[2].Out(now) ? 0x20 : 0));
    }

    void WriteControl(byte value, ulong now)
    {
        var select = value >> 6;
        if (select == 3)
        {
            ReadBack(value, now);
        }
        else if ((value & 0x30) == 0)
        {
            counters[select].Advance(now);
            counters[select].LatchCount(now);
        }
        else
        {
            counters[select].Program(value);
        }
    }

    /// <summary>Read-back command: bits 5 and 4, active low, ask for count and status of the counters in bits 3:1.</summary>
    void ReadBack(byte value, ulong now)
    {
        for (var i = 0; i < counters.Length; i++)
        {
            if ((value >> i & 2) == 0)
            {
                continue;
            }

            counters[i].Advance(now);
            if ((value & 0x20) == 0)
            {
                counters[i].LatchCount(now);
            }

            if ((value & 0x10) == 0)
            {
                counters[i].LatchStatus(now);
            }
        }
    }

    /// <summary>
    /// Brings IRQ 0 to counter 0's output. Rising edges that passed since the last call coalesce into one.
    /// </summary>
    void Drive(ulong now)
    {
        var counter = counters[0];
        if (RoseSince(driven, now))
        {
            irq.Set(false);
            irq.Set(true);
        }

        counter.Advance(now);
        irq.Set(counter.Out(now));
        driven = now;
        if (counter.TryNextChange(now, out var at))
        {
            edge.Arm(clock.ToCycles(at, Hertz));
        }
        else
        {
            edge.Disarm();
        }
    }

    bool RoseSince(ulong from, ulong now)
    {
        // Changes alternate, so that the second one at the latest is a rise.
        var counter = counters[0];
        for (var i = 0; i < 3; i++)
        {
            if (!counter.TryNextChange(from, out var at) || at > now)
            {
                return false;
            }

            if (counter.Out(at))
            {
                return true;
            }

            from = at;
        }

        return false;
    }

    /// <inheritdoc/>
    public void Expired(ClockTimer timer, ulong due) => Drive(Now);

    /// <inheritdoc/>
    public void Save(SnapshotWriter writer)
    {
        writer.U8(portB);
        writer.U64(driven);
        foreach (var counter in counters)
        {
            counter.Save(writer);
        }

        writer.Timer(edge);
    }

    /// <inheritdoc/>
    public void Load(SnapshotReader reader)
    {
        portB = (byte)(reader.U8() & 0x0F);
        driven = reader.U64();
        foreach (var counter in counters)
        {
            counter.Load(reader);
        }

        reader.Timer(edge);
    }
}
