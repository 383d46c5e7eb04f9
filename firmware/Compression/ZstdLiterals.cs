namespace Vmm.Firmware.Compression;

/// <summary>The literals section of a compressed block (RFC 8878 §3.1.1.3.1).</summary>
internal sealed class ZstdLiterals
{
    /// <summary>Largest regenerated size.</summary>
    public const int Largest = 128 << 10;

    readonly byte[] buffer = new byte[Largest];
    HuffmanTable? table;

    enum Kind
    {
        Raw,
        Repeated,
        Compressed,
        Treeless,
    }

    /// <summary>Forgets the code of earlier blocks, as a new frame does.</summary>
    public void Reset() => table = null;

    /// <summary>Decodes the section and moves <paramref name="at"/> past it. The result stays valid until the next call.</summary>
    public ReadOnlySpan<byte> Read(ReadOnlySpan<byte> block, ref int at, long origin)
    {
        if (block.IsEmpty)
        {
            throw new ImageException("zstd literals header", origin, "the block is empty");
        }

        var kind = (Kind)(block[0] & 3);
        var format = block[0] >> 2 & 3;
        return kind <= Kind.Repeated ? ReadPlain(block, ref at, kind, format, origin) : ReadCoded(block, ref at, kind, format, origin);
    }

    ReadOnlySpan<byte> ReadPlain(ReadOnlySpan<byte> block, ref int at, Kind kind, int format, long origin)
    {
        var (headerSize, shift) = format switch { 1 => (2, 4), 3 => (3, 4), _ => (1, 3) };
        var size = (int)(Header(block, headerSize, origin) >> shift);
        at = headerSize;
        var stored = kind == Kind.Raw ? size : 1;
        if (size > Largest || stored > block.Length - at)
        {
            throw new ImageException("zstd literals size", origin, $"{size} bytes do not fit");
        }

        at += stored;
        if (kind == Kind.Raw)
        {
            return block.Slice(headerSize, size);
        }

        buffer.AsSpan(0, size).Fill(block[headerSize]);
        return buffer.AsSpan(0, size);
    }

    ReadOnlySpan<byte> ReadCoded(ReadOnlySpan<byte> block, ref int at, Kind kind, int format, long origin)
    {
        var (headerSize, sizeBits) = format switch { 2 => (4, 14), 3 => (5, 18), _ => (3, 10) };
        var header = Header(block, headerSize, origin) >> 4;
        var size = (int)Specs.Bits.Field(header, 0, sizeBits);
        var packed = (int)Specs.Bits.Field(header, sizeBits, sizeBits);
        if (size > Largest || packed > block.Length - headerSize)
        {
            throw new ImageException("zstd literals size", origin, $"{size} bytes from {packed} do not fit");
        }

        at = headerSize + packed;
        var body = block[..at];
        var streams = headerSize;
        if (kind == Kind.Compressed)
        {
            table = HuffmanTable.Read(body, ref streams, origin);
        }

        if (table == null)
        {
            throw new ImageException("zstd literals header", origin, "it refers to a Huffman code that was never given");
        }

        var output = buffer.AsSpan(0, size);
        if (format == 0)
        {
            table.Decode(body[streams..], output, origin + streams);
        }
        else
        {
            DecodeFour(body[streams..], output, origin + streams);
        }

        return output;
    }

    void DecodeFour(ReadOnlySpan<byte> streams, Span<byte> output, long origin)
    {
        const int JumpTable = 6;
        var part = (output.Length + 3) / 4;
        if (streams.Length < JumpTable || 3 * part > output.Length)
        {
            throw new ImageException("zstd literals streams", origin, "four streams do not fit");
        }

        var at = JumpTable;
        for (var i = 0; i < 4; i++)
        {
            var length = i < 3 ? streams[2 * i] | streams[2 * i + 1] << 8 : streams.Length - at;
            if (length > streams.Length - at)
            {
                throw new ImageException("zstd jump table", origin + 2 * i, $"stream {i + 1} ends outside the section");
            }

            var count = i < 3 ? part : output.Length - 3 * part;
            table!.Decode(streams.Slice(at, length), output.Slice(i * part, count), origin + at);
            at += length;
        }
    }

    static ulong Header(ReadOnlySpan<byte> block, int size, long origin)
    {
        if (size > block.Length)
        {
            throw new ImageException("zstd literals header", origin, "the block ends inside it");
        }

        ulong value = 0;
        for (var i = 0; i < size; i++)
        {
            value |= (ulong)block[i] << 8 * i;
        }

        return value;
    }
}
