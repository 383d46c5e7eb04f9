namespace Vmm.Cpu.Float;

/// <summary>A positive intermediate with 128 bits of significand: Significand / 2^127 * 2^Exponent, bit 127 set. Products and quotients are truncated.</summary>
internal readonly record struct Wide(UInt128 Significand, int Exponent)
{
    /// <summary>A significand of 64 bits, bit 63 set.</summary>
    public static Wide From(ulong significand, int exponent) => new(new UInt128(significand, 0), exponent);

    /// <summary>A nonzero integer scaled so that its bit 127 weighs 2^<paramref name="exponent"/>.</summary>
    public static Wide Normalise(UInt128 significand, int exponent)
    {
        int shift = (int)UInt128.LeadingZeroCount(significand);
        return new(significand << shift, exponent - shift);
    }

    /// <summary>The product.</summary>
    public Wide Times(Wide other)
        => Normalise(MultiplyHigh(Significand, other.Significand), Exponent + other.Exponent + 1);

    /// <summary>The quotient.</summary>
    public Wide Over(Wide other)
    {
        bool less = Significand < other.Significand;
        UInt128 numerator = less ? Significand : Significand >> 1;
        return Normalise(DivideFraction(numerator, other.Significand), Exponent - other.Exponent - (less ? 1 : 0));
    }

    /// <summary>As a fraction of 2^128, for values below one.</summary>
    public UInt128 ToFraction()
    {
        int shift = -1 - Exponent;
        return shift >= 128 ? 0 : Significand >> shift;
    }

    /// <summary>Rounds to an x87 result that is known to be inexact.</summary>
    public Float80 RoundInexact(bool negative, ref FloatContext c)
        => Rounder.Round(
            FloatFormat.Extended80, 64, ref c, negative, Exponent, (ulong)(Significand >> 64), (ulong)Significand | 1).ToFloat80();

    /// <summary>Upper half of the 256-bit product.</summary>
    public static UInt128 MultiplyHigh(UInt128 a, UInt128 b)
    {
        ulong ah = (ulong)(a >> 64);
        ulong al = (ulong)a;
        ulong bh = (ulong)(b >> 64);
        ulong bl = (ulong)b;
        ulong low = Math.BigMul(al, bl, out _);
        UInt128 cross1 = Math.BigMul(ah, bl) + (UInt128)low;
        UInt128 cross2 = Math.BigMul(al, bh) + (UInt128)(ulong)cross1;
        return Math.BigMul(ah, bh) + (cross1 >> 64) + (cross2 >> 64);
    }

    // numerator * 2^128 / divisor for numerator < divisor, bit 127 of the divisor set: two digits of base 2^64.
    private static UInt128 DivideFraction(UInt128 numerator, UInt128 divisor)
    {
        ulong upper = DivideDigit(ref numerator, divisor);
        ulong lower = DivideDigit(ref numerator, divisor);
        return new(upper, lower);
    }

    private static ulong DivideDigit(ref UInt128 rest, UInt128 divisor)
    {
        ulong top = (ulong)(divisor >> 64);
        ulong bottom = (ulong)divisor;
        ulong restTop = (ulong)(rest >> 64);
        ulong digit = restTop >= top ? ulong.MaxValue : Significands.Divide(restTop, (ulong)rest, top, out _);
        UInt128 left = rest - Math.BigMul(digit, top);
        UInt128 product = Math.BigMul(digit, bottom);

        // The estimate is at most two too large.
        while (left >> 64 == 0 && left << 64 < product)
        {
            digit--;
            left += top;
            product -= bottom;
        }

        rest = (left << 64) - product;
        return digit;
    }
}
