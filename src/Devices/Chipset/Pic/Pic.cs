using Vmm.Platform.Bus;
using Vmm.Platform.Interrupts;
using Vmm.Platform.Snapshots;

namespace Vmm.Chipset;

/// <summary>
/// The cascaded 8259 pair of a PC: master at ports 0x20-0x21, slave at 0xA0-0xA1 on the master's input 2, edge/level
/// control (ELCR) at 0x4D0-0x4D1.
/// </summary>
public sealed class Pic : IBytePorts, IExtIntSource, ISnapshotPart
{
    /// <summary>Inputs of the pair.</summary>
    public const int InputCount = 16;

    const int Cascade = 2;

    readonly Pic8259 master = new(0xF8) { SlaveInputs = 1 << Cascade };
    readonly Pic8259 slave = new(0xDE);
    readonly IInterruptLine intr;

    /// <param name="intr">INTR: LINT0 of the local APICs.</param>
    public Pic(IInterruptLine intr)
    {
        this.intr = intr;
        MasterPorts = new BytePortWindow(this, 0x20);
        SlavePorts = new BytePortWindow(this, 0xA0);
        ElcrPorts = new BytePortWindow(this, 0x4D0);
        Reset();
    }

    /// <summary>Ports 0x20-0x21.</summary>
    public IBusTarget MasterPorts { get; }

    /// <summary>Ports 0xA0-0xA1.</summary>
    public IBusTarget SlavePorts { get; }

    /// <summary>Ports 0x4D0-0x4D1.</summary>
    public IBusTarget ElcrPorts { get; }

    /// <inheritdoc/>
    public string SectionName => "pic";

    /// <inheritdoc/>
    public ushort SectionVersion => 1;

    /// <summary>State after power-up. Input levels are the sources' and stay.</summary>
    public void Reset()
    {
        master.Reset();
        slave.Reset();
        Update();
    }

    /// <summary>
    /// What PC firmware leaves behind: vectors 0x08 and 0x70, every input masked, interrupt 9 (SCI) level-triggered. For guests
    /// started without firmware.
    /// </summary>
    public void EnterFirmwareState()
    {
        Initialise(master, 0x08, 1 << Cascade);
        Initialise(slave, 0x70, Cascade);
        slave.EdgeLevel = 0x02;
        Update();
    }

    static void Initialise(Pic8259 chip, byte vector, byte cascade)
    {
        chip.Write(false, 0x11);
        chip.Write(true, vector);
        chip.Write(true, cascade);
        chip.Write(true, 0x01);
        chip.Write(true, 0xFF);
    }

    /// <summary>Moves ISA interrupt <paramref name="input"/>, 0 to 15; 2 is the cascade and takes no source.</summary>
    public void SetInput(int input, bool asserted)
    {
        if (input < 8 && input != Cascade)
        {
            master.SetInput(input, asserted);
        }
        else if (input is >= 8 and < InputCount)
        {
            slave.SetInput(input - 8, asserted);
        }

        Update();
    }

    /// <inheritdoc/>
    public byte Acknowledge()
    {
        var input = master.Acknowledge(out var spurious);
        var vector = master.Vector(input);
        if (input == Cascade && !spurious)
        {
            vector = slave.Vector(slave.Acknowledge(out _));
        }

        // The slave's INT drops between acknowledges, so that a further request makes an edge on the master.
        master.SetInput(Cascade, false);
        Update();
        return vector;
    }

    byte IBytePorts.ReadPort(int port)
    {
        var value = port switch
        {
            0x20 or 0x21 => master.Read(port == 0x21),
            0xA0 or 0xA1 => slave.Read(port == 0xA1),
            0x4D0 => master.EdgeLevel,
            0x4D1 => slave.EdgeLevel,
            _ => (byte)0xFF,
        };
        Update();
        return value;
    }

    void IBytePorts.WritePort(int port, byte value)
    {
        switch (port)
        {
            case 0x20 or 0x21:
                master.Write(port == 0x21, value);
                break;
            case 0xA0 or 0xA1:
                slave.Write(port == 0xA1, value);
                break;
            case 0x4D0:
                master.EdgeLevel = value;
                break;
            case 0x4D1:
                slave.EdgeLevel = value;
                break;
            default:
                break;
        }

        Update();
    }

    void Update()
    {
        master.SetInput(Cascade, slave.Interrupts);
        intr.Set(master.Interrupts);
    }

    /// <inheritdoc/>
    public void Save(SnapshotWriter writer)
    {
        master.Save(writer);
        slave.Save(writer);
    }

    /// <inheritdoc/>
    public void Load(SnapshotReader reader)
    {
        master.Load(reader);
        slave.Load(reader);
    }
}
