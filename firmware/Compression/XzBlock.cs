using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Vmm.Firmware.Compression;

/// <summary>Integrity check of the blocks (XZ file format §2.1.1.2); other values have a size but no algorithm.</summary>
internal enum XzCheck
{
    None = 0,
    Crc32 = 1,
    Crc64 = 4,
    Sha256 = 10,
}

/// <summary>One block of an xz stream: header, LZMA2 data, padding, check.</summary>
internal sealed class XzBlock
{
    const byte FilterLzma2 = 0x21, FilterX86 = 0x04;
    const int HasPackedSize = 0x40, HasSize = 0x80, ReservedFlags = 0x3C;

    readonly ReadOnlyMemory<byte> data;
    readonly XzCheck check;
    readonly int start;
    readonly int bodyStart;
    readonly ulong? statedPacked, statedSize;
    readonly Lzma2Decoder lzma2;
    readonly X86Filter? filter;
    readonly IncrementalHash? sha256;
    byte[] filtered = [];
    int filteredStart, filteredEnd;
    ulong crc;

    /// <summary>Reads and checks the header at <paramref name="start"/>.</summary>
    public XzBlock(ReadOnlyMemory<byte> data, int start, XzCheck check)
    {
        this.data = data;
        this.check = check;
        this.start = start;
        var reader = new XzReader(data, start);
        var size = (data.Span[start] + 1) * 4;
        var header = reader.Take(size, "xz block header");
        XzStream.CheckCrc(header[..^4], header[^4..], start + size - 4, "xz block header");
        bodyStart = reader.Position;

        // The fields end where the header's CRC starts; reading past it is an error of the header.
        reader = new XzReader(data[..(bodyStart - 4)], start + 1);
        var flags = reader.Take(1, "xz block flags")[0];
        if ((flags & ReservedFlags) != 0)
        {
            throw new ImageException("xz block flags", start + 1, "reserved bits are set");
        }

        statedPacked = (flags & HasPackedSize) != 0 ? reader.Number("xz compressed size") : null;
        statedSize = (flags & HasSize) != 0 ? reader.Number("xz uncompressed size") : null;
        var filters = (flags & 3) + 1;
        for (var i = 0; i < filters; i++)
        {
            var place = reader.Position;
            var id = reader.Number("xz filter id");
            var length = reader.Number("xz filter properties size");
            var properties = length <= 16 ? reader.Take((int)length, "xz filter properties")
                : throw new ImageException("xz filter properties size", place, $"{length} bytes");
            switch (id)
            {
                case FilterLzma2 when i == filters - 1 && properties.Length == 1:
                    lzma2 = new Lzma2Decoder(data, bodyStart, DictionarySize(properties[0], place));
                    break;
                case FilterX86 when i == 0 && filters == 2 && properties.Length is 0 or 4:
                    filter = new X86Filter(properties.IsEmpty ? 0 : BinaryPrimitives.ReadUInt32LittleEndian(properties));
                    break;
                default:
                    throw new ImageException("xz filter id", place, $"filter 0x{id:x} is not supported here");
            }
        }

        if (data.Span[reader.Position..(bodyStart - 4)].ContainsAnyExcept((byte)0))
        {
            throw new ImageException("xz block header padding", reader.Position, "it is not zero");
        }

        if (lzma2 == null)
        {
            throw new ImageException("xz filter id", start, "the last filter is not LZMA2");
        }

        sha256 = check == XzCheck.Sha256 ? IncrementalHash.CreateHash(HashAlgorithmName.SHA256) : null;
    }

    /// <summary>Offset after padding and check; valid at the end of the block.</summary>
    public int End { get; private set; }

    /// <summary>Header, data and check without padding, in bytes; valid at the end of the block.</summary>
    public ulong UnpaddedSize { get; private set; }

    /// <summary>Decoded bytes so far.</summary>
    public ulong Size { get; private set; }

    /// <summary>Decodes one chunk; false at the end of the block, which may still bring a last chunk.</summary>
    public bool TryDecode(out ReadOnlyMemory<byte> chunk)
    {
        var more = lzma2.TryDecode(out var decoded);
        chunk = filter == null ? decoded : Filter(decoded.Span, !more);
        Account(chunk.Span);
        if (!more)
        {
            Finish();
        }

        return more;
    }

    /// <summary>Undoes the branch filter; bytes that may belong to a split instruction wait for the next chunk.</summary>
    ReadOnlyMemory<byte> Filter(ReadOnlySpan<byte> decoded, bool last)
    {
        var waiting = filteredEnd - filteredStart;
        if (filtered.Length < waiting + decoded.Length)
        {
            var larger = new byte[waiting + decoded.Length + X86Filter.Lookahead];
            filtered.AsSpan(filteredStart, waiting).CopyTo(larger);
            filtered = larger;
        }
        else
        {
            filtered.AsSpan(filteredStart, waiting).CopyTo(filtered);
        }

        decoded.CopyTo(filtered.AsSpan(waiting));
        filteredEnd = waiting + decoded.Length;
        filteredStart = filter!.Decode(filtered.AsSpan(0, filteredEnd), last);
        return filtered.AsMemory(0, filteredStart);
    }

    void Account(ReadOnlySpan<byte> chunk)
    {
        Size += (ulong)chunk.Length;
        if (Size > statedSize)
        {
            throw new ImageException("xz uncompressed size", start, $"the block holds more than the {statedSize} bytes it states");
        }

        crc = check switch
        {
            XzCheck.Crc32 => ReflectedCrc.Crc32.Compute(chunk, crc),
            XzCheck.Crc64 => ReflectedCrc.Crc64.Compute(chunk, crc),
            _ => 0,
        };
        sha256?.AppendData(chunk);
    }

    void Finish()
    {
        var reader = new XzReader(data, lzma2.Position);
        var packed = (ulong)(lzma2.Position - bodyStart);
        if (packed != (statedPacked ?? packed) || Size != (statedSize ?? Size))
        {
            throw new ImageException("xz block header", start, $"its sizes are not the {packed} and {Size} bytes of the block");
        }

        reader.TakePadding(bodyStart, "xz block padding");
        var checkSize = CheckSize(check);
        UnpaddedSize = (ulong)(lzma2.Position - start + checkSize);
        var place = reader.Position;
        var stored = reader.Take(checkSize, "xz check");
        End = reader.Position;
        var matches = check switch
        {
            XzCheck.Crc32 => BinaryPrimitives.ReadUInt32LittleEndian(stored) == (uint)crc,
            XzCheck.Crc64 => BinaryPrimitives.ReadUInt64LittleEndian(stored) == crc,
            XzCheck.Sha256 => stored.SequenceEqual(sha256!.GetHashAndReset()),
            _ => true,
        };
        sha256?.Dispose();
        if (!matches)
        {
            throw new ImageException("xz check", place, $"the {check} does not match the data");
        }
    }

    static int CheckSize(XzCheck check) => check == XzCheck.None ? 0 : 4 << ((int)check - 1) / 3;

    /// <summary>XZ file format §5.3.1: 2 or 3 times a power of two.</summary>
    static int DictionarySize(byte property, int place)
    {
        var bits = property & 0x3F;
        var size = bits > 40 ? ulong.MaxValue : (2UL | (ulong)bits & 1) << bits / 2 + 11;
        return property < 0x40 && size <= HistoryWindow.MaximumHistory
            ? (int)size
            : throw new ImageException("lzma2 dictionary size", place, $"above the {HistoryWindow.MaximumHistory >> 20} MiB that are supported");
    }
}
