namespace Vmm.Cpu.Float;

/// <summary>x87 loads, stores and rounding to integers.</summary>
internal readonly partial record struct Float80
{
    /// <summary>FLD m32fp, FLD m64fp: exact; IE for a signalling NaN. DE for a denormal, which is loaded even when that is unmasked.</summary>
    public static Float80 FromUnpacked(in Unpacked a, ref FloatContext c)
    {
        c.RaiseDenormal(a.Denormal);
        return a.IsNotNumber ? NaNs.Single(Format, a, ref c).ToFloat80()
            : a.IsInfinity ? Infinity(a.Negative)
            : a.IsZero ? SignedZero(a.Negative)
            : new(a.Significand, (ushort)((a.Exponent + 0x3FFF) | (a.Negative ? 0x8000 : 0)));
    }

    /// <summary>FILD: an integer, exactly.</summary>
    public static Float80 FromInteger(long value)
    {
        Unpacked a = Unpacked.FromInteger(value);
        return a.IsZero ? Zero : new(a.Significand, (ushort)((a.Exponent + 0x3FFF) | (a.Negative ? 0x8000 : 0)));
    }

    /// <summary>FST m32fp; an unmasked overflow or underflow leaves the destination alone.</summary>
    public static uint ToBinary32(Float80 value, ref FloatContext c) => ToShorter(FloatFormat.Binary32, value, ref c).ToBinary32();

    /// <summary>FST m64fp; an unmasked overflow or underflow leaves the destination alone.</summary>
    public static ulong ToBinary64(Float80 value, ref FloatContext c) => ToShorter(FloatFormat.Binary64, value, ref c).ToBinary64();

    /// <summary>FIST and FISTTP: to <paramref name="bits"/> (16, 32 or 64) bits, or IE and the integer indefinite.</summary>
    public static long ToInteger(Float80 value, int bits, FloatRounding rounding, ref FloatContext c)
        => Conversion.ToInteger(Unpacked.From(value), bits, rounding, ref c);

    /// <summary>FRNDINT.</summary>
    public static Float80 RoundToIntegral(Float80 value, ref FloatContext c)
    {
        Unpacked a = Unpacked.From(value);
        return c.RaiseDenormal(a.Denormal)
            ? default
            : Conversion.ToIntegral(Format, a, c.Rounding, reportInexact: true, ref c).ToFloat80();
    }

    private static Encoded ToShorter(FloatFormat format, Float80 value, ref FloatContext c)
    {
        Encoded result = Conversion.ToFormat(format, Unpacked.From(value), reportDenormal: false, ref c);
        if ((c.Unmasked & (FloatFlags.OE | FloatFlags.UE)) != 0)
        {
            // Nothing is stored, so nothing was inexact.
            c.Flags &= ~FloatFlags.PE;
            c.RoundedUp = false;
        }

        return result;
    }
}
