namespace Vmm.Cpu.Float;

/// <summary>FSIN, FCOS, FSINCOS and FPTAN (SDM vol. 1 §8.3.7, §8.3.8). The error stays within 0.51 units in the last place of the reduced angle's function.</summary>
internal readonly partial record struct Float80
{
    // From here on the instructions leave their operand and set C2.
    private const int TrigonometricLimit = 63;

    /// <summary>FSIN; false (C2) when the operand is out of range.</summary>
    public static bool TrySine(Float80 value, out Float80 sine, ref FloatContext c)
        => TrySineAndCosine(value, wantSine: true, wantCosine: false, out sine, out _, ref c);

    /// <summary>FCOS; false (C2) when the operand is out of range.</summary>
    public static bool TryCosine(Float80 value, out Float80 cosine, ref FloatContext c)
        => TrySineAndCosine(value, wantSine: false, wantCosine: true, out _, out cosine, ref c);

    /// <summary>FSINCOS; false (C2) when the operand is out of range.</summary>
    public static bool TrySineAndCosine(Float80 value, out Float80 sine, out Float80 cosine, ref FloatContext c)
        => TrySineAndCosine(value, wantSine: true, wantCosine: true, out sine, out cosine, ref c);

    /// <summary>FPTAN without its push of 1; false (C2) when the operand is out of range.</summary>
    public static bool TryTangent(Float80 value, out Float80 tangent, ref FloatContext c)
    {
        Unpacked a = Unpacked.From(value);
        if (!IsOrdinaryAngle(a, out tangent, ref c))
        {
            tangent = a.IsZero ? value : tangent;
            return true;
        }

        tangent = value;
        if (a.Exponent >= TrigonometricLimit)
        {
            return false;
        }

        if (!c.RaiseDenormal(a.Denormal))
        {
            TrigonometricReduction r = TrigonometricReduction.Reduce(a);
            bool odd = (r.Quadrant & 1) != 0;
            Wide ratio = odd ? r.Cosine().Over(r.Sine()) : r.Sine().Over(r.Cosine());
            tangent = ratio.RoundInexact(a.Negative ^ r.Negative ^ odd, ref c);
        }

        return true;
    }

    private static bool TrySineAndCosine(
        Float80 value, bool wantSine, bool wantCosine, out Float80 sine, out Float80 cosine, ref FloatContext c)
    {
        Unpacked a = Unpacked.From(value);
        if (!IsOrdinaryAngle(a, out sine, ref c))
        {
            cosine = a.IsZero ? One : sine;
            sine = a.IsZero ? value : sine;
            return true;
        }

        sine = value;
        cosine = value;
        if (a.Exponent >= TrigonometricLimit)
        {
            return false;
        }

        if (!c.RaiseDenormal(a.Denormal))
        {
            TrigonometricReduction r = TrigonometricReduction.Reduce(a);
            bool odd = (r.Quadrant & 1) != 0;
            if (wantSine)
            {
                bool negative = a.Negative ^ (r.Quadrant >= 2) ^ (!odd & r.Negative);
                sine = (odd ? r.Cosine() : r.Sine()).RoundInexact(negative, ref c);
            }

            if (wantCosine)
            {
                bool negative = (r.Quadrant is 1 or 2) ^ (odd & r.Negative);
                cosine = (odd ? r.Sine() : r.Cosine()).RoundInexact(negative, ref c);
            }
        }

        return true;
    }

    // False for zeros, and for NaNs and infinities, whose answer is in special.
    private static bool IsOrdinaryAngle(in Unpacked a, out Float80 special, ref FloatContext c)
    {
        special = a.IsNotNumber ? NaNs.Single(Format, a, ref c).ToFloat80()
            : a.IsInfinity ? Arithmetic.Invalid(Format, ref c).ToFloat80()
            : Zero;
        return a.IsFinite;
    }
}
