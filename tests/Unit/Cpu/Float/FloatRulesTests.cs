using Vmm.Cpu.Float;
using Xunit;

namespace Vmm.Unit.Cpu.Float;

/// <summary>Rules of the architecture with literal values (SDM vol. 1 ch. 4, 8 and 11).</summary>
public sealed class FloatRulesTests
{
    private const uint Default = 0x1F80;
    private const uint DAZ = 0x40;
    private const uint FTZ = 0x8000;

    [Fact]
    public void The_default_NaN_is_negative_and_quiet()
    {
        FloatContext c = FloatContext.FromMxcsr(Default);
        Assert.Equal(0xFFC00000u, Binary32.Subtract(0x7F800000, 0x7F800000, ref c));
        Assert.Equal(FloatFlags.IE, c.Flags);
        c = FloatContext.FromControlWord(0x37F);
        Assert.Equal(Float80.Indefinite, Float80.SquareRoot(Float80.One.Negate(), ref c));
    }

    [Fact]
    public void SSE_answers_with_the_first_operand_NaN()
    {
        FloatContext c = FloatContext.FromMxcsr(Default);
        Assert.Equal(0x7FC00001u, Binary32.Add(0x7F800001, 0x7FC00002, ref c));
        Assert.Equal(FloatFlags.IE, c.Flags);
        c = FloatContext.FromMxcsr(Default);
        Assert.Equal(0x7FC00002u, Binary32.Add(0x3F800000, 0x7FC00002, ref c));
        Assert.Equal(FloatFlags.None, c.Flags);
    }

    [Fact]
    public void X87_prefers_a_quiet_NaN_then_the_larger_significand()
    {
        Unpacked signalling = Unpacked.From(new Float80(0xBFFFFFFFFFFFFFFF, 0x7FFF));
        Unpacked small = Unpacked.From(new Float80(0xC000000000000001, 0x7FFF));
        Unpacked large = Unpacked.From(new Float80(0xC000000000000002, 0xFFFF));
        FloatContext c = FloatContext.FromControlWord(0x37F);
        Assert.Equal(new(0xC000000000000001, 0x7FFF), Float80.Add(signalling, small, ref c));
        Assert.Equal(FloatFlags.IE, c.Flags);
        Assert.Equal(new(0xC000000000000002, 0xFFFF), Float80.Add(small, large, ref c));
    }

    [Theory]
    [InlineData(0x0000000000000001UL, (ushort)0x7FFF)]
    [InlineData(0x0000000000000000UL, (ushort)0x7FFF)]
    [InlineData(0x4000000000000000UL, (ushort)0x3FFF)]
    public void Unsupported_encodings_are_invalid(ulong significand, ushort exponent)
    {
        FloatContext c = FloatContext.FromControlWord(0x37F);
        Float80 result = Float80.Add(Unpacked.From(new Float80(significand, exponent)), Unpacked.From(Float80.One), ref c);
        Assert.Equal(Float80.Indefinite, result);
        Assert.Equal(FloatFlags.IE, c.Flags);
    }

    [Fact]
    public void A_pseudo_denormal_counts_as_a_denormal_of_the_least_exponent()
    {
        FloatContext c = FloatContext.FromControlWord(0x37F);
        Float80 result = Float80.Add(Unpacked.From(new Float80(1UL << 63, 0)), Unpacked.From(Float80.Zero), ref c);
        Assert.Equal(new(1UL << 63, 1), result);
        Assert.Equal(FloatFlags.DE, c.Flags);
    }

    [Theory]
    [InlineData(0x07F, 0x8000010000000000UL)]
    [InlineData(0x27F, 0x8000000000000800UL)]
    [InlineData(0x37F, 0x8000000000000001UL)]
    public void Precision_control_rounds_register_results(int fcw, ulong expected)
    {
        // 1 + 2^-70 upwards: one unit in the last place of each precision.
        FloatContext c = FloatContext.FromControlWord((ushort)(fcw | 0x800));
        Float80 result = Float80.Add(Unpacked.From(Float80.One), Unpacked.From(new Float80(1UL << 63, 0x3FFF - 70)), ref c);
        Assert.Equal(new(expected, 0x3FFF), result);
        Assert.True(c.RoundedUp);
        Assert.Equal(FloatFlags.PE, c.Flags);
    }

    [Fact]
    public void Tininess_is_found_after_rounding()
    {
        // (1 - 2^-24) * 2^-126 in single precision: rounds to the least normal number, which is not tiny.
        FloatContext c = FloatContext.FromMxcsr(Default);
        Assert.Equal(0x00800000u, BinaryConversion.ToBinary32(BitConverter.DoubleToUInt64Bits((1 - Math.Pow(2, -25)) * Math.Pow(2, -126)), ref c));
        Assert.Equal(FloatFlags.PE, c.Flags);
    }

    [Fact]
    public void FTZ_flushes_tiny_results_and_reports_them()
    {
        FloatContext c = FloatContext.FromMxcsr(Default | FTZ);
        Assert.Equal(0x80000000u, Binary32.Multiply(0x80800000, 0x3F000000, ref c));
        Assert.Equal(FloatFlags.UE | FloatFlags.PE, c.Flags);
    }

    [Fact]
    public void DAZ_reads_denormals_as_zeros_in_silence()
    {
        FloatContext c = FloatContext.FromMxcsr(Default | DAZ);
        Assert.Equal(0x80000000u, Binary32.Min(0x80000001, 0x3F800000, ref c));
        Assert.Equal(FloatFlags.None, c.Flags);
        c = FloatContext.FromMxcsr(Default);
        Assert.Equal(0x80000001u, Binary32.Min(0x80000001, 0x3F800000, ref c));
        Assert.Equal(FloatFlags.DE, c.Flags);
    }

    [Fact]
    public void MIN_and_MAX_answer_with_the_second_operand_for_zeros_and_NaNs()
    {
        FloatContext c = FloatContext.FromMxcsr(Default);
        Assert.Equal(0x80000000u, Binary32.Max(0, 0x80000000, ref c));
        Assert.Equal(FloatFlags.None, c.Flags);
        Assert.Equal(0x7F800001u, Binary32.Max(0x3F800000, 0x7F800001, ref c));
        Assert.Equal(FloatFlags.IE, c.Flags);
    }

    [Fact]
    public void Out_of_range_integers_are_indefinite()
    {
        FloatContext c = FloatContext.FromMxcsr(Default);
        Assert.Equal(int.MinValue, Binary64.ToInt32(BitConverter.DoubleToUInt64Bits(2147483648.0), ref c));
        Assert.Equal(FloatFlags.IE, c.Flags);
        c = FloatContext.FromControlWord(0x37F);
        Assert.Equal(short.MinValue, Float80.ToInteger(Float80.FromInteger(32768), 16, FloatRounding.Nearest, ref c));
        Assert.Equal(FloatFlags.IE, c.Flags);
        Assert.Equal(0xC000000000000000, Float80.ToDecimal(Float80.FromInteger(1_000_000_000_000_000_000), out ushort top, ref c));
        Assert.Equal(0xFFFF, top);
    }

    [Fact]
    public void Decimals_survive_a_round_trip()
    {
        FloatContext c = FloatContext.FromControlWord(0x37F);
        Float80 value = Float80.FromDecimal(0x3456789012345678, 0x8012);
        Assert.Equal(Float80.FromInteger(-123456789012345678), value);
        Assert.Equal(0x3456789012345678UL, Float80.ToDecimal(value, out ushort top, ref c));
        Assert.Equal(0x8012, top);
        Assert.Equal(FloatFlags.None, c.Flags);
    }

    [Fact]
    public void Unmasked_x87_overflow_leaves_a_rescaled_result()
    {
        Unpacked large = Unpacked.From(new Float80(1UL << 63, 0x7FFE));
        FloatContext c = FloatContext.FromControlWord(0x377);
        Float80 result = Float80.Multiply(large, large, ref c);
        Assert.Equal(new(1UL << 63, 0x7FFE + 0x3FFF - 24576), result);
        Assert.Equal(FloatFlags.OE, c.Flags);
    }

    [Fact]
    public void Unmasked_precomputation_exceptions_suppress_the_flags_after_them()
    {
        FloatContext c = FloatContext.FromMxcsr(Default & ~0x100u);
        Binary32.Add(1, 0x3F800000, ref c);
        Binary32.Divide(0x3F800000, 0x40400000, ref c);
        Assert.True(c.Stopped);
        Assert.Equal(FloatFlags.DE, c.MxcsrFlags);
    }

    [Fact]
    public void Angles_from_two_to_the_63_on_are_left_to_software()
    {
        FloatContext c = FloatContext.FromControlWord(0x37F);
        Float80 limit = new(1UL << 63, 0x3FFF + 63);
        Assert.False(Float80.TrySine(limit, out Float80 same, ref c));
        Assert.Equal(limit, same);
        Assert.True(Float80.TrySine(new(ulong.MaxValue, 0x3FFF + 62), out _, ref c));
    }

    [Fact]
    public void Angles_are_reduced_with_the_66_bit_pi()
    {
        // sin of the double extended pi is what the 66-bit constant lacks: 2^-63 * (0xC234C... - 0xC235) in units.
        FloatContext c = FloatContext.FromControlWord(0x37F);
        Assert.True(Float80.TrySine(new(0xC90FDAA22168C235, 0x4000), out Float80 sine, ref c));
        Assert.Equal(new(0x8000000000000000, 0xBFBF), sine);
    }

    [Fact]
    public void Approximations_stay_within_their_error_bound()
    {
        const double Bound = 1.5 / 4096;
        for (uint bits = 0x00800000; bits < 0x7F800000; bits += 0x3FFD)
        {
            double value = BitConverter.UInt32BitsToSingle(bits);
            double reciprocal = BitConverter.UInt32BitsToSingle(Approximation.Reciprocal(bits));
            double root = BitConverter.UInt32BitsToSingle(Approximation.ReciprocalSquareRoot(bits));
            bool tiny = 1 / value < 1.1754943508222875E-38;
            Assert.True(tiny ? reciprocal == 0 : Math.Abs((reciprocal * value) - 1) < Bound, $"1 / {value}");
            Assert.True(Math.Abs((root * Math.Sqrt(value)) - 1) < Bound, $"1 / sqrt {value}");
        }
    }

    [Theory]
    [InlineData(0x00000000u, 0x7F800000u, 0x7F800000u)]
    [InlineData(0x80000001u, 0xFF800000u, 0xFF800000u)]
    [InlineData(0x7F800000u, 0x00000000u, 0x00000000u)]
    [InlineData(0xFF800000u, 0x80000000u, 0xFFC00000u)]
    [InlineData(0x7F800001u, 0x7FC00001u, 0x7FC00001u)]
    public void Approximations_of_special_values(uint value, uint reciprocal, uint root)
    {
        Assert.Equal(reciprocal, Approximation.Reciprocal(value));
        Assert.Equal(root, Approximation.ReciprocalSquareRoot(value));
    }

    [Theory]
    [InlineData(0x7FFF, 0x3FFF)]
    [InlineData(0x0000, 0x7FFF)]
    [InlineData(0xFFFF, 0x7FFF)]
    [InlineData(0x1234, 0x5678)]
    public void No_encoding_throws(int first, int second)
    {
        foreach (ulong significand in (ReadOnlySpan<ulong>)[0, 1, 1UL << 62, 1UL << 63, 3UL << 62, ulong.MaxValue, long.MaxValue])
        {
            Float80 a = new(significand, (ushort)first);
            Float80 b = new(~significand, (ushort)second);
            for (int fcw = 0; fcw < 0x1000; fcw += 0x3F)
            {
                FloatContext c = FloatContext.FromControlWord((ushort)fcw);
                Float80.Scale(a, b, ref c);
                Float80.Remainder(a, b, true, out _, out _, ref c);
                Float80.ArcTangent(a, b, ref c);
                Float80.Logarithm(a, b, ref c);
                Float80.LogarithmPlusOne(a, b, ref c);
                Float80.Exponential(a, ref c);
                Float80.TrySineAndCosine(a, out _, out _, ref c);
                Float80.ToDecimal(a, out _, ref c);
            }
        }
    }
}
