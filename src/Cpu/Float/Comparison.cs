namespace Vmm.Cpu.Float;

/// <summary>Ordering of two values and its exceptions (SDM vol. 1 §8.3.6, §11.4.1).</summary>
internal static class Comparison
{
    /// <summary>Compares; IE for signalling NaNs and unsupported encodings, for quiet ones only if <paramref name="signalling"/>.</summary>
    public static FloatOrder Compare(in Unpacked a, in Unpacked b, bool signalling, ref FloatContext c)
    {
        if (a.IsNotNumber || b.IsNotNumber)
        {
            if (signalling || a.Class > FloatClass.QuietNaN || b.Class > FloatClass.QuietNaN)
            {
                c.Raise(FloatFlags.IE);
            }

            return FloatOrder.Unordered;
        }

        c.RaiseDenormal(a.Denormal | b.Denormal);
        return Order(a, b);
    }

    private static FloatOrder Order(in Unpacked a, in Unpacked b)
    {
        if (a.IsZero && b.IsZero)
        {
            return FloatOrder.Equal;
        }

        if (a.IsZero)
        {
            return b.Negative ? FloatOrder.Greater : FloatOrder.Less;
        }

        if (b.IsZero || a.Negative != b.Negative)
        {
            return a.Negative ? FloatOrder.Less : FloatOrder.Greater;
        }

        int magnitude = Magnitude(a, b);
        int order = a.Negative ? -magnitude : magnitude;
        return order < 0 ? FloatOrder.Less : order > 0 ? FloatOrder.Greater : FloatOrder.Equal;
    }

    private static int Magnitude(in Unpacked a, in Unpacked b)
    {
        if (a.Class != b.Class)
        {
            return a.IsInfinity ? 1 : -1;
        }

        if (a.IsInfinity)
        {
            return 0;
        }

        return a.Exponent != b.Exponent
            ? a.Exponent.CompareTo(b.Exponent)
            : a.Significand.CompareTo(b.Significand);
    }
}
