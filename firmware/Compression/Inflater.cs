using System.Runtime.CompilerServices;

namespace Vmm.Firmware.Compression;

/// <summary>
/// DEFLATE (RFC 1951). The runtime's decoder is not used because it takes a cut-off file for a complete one and does not
/// tell where the data ends.
/// </summary>
internal sealed class Inflater(ReadOnlyMemory<byte> data, int start)
{
    const int WindowSize = 32 << 10, Step = 64 << 10, LongestMatch = 258;
    const int EndOfBlock = 256, FirstLengthCode = 257, LastLengthCode = 285, LastDistanceCode = 29;

    static readonly InflateCode FixedLiterals = InflateCode.Build(
        [.. Enumerable.Repeat((byte)8, 144), .. Enumerable.Repeat((byte)9, 112), .. Enumerable.Repeat((byte)7, 24), .. Enumerable.Repeat((byte)8, 8)])!;

    static readonly InflateCode FixedDistances = InflateCode.Build([.. Enumerable.Repeat((byte)5, 30)])!;

    static ReadOnlySpan<byte> LengthOrder => [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

    readonly HistoryWindow window = new(WindowSize, Step);
    InflateCode? literals, distances;
    ulong bits;
    int bitCount;
    int at = start;
    int stored;
    bool inBlock, last;

    /// <summary>Offset of the first byte that is not part of the data; valid at the end.</summary>
    public int Position => at - bitCount / 8;

    /// <summary>Decodes some more; false at the end. The bytes stay valid until the next call.</summary>
    public bool TryDecode(out ReadOnlyMemory<byte> block)
    {
        block = default;
        if (!inBlock)
        {
            if (last)
            {
                return false;
            }

            StartBlock();
            return true;
        }

        window.Reserve(Step);
        var first = window.Position;
        if (literals == null)
        {
            CopyStored();
        }
        else
        {
            Decode(literals, distances!, first + Step - LongestMatch);
        }

        block = window.Buffer.AsMemory(first, window.Position - first);
        return true;
    }

    void StartBlock()
    {
        inBlock = true;
        last = Read(1) != 0;
        switch (Read(2))
        {
            case 0:
                StartStored();
                break;
            case 1:
                (literals, distances) = (FixedLiterals, FixedDistances);
                break;
            case 2:
                ReadCodes();
                break;
            default:
                throw Bad("block type", "type 3 is reserved");
        }
    }

    void StartStored()
    {
        literals = null;
        Read(bitCount & 7);
        stored = (int)Read(16);
        if ((stored ^ (int)Read(16)) != 0xFFFF)
        {
            throw Bad("stored length", "its complement does not match");
        }

        // Whole bytes that were read ahead go back.
        at = Position;
        (bits, bitCount) = (0, 0);
    }

    void CopyStored()
    {
        var count = Math.Min(stored, Step);
        if (count > data.Length - at)
        {
            throw Bad("stored block", $"{count} bytes are needed, {data.Length - at} remain");
        }

        window.Append(data.Span.Slice(at, count));
        at += count;
        stored -= count;
        inBlock = stored > 0;
    }

    /// <summary>The code lengths of both codes, themselves coded (RFC 1951 §3.2.7).</summary>
    void ReadCodes()
    {
        var literalCount = (int)Read(5) + 257;
        var distanceCount = (int)Read(5) + 1;
        var lengthCount = (int)Read(4) + 4;
        Span<byte> lengths = stackalloc byte[19];
        lengths.Clear();
        for (var i = 0; i < lengthCount; i++)
        {
            lengths[LengthOrder[i]] = (byte)Read(3);
        }

        var code = InflateCode.Build(lengths) ?? throw Bad("code lengths", "they claim too many codes");
        Span<byte> all = stackalloc byte[288 + 32];
        all.Clear();
        for (var i = 0; i < literalCount + distanceCount;)
        {
            var symbol = Symbol(code);
            var (value, repeat) = symbol switch
            {
                16 when i > 0 => (all[i - 1], 3 + (int)Read(2)),
                16 => throw Bad("code lengths", "a repeat comes first"),
                17 => ((byte)0, 3 + (int)Read(3)),
                18 => ((byte)0, 11 + (int)Read(7)),
                _ => ((byte)symbol, 1),
            };
            if (repeat > literalCount + distanceCount - i)
            {
                throw Bad("code lengths", "a repeat goes past the last one");
            }

            all.Slice(i, repeat).Fill(value);
            i += repeat;
        }

        literals = InflateCode.Build(all[..literalCount]) ?? throw Bad("literal code", "its lengths claim too many codes");
        distances = InflateCode.Build(all.Slice(literalCount, distanceCount)) ?? throw Bad("distance code", "its lengths claim too many codes");
    }

    void Decode(InflateCode literalCode, InflateCode distanceCode, int limit)
    {
        while (window.Position < limit)
        {
            var symbol = Symbol(literalCode);
            if (symbol < EndOfBlock)
            {
                window.Buffer[window.Position++] = (byte)symbol;
                continue;
            }

            if (symbol == EndOfBlock)
            {
                inBlock = false;
                return;
            }

            var length = Length(symbol);
            var distance = Distance(Symbol(distanceCode));
            if (distance > window.Reach)
            {
                throw Bad("distance", $"{distance} bytes back, but {window.Reach} are there");
            }

            window.Repeat(distance, length);
        }
    }

    /// <summary>Codes 257 to 264 are 3 to 10; then four codes for each number of extra bits; 285 is 258.</summary>
    int Length(int symbol)
    {
        var code = symbol - FirstLengthCode;
        if (symbol >= LastLengthCode)
        {
            return symbol == LastLengthCode ? LongestMatch : throw Bad("length code", $"{symbol} is reserved");
        }

        var extra = Math.Max(0, (code >> 2) - 1);
        return code < 8 ? code + 3 : (4 + (code & 3) << extra) + 3 + (int)Read(extra);
    }

    int Distance(int code)
    {
        if (code > LastDistanceCode)
        {
            throw Bad("distance code", $"{code} is reserved");
        }

        var extra = Math.Max(0, (code >> 1) - 1);
        return code < 4 ? code + 1 : (2 + (code & 1) << extra) + 1 + (int)Read(extra);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    int Symbol(InflateCode code)
    {
        Fill();
        var (symbol, length) = code.Look((uint)bits);
        if (length == 0 || length > bitCount)
        {
            throw Bad("code", length == 0 ? "the bits are no code" : "the data ends inside it");
        }

        bits >>= length;
        bitCount -= length;
        return symbol;
    }

    uint Read(int count)
    {
        Fill();
        if (count > bitCount)
        {
            throw Bad("data", "it ends too early");
        }

        var value = (uint)(bits & (1UL << count) - 1);
        bits >>= count;
        bitCount -= count;
        return value;
    }

    void Fill()
    {
        var input = data.Span;
        while (bitCount <= 32 && at < input.Length)
        {
            bits |= (ulong)input[at++] << bitCount;
            bitCount += 8;
        }
    }

    ImageException Bad(string field, string problem) => new($"deflate {field}", Position, problem);
}
