namespace Vmm.Cpu.Float;

/// <summary>SSE operations on the bits of one element, in either format, without host floating point (SDM vol. 1 §11.5).</summary>
internal static class SoftSse
{
    /// <summary>a + b.</summary>
    public static ulong Add(FloatFormat format, ulong a, ulong b, ref FloatContext c)
    {
        Unpacked x = Unpacked.From(format, a, c.DAZ);
        Unpacked y = Unpacked.From(format, b, c.DAZ);
        return (x.IsNotNumber || y.IsNotNumber ? NaNs.Sse(format, x, y, ref c) : Arithmetic.Add(format, x, y, ref c)).ToBits(format);
    }

    /// <summary>a - b.</summary>
    public static ulong Subtract(FloatFormat format, ulong a, ulong b, ref FloatContext c)
    {
        Unpacked x = Unpacked.From(format, a, c.DAZ);
        Unpacked y = Unpacked.From(format, b, c.DAZ);
        if (x.IsNotNumber || y.IsNotNumber)
        {
            return NaNs.Sse(format, x, y, ref c).ToBits(format);
        }

        y.Negative = !y.Negative;
        return Arithmetic.Add(format, x, y, ref c).ToBits(format);
    }

    /// <summary>a * b.</summary>
    public static ulong Multiply(FloatFormat format, ulong a, ulong b, ref FloatContext c)
    {
        Unpacked x = Unpacked.From(format, a, c.DAZ);
        Unpacked y = Unpacked.From(format, b, c.DAZ);
        return (x.IsNotNumber || y.IsNotNumber ? NaNs.Sse(format, x, y, ref c) : Arithmetic.Multiply(format, x, y, ref c)).ToBits(format);
    }

    /// <summary>a / b.</summary>
    public static ulong Divide(FloatFormat format, ulong a, ulong b, ref FloatContext c)
    {
        Unpacked x = Unpacked.From(format, a, c.DAZ);
        Unpacked y = Unpacked.From(format, b, c.DAZ);
        return (x.IsNotNumber || y.IsNotNumber ? NaNs.Sse(format, x, y, ref c) : Arithmetic.Divide(format, x, y, ref c)).ToBits(format);
    }

    /// <summary>The square root of a.</summary>
    public static ulong SquareRoot(FloatFormat format, ulong a, ref FloatContext c)
    {
        Unpacked x = Unpacked.From(format, a, c.DAZ);
        return (x.IsNotNumber ? NaNs.Single(format, x, ref c) : Arithmetic.SquareRoot(format, x, ref c)).ToBits(format);
    }

    /// <summary>MIN: the lesser, but the second operand as it is if both are zeros or either is a NaN.</summary>
    public static ulong Min(FloatFormat format, ulong a, ulong b, ref FloatContext c)
        => Select(format, a, b, FloatOrder.Less, ref c);

    /// <summary>MAX: the greater, but the second operand as it is if both are zeros or either is a NaN.</summary>
    public static ulong Max(FloatFormat format, ulong a, ulong b, ref FloatContext c)
        => Select(format, a, b, FloatOrder.Greater, ref c);

    /// <summary>Compares; quiet NaNs are IE only if <paramref name="signalling"/>.</summary>
    public static FloatOrder Compare(FloatFormat format, ulong a, ulong b, bool signalling, ref FloatContext c)
        => Comparison.Compare(Unpacked.From(format, a, c.DAZ), Unpacked.From(format, b, c.DAZ), signalling, ref c);

    /// <summary>To the other format.</summary>
    public static ulong Convert(FloatFormat from, FloatFormat to, ulong a, ref FloatContext c)
        => Conversion.ToFormat(to, Unpacked.From(from, a, c.DAZ), reportDenormal: true, ref c).ToBits(to);

    /// <summary>From a signed integer.</summary>
    public static ulong FromInteger(FloatFormat format, long value, ref FloatContext c)
        => Conversion.ToFormat(format, Unpacked.FromInteger(value), reportDenormal: false, ref c).ToBits(format);

    /// <summary>To a signed integer of <paramref name="bits"/> bits.</summary>
    public static long ToInteger(FloatFormat format, ulong a, int bits, FloatRounding rounding, ref FloatContext c)
        => Conversion.ToInteger(Unpacked.From(format, a, c.DAZ), bits, rounding, ref c);

    /// <summary>To an integral value (ROUNDSS and its kin).</summary>
    public static ulong ToIntegral(FloatFormat format, ulong a, FloatRounding rounding, bool reportInexact, ref FloatContext c)
        => Conversion.ToIntegral(format, Unpacked.From(format, a, c.DAZ), rounding, reportInexact, ref c).ToBits(format);

    private static ulong Select(FloatFormat format, ulong a, ulong b, FloatOrder wanted, ref FloatContext c)
    {
        Unpacked x = Unpacked.From(format, a, c.DAZ);
        Unpacked y = Unpacked.From(format, b, c.DAZ);
        bool first = Comparison.Compare(x, y, signalling: true, ref c) == wanted;
        if (first ? x.IsZero : y.IsZero)
        {
            // A denormal read as zero is also written as zero.
            return Encoded.Zero(first ? x.Negative : y.Negative).ToBits(format);
        }

        return first ? a : b;
    }
}
