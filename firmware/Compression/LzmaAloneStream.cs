using System.Buffers.Binary;

namespace Vmm.Firmware.Compression;

/// <summary>
/// The LZMA_Alone format (.lzma): a properties byte, a 32-bit dictionary size, a 64-bit size (all ones: unknown), then one
/// LZMA stream that ends at the size, at the end marker, or at both.
/// </summary>
internal sealed class LzmaAloneStream : DecoderStream
{
    const int HeaderSize = 13, Step = 1 << 20, SmallestDictionary = 4096, LiteralBitsLimit = 12;

    readonly ReadOnlyMemory<byte> data;
    readonly LzmaDecoder lzma = new();
    readonly HistoryWindow window;
    readonly bool sizeKnown;
    (uint Range, uint Code, int Position) coderState;
    ulong remaining;
    bool ended;

    /// <summary>Reads the header.</summary>
    public LzmaAloneStream(ReadOnlyMemory<byte> data)
    {
        this.data = data;
        var header = data.Span;
        if (header.Length < HeaderSize + 5)
        {
            throw new ImageException("lzma header", 0, $"{header.Length} bytes are not enough");
        }

        if (!lzma.TryConfigure(header[0], LiteralBitsLimit))
        {
            throw new ImageException("lzma properties", 0, "lc, lp or pb is out of range");
        }

        var dictionary = BinaryPrimitives.ReadUInt32LittleEndian(header[1..]);
        remaining = BinaryPrimitives.ReadUInt64LittleEndian(header[5..]);
        sizeKnown = remaining != ulong.MaxValue;
        // A dictionary larger than the output is never used, so a stated size bounds it.
        var useful = Math.Max(SmallestDictionary, sizeKnown ? Math.Min(dictionary, remaining) : dictionary);
        if (useful > HistoryWindow.MaximumHistory)
        {
            throw new ImageException("lzma dictionary size", 1, $"above the {HistoryWindow.MaximumHistory >> 20} MiB that are supported");
        }

        window = new HistoryWindow((int)useful, Step);
        coderState = new RangeDecoder(header[HeaderSize..], HeaderSize).State;
    }

    /// <summary>True when the bytes can be such a header: the format has no magic word.</summary>
    public static bool Matches(ReadOnlySpan<byte> header)
    {
        if (header.Length < HeaderSize || header[0] >= 9 * 5 * 5 || header[HeaderSize - 1] is not (0 or 0xFF))
        {
            return false;
        }

        // Encoders write 2^n or 2^n + 2^(n-1); anything else is taken as not LZMA.
        var dictionary = BinaryPrimitives.ReadUInt32LittleEndian(header[1..]);
        var top = 31 - System.Numerics.BitOperations.LeadingZeroCount(dictionary);
        return dictionary >= SmallestDictionary && (dictionary & ~(3u << top - 1)) == 0;
    }

    /// <inheritdoc/>
    protected override bool TryDecode(out ReadOnlyMemory<byte> block)
    {
        block = default;
        if (ended || sizeKnown && remaining == 0)
        {
            return false;
        }

        var step = (int)Math.Min(Step, remaining);
        window.Reserve(step);
        var first = window.Position;
        var coder = new RangeDecoder(data.Span[HeaderSize..], HeaderSize, coderState);
        ended = !lzma.Decode(ref coder, window, first + step);
        coderState = coder.State;
        block = window.Buffer.AsMemory(first, window.Position - first);
        if (sizeKnown)
        {
            remaining -= (ulong)block.Length;
            if (ended && remaining != 0 || remaining == 0 && lzma.Unfinished != 0)
            {
                throw new ImageException("lzma data", coder.Offset, "it does not end where its stated size does");
            }
        }

        return true;
    }
}
