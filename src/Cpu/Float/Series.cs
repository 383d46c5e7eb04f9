namespace Vmm.Cpu.Float;

/// <summary>Power series in fractions of 2^128, for the x87 transcendental instructions. Terms are cut where they fall below 2^-96.</summary>
internal static class Series
{
    /// <summary>ln 2.</summary>
    public static readonly UInt128 Ln2 = new(0xB17217F7D1CF79AB, 0xC9E3B39803F2F6AF);

    /// <summary>log2 e, as a fraction of 2^127.</summary>
    public static readonly UInt128 Log2E = new(0xB8AA3B295C17F0BB, 0xBE87FED0691D3E88);

    /// <summary>pi, as a fraction of 2^126.</summary>
    public static readonly UInt128 Pi = new(0xC90FDAA22168C234, 0xC4C6628B80DC1CD1);

    private static readonly UInt128[] SineTerms = Factorials(3, 15);
    private static readonly UInt128[] CosineTerms = Factorials(2, 15);
    private static readonly UInt128[] ExponentialTerms = Factorials(2, 29, step: 1);
    private static readonly UInt128[] OddTerms = OddReciprocals(22);

    /// <summary>(r - sin r) / r for t = r^2.</summary>
    public static UInt128 SineShortfall(UInt128 t) => Wide.MultiplyHigh(t, Alternating(SineTerms, SineTerms.Length, t));

    /// <summary>1 - cos r for t = r^2.</summary>
    public static UInt128 CosineShortfall(UInt128 t) => Wide.MultiplyHigh(t, Alternating(CosineTerms, CosineTerms.Length, t));

    /// <summary>(z - atan z) / z for t = z^2 of at most 2^-7.</summary>
    public static UInt128 ArcTangentShortfall(UInt128 t) => Wide.MultiplyHigh(t, Alternating(OddTerms, 14, t));

    /// <summary>(atanh s - s) / s for t = s^2 of at most 2^-5.</summary>
    public static UInt128 HyperbolicArcTangentExcess(UInt128 t) => Wide.MultiplyHigh(t, Growing(OddTerms, t));

    /// <summary>(e^r - 1 - r) / r.</summary>
    public static UInt128 ExponentialExcess(UInt128 r) => Wide.MultiplyHigh(r, Growing(ExponentialTerms, r));

    /// <summary>(e^-r - 1 + r) / r.</summary>
    public static UInt128 ExponentialShortfall(UInt128 r)
        => Wide.MultiplyHigh(r, Alternating(ExponentialTerms, ExponentialTerms.Length, r));

    /// <summary>atan(i / 8).</summary>
    public static UInt128 ArcTangentOfEighths(int i) => i switch
    {
        1 => new(0x1FD5BA9AAC2F6DC6, 0x5912F313E7D111DE),
        2 => new(0x3EB6EBF25901BAC5, 0x5B71E7BD7DE885F9),
        3 => new(0x5BD86507937BC239, 0xC55190916E7F2241),
        4 => new(0x76B19C1586ED3DA2, 0xB7F222F65E1D4681),
        5 => new(0x8F005D5EF7F59F9B, 0x5C835E1665C43747),
        6 => new(0xA4BC7D1934F70924, 0x19A87F2A457DAC9E),
        7 => new(0xB8053E2BC2319E73, 0xCB2DA55210A4443D),
        8 => new(0xC90FDAA22168C234, 0xC4C6628B80DC1CD1),
        _ => 0,
    };

    // c0 - x (c1 - x (c2 - ...))
    private static UInt128 Alternating(UInt128[] terms, int count, UInt128 x)
    {
        UInt128 sum = terms[count - 1];
        for (int i = count - 2; i >= 0; i--)
        {
            sum = terms[i] - Wide.MultiplyHigh(sum, x);
        }

        return sum;
    }

    // c0 + x (c1 + x (c2 + ...))
    private static UInt128 Growing(UInt128[] terms, UInt128 x)
    {
        UInt128 sum = terms[^1];
        for (int i = terms.Length - 2; i >= 0; i--)
        {
            sum = terms[i] + Wide.MultiplyHigh(sum, x);
        }

        return sum;
    }

    private static UInt128[] Factorials(int first, int count, int step = 2)
    {
        UInt128[] terms = new UInt128[count];
        UInt128 factorial = first == 3 ? 6u : 2u;
        for (int i = 0, n = first; i < count; i++)
        {
            terms[i] = UInt128.MaxValue / factorial;
            for (int k = 0; k < step; k++)
            {
                factorial *= (uint)++n;
            }
        }

        return terms;
    }

    private static UInt128[] OddReciprocals(int count)
    {
        UInt128[] terms = new UInt128[count];
        for (int i = 0; i < count; i++)
        {
            terms[i] = UInt128.MaxValue / (uint)((2 * i) + 3);
        }

        return terms;
    }
}
