namespace Vmm.Cpu.Float;

/// <summary>The basic x87 operations. Memory operands come in unpacked from their own format, so that their NaNs and denormals count as such.</summary>
internal readonly partial record struct Float80
{
    private static FloatFormat Format => FloatFormat.Extended80;

    /// <summary>FADD: a + b.</summary>
    public static Float80 Add(in Unpacked a, in Unpacked b, ref FloatContext c)
        => (a.IsNotNumber || b.IsNotNumber ? NaNs.X87(a, b, ref c) : Arithmetic.Add(Format, a, b, ref c)).ToFloat80();

    /// <summary>FSUB: a - b; FSUBR is this with its operands exchanged.</summary>
    public static Float80 Subtract(in Unpacked a, Unpacked b, ref FloatContext c)
    {
        if (a.IsNotNumber || b.IsNotNumber)
        {
            return NaNs.X87(a, b, ref c).ToFloat80();
        }

        b.Negative = !b.Negative;
        return Arithmetic.Add(Format, a, b, ref c).ToFloat80();
    }

    /// <summary>FMUL: a * b.</summary>
    public static Float80 Multiply(in Unpacked a, in Unpacked b, ref FloatContext c)
        => (a.IsNotNumber || b.IsNotNumber ? NaNs.X87(a, b, ref c) : Arithmetic.Multiply(Format, a, b, ref c)).ToFloat80();

    /// <summary>FDIV: a / b; FDIVR is this with its operands exchanged.</summary>
    public static Float80 Divide(in Unpacked a, in Unpacked b, ref FloatContext c)
        => (a.IsNotNumber || b.IsNotNumber ? NaNs.X87(a, b, ref c) : Arithmetic.Divide(Format, a, b, ref c)).ToFloat80();

    /// <summary>FSQRT.</summary>
    public static Float80 SquareRoot(Float80 value, ref FloatContext c)
    {
        Unpacked a = Unpacked.From(value);
        return (a.IsNotNumber ? NaNs.Single(Format, a, ref c) : Arithmetic.SquareRoot(Format, a, ref c)).ToFloat80();
    }

    /// <summary>FCOM, FCOMI and FTST (<paramref name="signalling"/>), FUCOM and FUCOMI (not).</summary>
    public static FloatOrder Compare(in Unpacked a, in Unpacked b, bool signalling, ref FloatContext c)
        => Comparison.Compare(a, b, signalling, ref c);

    /// <summary>FSCALE: <paramref name="value"/> times two to the truncated <paramref name="power"/>; ignores precision control.</summary>
    public static Float80 Scale(Float80 value, Float80 power, ref FloatContext c)
    {
        Unpacked a = Unpacked.From(value);
        Unpacked n = Unpacked.From(power);
        if (a.IsNotNumber || n.IsNotNumber)
        {
            return NaNs.X87(a, n, ref c).ToFloat80();
        }

        if (n.IsInfinity && (n.Negative ? a.IsInfinity : a.IsZero))
        {
            return Arithmetic.Invalid(Format, ref c).ToFloat80();
        }

        if (c.RaiseDenormal(a.Denormal | n.Denormal))
        {
            return default;
        }

        if (n.IsInfinity)
        {
            return n.Negative ? SignedZero(a.Negative) : Infinity(a.Negative);
        }

        return a.IsFinite
            ? Rounder.Round(Format, 64, ref c, a.Negative, a.Exponent + ScaleAmount(n), a.Significand, 0).ToFloat80()
            : value;
    }

    /// <summary>FXTRACT: the exponent as a number, and the significand with exponent zero.</summary>
    public static Float80 Extract(Float80 value, out Float80 significand, ref FloatContext c)
    {
        Unpacked a = Unpacked.From(value);
        significand = value;
        if (a.IsNotNumber)
        {
            significand = NaNs.Single(Format, a, ref c).ToFloat80();
            return significand;
        }

        if (a.IsZero)
        {
            c.Raise(FloatFlags.ZE);
            return Infinity(true);
        }

        if (a.IsInfinity)
        {
            return Infinity(false);
        }

        c.RaiseDenormal(a.Denormal);
        significand = new(a.Significand, (ushort)(0x3FFF | (a.Negative ? 0x8000 : 0)));
        return FromInteger(a.Exponent);
    }

    // Anything beyond 2^16 moves every exponent out of range.
    private static int ScaleAmount(in Unpacked n)
    {
        if (!n.IsFinite || n.Exponent < 0)
        {
            return 0;
        }

        int amount = n.Exponent > 16 ? 1 << 17 : (int)(n.Significand >> (63 - n.Exponent));
        return n.Negative ? -amount : amount;
    }
}
