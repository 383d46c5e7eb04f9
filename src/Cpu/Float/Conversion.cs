namespace Vmm.Cpu.Float;

/// <summary>Conversions between formats and to integers (SDM vol. 1 §4.8.4, §11.4.1.6).</summary>
internal static class Conversion
{
    /// <summary>To another format: exact, or rounded with OE, UE and PE; IE for signalling NaNs, DE for denormals.</summary>
    public static Encoded ToFormat(FloatFormat format, in Unpacked a, bool reportDenormal, ref FloatContext c)
    {
        if (a.IsNotNumber)
        {
            return NaNs.Single(format, a, ref c);
        }

        if (c.RaiseDenormal(reportDenormal & a.Denormal))
        {
            return default;
        }

        return a.IsZero ? Encoded.Zero(a.Negative)
            : a.IsInfinity ? Encoded.Infinity(format, a.Negative)
            : Rounder.Round(format, format.Precision, ref c, a.Negative, a.Exponent, a.Significand, 0);
    }

    /// <summary>To a signed integer of <paramref name="bits"/> bits; out of range is IE and the integer indefinite (SDM vol. 1 §4.2.1).</summary>
    public static long ToInteger(in Unpacked a, int bits, FloatRounding rounding, ref FloatContext c)
    {
        long indefinite = long.MinValue >> (64 - bits);
        if (a.IsZero)
        {
            return 0;
        }

        if (!a.IsFinite || a.Exponent > 63)
        {
            c.Raise(FloatFlags.IE);
            return indefinite;
        }

        ulong magnitude = Integral(a, rounding, out bool inexact, out bool up);
        ulong limit = (1UL << (bits - 1)) - (a.Negative ? 0UL : 1UL);
        if (magnitude > limit)
        {
            c.Raise(FloatFlags.IE);
            return indefinite;
        }

        if (inexact)
        {
            c.Raise(FloatFlags.PE);
            c.RoundedUp = up;
        }

        return a.Negative ? (long)(0UL - magnitude) : (long)magnitude;
    }

    /// <summary>To an integral value of the same format.</summary>
    /// <param name="format">Format of source and result.</param>
    /// <param name="a">Source.</param>
    /// <param name="rounding">Rounding to use.</param>
    /// <param name="reportInexact">Whether a changed value is PE.</param>
    /// <param name="c">Flags.</param>
    public static Encoded ToIntegral(
        FloatFormat format, in Unpacked a, FloatRounding rounding, bool reportInexact, ref FloatContext c)
    {
        if (a.IsNotNumber)
        {
            return NaNs.Single(format, a, ref c);
        }

        if (!a.IsFinite)
        {
            return a.IsZero ? Encoded.Zero(a.Negative) : Encoded.Infinity(format, a.Negative);
        }

        if (a.Exponent >= 63)
        {
            return new(a.Negative, a.Exponent + format.Bias, a.Significand);
        }

        ulong magnitude = Integral(a, rounding, out bool inexact, out bool up);
        if (inexact && reportInexact)
        {
            c.Raise(FloatFlags.PE);
            c.RoundedUp = up;
        }

        if (magnitude == 0)
        {
            return Encoded.Zero(a.Negative);
        }

        int shift = System.Numerics.BitOperations.LeadingZeroCount(magnitude);
        return new(a.Negative, 63 - shift + format.Bias, magnitude << shift);
    }

    /// <summary>Magnitude of a finite value below 2^64 rounded to an integer.</summary>
    public static ulong Integral(in Unpacked a, FloatRounding rounding, out bool inexact, out bool up)
    {
        ulong hi = a.Significand;
        ulong lo = 0;
        Significands.ShiftRightSticky(ref hi, ref lo, 63 - a.Exponent);
        inexact = Rounder.RoundAt(0, rounding, a.Negative, hi, lo, out ulong rounded, out up);
        return rounded;
    }
}
