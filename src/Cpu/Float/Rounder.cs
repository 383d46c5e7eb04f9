namespace Vmm.Cpu.Float;

/// <summary>Rounds exact or sticky results into a format and raises OE, UE and PE (SDM vol. 1 §4.9.1.4 to §4.9.1.6).</summary>
internal static class Rounder
{
    // What an unmasked overflow or underflow moves an extended exponent by, to bring it back into range.
    private const int WrapExponent = 24576;

    /// <summary>Rounds (-1)^negative * hi:lo / 2^127 * 2^exponent, bit 127 set, into <paramref name="format"/>.</summary>
    /// <param name="format">Destination; x87 registers also obey the context's precision control.</param>
    /// <param name="c">Modes and flags.</param>
    /// <param name="negative">Sign.</param>
    /// <param name="exponent">Exponent of bit 127.</param>
    /// <param name="hi">Upper half of the significand.</param>
    /// <param name="lo">Lower half; its last bits may be sticky.</param>
    public static Encoded Round(FloatFormat format, ref FloatContext c, bool negative, int exponent, ulong hi, ulong lo)
        => Round(format, format.IsExtended ? c.Precision : format.Precision, ref c, negative, exponent, hi, lo);

    /// <summary>The same to an explicit count of significand bits.</summary>
    public static Encoded Round(
        FloatFormat format, int precision, ref FloatContext c, bool negative, int exponent, ulong hi, ulong lo)
    {
        int drop = 64 - precision;
        bool inexact = RoundAt(drop, c.Rounding, negative, hi, lo, out ulong rounded, out bool up);
        int normal = exponent;
        if (rounded == 0)
        {
            rounded = Float80.IntegerBit;
            normal++;
        }

        if (exponent < format.MinExponent)
        {
            bool tiny = normal < format.MinExponent;
            if (!tiny || (c.Masks & FloatFlags.UE) != 0)
            {
                return RoundDenormal(format, drop, ref c, negative, exponent, hi, lo, tiny);
            }

            c.Raise(FloatFlags.UE);
            normal += WrapExponent;
        }
        else if (normal > format.Bias)
        {
            if ((c.Masks & FloatFlags.OE) != 0)
            {
                return Overflow(format, precision, ref c, negative);
            }

            c.Raise(FloatFlags.OE);
            normal -= WrapExponent;
        }

        if (normal < format.MinExponent || normal > format.Bias)
        {
            return BeyondRange(format, ref c, negative, normal > 0, inexact);
        }

        return Finish(format, ref c, negative, normal, rounded, inexact, up);
    }

    /// <summary>Rounds the 128-bit significand to hi without its last <paramref name="drop"/> bits; a carry out leaves 0. True when inexact.</summary>
    public static bool RoundAt(
        int drop, FloatRounding mode, bool negative, ulong hi, ulong lo, out ulong rounded, out bool up)
    {
        ulong unit = 1UL << drop;
        ulong rest = hi & (unit - 1);
        bool half;
        bool below;
        if (drop == 0)
        {
            half = (lo >> 63) != 0;
            below = (lo << 1) != 0;
        }
        else
        {
            half = (rest & (unit >> 1)) != 0;
            below = ((rest & ((unit >> 1) - 1)) | lo) != 0;
        }

        bool inexact = half | below;
        up = Increments(mode, negative, half, below, (hi & unit) != 0);
        rounded = hi - rest + (up ? unit : 0);
        return inexact;
    }

    /// <summary>Whether the magnitude goes up, given the first bit lost, whether any lower one is set, and the last bit kept.</summary>
    public static bool Increments(FloatRounding mode, bool negative, bool half, bool below, bool odd) => mode switch
    {
        FloatRounding.Nearest => half && (below || odd),
        FloatRounding.Down => negative && (half || below),
        FloatRounding.Up => !negative && (half || below),
        _ => false,
    };

    private static Encoded Finish(
        FloatFormat format, ref FloatContext c, bool negative, int exponent, ulong significand, bool inexact, bool up)
    {
        if (inexact)
        {
            c.Raise(FloatFlags.PE);
            c.RoundedUp = up;
        }

        return new(negative, exponent + format.Bias, significand);
    }

    // Unmasked, and still out of range: a memory or SSE destination, which is not written, or FSCALE far beyond what rescaling mends.
    private static Encoded BeyondRange(FloatFormat format, ref FloatContext c, bool negative, bool large, bool inexact)
    {
        if (inexact || format.IsExtended)
        {
            c.Raise(FloatFlags.PE);
            c.RoundedUp = large;
        }

        return large ? Encoded.Infinity(format, negative) : Encoded.Zero(negative);
    }

    private static Encoded RoundDenormal(
        FloatFormat format, int drop, ref FloatContext c, bool negative, int exponent, ulong hi, ulong lo, bool tiny)
    {
        if (tiny && c.FTZ)
        {
            c.Raise(FloatFlags.UE | FloatFlags.PE);
            return Encoded.Zero(negative);
        }

        Significands.ShiftRightSticky(ref hi, ref lo, format.MinExponent - exponent);
        bool inexact = RoundAt(drop, c.Rounding, negative, hi, lo, out ulong rounded, out bool up);
        if (inexact)
        {
            c.Raise(tiny ? FloatFlags.UE | FloatFlags.PE : FloatFlags.PE);
            c.RoundedUp = up;
        }

        return new(negative, (rounded & Float80.IntegerBit) != 0 ? 1 : 0, rounded);
    }

    private static Encoded Overflow(FloatFormat format, int precision, ref FloatContext c, bool negative)
    {
        c.Raise(FloatFlags.OE | FloatFlags.PE);
        bool toInfinity = Increments(c.Rounding, negative, half: true, below: true, odd: true);
        c.RoundedUp = toInfinity;
        return toInfinity
            ? Encoded.Infinity(format, negative)
            : new(negative, format.MaxBiased - 1, ulong.MaxValue << (64 - precision));
    }
}
