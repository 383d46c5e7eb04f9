using System.Numerics;

namespace Vmm.Cpu.Float;

/// <summary>FPREM and FPREM1 (SDM vol. 2).</summary>
internal readonly partial record struct Float80
{
    /// <summary>
    /// Remainder of a / b, exact: the quotient truncated (FPREM) or rounded to nearest even (FPREM1).
    /// When the exponents differ by 64 or more it only brings a closer to b, and <paramref name="partial"/> (C2) asks for another round.
    /// </summary>
    /// <param name="dividend">a, ST(0).</param>
    /// <param name="divisor">b, ST(1).</param>
    /// <param name="nearest">FPREM1.</param>
    /// <param name="quotient">Low three bits of the quotient: C0, C3, C1 from the top; 0 while partial; -1 when there is none and the codes stay.</param>
    /// <param name="partial">C2.</param>
    /// <param name="c">Flags.</param>
    public static Float80 Remainder(
        Float80 dividend, Float80 divisor, bool nearest, out int quotient, out bool partial, ref FloatContext c)
    {
        Unpacked a = Unpacked.From(dividend);
        Unpacked b = Unpacked.From(divisor);
        quotient = -1;
        partial = false;
        if (a.IsNotNumber || b.IsNotNumber)
        {
            return NaNs.X87(a, b, ref c).ToFloat80();
        }

        if (a.IsInfinity || b.IsZero)
        {
            return Arithmetic.Invalid(Format, ref c).ToFloat80();
        }

        if (c.RaiseDenormal(a.Denormal | b.Denormal))
        {
            return default;
        }

        quotient = 0;
        if (a.IsZero)
        {
            return dividend;
        }

        if (b.IsInfinity)
        {
            return ExactResult(a.Negative, a.Exponent, a.Significand, ref c);
        }

        return RemainderOfFinite(a, b, nearest, out quotient, out partial, ref c);
    }

    private static Float80 RemainderOfFinite(
        in Unpacked a, in Unpacked b, bool nearest, out int quotient, out bool partial, ref FloatContext c)
    {
        int distance = a.Exponent - b.Exponent;
        partial = distance >= 64;
        quotient = 0;
        if (distance < (nearest ? -1 : 0))
        {
            return ExactResult(a.Negative, a.Exponent, a.Significand, ref c);
        }

        if (partial)
        {
            // Any count from 32 to 63 is allowed; this one leaves a multiple of 32 for the rounds that follow.
            int step = (distance & 31) | 32;
            ulong rest = Reduce(a.Significand, b.Significand, step, out _);
            return ExactResult(a.Negative, b.Exponent + distance - step, rest, ref c);
        }

        if (distance < 0)
        {
            return RemainderOfHalf(a, b, out quotient, ref c);
        }

        ulong remainder = Reduce(a.Significand, b.Significand, distance, out ulong whole);
        bool negative = a.Negative;
        ulong complement = b.Significand - remainder;
        if (nearest && (remainder > complement || (remainder == complement && (whole & 1) != 0)))
        {
            remainder = complement;
            negative = !negative;
            whole++;
        }

        quotient = (int)whole & 7;
        return remainder == 0
            ? SignedZero(a.Negative)
            : ExactResult(negative, b.Exponent, remainder, ref c);
    }

    // b/2 <= a < b except that significands decide; a more than b/2 rounds to one, the tie b/2 to the even zero.
    private static Float80 RemainderOfHalf(in Unpacked a, in Unpacked b, out int quotient, ref FloatContext c)
    {
        quotient = a.Significand > b.Significand ? 1 : 0;
        if (quotient == 0)
        {
            return ExactResult(a.Negative, a.Exponent, a.Significand, ref c);
        }

        // 2b - a is below b, so it wraps back into 64 bits.
        return ExactResult(!a.Negative, a.Exponent, (b.Significand << 1) - a.Significand, ref c);
    }

    // Remainder of a * 2^shift by b, for shift below 64 and both with bit 63 set.
    private static ulong Reduce(ulong a, ulong b, int shift, out ulong quotient)
    {
        ulong carry = a >= b ? 1UL : 0;
        a -= carry * b;
        ulong hi = shift == 0 ? 0 : a >> (64 - shift);
        quotient = Significands.Divide(hi, a << shift, b, out ulong remainder) + (carry << shift);
        return remainder;
    }

    private static Float80 ExactResult(bool negative, int exponent, ulong significand, ref FloatContext c)
    {
        if (significand == 0)
        {
            return SignedZero(negative);
        }

        int shift = BitOperations.LeadingZeroCount(significand);
        return Rounder.Round(Format, 64, ref c, negative, exponent - shift, significand << shift, 0).ToFloat80();
    }
}
