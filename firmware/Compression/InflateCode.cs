namespace Vmm.Firmware.Compression;

/// <summary>A canonical Huffman code of DEFLATE (RFC 1951 §3.2.2), as a table over the next bits.</summary>
internal sealed class InflateCode
{
    /// <summary>Longest code in bits.</summary>
    public const int LongestCode = 15;

    // Symbol in the upper bits, code length in the low four; 0 is a code that does not exist.
    readonly ushort[] cells;

    InflateCode(ushort[] cells, int width)
    {
        this.cells = cells;
        Width = width;
    }

    /// <summary>Bits that <see cref="Look"/> needs.</summary>
    public int Width { get; }

    /// <summary>Builds the code from the lengths of its symbols. Null when they claim more codes than there are.</summary>
    public static InflateCode? Build(ReadOnlySpan<byte> lengths)
    {
        Span<int> counts = stackalloc int[LongestCode + 1];
        counts.Clear();
        foreach (var length in lengths)
        {
            counts[length]++;
        }

        counts[0] = 0;
        var width = Math.Max(1, counts.LastIndexOfAnyExcept(0));
        Span<int> next = stackalloc int[LongestCode + 2];
        next[1] = 0;
        for (var length = 1; length <= LongestCode; length++)
        {
            next[length + 1] = next[length] + counts[length] << 1;
            if (next[length] + counts[length] > 1 << length)
            {
                return null;
            }
        }

        var cells = new ushort[1 << width];
        for (var symbol = 0; symbol < lengths.Length; symbol++)
        {
            int length = lengths[symbol];
            if (length > 0)
            {
                // Codes arrive most significant bit first in a stream that is read least significant bit first.
                var code = Reverse(next[length]++, length);
                for (; code < cells.Length; code += 1 << length)
                {
                    cells[code] = (ushort)(symbol << 4 | length);
                }
            }
        }

        return new(cells, width);
    }

    /// <summary>The symbol whose code starts the given bits; length 0 when there is none.</summary>
    public (int Symbol, int Length) Look(uint bits)
    {
        var cell = cells[bits & cells.Length - 1];
        return (cell >> 4, cell & 15);
    }

    static int Reverse(int code, int length)
    {
        var reversed = 0;
        for (var i = 0; i < length; i++)
        {
            reversed |= (code >> i & 1) << length - 1 - i;
        }

        return reversed;
    }
}
