using Vmm.Platform.Bus;
using Vmm.Platform.Snapshots;

namespace Vmm.Chipset;

/// <summary>System control port A, port 0x92: bit 0 resets the machine when it rises, bit 1 is the A20 gate, which is kept but gates nothing.</summary>
public sealed class SystemControlPortA : IBytePorts, ISnapshotPart
{
    readonly IPowerControl power;
    byte value = 2;

    /// <param name="power">Takes the reset.</param>
    public SystemControlPortA(IPowerControl power)
    {
        this.power = power;
        Ports = new BytePortWindow(this, 0x92);
    }

    /// <summary>Port 0x92.</summary>
    public IBusTarget Ports { get; }

    /// <inheritdoc/>
    public string SectionName => "port92";

    /// <inheritdoc/>
    public ushort SectionVersion => 1;

    /// <summary>Power-up state.</summary>
    public void Reset() => value = 2;

    byte IBytePorts.ReadPort(int port) => value;

    void IBytePorts.WritePort(int port, byte value)
    {
        var rises = (value & ~this.value & 1) != 0;
        this.value = (byte)(value & 3);
        if (rises)
        {
            power.Reset(ResetKind.FastReset);
        }
    }

    /// <inheritdoc/>
    public void Save(SnapshotWriter writer) => writer.U8(value);

    /// <inheritdoc/>
    public void Load(SnapshotReader reader) => value = (byte)(reader.U8() & 3);
}
