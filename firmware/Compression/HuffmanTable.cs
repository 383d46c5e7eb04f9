using System.Numerics;

namespace Vmm.Firmware.Compression;

/// <summary>A Zstandard literals code of at most 11 bits (RFC 8878 §4.2).</summary>
internal sealed class HuffmanTable
{
    const int LongestCode = 11, LargestWeightAccuracy = 6, LargestWeightSymbol = 12, MostSymbols = 256;
    const int DirectWeightsFrom = 128;

    // Symbol in the low byte, code length in the high one.
    readonly ushort[] cells;
    readonly int width;

    HuffmanTable(ushort[] cells, int width)
    {
        this.cells = cells;
        this.width = width;
    }

    /// <summary>Reads a tree description and moves <paramref name="at"/> past it.</summary>
    public static HuffmanTable Read(ReadOnlySpan<byte> bytes, ref int at, long origin)
    {
        if (at >= bytes.Length)
        {
            throw new ImageException("zstd Huffman header", origin + at, "the block ends before it");
        }

        var start = at;
        var header = bytes[at++];
        var size = header < DirectWeightsFrom ? header : header - DirectWeightsFrom + 2 >> 1;
        if (size > bytes.Length - at)
        {
            throw new ImageException("zstd Huffman header", origin + start, $"{size} bytes of weights do not fit in the block");
        }

        Span<byte> weights = stackalloc byte[MostSymbols];
        weights.Clear();
        var packed = bytes.Slice(at, size);
        var count = header < DirectWeightsFrom
            ? ReadCompressed(packed, weights, origin + at)
            : ReadDirect(packed, header - DirectWeightsFrom + 1, weights);
        at += size;
        return Build(weights, count, origin + start);
    }

    static int ReadDirect(ReadOnlySpan<byte> packed, int count, Span<byte> weights)
    {
        for (var i = 0; i < count; i++)
        {
            weights[i] = (byte)((i & 1) == 0 ? packed[i >> 1] >> 4 : packed[i >> 1] & 15);
        }

        return count;
    }

    /// <summary>Two states take turns on one bit stream until it is used up (RFC 8878 §4.2.1.2).</summary>
    static int ReadCompressed(ReadOnlySpan<byte> packed, Span<byte> weights, long origin)
    {
        var at = 0;
        var table = FseTable.Read(packed, ref at, LargestWeightAccuracy, LargestWeightSymbol, origin);
        var bits = new BackwardBits(packed[at..], "zstd Huffman weights", origin + at);
        Span<int> states = [(int)bits.Read(table.Accuracy), (int)bits.Read(table.Accuracy)];
        for (var count = 0; count < MostSymbols - 1; count++)
        {
            ref var state = ref states[count & 1];
            var cell = table[state];
            weights[count] = cell.Symbol;
            state = cell.Start + (int)bits.Read(cell.Bits);
            if (bits.Remaining < 0)
            {
                if (count + 1 >= MostSymbols - 1)
                {
                    break;
                }

                // This state has nothing to go on with; the other one still holds the last symbol.
                weights[count + 1] = table[states[count + 1 & 1]].Symbol;
                return count + 2;
            }
        }

        throw new ImageException("zstd Huffman weights", origin, "more than 255");
    }

    /// <summary>The last symbol's weight is what completes the sum to a power of two.</summary>
    static HuffmanTable Build(Span<byte> weights, int count, long origin)
    {
        var sum = 0;
        for (var i = 0; i < count; i++)
        {
            sum += 1 << weights[i] >> 1;
        }

        var width = sum == 0 ? 0 : BitOperations.Log2((uint)sum) + 1;
        var rest = (1 << width) - sum;
        if (sum == 0 || width > LongestCode || !BitOperations.IsPow2(rest))
        {
            throw new ImageException("zstd Huffman weights", origin, "they do not describe a complete code");
        }

        weights[count] = (byte)(BitOperations.Log2((uint)rest) + 1);
        var cells = new ushort[1 << width];
        var at = 0;
        for (var weight = 1; weight <= width; weight++)
        {
            for (var symbol = 0; symbol <= count; symbol++)
            {
                if (weights[symbol] == weight)
                {
                    var span = 1 << weight - 1;
                    cells.AsSpan(at, span).Fill((ushort)(width + 1 - weight << 8 | symbol));
                    at += span;
                }
            }
        }

        return new(cells, width);
    }

    /// <summary>Decodes one stream that must yield exactly <c>output.Length</c> symbols.</summary>
    public void Decode(ReadOnlySpan<byte> stream, Span<byte> output, long origin)
    {
        var bits = new BackwardBits(stream, "zstd literals", origin);
        var table = cells;
        var shown = width;
        for (var i = 0; i < output.Length; i++)
        {
            var cell = table[(int)bits.Peek(shown)];
            output[i] = (byte)cell;
            bits.Skip(cell >> 8);
        }

        if (bits.Remaining != 0)
        {
            throw new ImageException("zstd literals", origin, $"the bit stream does not end after {output.Length} symbols");
        }
    }
}
