namespace Vmm.Firmware.Compression;

/// <summary>The sequences section of a compressed block and its execution (RFC 8878 §3.1.1.3.2 and §3.1.1.4).</summary>
internal sealed class ZstdSequences
{
    const int LongCountFrom = 0x7F00;
    const int LargestOffsetCode = 31;

    static ReadOnlySpan<int> LengthBase =>
    [
        0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 20, 22, 24, 28, 32, 40, 48, 64,
        0x80, 0x100, 0x200, 0x400, 0x800, 0x1000, 0x2000, 0x4000, 0x8000, 0x10000,
    ];

    static ReadOnlySpan<byte> LengthBits =>
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];

    static ReadOnlySpan<int> MatchBase =>
    [
        3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34,
        35, 37, 39, 41, 43, 47, 51, 59, 67, 83, 99, 0x83, 0x103, 0x203, 0x403, 0x803, 0x1003, 0x2003, 0x4003, 0x8003, 0x10003,
    ];

    static ReadOnlySpan<byte> MatchBits =>
    [
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,
    ];

    static readonly FseTable LengthDefault = FseTable.Build(
        [4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1, -1, -1, -1, -1], 6);

    static readonly FseTable MatchDefault = FseTable.Build(
        [1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
         1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1], 6);

    static readonly FseTable OffsetDefault = FseTable.Build(
        [1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1], 5);

    FseTable? lengths, offsets, matches;
    uint repeat1, repeat2, repeat3;

    /// <summary>Forgets the tables and offsets of earlier blocks, as a new frame does.</summary>
    public void Reset()
    {
        lengths = offsets = matches = null;
        (repeat1, repeat2, repeat3) = (1, 4, 8);
    }

    /// <summary>Reads the section and appends what it and <paramref name="literals"/> describe, at most <paramref name="limit"/> bytes.</summary>
    public void Execute(ReadOnlySpan<byte> section, ReadOnlySpan<byte> literals, HistoryWindow window, int limit, long origin)
    {
        window.Reserve(limit);
        var end = window.Position + limit;
        var count = ReadHeader(section, out var at, origin);
        if (count > 0)
        {
            literals = Run(section[at..], count, literals, window, end, origin + at);
        }
        else if (at != section.Length)
        {
            throw new ImageException("zstd sequences", origin + at, "bytes follow although there are no sequences");
        }

        Check(literals.Length, end - window.Position, origin);
        window.Append(literals);
    }

    int ReadHeader(ReadOnlySpan<byte> section, out int at, long origin)
    {
        at = 0;
        int count = Next(section, ref at, origin);
        if (count == 0)
        {
            return 0;
        }

        if (count == 255)
        {
            count = Next(section, ref at, origin) + (Next(section, ref at, origin) << 8) + LongCountFrom;
        }
        else if (count >= 128)
        {
            count = (count - 128 << 8) + Next(section, ref at, origin);
        }

        var modes = Next(section, ref at, origin);
        if ((modes & 3) != 0)
        {
            throw new ImageException("zstd sequence modes", origin + at - 1, "reserved bits are set");
        }

        lengths = Table(modes >> 6, section, ref at, LengthDefault, lengths, 9, LengthBase.Length - 1, origin);
        offsets = Table(modes >> 4 & 3, section, ref at, OffsetDefault, offsets, 8, LargestOffsetCode, origin);
        matches = Table(modes >> 2 & 3, section, ref at, MatchDefault, matches, 9, MatchBase.Length - 1, origin);
        return count;
    }

    static FseTable Table(
        int mode, ReadOnlySpan<byte> section, ref int at, FseTable predefined, FseTable? previous, int accuracy, int largest, long origin)
    {
        switch (mode)
        {
            case 0:
                return predefined;
            case 1:
                var symbol = Next(section, ref at, origin);
                return symbol <= largest ? FseTable.Single(symbol)
                    : throw new ImageException("zstd sequence code", origin + at - 1, $"{symbol} is above {largest}");
            case 2:
                return FseTable.Read(section, ref at, accuracy, largest, origin);
            default:
                return previous ?? throw new ImageException("zstd sequence modes", origin + at, "a table is repeated that was never given");
        }
    }

    ReadOnlySpan<byte> Run(ReadOnlySpan<byte> stream, int count, ReadOnlySpan<byte> literals, HistoryWindow window, int end, long origin)
    {
        FseTable lengthTable = lengths!, offsetTable = offsets!, matchTable = matches!;
        var bits = new BackwardBits(stream, "zstd sequences", origin);
        var lengthState = (int)bits.Read(lengthTable.Accuracy);
        var offsetState = (int)bits.Read(offsetTable.Accuracy);
        var matchState = (int)bits.Read(matchTable.Accuracy);
        while (true)
        {
            var lengthCell = lengthTable[lengthState];
            var offsetCell = offsetTable[offsetState];
            var matchCell = matchTable[matchState];
            var offsetValue = (1u << offsetCell.Symbol) + bits.Read(offsetCell.Symbol);
            var match = MatchBase[matchCell.Symbol] + (int)bits.Read(MatchBits[matchCell.Symbol]);
            var length = LengthBase[lengthCell.Symbol] + (int)bits.Read(LengthBits[lengthCell.Symbol]);

            Check(length, literals.Length, origin);
            Check(length + match, end - window.Position, origin);
            window.Append(literals[..length]);
            literals = literals[length..];
            var distance = Distance(offsetValue, length == 0);
            if (distance == 0 || distance > (uint)window.Reach)
            {
                throw new ImageException("zstd offset", origin, $"{distance} bytes back, but {window.Reach} are there");
            }

            window.Repeat((int)distance, match);
            if (--count == 0)
            {
                break;
            }

            lengthState = lengthCell.Start + (int)bits.Read(lengthCell.Bits);
            matchState = matchCell.Start + (int)bits.Read(matchCell.Bits);
            offsetState = offsetCell.Start + (int)bits.Read(offsetCell.Bits);
            if (bits.Remaining < 0)
            {
                break;
            }
        }

        return bits.Remaining == 0 ? literals : throw new ImageException("zstd sequences", origin, "the bit stream does not end with the last sequence");
    }

    /// <summary>Values 1 to 3 name one of the last three offsets; without literals they are shifted by one (RFC 8878 §3.1.1.5).</summary>
    uint Distance(uint value, bool noLiterals)
    {
        if (value > 3)
        {
            (repeat3, repeat2, repeat1) = (repeat2, repeat1, value - 3);
            return repeat1;
        }

        switch (value + (noLiterals ? 1u : 0u))
        {
            case 1:
                break;
            case 2:
                (repeat1, repeat2) = (repeat2, repeat1);
                break;
            case 3:
                (repeat1, repeat2, repeat3) = (repeat3, repeat1, repeat2);
                break;
            default:
                (repeat1, repeat2, repeat3) = (repeat1 - 1, repeat1, repeat2);
                break;
        }

        return repeat1;
    }

    static void Check(int wanted, int there, long origin)
    {
        if (wanted > there)
        {
            throw new ImageException("zstd sequences", origin, $"{wanted} bytes are asked for where {there} are left");
        }
    }

    static byte Next(ReadOnlySpan<byte> section, ref int at, long origin) =>
        at < section.Length ? section[at++] : throw new ImageException("zstd sequences header", origin + at, "the block ends inside it");
}
