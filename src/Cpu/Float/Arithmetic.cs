namespace Vmm.Cpu.Float;

/// <summary>The five operations on unpacked operands that are not NaNs, for every format (IEEE 754-2019 §5.4.1, SDM vol. 1 §4.9.1).</summary>
internal static class Arithmetic
{
    /// <summary>a + b.</summary>
    public static Encoded Add(FloatFormat format, in Unpacked a, in Unpacked b, ref FloatContext c)
    {
        if (a.IsInfinity || b.IsInfinity)
        {
            return AddInfinity(format, a, b, ref c);
        }

        if (c.RaiseDenormal(a.Denormal | b.Denormal))
        {
            return default;
        }

        if (a.IsZero || b.IsZero)
        {
            return AddZero(format, a, b, ref c);
        }

        bool swap = a.Exponent < b.Exponent || (a.Exponent == b.Exponent && a.Significand < b.Significand);
        return swap ? AddOrdered(format, b, a, ref c) : AddOrdered(format, a, b, ref c);
    }

    /// <summary>a * b.</summary>
    public static Encoded Multiply(FloatFormat format, in Unpacked a, in Unpacked b, ref FloatContext c)
    {
        bool negative = a.Negative ^ b.Negative;
        bool infinity = a.IsInfinity || b.IsInfinity;
        bool zero = a.IsZero || b.IsZero;
        if (infinity && zero)
        {
            return Invalid(format, ref c);
        }

        if (c.RaiseDenormal(a.Denormal | b.Denormal))
        {
            return default;
        }

        if (infinity)
        {
            return Encoded.Infinity(format, negative);
        }

        if (zero)
        {
            return Encoded.Zero(negative);
        }

        ulong hi = Math.BigMul(a.Significand, b.Significand, out ulong lo);
        int exponent = a.Exponent + b.Exponent + 1;
        if ((hi & Float80.IntegerBit) == 0)
        {
            hi = (hi << 1) | (lo >> 63);
            lo <<= 1;
            exponent--;
        }

        return Rounder.Round(format, ref c, negative, exponent, hi, lo);
    }

    /// <summary>a / b.</summary>
    public static Encoded Divide(FloatFormat format, in Unpacked a, in Unpacked b, ref FloatContext c)
    {
        bool negative = a.Negative ^ b.Negative;
        if ((a.IsInfinity && b.IsInfinity) || (a.IsZero && b.IsZero))
        {
            return Invalid(format, ref c);
        }

        if (b.IsZero && a.IsFinite)
        {
            c.Raise(FloatFlags.ZE);
            return Encoded.Infinity(format, negative);
        }

        if (c.RaiseDenormal(a.Denormal | b.Denormal))
        {
            return default;
        }

        if (a.IsInfinity)
        {
            return Encoded.Infinity(format, negative);
        }

        return a.IsZero || b.IsInfinity ? Encoded.Zero(negative) : DivideFinite(format, negative, a, b, ref c);
    }

    /// <summary>The square root of a.</summary>
    public static Encoded SquareRoot(FloatFormat format, in Unpacked a, ref FloatContext c)
    {
        if (a.IsZero)
        {
            return Encoded.Zero(a.Negative);
        }

        if (a.Negative)
        {
            return Invalid(format, ref c);
        }

        if (a.IsInfinity)
        {
            return Encoded.Infinity(format, false);
        }

        if (c.RaiseDenormal(a.Denormal))
        {
            return default;
        }

        bool odd = (a.Exponent & 1) != 0;
        ulong hi = odd ? a.Significand : a.Significand >> 1;
        ulong lo = odd ? 0 : a.Significand << 63;
        ulong root = Significands.SquareRoot(hi, lo, out UInt128 rest);

        // Against (root + 1/2)^2: the remainder is an integer, so it is never equal.
        ulong below = rest == 0 ? 0 : rest > root ? 3UL << 62 : 1UL << 62;
        return Rounder.Round(format, ref c, false, a.Exponent >> 1, root, below);
    }

    /// <summary>Raises IE and answers with the default NaN.</summary>
    public static Encoded Invalid(FloatFormat format, ref FloatContext c)
    {
        c.Raise(FloatFlags.IE);
        return Encoded.DefaultNaN(format);
    }

    // An operand that is itself the result still has to fit the destination.
    private static Encoded Fit(FloatFormat format, in Unpacked a, ref FloatContext c)
        => Rounder.Round(format, ref c, a.Negative, a.Exponent, a.Significand, 0);

    private static Encoded AddInfinity(FloatFormat format, in Unpacked a, in Unpacked b, ref FloatContext c)
    {
        if (a.IsInfinity && b.IsInfinity && a.Negative != b.Negative)
        {
            return Invalid(format, ref c);
        }

        return c.RaiseDenormal(a.Denormal | b.Denormal)
            ? default
            : Encoded.Infinity(format, a.IsInfinity ? a.Negative : b.Negative);
    }

    private static Encoded AddZero(FloatFormat format, in Unpacked a, in Unpacked b, ref FloatContext c)
    {
        if (a.IsZero && b.IsZero)
        {
            return Encoded.Zero(a.Negative == b.Negative ? a.Negative : c.Rounding == FloatRounding.Down);
        }

        return a.IsZero ? Fit(format, b, ref c) : Fit(format, a, ref c);
    }

    private static Encoded AddOrdered(FloatFormat format, in Unpacked a, in Unpacked b, ref FloatContext c)
    {
        ulong hi = b.Significand;
        ulong lo = 0;
        Significands.ShiftRightSticky(ref hi, ref lo, a.Exponent - b.Exponent);
        return a.Negative == b.Negative
            ? AddMagnitudes(format, a, hi, lo, ref c)
            : SubtractMagnitudes(format, a, hi, lo, ref c);
    }

    private static Encoded AddMagnitudes(FloatFormat format, in Unpacked a, ulong hi, ulong lo, ref FloatContext c)
    {
        hi += a.Significand;
        int exponent = a.Exponent;
        if (hi < a.Significand)
        {
            Significands.ShiftRightSticky(ref hi, ref lo, 1);
            hi |= Float80.IntegerBit;
            exponent++;
        }

        return Rounder.Round(format, ref c, a.Negative, exponent, hi, lo);
    }

    private static Encoded SubtractMagnitudes(FloatFormat format, in Unpacked a, ulong hi, ulong lo, ref FloatContext c)
    {
        UInt128 difference = new UInt128(a.Significand, 0) - new UInt128(hi, lo);
        if (difference == 0)
        {
            return Encoded.Zero(c.Rounding == FloatRounding.Down);
        }

        int shift = (int)UInt128.LeadingZeroCount(difference);
        difference <<= shift;
        return Rounder.Round(
            format, ref c, a.Negative, a.Exponent - shift, (ulong)(difference >> 64), (ulong)difference);
    }

    private static Encoded DivideFinite(
        FloatFormat format, bool negative, in Unpacked a, in Unpacked b, ref FloatContext c)
    {
        bool less = a.Significand < b.Significand;
        ulong hi = less ? a.Significand : a.Significand >> 1;
        ulong lo = less ? 0 : a.Significand << 63;
        ulong quotient = Significands.Divide(hi, lo, b.Significand, out ulong rest);
        int exponent = a.Exponent - b.Exponent - (less ? 1 : 0);

        // Below the last bit only nothing, less than half, half, or more than half matters.
        ulong other = b.Significand - rest;
        ulong below = rest == 0 ? 0 : rest < other ? 1UL << 62 : rest == other ? 1UL << 63 : 3UL << 62;
        return Rounder.Round(format, ref c, negative, exponent, quotient, below);
    }
}
