namespace Vmm.Differential.Generation;

/// <summary>
/// Values that reach edges: uniform ones almost never give a zero result, a carry out or an infinity.
/// Drawn from tables made once, so that filling a state costs little.
/// </summary>
internal sealed class ValuePool
{
    const int Size = 1 << 14;

    readonly ulong[] integers = new ulong[Size];
    readonly ulong[] floats = new ulong[Size];
    readonly byte[] extended = new byte[Size * 10];
    readonly Prng random;

    public ValuePool(ulong seed)
    {
        random = new Prng(seed);
        for (var i = 0; i < Size; i++)
        {
            integers[i] = MakeInteger();
            floats[i] = random.Percent(15) ? MakeInteger() : random.Percent(50) ? MakeDouble() : MakeSingle() | (ulong)MakeSingle() << 32;
            MakeExtended(extended.AsSpan(i * 10, 10));
        }
    }

    /// <summary>Edge-weighted 64-bit patterns, also for narrower parts of them.</summary>
    public ulong Integer(Prng draw) => integers[draw.Next() >> 50];

    /// <summary>Two binary32 or one binary64 (sometimes plain bits).</summary>
    public ulong Float(Prng draw) => floats[draw.Next() >> 50];

    /// <summary>One 80-bit value, ten bytes.</summary>
    public ReadOnlySpan<byte> Extended(Prng draw) => extended.AsSpan((int)(draw.Next() >> 50) * 10, 10);

    /// <summary>Fills whole 64-bit words from a run of the table.</summary>
    public void Fill(Span<ulong> words, bool asFloats, Prng draw)
    {
        var table = asFloats ? floats : integers;
        table.AsSpan(draw.Below(Size - words.Length), words.Length).CopyTo(words);
    }

    ulong MakeInteger()
    {
        var r = random.Next();
        switch (random.Below(12))
        {
            case 0: return r;
            case 1: return 0;
            case 2: return ulong.MaxValue;
            case 3: return (ulong)random.Between(-20, 300);
            case 4: return 1ul << random.Below(64);
            case 5: return (1ul << random.Below(64)) - 1;
            case 6: return ~(1ul << random.Below(64)) + (ulong)random.Below(3);
            case 7: return r & random.Next() & random.Next() & random.Next();
            case 8: return Bytes();
            case 9: return Wide(random.Below(2) == 0 ? 0x7FFFFFFFFFFFFFFF : 0x8000000000000000) + (ulong)random.Between(-2, 2);
            case 10: return r >> random.Below(64);
            default: return (ulong)((long)r >> random.Below(64));
        }
    }

    /// <summary>An edge of 8, 16, 32 or 64 bits, repeated or alone.</summary>
    ulong Wide(ulong edge)
    {
        var bits = 8 << random.Below(4);
        var part = bits == 64 ? edge : edge == 0x8000000000000000 ? 1ul << bits - 1 : (1ul << bits - 1) - 1;
        var value = part;
        if (random.Percent(50))
        {
            for (var at = bits; at < 64; at += bits)
            {
                value |= part << at;
            }
        }

        return value;
    }

    ulong Bytes()
    {
        var value = 0ul;
        for (var i = 0; i < 8; i++)
        {
            var b = random.Below(8) switch { 0 or 1 => 0, 2 or 3 => 0xFF, 4 => 0x80, 5 => 0x7F, 6 => 1, _ => random.Below(256) };
            value = value << 8 | (uint)b;
        }

        return value;
    }

    ulong MakeDouble()
    {
        var sign = random.Next() & 1ul << 63;
        return sign | random.Below(12) switch
        {
            0 => 0,
            1 => 0x7FF0000000000000,
            2 => 0x7FF8000000000000 | random.Next() >> 13,
            3 => 0x7FF0000000000001 | random.Next() >> 13,
            4 => random.Next() >> 12 + random.Below(52),
            5 => 0x0010000000000000 + (ulong)random.Between(-2, 2),
            6 => 0x7FEFFFFFFFFFFFFF - (ulong)random.Below(3),
            7 => (ulong)BitConverter.DoubleToInt64Bits(random.Below(1 << random.Below(31))),
            8 => (ulong)BitConverter.DoubleToInt64Bits((random.Next() >> random.Below(64)) / 2.0),
            9 => (ulong)random.Between(1023 - 70, 1023 + 70) << 52 | random.Next() >> 12 & ~0ul << random.Below(52),
            10 => (ulong)random.Between(1022, 1024) << 52 | (random.Next() & 3) * 0x3FFFFFFFFFFFF,
            _ => random.Next() >> 1,
        };
    }

    uint MakeSingle()
    {
        var sign = (uint)random.Next() & 1u << 31;
        return sign | random.Below(12) switch
        {
            0 => 0,
            1 => 0x7F800000,
            2 => 0x7FC00000 | (uint)random.Next() >> 10,
            3 => 0x7F800001 | (uint)random.Next() >> 10,
            4 => (uint)random.Next() >> 9 + random.Below(23),
            5 => 0x00800000 + (uint)random.Between(-2, 2),
            6 => 0x7F7FFFFF - (uint)random.Below(3),
            7 => BitConverter.SingleToUInt32Bits(random.Below(1 << random.Below(31))),
            8 => BitConverter.SingleToUInt32Bits(((uint)random.Next() >> random.Below(32)) / 2.0f),
            9 => (uint)random.Between(127 - 36, 127 + 36) << 23 | (uint)random.Next() >> 9 & ~0u << random.Below(23),
            10 => (uint)random.Between(126, 128) << 23 | ((uint)random.Next() & 3) * 0x1FFFFF,
            _ => (uint)random.Next() >> 1,
        };
    }

    void MakeExtended(Span<byte> to)
    {
        const ulong Integer = 1ul << 63;
        var (exponent, significand) = random.Below(14) switch
        {
            0 => (0, 0ul),
            1 => (0x7FFF, Integer),
            2 => (0x7FFF, 3ul << 62 | random.Next() >> 2),
            3 => (0x7FFF, Integer | random.Next() >> 2 | 1),
            4 => (0, random.Next() >> 1 + random.Below(63)),
            5 => (random.Below(2), Integer + (ulong)random.Between(0, 2)),
            6 => (0x7FFE, ulong.MaxValue - (ulong)random.Below(3)),
            7 or 8 => FromInteger(random.Next() >> random.Below(64)),
            9 => (random.Between(0x3FFF - 70, 0x3FFF + 70), Integer | random.Next() & ~0ul << random.Below(64)),
            10 => (random.Between(0x3FFE, 0x4000), Integer | (random.Next() & 3) * (ulong.MaxValue / 4)),
            11 => (random.Below(0x8000), random.Next()),
            12 => (random.Below(0x8000), Integer | random.Next()),
            _ => FromInteger((ulong)random.Below(100)),
        };
        BitConverter.TryWriteBytes(to, significand);
        BitConverter.TryWriteBytes(to[8..], (ushort)(exponent | (int)(random.Next() & 0x8000)));
    }

    static (int Exponent, ulong Significand) FromInteger(ulong value)
    {
        var zeros = System.Numerics.BitOperations.LeadingZeroCount(value);
        return value == 0 ? (0, 0) : (0x3FFF + 63 - zeros, value << zeros);
    }
}
