using Vmm.Cpu.Float;

namespace Vmm.Unit.Cpu.Float;

/// <summary>Random operands and modes, weighted towards edges: zeros, denormals, infinities, NaNs, boundary exponents, few-bit significands.</summary>
internal sealed class FloatCases(ulong seed)
{
    private static readonly int[] ExtendedEdges =
        [0, 0, 1, 2, 3, 63, 64, 65, 0x3BFF, 0x3C00, 0x3C01, 0x3F80, 0x3F81, 0x3F82, 0x3FFD, 0x3FFE, 0x3FFF, 0x4000, 0x400D, 0x400E, 0x401D, 0x401E, 0x403A, 0x403B, 0x403D, 0x403E, 0x403F, 0x407D, 0x407E, 0x407F, 0x43FD, 0x43FE, 0x43FF, 0x7FFD, 0x7FFE, 0x7FFF, 0x7FFF];

    private ulong state = seed;

    /// <summary>The sequence of an instruction, always the same.</summary>
    public static FloatCases For(HostInstruction instruction) => new((ulong)instruction.Name.Sum(c => c * 7919) | 1);

    /// <summary>The next case of the sequence.</summary>
    public HostRecord Next(HostInstruction instruction)
    {
        HostRecord record = instruction.Sse ? Sse(instruction.Single) : X87();
        instruction.Prepare(ref record);
        return record;
    }

    /// <summary>Uniform bits (xorshift64*).</summary>
    public ulong Next()
    {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        return state * 0x2545F4914F6CDD1D;
    }

    /// <summary>Uniform below <paramref name="limit"/>.</summary>
    public int Below(int limit) => (int)((Next() >> 33) % (uint)limit);

    public HostRecord X87()
    {
        HostRecord r = default;
        r.Word = (ushort)((Below(4) == 0 ? Below(64) : 63) | (Below(4) << 8) | (Below(4) << 10));
        Float80 a = Extended();
        Float80 b = Below(2) == 0 ? Near(a) : Extended();
        (r.ST0, r.ST1) = Below(2) == 0 ? (a, b) : (b, a);
        r.M = Memory();
        r.MHigh = Next();
        return r;
    }

    public HostRecord Sse(bool single)
    {
        HostRecord r = default;
        int masks = Below(16) == 0 ? Below(64) : 63;
        r.Word = (ushort)((masks << 7) | (Below(4) << 13) | (Below(4) == 0 ? 0x8000 : 0) | (Below(4) == 0 ? 0x40 : 0));
        r.Word |= (ushort)(Below(2) == 0 ? 0x20 : Below(4) == 0 ? Below(64) : 0);
        (r.A, r.B) = Pair(single);
        (r.AHigh, r.BHigh) = Pair(single);
        r.M = Integer();
        return r;
    }

    public Float80 Extended()
    {
        int exponent = Below(4) switch
        {
            0 => ExtendedEdges[Below(ExtendedEdges.Length)],
            1 => 0x3FFF + Below(140) - 70,
            2 => 0x3FFF + Below(2200) - 1100,
            _ => Below(0x8000),
        };
        ulong significand = Significand();
        if (Below(32) != 0)
        {
            significand = exponent == 0 ? significand & ~Float80.IntegerBit : significand | Float80.IntegerBit;
        }

        return new(significand, (ushort)(exponent | (Below(2) << 15)));
    }

    public ulong Double()
    {
        int exponent = Below(4) switch
        {
            0 => Below(6) switch { 0 => 0, 1 => Below(4), 2 => 2047, 3 => 2046 - Below(3), 4 => 1023 + Below(65), _ => 1023 - 128 + Below(4) },
            1 => 1023 + Below(120) - 60,
            2 => 1023 + Below(300) - 150,
            _ => Below(2048),
        };
        return ((ulong)exponent << 52) | (Significand() << 1 >> 12) | (Next() & (1UL << 63));
    }

    public uint Single()
    {
        int exponent = Below(3) switch
        {
            0 => Below(5) switch { 0 => 0, 1 => Below(4), 2 => 255, 3 => 254 - Below(3), _ => 127 + Below(65) },
            1 => 127 + Below(60) - 30,
            _ => Below(256),
        };
        return ((uint)exponent << 23) | (uint)(Significand() << 1 >> 41) | ((uint)Below(2) << 31);
    }

    public ulong Integer() => Below(6) switch
    {
        0 => Next(),
        1 => Next() >> Below(64),
        2 => (ulong)((long)Next() >> Below(64)),
        3 => 1UL << Below(64),
        4 => (1UL << Below(64)) - 1,
        _ => (ulong)(1 - Below(3)),
    };

    private (ulong First, ulong Second) Pair(bool single)
    {
        if (single)
        {
            return (Single() | ((ulong)Single() << 32), Single() | ((ulong)Single() << 32));
        }

        ulong a = Double();
        ulong b = Below(2) == 0 ? Double() : (a & (0x7FFUL << 52)) + ((ulong)(Below(8) - 4) << 52) ^ (Significand() >> 11) ^ (Next() & (1UL << 63));
        return (a, b);
    }

    private ulong Memory() => Below(4) switch
    {
        0 => Integer(),
        1 => Single() | (Next() << 32),
        _ => Double(),
    };

    // A partner whose exponent is close, so that cancellation, ties and remainders happen.
    private Float80 Near(Float80 a)
    {
        int exponent = Math.Clamp(a.Biased + Below(9) - 4 + (Below(2) * (Below(140) - 70)), 0, 0x7FFF);
        ulong significand = Below(4) == 0 ? a.Significand ^ (1UL << Below(64)) : Significand();
        return new(exponent == 0 ? significand & ~Float80.IntegerBit : significand | Float80.IntegerBit, (ushort)(exponent | (Below(2) << 15)));
    }

    private ulong Significand() => Below(8) switch
    {
        0 => 0,
        1 => ulong.MaxValue,
        2 => 1UL << Below(64),
        3 => (1UL << Below(64)) | (1UL << Below(64)) | (1UL << Below(64)),
        4 => ulong.MaxValue << Below(64),
        5 => Next() & (ulong.MaxValue << Below(64)),
        6 => ulong.MaxValue >> Below(64),
        _ => Next(),
    };
}
