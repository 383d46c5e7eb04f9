namespace Vmm.Cpu.Float;

/// <summary>An angle brought within pi/4 of a multiple of pi/2, with the 66-bit pi of the x87 (SDM vol. 1 §8.3.8).</summary>
/// <param name="Magnitude">Distance from the multiple; never zero.</param>
/// <param name="Negative">Below the multiple.</param>
/// <param name="Quadrant">The multiple, modulo four.</param>
internal readonly record struct TrigonometricReduction(Wide Magnitude, bool Negative, int Quadrant)
{
    // pi/2 in units of 2^-65: all 66 bits of the significand.
    private static readonly UInt128 HalfPi = new(0x3, 0x243F6A8885A308D3);

    /// <summary>Reduces a finite nonzero magnitude below 2^63; the sign of <paramref name="a"/> is left to the caller.</summary>
    public static TrigonometricReduction Reduce(in Unpacked a)
    {
        if (a.Exponent < -1)
        {
            return new(Wide.From(a.Significand, a.Exponent), false, 0);
        }

        UInt128 rest = a.Significand;
        ulong multiple = 0;
        for (int left = a.Exponent + 2; left > 0;)
        {
            int step = Math.Min(left, 60);
            (UInt128 digit, rest) = UInt128.DivRem(rest << step, HalfPi);
            multiple = (multiple << step) + (ulong)digit;
            left -= step;
        }

        bool negative = rest << 1 > HalfPi;
        if (negative)
        {
            rest = HalfPi - rest;
            multiple++;
        }

        // Units of 2^-65 put bit 127 at 2^62.
        return new(Wide.Normalise(rest, 62), negative, (int)(multiple & 3));
    }

    /// <summary>The magnitude of the sine of the reduced angle.</summary>
    public Wide Sine() => Magnitude.Times(new(SineFactor(), -1));

    /// <summary>The cosine of the reduced angle.</summary>
    public Wide Cosine() => new(CosineFactor(), -1);

    // sin r / r, in (0.9, 1): kept below one even where the shortfall is too small to see.
    private UInt128 SineFactor() => 0 - UInt128.Max(Series.SineShortfall(Square()), 1);

    // In (0.7, 1). The shortfall of a cosine is three times that of sin r / r, so tangents stay above their argument.
    private UInt128 CosineFactor() => 0 - UInt128.Max(Series.CosineShortfall(Square()), 3);

    private UInt128 Square() => Magnitude.Times(Magnitude).ToFraction();
}
