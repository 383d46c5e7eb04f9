using System.Numerics;

namespace Vmm.Cpu.Float;

/// <summary>A value taken apart: (-1)^Negative * Significand / 2^63 * 2^Exponent, with bit 63 of a finite number's significand set.</summary>
internal struct Unpacked
{
    /// <summary>Significand, left aligned; of a NaN, its payload below the integer bit.</summary>
    public ulong Significand;

    /// <summary>Unbiased exponent of a finite number.</summary>
    public int Exponent;

    /// <summary>What the encoding stands for.</summary>
    public FloatClass Class;

    /// <summary>Sign bit.</summary>
    public bool Negative;

    /// <summary>The source encoding was denormal or pseudo-denormal.</summary>
    public bool Denormal;

    /// <summary>Any NaN or unsupported encoding.</summary>
    public readonly bool IsNotNumber => Class >= FloatClass.QuietNaN;

    /// <summary>A number other than zero.</summary>
    public readonly bool IsFinite => Class == FloatClass.Finite;

    /// <summary>A zero.</summary>
    public readonly bool IsZero => Class == FloatClass.Zero;

    /// <summary>An infinity.</summary>
    public readonly bool IsInfinity => Class == FloatClass.Infinity;

    /// <summary>Takes an x87 register apart.</summary>
    public static Unpacked From(Float80 value)
    {
        Unpacked u = default;
        u.Negative = value.Negative;
        u.Significand = value.Significand;
        int biased = value.Biased;
        u.Exponent = biased - 0x3FFF;
        bool integer = (value.Significand & Float80.IntegerBit) != 0;
        if (biased == 0)
        {
            u.Exponent = -0x3FFE;
            u.SetDenormal();
        }
        else if (!integer)
        {
            u.Class = FloatClass.Unsupported;
        }
        else if (biased == 0x7FFF)
        {
            u.SetSpecial();
        }
        else
        {
            u.Class = FloatClass.Finite;
        }

        return u;
    }

    /// <summary>Takes a double apart; <paramref name="daz"/> reads denormals as zeros.</summary>
    public static Unpacked FromBinary64(ulong bits, bool daz = false)
        => From((bits >> 63) != 0, (int)(bits >> 52) & 0x7FF, bits << 12, 0x3FF, daz);

    /// <summary>Takes a float apart; <paramref name="daz"/> reads denormals as zeros.</summary>
    public static Unpacked FromBinary32(uint bits, bool daz = false)
        => From((bits >> 31) != 0, (int)(bits >> 23) & 0xFF, (ulong)bits << 41, 0x7F, daz);

    /// <summary>Takes the low bits of <paramref name="bits"/> apart as <paramref name="format"/>, one of the two interchange formats.</summary>
    public static Unpacked From(FloatFormat format, ulong bits, bool daz)
        => format.Precision == 53 ? FromBinary64(bits, daz) : FromBinary32((uint)bits, daz);

    /// <summary>An integer, exactly.</summary>
    public static Unpacked FromInteger(long value)
    {
        Unpacked u = default;
        if (value != 0)
        {
            u.Negative = value < 0;
            ulong magnitude = value < 0 ? 0UL - (ulong)value : (ulong)value;
            int shift = BitOperations.LeadingZeroCount(magnitude);
            u.Class = FloatClass.Finite;
            u.Significand = magnitude << shift;
            u.Exponent = 63 - shift;
        }

        return u;
    }

    private static Unpacked From(bool negative, int biased, ulong fraction, int bias, bool daz)
    {
        Unpacked u = default;
        u.Negative = negative;
        if (biased == 0)
        {
            if (!daz)
            {
                u.Significand = fraction >> 1;
                u.Exponent = 1 - bias;
                u.SetDenormal();
            }

            return u;
        }

        u.Significand = Float80.IntegerBit | (fraction >> 1);
        u.Exponent = biased - bias;
        u.Class = FloatClass.Finite;
        if (biased == (bias * 2) + 1)
        {
            u.SetSpecial();
        }

        return u;
    }

    private void SetSpecial()
        => Class = (Significand << 1) == 0 ? FloatClass.Infinity
            : (Significand & Float80.QuietBit) != 0 ? FloatClass.QuietNaN : FloatClass.SignallingNaN;

    private void SetDenormal()
    {
        if (Significand == 0)
        {
            Class = FloatClass.Zero;
            return;
        }

        Class = FloatClass.Finite;
        Denormal = true;
        int shift = BitOperations.LeadingZeroCount(Significand);
        Significand <<= shift;
        Exponent -= shift;
    }
}
