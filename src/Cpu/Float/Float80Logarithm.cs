namespace Vmm.Cpu.Float;

/// <summary>FYL2X, FYL2XP1 and F2XM1 (SDM vol. 2).</summary>
internal readonly partial record struct Float80
{
    // sqrt 2, the upper end of the interval [1/sqrt 2, sqrt 2) from which logarithms are taken; where it is cut is not critical.
    private const ulong RootOfTwo = 0xB504F333F9DE6484;

    /// <summary>FYL2X: y * log2 x.</summary>
    /// <param name="factor">y, ST(1).</param>
    /// <param name="argument">x, ST(0).</param>
    /// <param name="c">Modes and flags.</param>
    public static Float80 Logarithm(Float80 factor, Float80 argument, ref FloatContext c)
    {
        Unpacked y = Unpacked.From(factor);
        Unpacked x = Unpacked.From(argument);
        if (x.IsNotNumber || y.IsNotNumber)
        {
            return NaNs.X87(x, y, ref c).ToFloat80();
        }

        if (x.Negative && !x.IsZero)
        {
            return Arithmetic.Invalid(Format, ref c).ToFloat80();
        }

        if (x.IsZero)
        {
            return TimesInfinity(y, negative: true, divides: true, ref c);
        }

        if (x.IsInfinity)
        {
            return TimesInfinity(y, negative: false, divides: false, ref c);
        }

        Log2 log = Log2.Of(Wide.From(x.Significand, x.Exponent));
        return TimesLogarithm(y, log, x.Denormal, ref c);
    }

    /// <summary>FYL2XP1: y * log2(x + 1). Outside |x| &lt; 1 - 1/sqrt 2, where the result is undefined, it carries on like FYL2X.</summary>
    /// <param name="factor">y, ST(1).</param>
    /// <param name="argument">x, ST(0).</param>
    /// <param name="c">Modes and flags.</param>
    public static Float80 LogarithmPlusOne(Float80 factor, Float80 argument, ref FloatContext c)
    {
        Unpacked y = Unpacked.From(factor);
        Unpacked x = Unpacked.From(argument);
        if (x.IsNotNumber || y.IsNotNumber)
        {
            return NaNs.X87(x, y, ref c).ToFloat80();
        }

        if (x.IsInfinity)
        {
            return x.Negative
                ? Arithmetic.Invalid(Format, ref c).ToFloat80()
                : TimesInfinity(y, negative: false, divides: false, ref c);
        }

        if (x.Negative && x.IsFinite && x.Exponent >= 0)
        {
            return x.Exponent == 0 && x.Significand == IntegerBit
                ? TimesInfinity(y, negative: true, divides: true, ref c)
                : Arithmetic.Invalid(Format, ref c).ToFloat80();
        }

        Log2 log = x.IsZero ? Log2.Zero(x.Negative) : Log2.OfOnePlus(x);
        return TimesLogarithm(y, log, x.Denormal, ref c);
    }

    /// <summary>F2XM1: 2^x - 1. Outside [-1, 1], where the result is undefined, the operand stays.</summary>
    public static Float80 Exponential(Float80 value, ref FloatContext c)
    {
        Unpacked a = Unpacked.From(value);
        if (a.IsNotNumber)
        {
            return NaNs.Single(Format, a, ref c).ToFloat80();
        }

        if (a.IsInfinity)
        {
            return a.Negative ? One.Negate() : value;
        }

        if (a.IsZero || c.RaiseDenormal(a.Denormal))
        {
            return value;
        }

        if (a.Exponent >= 0)
        {
            // As for all results of this kind, PE does not depend on whether it happens to be exact.
            c.Raise(FloatFlags.PE);
            return a.Negative && value == One.Negate() ? new(IntegerBit, 0xBFFE) : value;
        }

        Wide r = Wide.From(a.Significand, a.Exponent).Times(new(Series.Ln2, -1));
        UInt128 fraction = r.ToFraction();
        Wide factor = a.Negative
            ? new(0 - UInt128.Max(Series.ExponentialShortfall(fraction), 1), -1)
            : new((UInt128.One << 127) + (Series.ExponentialExcess(fraction) >> 1), 0);
        return r.Times(factor).RoundInexact(a.Negative, ref c);
    }

    // y times an infinite logarithm; that of zero is a division by zero for finite y.
    private static Float80 TimesInfinity(in Unpacked y, bool negative, bool divides, ref FloatContext c)
    {
        if (y.IsZero)
        {
            return Arithmetic.Invalid(Format, ref c).ToFloat80();
        }

        if (divides && y.IsFinite)
        {
            c.Raise(FloatFlags.ZE);
        }
        else if (c.RaiseDenormal(y.Denormal))
        {
            return default;
        }

        return Infinity(y.Negative ^ negative);
    }

    private static Float80 TimesLogarithm(in Unpacked y, Log2 log, bool denormal, ref FloatContext c)
    {
        if (y.IsInfinity && log.IsZero)
        {
            return Arithmetic.Invalid(Format, ref c).ToFloat80();
        }

        if (c.RaiseDenormal(denormal | y.Denormal))
        {
            return default;
        }

        bool negative = y.Negative ^ log.Negative;
        if (y.IsInfinity)
        {
            return Infinity(negative);
        }

        if (y.IsZero || log.IsZero)
        {
            return SignedZero(negative);
        }

        Wide product = Wide.From(y.Significand, y.Exponent).Times(log.Magnitude);
        if (!log.Exact)
        {
            return product.RoundInexact(negative, ref c);
        }

        // Processors report PE here even for whole logarithms, and with it UE for denormal products.
        c.Raise(FloatFlags.PE);
        ulong lower = (ulong)product.Significand;
        Encoded result = Rounder.Round(
            Format, 64, ref c, negative, product.Exponent, (ulong)(product.Significand >> 64), lower);
        c.Raise(result.Biased == 0 ? FloatFlags.UE : FloatFlags.None);
        return result.ToFloat80();
    }

    /// <summary>A binary logarithm. That of a rational number is rational only for powers of two, and then an integer.</summary>
    private readonly record struct Log2(Wide Magnitude, bool Negative, bool Exact)
    {
        public bool IsZero => Magnitude.Significand == 0;

        public static Log2 Zero(bool negative) => new(default, negative, true);

        /// <summary>log2 of a positive number.</summary>
        public static Log2 Of(Wide x)
        {
            bool above = (ulong)(x.Significand >> 64) >= RootOfTwo;
            int whole = x.Exponent + (above ? 1 : 0);
            UInt128 one = UInt128.One << 127;
            UInt128 distance = above ? 0 - x.Significand : x.Significand - one;
            if (distance == 0)
            {
                return OfPowerOfTwo(whole);
            }

            // m - 1 and m + 1, halved where m has been, so both in units of 2^-127 of their own.
            Wide difference = Wide.Normalise(distance, above ? -1 : 0);
            UInt128 sum = above ? (x.Significand >> 1) + one : (x.Significand >> 1) + (one >> 1);
            Wide fraction = OfRatio(difference.Over(Wide.Normalise(sum, above ? 0 : 1)));
            return whole == 0 ? new(fraction, above, false) : OfParts(whole, fraction, above);
        }

        /// <summary>log2(1 + x), without forming 1 + x where that would lose bits of x.</summary>
        public static Log2 OfOnePlus(in Unpacked x)
        {
            UInt128 one = UInt128.One << 127;
            if (x.Exponent >= -2)
            {
                int exponent = Math.Max(x.Exponent, 0) + 1;
                UInt128 unit = exponent > 120 ? 1 : one >> exponent;
                UInt128 term = new UInt128(x.Significand, 0) >> (exponent - x.Exponent);
                return Of(Wide.Normalise(x.Negative ? unit - term : unit + term, exponent));
            }

            Wide magnitude = Wide.From(x.Significand, x.Exponent);
            UInt128 part = magnitude.ToFraction() >> 2;
            Wide sum = Wide.Normalise(x.Negative ? one - part : one + part, 1);
            return new(OfRatio(magnitude.Over(sum)), x.Negative, false);
        }

        private static Log2 OfPowerOfTwo(int whole)
            => whole == 0
                ? Zero(false)
                : new(Wide.Normalise((uint)Math.Abs(whole), 127), whole < 0, true);

        // 2 / ln 2 * atanh s
        private static Wide OfRatio(Wide s)
        {
            UInt128 excess = Series.HyperbolicArcTangentExcess(s.Times(s).ToFraction());
            Wide factor = new((UInt128.One << 127) + (excess >> 1), 0);
            return s.Times(factor).Times(new(Series.Log2E, 1));
        }

        // whole +- fraction, with 112 bits below the point: the sum is at least one half.
        private static Log2 OfParts(int whole, Wide fraction, bool fractionNegative)
        {
            UInt128 integer = (UInt128)(uint)Math.Abs(whole) << 112;
            int shift = 15 - fraction.Exponent;
            UInt128 rest = shift >= 128 ? 1 : fraction.Significand >> shift;
            bool negative = whole < 0;
            return new(Wide.Normalise(negative == fractionNegative ? integer + rest : integer - rest, 15), negative, false);
        }
    }
}
