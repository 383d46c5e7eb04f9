using System.Runtime.CompilerServices;

namespace Vmm.Cpu.Float;

/// <summary>Scalar double precision operations of SSE2 on raw bits.</summary>
/// <remarks>
/// Host arithmetic is used where IEEE 754 leaves it no choice: to nearest, operands zero or normal, result zero by
/// exact rule or safely normal, and PE either sticky and masked already or excluded by an exact error term.
/// Everything else takes the software path.
/// </remarks>
internal static class Binary64
{
    private const ulong SignBit = 1UL << 63;
    private const ulong LeastExponent = 1UL << 52;
    private const ulong InfinityBits = ((ulong)0x7FF) << 52;

    // Above this exponent neither a result nor the error term of a product can have met the subnormal range.
    private const ulong SafeExponent = ((ulong)114) << 52;

    /// <summary>a + b.</summary>
    public static ulong Add(ulong a, ulong b, ref FloatContext c)
    {
        if (Plain(a, b) && c.Rounding == FloatRounding.Nearest)
        {
            double x = BitConverter.UInt64BitsToDouble(a);
            double y = BitConverter.UInt64BitsToDouble(b);
            double sum = x + y;
            if (IsSafeSum(sum) && (c.InexactIsSilent || IsExactSum(x, y, sum)))
            {
                return BitConverter.DoubleToUInt64Bits(sum);
            }
        }

        return SoftSse.Add(FloatFormat.Binary64, a, b, ref c);
    }

    /// <summary>a - b.</summary>
    public static ulong Subtract(ulong a, ulong b, ref FloatContext c)
    {
        if (Plain(a, b) && c.Rounding == FloatRounding.Nearest)
        {
            double x = BitConverter.UInt64BitsToDouble(a);
            double y = BitConverter.UInt64BitsToDouble(b ^ SignBit);
            double sum = x + y;
            if (IsSafeSum(sum) && (c.InexactIsSilent || IsExactSum(x, y, sum)))
            {
                return BitConverter.DoubleToUInt64Bits(sum);
            }
        }

        return SoftSse.Subtract(FloatFormat.Binary64, a, b, ref c);
    }

    /// <summary>a * b.</summary>
    public static ulong Multiply(ulong a, ulong b, ref FloatContext c)
    {
        if (Plain(a, b) && c.Rounding == FloatRounding.Nearest)
        {
            double x = BitConverter.UInt64BitsToDouble(a);
            double y = BitConverter.UInt64BitsToDouble(b);
            double product = x * y;
            if (IsSafe(product) && (c.InexactIsSilent || Math.FusedMultiplyAdd(x, y, -product) == 0))
            {
                return BitConverter.DoubleToUInt64Bits(product);
            }
        }

        return SoftSse.Multiply(FloatFormat.Binary64, a, b, ref c);
    }

    /// <summary>a / b.</summary>
    public static ulong Divide(ulong a, ulong b, ref FloatContext c)
    {
        if (Plain(a, b) && c.Rounding == FloatRounding.Nearest)
        {
            double x = BitConverter.UInt64BitsToDouble(a);
            double y = BitConverter.UInt64BitsToDouble(b);
            double quotient = x / y;
            if (IsSafe(quotient) && IsSafe(x) && (c.InexactIsSilent || Math.FusedMultiplyAdd(quotient, y, -x) == 0))
            {
                return BitConverter.DoubleToUInt64Bits(quotient);
            }
        }

        return SoftSse.Divide(FloatFormat.Binary64, a, b, ref c);
    }

    /// <summary>The square root of a.</summary>
    public static ulong SquareRoot(ulong a, ref FloatContext c)
    {
        if (a >= SafeExponent && a < InfinityBits && c.Rounding == FloatRounding.Nearest)
        {
            double x = BitConverter.UInt64BitsToDouble(a);
            double root = Math.Sqrt(x);
            if (c.InexactIsSilent || Math.FusedMultiplyAdd(root, root, -x) == 0)
            {
                return BitConverter.DoubleToUInt64Bits(root);
            }
        }

        return SoftSse.SquareRoot(FloatFormat.Binary64, a, ref c);
    }

    /// <summary>MIN: the lesser; b if both are zeros or either is a NaN.</summary>
    public static ulong Min(ulong a, ulong b, ref FloatContext c)
    {
        if (Plain(a, b))
        {
            return BitConverter.UInt64BitsToDouble(a) < BitConverter.UInt64BitsToDouble(b) ? a : b;
        }

        return SoftSse.Min(FloatFormat.Binary64, a, b, ref c);
    }

    /// <summary>MAX: the greater; b if both are zeros or either is a NaN.</summary>
    public static ulong Max(ulong a, ulong b, ref FloatContext c)
    {
        if (Plain(a, b))
        {
            return BitConverter.UInt64BitsToDouble(a) > BitConverter.UInt64BitsToDouble(b) ? a : b;
        }

        return SoftSse.Max(FloatFormat.Binary64, a, b, ref c);
    }

    /// <summary>Compares; quiet NaNs are IE only if <paramref name="signalling"/> (COMI, not UCOMI).</summary>
    public static FloatOrder Compare(ulong a, ulong b, bool signalling, ref FloatContext c)
    {
        if (Plain(a, b))
        {
            double x = BitConverter.UInt64BitsToDouble(a);
            double y = BitConverter.UInt64BitsToDouble(b);
            return x < y ? FloatOrder.Less : x > y ? FloatOrder.Greater : FloatOrder.Equal;
        }

        return SoftSse.Compare(FloatFormat.Binary64, a, b, signalling, ref c);
    }

    /// <summary>CMP with predicate <paramref name="imm"/>: all ones or zero.</summary>
    public static ulong CompareMask(ulong a, ulong b, int imm, ref FloatContext c)
        => SsePredicate.Holds(imm, Compare(a, b, SsePredicate.IsSignalling(imm), ref c)) ? ulong.MaxValue : 0;

    /// <summary>CVTSD2SS: to single precision.</summary>
    public static uint ToBinary32(ulong a, ref FloatContext c)
    {
        if (Plain(a) && c.Rounding == FloatRounding.Nearest)
        {
            double value = BitConverter.UInt64BitsToDouble(a);
            float rounded = (float)value;
            if ((rounded == value || c.InexactIsSilent) && Binary32.IsSafe(rounded))
            {
                return BitConverter.SingleToUInt32Bits(rounded);
            }
        }

        return (uint)SoftSse.Convert(FloatFormat.Binary64, FloatFormat.Binary32, a, ref c);
    }

    /// <summary>CVTSI2SD from 32 bits: always exact.</summary>
    public static ulong FromInt32(int value) => BitConverter.DoubleToUInt64Bits(value);

    /// <summary>CVTSI2SD from 64 bits.</summary>
    public static ulong FromInt64(long value, ref FloatContext c)
    {
        const long Limit = 1L << 53;
        return value is >= -Limit and <= Limit
            ? BitConverter.DoubleToUInt64Bits(value)
            : SoftSse.FromInteger(FloatFormat.Binary64, value, ref c);
    }

    /// <summary>To 32 bits with the context's rounding (CVTSD2SI).</summary>
    public static int ToInt32(ulong a, ref FloatContext c) => (int)ToInteger(a, 32, c.Rounding, ref c);

    /// <summary>To 64 bits with the context's rounding.</summary>
    public static long ToInt64(ulong a, ref FloatContext c) => ToInteger(a, 64, c.Rounding, ref c);

    /// <summary>To 32 bits towards zero (CVTTSD2SI).</summary>
    public static int TruncateToInt32(ulong a, ref FloatContext c) => (int)ToInteger(a, 32, FloatRounding.Truncate, ref c);

    /// <summary>To 64 bits towards zero.</summary>
    public static long TruncateToInt64(ulong a, ref FloatContext c) => ToInteger(a, 64, FloatRounding.Truncate, ref c);

    /// <summary>To an integral value; <paramref name="reportInexact"/> is the inverse of bit 3 of the ROUND instructions' immediate.</summary>
    public static ulong ToIntegral(ulong a, FloatRounding rounding, bool reportInexact, ref FloatContext c)
    {
        if (!Plain(a))
        {
            return SoftSse.ToIntegral(FloatFormat.Binary64, a, rounding, reportInexact, ref c);
        }

        double value = BitConverter.UInt64BitsToDouble(a);
        double rounded = rounding switch
        {
            FloatRounding.Nearest => Math.Round(value, MidpointRounding.ToEven),
            FloatRounding.Down => Math.Floor(value),
            FloatRounding.Up => Math.Ceiling(value),
            _ => Math.Truncate(value),
        };
        if (rounded != value && reportInexact)
        {
            c.Raise(FloatFlags.PE);
        }

        return BitConverter.DoubleToUInt64Bits(rounded) | (a & SignBit);
    }

    /// <summary>Finite, of an exponent from which neither rounding nor an error term reaches the subnormal range.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static bool IsSafe(double value)
        => (BitConverter.DoubleToUInt64Bits(value) & ~SignBit) - SafeExponent < InfinityBits - SafeExponent;

    /// <summary>To <paramref name="bits"/> bits (32 or 64) with the given rounding.</summary>
    internal static long ToInteger(ulong a, int bits, FloatRounding rounding, ref FloatContext c)
    {
        // |a| < 2^31: truncation cannot leave the range, and an integer needs no rounding at all.
        double value = BitConverter.UInt64BitsToDouble(a);
        if (value > -2147483648.0 && value < 2147483648.0 && Plain(a))
        {
            int truncated = (int)value;
            if (truncated == value || (rounding == FloatRounding.Truncate && (c.Sticky & c.Masks & FloatFlags.PE) != 0))
            {
                return truncated;
            }
        }

        return SoftSse.ToInteger(FloatFormat.Binary64, a, bits, rounding, ref c);
    }

    /// <summary>Zero or normal.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static bool Plain(ulong a)
        => (a & ~SignBit) - LeastExponent < InfinityBits - LeastExponent || (a & ~SignBit) == 0;

    /// <summary>Both zero or normal.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static bool Plain(ulong a, ulong b) => Plain(a) && Plain(b);

    // A sum of normal numbers that comes out zero is exact.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool IsSafeSum(double sum) => sum == 0 || IsSafe(sum);

    // The error of a rounded sum is itself a double; these six operations find it (Knuth's two-sum).
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool IsExactSum(double x, double y, double sum)
    {
        double yPart = sum - x;
        double xPart = sum - yPart;
        return (x - xPart) + (y - yPart) == 0;
    }
}
