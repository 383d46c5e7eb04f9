using Vmm.Platform.Bus;
using Vmm.Platform.Snapshots;

namespace Vmm.Chipset;

/// <summary>
/// Reset control register, port 0xCF9 (ICH9 §13.7.5). The port lies inside the configuration address register, whose owner
/// hands byte accesses over; offsets start at 0xCF8.
/// </summary>
public sealed class ResetControl(IPowerControl power) : IBusTarget, ISnapshotPart
{
    const byte ResetCpu = 4, Kept = 0x0A;

    byte value;

    /// <inheritdoc/>
    public string SectionName => "reset-control";

    /// <inheritdoc/>
    public ushort SectionVersion => 1;

    /// <summary>Power-up state.</summary>
    public void Reset() => value = 0;

    /// <inheritdoc/>
    public IoResult Read(ulong offset, Span<byte> data)
    {
        if (offset != 1 || data.Length != 1)
        {
            return IoResult.Unclaimed;
        }

        data[0] = value;
        return IoResult.Ok;
    }

    /// <inheritdoc/>
    public IoResult Write(ulong offset, ReadOnlySpan<byte> data)
    {
        if (offset != 1 || data.Length != 1)
        {
            return IoResult.Unclaimed;
        }

        value = (byte)(data[0] & Kept);
        if ((data[0] & ResetCpu) != 0)
        {
            power.Reset(ResetKind.ResetControl);
        }

        return IoResult.Ok;
    }

    /// <inheritdoc/>
    public void Save(SnapshotWriter writer) => writer.U8(value);

    /// <inheritdoc/>
    public void Load(SnapshotReader reader) => value = (byte)(reader.U8() & Kept);
}
