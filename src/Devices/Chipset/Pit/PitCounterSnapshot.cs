using Vmm.Platform.Snapshots;

namespace Vmm.Chipset;

/// <summary>The counter's part of section "pit".</summary>
sealed partial class PitCounter
{
    /// <summary>Saves the counter.</summary>
    public void Save(SnapshotWriter writer)
    {
        writer.Bytes([mode, access, lowByte, latchedStatus]);
        ReadOnlySpan<bool> flags = [bcd, gate, loaded, pending, highHalfFirst, writtenLow, readHigh, countLatched, statusLatched];
        foreach (var flag in flags)
        {
            writer.Flag(flag);
        }

        writer.U16(latchedCount);
        writer.U32(reload);
        writer.U32(next);
        writer.U64(start);
        writer.U64(paused);
    }

    /// <summary>Loads what <see cref="Save"/> wrote.</summary>
    public void Load(SnapshotReader reader)
    {
        Span<byte> bytes = stackalloc byte[4];
        reader.BytesInto(bytes);
        (mode, access, lowByte, latchedStatus) = (Math.Min(bytes[0], (byte)5), (byte)(bytes[1] & 3), bytes[2], bytes[3]);
        (bcd, gate, loaded, pending) = (reader.Flag(), reader.Flag(), reader.Flag(), reader.Flag());
        (highHalfFirst, writtenLow, readHigh) = (reader.Flag(), reader.Flag(), reader.Flag());
        (countLatched, statusLatched) = (reader.Flag(), reader.Flag());
        latchedCount = reader.U16();
        reload = Math.Clamp(reader.U32(), 1, 0x1_0000);
        next = Math.Clamp(reader.U32(), 1, 0x1_0000);
        start = Math.Min(reader.U64(), ulong.MaxValue >> 1);
        paused = reader.U64();
    }
}
