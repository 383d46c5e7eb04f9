using Vmm.Platform.Snapshots;

namespace Vmm.Chipset;

/// <summary>Section named after the device ("uart0").</summary>
public sealed partial class Uart16550
{
    /// <inheritdoc/>
    public ushort SectionVersion => 1;

    /// <inheritdoc/>
    public void Save(SnapshotWriter writer)
    {
        writer.Bytes([ier, fcr, lcr, mcr, scratch, modemInputs, modemDelta]);
        writer.U16(divisor);
        writer.Flag(transmitterInterrupt);
        receiver.Save(writer);
        transmitter.Save(writer);
    }

    /// <inheritdoc/>
    public void Load(SnapshotReader reader)
    {
        Span<byte> registers = stackalloc byte[7];
        reader.BytesInto(registers);
        (ier, fcr, lcr, mcr) = (registers[0], registers[1], registers[2], registers[3]);
        (scratch, modemInputs, modemDelta) = (registers[4], registers[5], registers[6]);
        divisor = reader.U16();
        transmitterInterrupt = reader.Flag();
        receiver.Load(reader);
        transmitter.Load(reader);
    }
}
