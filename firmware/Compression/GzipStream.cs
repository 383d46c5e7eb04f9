using System.Buffers.Binary;

namespace Vmm.Firmware.Compression;

/// <summary>gzip members (RFC 1952), one after the other; zero padding after the last one is accepted.</summary>
internal sealed class GzipStream(ReadOnlyMemory<byte> data) : DecoderStream
{
    const int HeaderCrc = 2, ExtraField = 4, FileName = 8, Comment = 16, ReservedFlags = 0xE0;

    Inflater? inflater;
    ulong crc;
    uint size;
    int at;

    /// <summary>First bytes of a member: magic and the only method there is.</summary>
    public static ReadOnlySpan<byte> Magic => [0x1F, 0x8B, 8];

    /// <inheritdoc/>
    protected override bool TryDecode(out ReadOnlyMemory<byte> block)
    {
        block = default;
        if (inflater == null)
        {
            if (at > 0 && !data.Span[at..].ContainsAnyExcept((byte)0))
            {
                return false;
            }

            StartMember();
            return true;
        }

        if (inflater.TryDecode(out block))
        {
            crc = ReflectedCrc.Crc32.Compute(block.Span, crc);
            size += (uint)block.Length;
        }
        else
        {
            FinishMember(inflater.Position);
        }

        return true;
    }

    void StartMember()
    {
        var start = at;
        var header = Take(10, "gzip header");
        if (!header.StartsWith(Magic))
        {
            throw new ImageException("gzip magic", start, "the bytes do not start a member");
        }

        int flags = header[3];
        if ((flags & ReservedFlags) != 0)
        {
            throw new ImageException("gzip flags", start + 3, "reserved bits are set");
        }

        if ((flags & ExtraField) != 0)
        {
            Take(BinaryPrimitives.ReadUInt16LittleEndian(Take(2, "gzip extra field")), "gzip extra field");
        }

        SkipText((flags & FileName) != 0, "gzip file name");
        SkipText((flags & Comment) != 0, "gzip comment");
        if ((flags & HeaderCrc) != 0)
        {
            var computed = (ushort)ReflectedCrc.Crc32.Compute(data.Span[start..at]);
            if (BinaryPrimitives.ReadUInt16LittleEndian(Take(2, "gzip header CRC")) != computed)
            {
                throw new ImageException("gzip header CRC", at - 2, "it does not match the header");
            }
        }

        (crc, size) = (0, 0);
        inflater = new Inflater(data, at);
    }

    void FinishMember(int end)
    {
        at = end;
        inflater = null;
        var trailer = Take(8, "gzip trailer");
        if (BinaryPrimitives.ReadUInt32LittleEndian(trailer) != (uint)crc)
        {
            throw new ImageException("gzip CRC32", end, "it does not match the data");
        }

        if (BinaryPrimitives.ReadUInt32LittleEndian(trailer[4..]) != size)
        {
            throw new ImageException("gzip size", end + 4, $"it does not give the {size} bytes of the data");
        }
    }

    void SkipText(bool present, string field)
    {
        if (present)
        {
            var length = data.Span[at..].IndexOf((byte)0);
            Take(length < 0 ? int.MaxValue : length + 1, field);
        }
    }

    ReadOnlySpan<byte> Take(int count, string field)
    {
        if (count > data.Length - at)
        {
            throw new ImageException(field, at, "the data ends inside it");
        }

        at += count;
        return data.Span.Slice(at - count, count);
    }
}
