namespace Vmm.Cpu.Float;

/// <summary>Which NaN an operation answers with when an operand is one (SDM vol. 1 §4.8.3.5, table 4-7).</summary>
internal static class NaNs
{
    /// <summary>SSE: the first operand if it is a NaN, else the second; quieted.</summary>
    public static Encoded Sse(FloatFormat format, in Unpacked a, in Unpacked b, ref FloatContext c)
    {
        if (a.Class == FloatClass.SignallingNaN || b.Class == FloatClass.SignallingNaN)
        {
            c.Raise(FloatFlags.IE);
        }

        return Encoded.Quieted(format, a.IsNotNumber ? a : b);
    }

    /// <summary>x87: a quiet one before a signalling one, then the larger significand, then the positive one; quieted.</summary>
    public static Encoded X87(in Unpacked a, in Unpacked b, ref FloatContext c)
    {
        if (a.Class == FloatClass.Unsupported || b.Class == FloatClass.Unsupported)
        {
            return Arithmetic.Invalid(FloatFormat.Extended80, ref c);
        }

        if (a.Class == FloatClass.SignallingNaN || b.Class == FloatClass.SignallingNaN)
        {
            c.Raise(FloatFlags.IE);
        }

        return Encoded.Quieted(FloatFormat.Extended80, PrefersFirst(a, b) ? a : b);
    }

    /// <summary>A single operand's NaN, quieted, or the default one for an unsupported encoding.</summary>
    public static Encoded Single(FloatFormat format, in Unpacked a, ref FloatContext c)
    {
        if (a.Class == FloatClass.Unsupported)
        {
            return Arithmetic.Invalid(format, ref c);
        }

        if (a.Class == FloatClass.SignallingNaN)
        {
            c.Raise(FloatFlags.IE);
        }

        return Encoded.Quieted(format, a);
    }

    private static bool PrefersFirst(in Unpacked a, in Unpacked b)
    {
        if (!a.IsNotNumber || !b.IsNotNumber)
        {
            return a.IsNotNumber;
        }

        if (a.Class != b.Class)
        {
            return a.Class == FloatClass.QuietNaN;
        }

        return a.Significand != b.Significand ? a.Significand > b.Significand : !a.Negative;
    }
}
