using System.Buffers.Binary;

namespace Vmm.Firmware.Compression;

/// <summary>
/// The .xz format 1.1.0: streams of blocks, each LZMA2 with an optional x86 branch filter, then an index that is checked
/// against what was really decoded. Several streams and zero padding between them are accepted.
/// </summary>
internal sealed class XzStream(ReadOnlyMemory<byte> data) : DecoderStream
{
    const int HeaderSize = 12, FooterSize = 12;

    readonly List<(ulong Unpadded, ulong Size)> records = [];
    XzBlock? block;
    XzCheck check;
    int streamStart, at;
    bool inStream;

    /// <summary>First bytes of the format.</summary>
    public static ReadOnlySpan<byte> Magic => [0xFD, (byte)'7', (byte)'z', (byte)'X', (byte)'Z', 0];

    static ReadOnlySpan<byte> FooterMagic => "YZ"u8;

    /// <inheritdoc/>
    protected override bool TryDecode(out ReadOnlyMemory<byte> chunk)
    {
        chunk = default;
        if (!inStream && !TryStartStream())
        {
            return false;
        }

        if (block == null && !TryStartBlock())
        {
            FinishStream();
            return true;
        }

        if (!block!.TryDecode(out chunk))
        {
            records.Add((block.UnpaddedSize, block.Size));
            at = block.End;
            block = null;
        }

        return true;
    }

    bool TryStartStream()
    {
        var reader = new XzReader(data, at);
        while (at > 0 && reader.Remaining >= 4 && data.Span.Slice(reader.Position, 4).IndexOfAnyExcept((byte)0) < 0)
        {
            reader.Take(4, "xz stream padding");
        }

        if (at > 0 && reader.Remaining == 0)
        {
            return false;
        }

        streamStart = reader.Position;
        var header = reader.Take(HeaderSize, "xz stream header");
        if (!header.StartsWith(Magic))
        {
            throw new ImageException("xz magic", streamStart, "the bytes are not those of an xz stream");
        }

        CheckCrc(header.Slice(6, 2), header[8..], streamStart + 8, "xz stream header");
        if (header[6] != 0 || header[7] > 15)
        {
            throw new ImageException("xz stream flags", streamStart + 6, "reserved bits are set");
        }

        check = (XzCheck)header[7];
        at = reader.Position;
        records.Clear();
        return inStream = true;
    }

    bool TryStartBlock()
    {
        if (at >= data.Length)
        {
            throw new ImageException("xz block header", at, "the data ends before it");
        }

        if (data.Span[at] == 0)
        {
            return false;
        }

        block = new XzBlock(data, at, check);
        return true;
    }

    void FinishStream()
    {
        var start = at;
        var reader = new XzReader(data, at);
        reader.Take(1, "xz index");
        var count = reader.Number("xz index record count");
        if (count != (ulong)records.Count)
        {
            throw new ImageException("xz index record count", start + 1, $"{count}, but there were {records.Count} blocks");
        }

        foreach (var (unpadded, size) in records)
        {
            var place = reader.Position;
            if (reader.Number("xz index record") != unpadded || reader.Number("xz index record") != size)
            {
                throw new ImageException("xz index record", place, "its sizes are not those of the block");
            }
        }

        reader.TakePadding(start, "xz index padding");
        CheckCrc(data.Span[start..reader.Position], reader.Take(4, "xz index CRC32"), reader.Position - 4, "xz index");
        Footer(ref reader, reader.Position - start);
        at = reader.Position;
        inStream = false;
    }

    void Footer(ref XzReader reader, int indexSize)
    {
        var place = reader.Position;
        var footer = reader.Take(FooterSize, "xz stream footer");
        CheckCrc(footer.Slice(4, 6), footer, place, "xz stream footer");
        if (!footer[10..].SequenceEqual(FooterMagic))
        {
            throw new ImageException("xz stream footer", place + 10, "the magic bytes are wrong");
        }

        if (4 * (BinaryPrimitives.ReadUInt32LittleEndian(footer[4..]) + 1L) != indexSize)
        {
            throw new ImageException("xz backward size", place + 4, $"it does not give the {indexSize} bytes of the index");
        }

        if (!footer.Slice(8, 2).SequenceEqual(data.Span.Slice(streamStart + 6, 2)))
        {
            throw new ImageException("xz stream footer", place + 8, "its flags are not those of the header");
        }
    }

    internal static void CheckCrc(ReadOnlySpan<byte> bytes, ReadOnlySpan<byte> stored, long place, string field)
    {
        if ((uint)ReflectedCrc.Crc32.Compute(bytes) != BinaryPrimitives.ReadUInt32LittleEndian(stored))
        {
            throw new ImageException($"{field} CRC32", place, "it does not match the bytes");
        }
    }
}
