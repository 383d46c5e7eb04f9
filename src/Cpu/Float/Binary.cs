global using Binary32 = Vmm.Cpu.Float.Binary<float, uint>;
global using Binary64 = Vmm.Cpu.Float.Binary<double, ulong>;

using System.Numerics;
using System.Runtime.CompilerServices;

namespace Vmm.Cpu.Float;

/// <summary>Scalar operations of SSE and SSE2 on raw bits.</summary>
/// <typeparam name="TFloat">The host's type of the format: float or double.</typeparam>
/// <typeparam name="TBits">Its bits: uint or ulong.</typeparam>
/// <remarks>
/// Host arithmetic is used where IEEE 754 leaves it no choice: to nearest, operands zero or normal, result zero by
/// exact rule or safely normal, and PE either sticky and masked already or excluded by an exact error term.
/// Everything else takes the software path.
/// </remarks>
internal static unsafe class Binary<TFloat, TBits>
    where TFloat : unmanaged, IBinaryFloatingPointIeee754<TFloat>
    where TBits : unmanaged, IBinaryInteger<TBits>
{
    static int FractionBits => sizeof(TFloat) == 4 ? 23 : 52;

    static FloatFormat Format => sizeof(TFloat) == 4 ? FloatFormat.Binary32 : FloatFormat.Binary64;

    // Bits are compared as 64 bits in both formats: one set of operators, which the JIT folds.
    static ulong SignBit
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => sizeof(TFloat) == 4 ? 1ul << 31 : 1ul << 63;
    }

    static ulong LeastExponent
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => sizeof(TFloat) == 4 ? 1ul << 23 : 1ul << 52;
    }

    static ulong InfinityBits
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => sizeof(TFloat) == 4 ? 0xFFul << 23 : 0x7FFul << 52;
    }

    // Above this exponent neither a result nor the error term of a product can have met the subnormal range.
    static ulong SafeExponent
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => sizeof(TFloat) == 4 ? 56ul << 23 : 114ul << 52;
    }

    /// <summary>a + b.</summary>
    public static TBits Add(TBits a, TBits b, ref FloatContext c) =>
        TrySum(a, b, ref c, out var sum) ? sum : Narrow(SoftSse.Add(Format, Wide(a), Wide(b), ref c));

    /// <summary>a - b.</summary>
    public static TBits Subtract(TBits a, TBits b, ref FloatContext c) =>
        TrySum(a, Narrow(Wide(b) ^ SignBit), ref c, out var sum) ? sum : Narrow(SoftSse.Subtract(Format, Wide(a), Wide(b), ref c));

    /// <summary>a * b.</summary>
    public static TBits Multiply(TBits a, TBits b, ref FloatContext c)
    {
        if (Plain(a, b) && c.Rounding == FloatRounding.Nearest)
        {
            var (x, y) = (Value(a), Value(b));
            var product = x * y;
            if (IsSafe(product) && (c.InexactIsSilent || TFloat.FusedMultiplyAdd(x, y, -product) == TFloat.Zero))
            {
                return Bits(product);
            }
        }

        return Narrow(SoftSse.Multiply(Format, Wide(a), Wide(b), ref c));
    }

    /// <summary>a / b.</summary>
    public static TBits Divide(TBits a, TBits b, ref FloatContext c)
    {
        if (Plain(a, b) && c.Rounding == FloatRounding.Nearest)
        {
            var (x, y) = (Value(a), Value(b));
            var quotient = x / y;
            if (IsSafe(quotient) && IsSafe(x) && (c.InexactIsSilent || TFloat.FusedMultiplyAdd(quotient, y, -x) == TFloat.Zero))
            {
                return Bits(quotient);
            }
        }

        return Narrow(SoftSse.Divide(Format, Wide(a), Wide(b), ref c));
    }

    /// <summary>The square root of a.</summary>
    public static TBits SquareRoot(TBits a, ref FloatContext c)
    {
        if (Wide(a) >= SafeExponent && Wide(a) < InfinityBits && c.Rounding == FloatRounding.Nearest)
        {
            var x = Value(a);
            var root = TFloat.Sqrt(x);
            if (c.InexactIsSilent || TFloat.FusedMultiplyAdd(root, root, -x) == TFloat.Zero)
            {
                return Bits(root);
            }
        }

        return Narrow(SoftSse.SquareRoot(Format, Wide(a), ref c));
    }

    /// <summary>MIN: the lesser; b if both are zeros or either is a NaN.</summary>
    public static TBits Min(TBits a, TBits b, ref FloatContext c) =>
        Plain(a, b) ? Value(a) < Value(b) ? a : b : Narrow(SoftSse.Min(Format, Wide(a), Wide(b), ref c));

    /// <summary>MAX: the greater; b if both are zeros or either is a NaN.</summary>
    public static TBits Max(TBits a, TBits b, ref FloatContext c) =>
        Plain(a, b) ? Value(a) > Value(b) ? a : b : Narrow(SoftSse.Max(Format, Wide(a), Wide(b), ref c));

    /// <summary>Compares; quiet NaNs are IE only if <paramref name="signalling"/> (COMI, not UCOMI).</summary>
    public static FloatOrder Compare(TBits a, TBits b, bool signalling, ref FloatContext c)
    {
        if (Plain(a, b))
        {
            var (x, y) = (Value(a), Value(b));
            return x < y ? FloatOrder.Less : x > y ? FloatOrder.Greater : FloatOrder.Equal;
        }

        return SoftSse.Compare(Format, Wide(a), Wide(b), signalling, ref c);
    }

    /// <summary>CMP with predicate <paramref name="imm"/>: all ones or zero.</summary>
    public static TBits CompareMask(TBits a, TBits b, int imm, ref FloatContext c) =>
        SsePredicate.Holds(imm, Compare(a, b, SsePredicate.IsSignalling(imm), ref c)) ? ~TBits.Zero : TBits.Zero;

    /// <summary>CVTSI2SS and CVTSI2SD.</summary>
    public static TBits FromInteger(long value, ref FloatContext c)
    {
        var limit = 1L << FractionBits + 1;
        return value >= -limit && value <= limit ? FromExact(value) : Narrow(SoftSse.FromInteger(Format, value, ref c));
    }

    /// <summary>An integer that the format has.</summary>
    public static TBits FromExact(long value) =>
        sizeof(TFloat) == 4 ? Unsafe.BitCast<float, TBits>(value) : Unsafe.BitCast<double, TBits>(value);

    /// <summary>To 32 bits with the context's rounding (CVTSS2SI, CVTSD2SI).</summary>
    public static int ToInt32(TBits a, ref FloatContext c) => (int)ToInteger(a, 32, c.Rounding, ref c);

    /// <summary>To 64 bits with the context's rounding.</summary>
    public static long ToInt64(TBits a, ref FloatContext c) => ToInteger(a, 64, c.Rounding, ref c);

    /// <summary>To 32 bits towards zero (CVTTSS2SI, CVTTSD2SI).</summary>
    public static int TruncateToInt32(TBits a, ref FloatContext c) => (int)ToInteger(a, 32, FloatRounding.Truncate, ref c);

    /// <summary>To 64 bits towards zero.</summary>
    public static long TruncateToInt64(TBits a, ref FloatContext c) => ToInteger(a, 64, FloatRounding.Truncate, ref c);

    /// <summary>To an integral value; <paramref name="reportInexact"/> is the inverse of bit 3 of the ROUND instructions' immediate.</summary>
    public static TBits ToIntegral(TBits a, FloatRounding rounding, bool reportInexact, ref FloatContext c)
    {
        if (!Plain(a))
        {
            return Narrow(SoftSse.ToIntegral(Format, Wide(a), rounding, reportInexact, ref c));
        }

        var value = Value(a);
        var rounded = rounding switch
        {
            FloatRounding.Nearest => TFloat.Round(value, MidpointRounding.ToEven),
            FloatRounding.Down => TFloat.Floor(value),
            FloatRounding.Up => TFloat.Ceiling(value),
            _ => TFloat.Truncate(value),
        };
        if (rounded != value && reportInexact)
        {
            c.Raise(FloatFlags.PE);
        }

        return Narrow(Wide(Bits(rounded)) | (Wide(a) & SignBit));
    }

    /// <summary>To <paramref name="bits"/> bits (32 or 64) with the given rounding.</summary>
    internal static long ToInteger(TBits a, int bits, FloatRounding rounding, ref FloatContext c)
    {
        // |a| < 2^31: truncation cannot leave the range, and an integer needs no rounding at all. A float is a double, too.
        var value = sizeof(TFloat) == 4 ? Unsafe.BitCast<TBits, float>(a) : Unsafe.BitCast<TBits, double>(a);
        if (value > -2147483648.0 && value < 2147483648.0 && Plain(a))
        {
            var truncated = (int)value;
            if (truncated == value || (rounding == FloatRounding.Truncate && (c.Sticky & c.Masks & FloatFlags.PE) != 0))
            {
                return truncated;
            }
        }

        return SoftSse.ToInteger(Format, Wide(a), bits, rounding, ref c);
    }

    /// <summary>Finite, of an exponent from which neither rounding nor an error term reaches the subnormal range.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static bool IsSafe(TFloat value) => Magnitude(Bits(value)) - SafeExponent < InfinityBits - SafeExponent;

    /// <summary>Zero or normal.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static bool Plain(TBits a) => Magnitude(a) - LeastExponent < InfinityBits - LeastExponent || Magnitude(a) == 0;

    /// <summary>Both zero or normal.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static bool Plain(TBits a, TBits b) => Plain(a) && Plain(b);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static bool TrySum(TBits a, TBits b, ref FloatContext c, out TBits result)
    {
        if (Plain(a, b) && c.Rounding == FloatRounding.Nearest)
        {
            var (x, y) = (Value(a), Value(b));
            var sum = x + y;
            if (IsSafeSum(sum) && (c.InexactIsSilent || IsExactSum(x, y, sum)))
            {
                result = Bits(sum);
                return true;
            }
        }

        result = default;
        return false;
    }

    // A sum of normal numbers that comes out zero is exact.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static bool IsSafeSum(TFloat sum) => sum == TFloat.Zero || IsSafe(sum);

    // The error of a rounded sum is itself a number of the format; these six operations find it (Knuth's two-sum).
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static bool IsExactSum(TFloat x, TFloat y, TFloat sum)
    {
        var yPart = sum - x;
        var xPart = sum - yPart;
        return (x - xPart) + (y - yPart) == TFloat.Zero;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static TFloat Value(TBits bits) => Unsafe.BitCast<TBits, TFloat>(bits);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static TBits Bits(TFloat value) => Unsafe.BitCast<TFloat, TBits>(value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static ulong Magnitude(TBits bits) => Wide(bits) & ~SignBit;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static ulong Wide(TBits bits) => sizeof(TFloat) == 4 ? Unsafe.BitCast<TBits, uint>(bits) : Unsafe.BitCast<TBits, ulong>(bits);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static TBits Narrow(ulong bits) => sizeof(TFloat) == 4 ? Unsafe.BitCast<uint, TBits>((uint)bits) : Unsafe.BitCast<ulong, TBits>(bits);
}

/// <summary>From one format to the other.</summary>
internal static class BinaryConversion
{
    /// <summary>CVTSS2SD: to double precision.</summary>
    public static ulong ToBinary64(uint a, ref FloatContext c) => Binary32.Plain(a)
        ? BitConverter.DoubleToUInt64Bits(BitConverter.UInt32BitsToSingle(a))
        : SoftSse.Convert(FloatFormat.Binary32, FloatFormat.Binary64, a, ref c);

    /// <summary>CVTSD2SS: to single precision.</summary>
    public static uint ToBinary32(ulong a, ref FloatContext c)
    {
        if (Binary64.Plain(a) && c.Rounding == FloatRounding.Nearest)
        {
            var value = BitConverter.UInt64BitsToDouble(a);
            var rounded = (float)value;
            if ((rounded == value || c.InexactIsSilent) && Binary32.IsSafe(rounded))
            {
                return BitConverter.SingleToUInt32Bits(rounded);
            }
        }

        return (uint)SoftSse.Convert(FloatFormat.Binary64, FloatFormat.Binary32, a, ref c);
    }
}
