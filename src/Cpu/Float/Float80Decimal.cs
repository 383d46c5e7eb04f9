namespace Vmm.Cpu.Float;

/// <summary>Packed decimal of 18 digits and a sign (SDM vol. 1 §4.7).</summary>
internal readonly partial record struct Float80
{
    private const ulong LargestDecimal = 999_999_999_999_999_999;

    /// <summary>FBLD: two digits a byte, lowest first; the sign is bit 15 of <paramref name="top"/>, whose low byte holds the highest two.</summary>
    public static Float80 FromDecimal(ulong digits, ushort top)
    {
        long value = ((top >> 4) & 15) * 10 + (top & 15);
        for (int shift = 60; shift >= 0; shift -= 4)
        {
            value = (value * 10) + (long)((digits >> shift) & 15);
        }

        Float80 magnitude = FromInteger(value);
        return (top & 0x8000) != 0 ? magnitude.Negate() : magnitude;
    }

    /// <summary>FBSTP: rounded to an integer; out of range is IE and the packed decimal indefinite.</summary>
    public static ulong ToDecimal(Float80 value, out ushort top, ref FloatContext c)
    {
        Unpacked a = Unpacked.From(value);
        top = 0xFFFF;
        if (!a.IsZero && (!a.IsFinite || a.Exponent > 62))
        {
            c.Raise(FloatFlags.IE);
            return 0xC000UL << 48;
        }

        bool inexact = false;
        bool up = false;
        ulong magnitude = a.IsZero ? 0 : Conversion.Integral(a, c.Rounding, out inexact, out up);
        if (magnitude > LargestDecimal)
        {
            c.Raise(FloatFlags.IE);
            return 0xC000UL << 48;
        }

        if (inexact)
        {
            c.Raise(FloatFlags.PE);
            c.RoundedUp = up;
        }

        ulong digits = PackDigits(magnitude % 10_000_000_000_000_000);
        top = (ushort)(PackDigits(magnitude / 10_000_000_000_000_000) | (a.Negative ? 0x8000UL : 0));
        return digits;
    }

    private static ulong PackDigits(ulong value)
    {
        ulong packed = 0;
        for (int shift = 0; value != 0; shift += 4)
        {
            (value, ulong digit) = Math.DivRem(value, 10UL);
            packed |= digit << shift;
        }

        return packed;
    }
}
