using System.Numerics;

namespace Vmm.Firmware.Compression;

/// <summary>A Finite State Entropy decoding table (RFC 8878 §4.1).</summary>
internal sealed class FseTable
{
    const int SmallestAccuracy = 5;

    readonly Cell[] cells;

    /// <summary>One state: the symbol it yields and how the next state follows.</summary>
    public readonly record struct Cell(byte Symbol, byte Bits, ushort Start);

    FseTable(Cell[] cells, int accuracy)
    {
        this.cells = cells;
        Accuracy = accuracy;
    }

    /// <summary>log2 of the number of states.</summary>
    public int Accuracy { get; }

    /// <summary>The state's cell.</summary>
    public ref readonly Cell this[int state] => ref cells[state];

    /// <summary>A table whose only state always yields one symbol (RLE mode).</summary>
    public static FseTable Single(byte symbol) => new([new(symbol, 0, 0)], 0);

    /// <summary>Builds the table from normalized counts; -1 is a probability below one.</summary>
    public static FseTable Build(ReadOnlySpan<short> counts, int accuracy)
    {
        var size = 1 << accuracy;
        Span<byte> symbols = stackalloc byte[size];
        Span<int> next = stackalloc int[counts.Length];
        var rareFrom = size;
        for (var symbol = 0; symbol < counts.Length; symbol++)
        {
            next[symbol] = Math.Max((int)counts[symbol], 0);
            if (counts[symbol] == -1)
            {
                symbols[--rareFrom] = (byte)symbol;
                next[symbol] = 1;
            }
        }

        Spread(counts, symbols, rareFrom);
        var cells = new Cell[size];
        for (var state = 0; state < size; state++)
        {
            var number = next[symbols[state]]++;
            var bits = accuracy - BitOperations.Log2((uint)number);
            cells[state] = new(symbols[state], (byte)bits, (ushort)((number << bits) - size));
        }

        return new(cells, accuracy);
    }

    static void Spread(ReadOnlySpan<short> counts, Span<byte> symbols, int rareFrom)
    {
        var mask = symbols.Length - 1;
        var step = (symbols.Length >> 1) + (symbols.Length >> 3) + 3;
        var at = 0;
        for (var symbol = 0; symbol < counts.Length; symbol++)
        {
            for (var i = 0; i < counts[symbol]; i++)
            {
                symbols[at] = (byte)symbol;
                do
                {
                    at = at + step & mask;
                }
                while (at >= rareFrom);
            }
        }
    }

    /// <summary>Reads a table description (RFC 8878 §4.1.1) and moves <paramref name="at"/> past it.</summary>
    public static FseTable Read(ReadOnlySpan<byte> bytes, ref int at, int largestAccuracy, int largestSymbol, long origin)
    {
        var start = at;
        var bits = new ForwardBits(bytes[at..]);
        var accuracy = (int)bits.Read(4) + SmallestAccuracy;
        if (accuracy > largestAccuracy)
        {
            throw new ImageException("zstd FSE accuracy", origin + start, $"{accuracy} is above {largestAccuracy}");
        }

        Span<short> counts = stackalloc short[largestSymbol + 1];
        counts.Clear();
        var symbol = 0;
        var remaining = 1 << accuracy;
        while (remaining > 0 && symbol <= largestSymbol)
        {
            var count = ReadCount(ref bits, remaining);
            remaining -= Math.Abs(count);
            counts[symbol++] = (short)count;
            for (var repeat = 3u; count == 0 && repeat == 3;)
            {
                repeat = bits.Read(2);
                symbol += (int)repeat;
                if (symbol > largestSymbol)
                {
                    break;
                }
            }
        }

        if (remaining != 0 || bits.Overrun)
        {
            throw new ImageException("zstd FSE table", origin + start, $"its counts do not sum up to {1 << accuracy}");
        }

        at += bits.BytesUsed;
        return Build(counts[..Math.Min(symbol, largestSymbol + 1)], accuracy);
    }

    /// <summary>Small values of what is still possible take one bit less than large ones.</summary>
    static int ReadCount(ref ForwardBits bits, int remaining)
    {
        var largest = remaining + 1;
        var width = BitOperations.Log2((uint)largest) + 1;
        var shortCodes = (1 << width) - 1 - largest;
        var low = (int)bits.Peek(width - 1);
        if (low < shortCodes)
        {
            bits.Read(width - 1);
            return low - 1;
        }

        var value = (int)bits.Read(width);
        return (value >= 1 << width - 1 ? value - shortCodes : value) - 1;
    }

    /// <summary>Bits from the lowest of the first byte on; zeros past the end.</summary>
    ref struct ForwardBits(ReadOnlySpan<byte> bytes)
    {
        readonly ReadOnlySpan<byte> bytes = bytes;
        int position;

        public readonly int BytesUsed => position + 7 >> 3;

        public readonly bool Overrun => BytesUsed > bytes.Length;

        public readonly uint Peek(int count)
        {
            var value = 0u;
            for (var i = 0; i < count; i++)
            {
                var bit = position + i;
                if (bit >> 3 < bytes.Length)
                {
                    value |= (uint)(bytes[bit >> 3] >> (bit & 7) & 1) << i;
                }
            }

            return value;
        }

        public uint Read(int count)
        {
            var value = Peek(count);
            position += count;
            return value;
        }
    }
}
