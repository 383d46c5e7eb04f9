using System.Runtime.CompilerServices;

namespace Vmm.Cpu.Float;

/// <summary>Scalar single precision operations of SSE on raw bits.</summary>
/// <remarks>
/// Host arithmetic is used where IEEE 754 leaves it no choice: to nearest, operands zero or normal, result zero by
/// exact rule or safely normal, and PE either sticky and masked already or excluded by an exact error term.
/// Everything else takes the software path.
/// </remarks>
internal static class Binary32
{
    private const uint SignBit = 1U << 31;
    private const uint LeastExponent = 1U << 23;
    private const uint InfinityBits = ((uint)0xFF) << 23;

    // Above this exponent neither a result nor the error term of a product can have met the subnormal range.
    private const uint SafeExponent = ((uint)56) << 23;

    /// <summary>a + b.</summary>
    public static uint Add(uint a, uint b, ref FloatContext c)
    {
        if (Plain(a, b) && c.Rounding == FloatRounding.Nearest)
        {
            float x = BitConverter.UInt32BitsToSingle(a);
            float y = BitConverter.UInt32BitsToSingle(b);
            float sum = x + y;
            if (IsSafeSum(sum) && (c.InexactIsSilent || IsExactSum(x, y, sum)))
            {
                return BitConverter.SingleToUInt32Bits(sum);
            }
        }

        return (uint)SoftSse.Add(FloatFormat.Binary32, a, b, ref c);
    }

    /// <summary>a - b.</summary>
    public static uint Subtract(uint a, uint b, ref FloatContext c)
    {
        if (Plain(a, b) && c.Rounding == FloatRounding.Nearest)
        {
            float x = BitConverter.UInt32BitsToSingle(a);
            float y = BitConverter.UInt32BitsToSingle(b ^ SignBit);
            float sum = x + y;
            if (IsSafeSum(sum) && (c.InexactIsSilent || IsExactSum(x, y, sum)))
            {
                return BitConverter.SingleToUInt32Bits(sum);
            }
        }

        return (uint)SoftSse.Subtract(FloatFormat.Binary32, a, b, ref c);
    }

    /// <summary>a * b.</summary>
    public static uint Multiply(uint a, uint b, ref FloatContext c)
    {
        if (Plain(a, b) && c.Rounding == FloatRounding.Nearest)
        {
            float x = BitConverter.UInt32BitsToSingle(a);
            float y = BitConverter.UInt32BitsToSingle(b);
            float product = x * y;
            if (IsSafe(product) && (c.InexactIsSilent || MathF.FusedMultiplyAdd(x, y, -product) == 0))
            {
                return BitConverter.SingleToUInt32Bits(product);
            }
        }

        return (uint)SoftSse.Multiply(FloatFormat.Binary32, a, b, ref c);
    }

    /// <summary>a / b.</summary>
    public static uint Divide(uint a, uint b, ref FloatContext c)
    {
        if (Plain(a, b) && c.Rounding == FloatRounding.Nearest)
        {
            float x = BitConverter.UInt32BitsToSingle(a);
            float y = BitConverter.UInt32BitsToSingle(b);
            float quotient = x / y;
            if (IsSafe(quotient) && IsSafe(x) && (c.InexactIsSilent || MathF.FusedMultiplyAdd(quotient, y, -x) == 0))
            {
                return BitConverter.SingleToUInt32Bits(quotient);
            }
        }

        return (uint)SoftSse.Divide(FloatFormat.Binary32, a, b, ref c);
    }

    /// <summary>The square root of a.</summary>
    public static uint SquareRoot(uint a, ref FloatContext c)
    {
        if (a >= SafeExponent && a < InfinityBits && c.Rounding == FloatRounding.Nearest)
        {
            float x = BitConverter.UInt32BitsToSingle(a);
            float root = MathF.Sqrt(x);
            if (c.InexactIsSilent || MathF.FusedMultiplyAdd(root, root, -x) == 0)
            {
                return BitConverter.SingleToUInt32Bits(root);
            }
        }

        return (uint)SoftSse.SquareRoot(FloatFormat.Binary32, a, ref c);
    }

    /// <summary>MIN: the lesser; b if both are zeros or either is a NaN.</summary>
    public static uint Min(uint a, uint b, ref FloatContext c)
    {
        if (Plain(a, b))
        {
            return BitConverter.UInt32BitsToSingle(a) < BitConverter.UInt32BitsToSingle(b) ? a : b;
        }

        return (uint)SoftSse.Min(FloatFormat.Binary32, a, b, ref c);
    }

    /// <summary>MAX: the greater; b if both are zeros or either is a NaN.</summary>
    public static uint Max(uint a, uint b, ref FloatContext c)
    {
        if (Plain(a, b))
        {
            return BitConverter.UInt32BitsToSingle(a) > BitConverter.UInt32BitsToSingle(b) ? a : b;
        }

        return (uint)SoftSse.Max(FloatFormat.Binary32, a, b, ref c);
    }

    /// <summary>Compares; quiet NaNs are IE only if <paramref name="signalling"/> (COMI, not UCOMI).</summary>
    public static FloatOrder Compare(uint a, uint b, bool signalling, ref FloatContext c)
    {
        if (Plain(a, b))
        {
            float x = BitConverter.UInt32BitsToSingle(a);
            float y = BitConverter.UInt32BitsToSingle(b);
            return x < y ? FloatOrder.Less : x > y ? FloatOrder.Greater : FloatOrder.Equal;
        }

        return SoftSse.Compare(FloatFormat.Binary32, a, b, signalling, ref c);
    }

    /// <summary>CMP with predicate <paramref name="imm"/>: all ones or zero.</summary>
    public static uint CompareMask(uint a, uint b, int imm, ref FloatContext c)
        => SsePredicate.Holds(imm, Compare(a, b, SsePredicate.IsSignalling(imm), ref c)) ? uint.MaxValue : 0;

    /// <summary>CVTSS2SD: to double precision.</summary>
    public static ulong ToBinary64(uint a, ref FloatContext c) => Plain(a)
        ? BitConverter.DoubleToUInt64Bits(BitConverter.UInt32BitsToSingle(a))
        : SoftSse.Convert(FloatFormat.Binary32, FloatFormat.Binary64, a, ref c);

    /// <summary>CVTSI2SS from 32 bits.</summary>
    public static uint FromInt32(int value, ref FloatContext c) => FromInt64(value, ref c);

    /// <summary>CVTSI2SS from 64 bits.</summary>
    public static uint FromInt64(long value, ref FloatContext c)
    {
        const long Limit = 1L << 24;
        return value is >= -Limit and <= Limit
            ? BitConverter.SingleToUInt32Bits(value)
            : (uint)SoftSse.FromInteger(FloatFormat.Binary32, value, ref c);
    }

    /// <summary>To 32 bits with the context's rounding (CVTSS2SI).</summary>
    public static int ToInt32(uint a, ref FloatContext c) => (int)ToInteger(a, 32, c.Rounding, ref c);

    /// <summary>To 64 bits with the context's rounding.</summary>
    public static long ToInt64(uint a, ref FloatContext c) => ToInteger(a, 64, c.Rounding, ref c);

    /// <summary>To 32 bits towards zero (CVTTSS2SI).</summary>
    public static int TruncateToInt32(uint a, ref FloatContext c) => (int)ToInteger(a, 32, FloatRounding.Truncate, ref c);

    /// <summary>To 64 bits towards zero.</summary>
    public static long TruncateToInt64(uint a, ref FloatContext c) => ToInteger(a, 64, FloatRounding.Truncate, ref c);

    /// <summary>To an integral value; <paramref name="reportInexact"/> is the inverse of bit 3 of the ROUND instructions' immediate.</summary>
    public static uint ToIntegral(uint a, FloatRounding rounding, bool reportInexact, ref FloatContext c)
    {
        if (!Plain(a))
        {
            return (uint)SoftSse.ToIntegral(FloatFormat.Binary32, a, rounding, reportInexact, ref c);
        }

        float value = BitConverter.UInt32BitsToSingle(a);
        float rounded = rounding switch
        {
            FloatRounding.Nearest => MathF.Round(value, MidpointRounding.ToEven),
            FloatRounding.Down => MathF.Floor(value),
            FloatRounding.Up => MathF.Ceiling(value),
            _ => MathF.Truncate(value),
        };
        if (rounded != value && reportInexact)
        {
            c.Raise(FloatFlags.PE);
        }

        return BitConverter.SingleToUInt32Bits(rounded) | (a & SignBit);
    }

    /// <summary>Finite, of an exponent from which neither rounding nor an error term reaches the subnormal range.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static bool IsSafe(float value)
        => (BitConverter.SingleToUInt32Bits(value) & ~SignBit) - SafeExponent < InfinityBits - SafeExponent;

    /// <summary>To <paramref name="bits"/> bits (32 or 64) with the given rounding.</summary>
    internal static long ToInteger(uint a, int bits, FloatRounding rounding, ref FloatContext c)
    {
        // |a| < 2^31: truncation cannot leave the range, and an integer needs no rounding at all.
        float value = BitConverter.UInt32BitsToSingle(a);
        if (value > -2147483648.0f && value < 2147483648.0f && Plain(a))
        {
            int truncated = (int)value;
            if (truncated == value || (rounding == FloatRounding.Truncate && (c.Sticky & c.Masks & FloatFlags.PE) != 0))
            {
                return truncated;
            }
        }

        return SoftSse.ToInteger(FloatFormat.Binary32, a, bits, rounding, ref c);
    }

    /// <summary>Zero or normal.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static bool Plain(uint a)
        => (a & ~SignBit) - LeastExponent < InfinityBits - LeastExponent || (a & ~SignBit) == 0;

    /// <summary>Both zero or normal.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static bool Plain(uint a, uint b) => Plain(a) && Plain(b);

    // A sum of normal numbers that comes out zero is exact.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool IsSafeSum(float sum) => sum == 0 || IsSafe(sum);

    // The error of a rounded sum is itself a float; these six operations find it (Knuth's two-sum).
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool IsExactSum(float x, float y, float sum)
    {
        float yPart = sum - x;
        float xPart = sum - yPart;
        return (x - xPart) + (y - yPart) == 0;
    }
}
