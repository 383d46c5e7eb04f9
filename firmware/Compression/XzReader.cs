namespace Vmm.Firmware.Compression;

/// <summary>Bounds-checked reading of the container's fields.</summary>
internal ref struct XzReader(ReadOnlyMemory<byte> data, int position)
{
    readonly ReadOnlySpan<byte> bytes = data.Span;

    public int Position { get; private set; } = position;

    public readonly int Remaining => bytes.Length - Position;

    public ReadOnlySpan<byte> Take(int count, string field)
    {
        if (count > Remaining)
        {
            throw new ImageException(field, Position, $"{count} bytes are needed, {Remaining} remain");
        }

        Position += count;
        return bytes.Slice(Position - count, count);
    }

    /// <summary>A variable-length integer of at most 63 bits (XZ file format §1.2).</summary>
    public ulong Number(string field)
    {
        var start = Position;
        ulong value = 0;
        for (var shift = 0; shift < 63; shift += 7)
        {
            var next = Take(1, field)[0];
            value |= (ulong)(next & 0x7F) << shift;
            if (next < 0x80)
            {
                return next == 0 && shift > 0 ? throw new ImageException(field, start, "the integer has a needless zero byte") : value;
            }
        }

        throw new ImageException(field, start, "the integer is longer than 9 bytes");
    }

    /// <summary>Zero bytes up to a multiple of four from <paramref name="start"/>.</summary>
    public void TakePadding(int start, string field)
    {
        while ((Position - start) % 4 != 0)
        {
            if (Take(1, field)[0] != 0)
            {
                throw new ImageException(field, Position - 1, "it is not zero");
            }
        }
    }
}
