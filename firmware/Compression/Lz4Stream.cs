using System.Buffers.Binary;

namespace Vmm.Firmware.Compression;

/// <summary>
/// LZ4 in the legacy frame that the Linux kernel build uses: a magic word, then blocks of a 32-bit compressed size and
/// at most 8 MiB of independent output each, up to the end of the data (LZ4 frame format, "Legacy frame").
/// </summary>
internal sealed class Lz4Stream(ReadOnlyMemory<byte> data) : DecoderStream
{
    /// <summary>First word of the frame.</summary>
    public const uint Magic = 0x184C2102;

    const int BlockSize = 8 << 20;
    const int MinimumMatch = 4;
    const int NibbleGoesOn = 15;

    readonly HistoryWindow window = new(BlockSize, 0);
    int at = 4;

    /// <inheritdoc/>
    protected override bool TryDecode(out ReadOnlyMemory<byte> block)
    {
        block = default;
        var input = data.Span;
        if (at == input.Length)
        {
            return false;
        }

        if (input.Length - at < 4)
        {
            throw new ImageException("lz4 block size", at, "the data ends inside it");
        }

        var size = BinaryPrimitives.ReadUInt32LittleEndian(input[at..]);
        at += 4;
        if (size == Magic)
        {
            // Concatenated frames: the next block follows.
            return true;
        }

        if (size == 0 || size > input.Length - at)
        {
            throw new ImageException("lz4 block size", at - 4, $"{size} bytes, but {input.Length - at} follow");
        }

        window.Position = 0;
        window.Reset();
        DecodeBlock(input.Slice(at, (int)size), at);
        at += (int)size;
        block = window.Buffer.AsMemory(0, window.Position);
        return true;
    }

    void DecodeBlock(ReadOnlySpan<byte> input, long origin)
    {
        var i = 0;
        while (true)
        {
            var token = Next(input, ref i, origin);
            var literals = RunLength(token >> 4, input, ref i, origin);
            if (literals > input.Length - i)
            {
                throw new ImageException("lz4 literal run", origin + i, $"{literals} bytes, but {input.Length - i} remain in the block");
            }

            Room(literals, origin + i);
            window.Append(input.Slice(i, literals));
            i += literals;
            if (i == input.Length)
            {
                return;
            }

            var distance = Next(input, ref i, origin) | Next(input, ref i, origin) << 8;
            if (distance == 0 || distance > window.Reach)
            {
                throw new ImageException("lz4 match offset", origin + i - 2, $"{distance} bytes back, but the block holds {window.Reach} so far");
            }

            var length = RunLength(token & 15, input, ref i, origin) + MinimumMatch;
            Room(length, origin + i);
            window.Repeat(distance, length);
        }
    }

    void Room(int bytes, long offset)
    {
        if (bytes > BlockSize - window.Position)
        {
            throw new ImageException("lz4 block", offset, "it unpacks to more than 8 MiB");
        }

        if (window.Buffer.Length - window.Position < bytes)
        {
            window.Reserve(bytes);
        }
    }

    static int RunLength(int nibble, ReadOnlySpan<byte> input, ref int i, long origin)
    {
        var length = nibble;
        if (nibble != NibbleGoesOn)
        {
            return length;
        }

        int more;
        do
        {
            more = Next(input, ref i, origin);
            length += more;
            if (length > BlockSize)
            {
                throw new ImageException("lz4 length", origin + i, "longer than the 8 MiB of a block");
            }
        }
        while (more == 255);
        return length;
    }

    static int Next(ReadOnlySpan<byte> input, ref int i, long origin) =>
        (uint)i < (uint)input.Length ? input[i++] : throw new ImageException("lz4 block", origin + i, "it ends inside a sequence");
}
