using System.Buffers.Binary;

namespace Vmm.Firmware.Compression;

/// <summary>Compressed formats that kernels, initial RAM disks and packages come in.</summary>
public enum CompressionFormat
{
    /// <summary>None that is known here.</summary>
    None,

    /// <summary>gzip (RFC 1952).</summary>
    Gzip,

    /// <summary>bzip2.</summary>
    Bzip2,

    /// <summary>LZMA_Alone (.lzma).</summary>
    Lzma,

    /// <summary>.xz with LZMA2 and optionally the x86 branch filter.</summary>
    Xz,

    /// <summary>LZ4 in the legacy frame.</summary>
    Lz4Legacy,

    /// <summary>Zstandard (RFC 8878).</summary>
    Zstd,
}

/// <summary>Unpacks compressed bytes. Whatever the input holds, the outcome is the data or an <see cref="ImageException"/>.</summary>
public static class Decompressor
{
    const int FirstAllocation = 1 << 20;

    /// <summary>The format by its first bytes.</summary>
    public static CompressionFormat Detect(ReadOnlySpan<byte> data)
    {
        if (data.Length < 6)
        {
            return CompressionFormat.None;
        }

        return BinaryPrimitives.ReadUInt32LittleEndian(data) switch
        {
            Lz4Stream.Magic => CompressionFormat.Lz4Legacy,
            ZstdStream.Magic => CompressionFormat.Zstd,
            _ when data.StartsWith(XzStream.Magic) => CompressionFormat.Xz,
            _ when data.StartsWith(GzipStream.Magic) => CompressionFormat.Gzip,
            _ when data.StartsWith("BZh"u8) && data[3] is >= (byte)'1' and <= (byte)'9' => CompressionFormat.Bzip2,
            _ when LzmaAloneStream.Matches(data) => CompressionFormat.Lzma,
            _ => CompressionFormat.None,
        };
    }

    /// <summary>A forward-only stream of the unpacked bytes; reading it throws <see cref="ImageException"/> where the data is bad.</summary>
    /// <exception cref="ImageException">The format is unknown or its header is bad.</exception>
    public static Stream Open(ReadOnlyMemory<byte> data) => Detect(data.Span) switch
    {
        CompressionFormat.Gzip => new GzipStream(data),
        CompressionFormat.Bzip2 => new Bzip2Stream(data),
        CompressionFormat.Lzma => new LzmaAloneStream(data),
        CompressionFormat.Xz => new XzStream(data),
        CompressionFormat.Lz4Legacy => new Lz4Stream(data),
        CompressionFormat.Zstd => new ZstdStream(data),
        _ => throw new ImageException("compressed data", 0, "none of gzip, bzip2, lzma, xz, lz4 (legacy frame) and zstd"),
    };

    /// <summary>Unpacks everything into memory.</summary>
    /// <param name="data">The compressed bytes.</param>
    /// <param name="limit">Most bytes that may come out; more is an error.</param>
    /// <param name="expected">Bytes that will probably come out: a hint for the first allocation only.</param>
    /// <exception cref="ImageException">The data is bad or unpacks to more than <paramref name="limit"/>.</exception>
    public static byte[] Unpack(ReadOnlyMemory<byte> data, int limit, long expected = 0)
    {
        using var stream = Open(data);
        // A promise is believed only in proportion to what is really there.
        var first = Math.Clamp(Math.Min(expected, 64L * data.Length), Math.Min(FirstAllocation, limit), limit);
        var output = new byte[first];
        var length = 0;
        while (true)
        {
            if (length == output.Length)
            {
                var next = stream.ReadByte();
                if (next < 0)
                {
                    break;
                }

                if (length == limit)
                {
                    throw new ImageException("compressed data", 0, $"it unpacks to more than {limit} bytes");
                }

                Array.Resize(ref output, (int)Math.Min(limit, Math.Max(2L * output.Length, 16)));
                output[length++] = (byte)next;
            }

            var count = stream.Read(output.AsSpan(length));
            if (count == 0 && length < output.Length)
            {
                break;
            }

            length += count;
        }

        Array.Resize(ref output, length);
        return output;
    }
}
