namespace Vmm.Cpu.Float;

/// <summary>FPATAN (SDM vol. 2, table 3-30).</summary>
internal readonly partial record struct Float80
{
    // pi with bit 127 of its fraction of 2^126 at 2^1.
    private static readonly Wide Pi = new(Series.Pi, 1);

    /// <summary>The angle of the point (x, y), within [-pi, pi].</summary>
    /// <param name="ordinate">y, ST(1).</param>
    /// <param name="abscissa">x, ST(0).</param>
    /// <param name="c">Modes and flags.</param>
    public static Float80 ArcTangent(Float80 ordinate, Float80 abscissa, ref FloatContext c)
    {
        Unpacked y = Unpacked.From(ordinate);
        Unpacked x = Unpacked.From(abscissa);
        if (x.IsNotNumber || y.IsNotNumber)
        {
            return NaNs.X87(x, y, ref c).ToFloat80();
        }

        if (c.RaiseDenormal(x.Denormal | y.Denormal))
        {
            return default;
        }

        if (y.IsZero || (x.IsInfinity && !y.IsInfinity))
        {
            return x.Negative ? Pi.RoundInexact(y.Negative, ref c) : SignedZero(y.Negative);
        }

        if (x.IsInfinity)
        {
            return QuarterTurns(x.Negative ? 3 : 1, y.Negative, ref c);
        }

        return x.IsZero || y.IsInfinity
            ? QuarterTurns(2, y.Negative, ref c)
            : AngleOfFinite(y, x).RoundInexact(y.Negative, ref c);
    }

    // Multiples of pi/4.
    private static Float80 QuarterTurns(int count, bool negative, ref FloatContext c)
        => count == 3
            ? Wide.Normalise((Series.Pi >> 1) + (Series.Pi >> 2), 1).RoundInexact(negative, ref c)
            : new Wide(Series.Pi, count == 1 ? -1 : 0).RoundInexact(negative, ref c);

    private static Wide AngleOfFinite(in Unpacked y, in Unpacked x)
    {
        bool steep = y.Exponent != x.Exponent ? y.Exponent > x.Exponent : y.Significand > x.Significand;
        Wide angle = steep ? AngleOfRatio(x, y) : AngleOfRatio(y, x);
        if (!steep && !x.Negative)
        {
            return angle;
        }

        // In fractions of 2^126; one unit stands for whatever is smaller.
        UInt128 acute = angle.Exponent < -120 ? 1 : angle.Significand >> (1 - angle.Exponent);
        UInt128 turned = !steep ? Series.Pi - acute
            : x.Negative ? (Series.Pi >> 1) + acute : (Series.Pi >> 1) - acute;
        return Wide.Normalise(turned, 1);
    }

    // atan(n / d) for 0 < n <= d.
    private static Wide AngleOfRatio(in Unpacked n, in Unpacked d)
    {
        int distance = d.Exponent - n.Exponent;
        int eighths = distance > 5 ? 0 : NearestEighths(n, d, distance);
        if (eighths == 0)
        {
            return SmallAngle(Wide.From(n.Significand, n.Exponent).Over(Wide.From(d.Significand, d.Exponent)));
        }

        // atan(n/d) = atan(i/8) + atan((8n - i d) / (8d + i n)), exactly in units that leave room for the shift by distance.
        UInt128 numerator = (UInt128)n.Significand << (56 - distance);
        UInt128 denominator = (UInt128)d.Significand << 56;
        UInt128 left = numerator << 3;
        UInt128 right = denominator * (uint)eighths;
        UInt128 constant = Series.ArcTangentOfEighths(eighths);
        if (left == right)
        {
            return Wide.Normalise(constant, -1);
        }

        bool below = left < right;
        Wide difference = Wide.Normalise(below ? right - left : left - right, 0);
        Wide sum = Wide.Normalise((denominator << 3) + (numerator * (uint)eighths), 0);
        UInt128 correction = SmallAngle(difference.Over(sum)).ToFraction();
        return Wide.Normalise(below ? constant - correction : constant + correction, -1);
    }

    private static int NearestEighths(in Unpacked n, in Unpacked d, int distance)
        => (int)((((n.Significand >> (distance + 8)) * 16) + (d.Significand >> 8)) / ((d.Significand >> 8) * 2));

    // atan z for z up to about 1/16.
    private static Wide SmallAngle(Wide z)
    {
        UInt128 shortfall = Series.ArcTangentShortfall(z.Times(z).ToFraction());
        return z.Times(new(0 - UInt128.Max(shortfall, 1), -1));
    }
}
