namespace Vmm.Cpu.Float;

/// <summary>An x87 double extended value: explicit integer bit, 15-bit exponent (SDM vol. 1 §4.2.2). Operations are in the other parts.</summary>
/// <param name="Significand">Integer bit 63 and fraction.</param>
/// <param name="SignExponent">Sign in bit 15, biased exponent below.</param>
internal readonly partial record struct Float80(ulong Significand, ushort SignExponent)
{
    /// <summary>The integer bit.</summary>
    public const ulong IntegerBit = 1UL << 63;

    /// <summary>The bit that tells quiet from signalling NaNs.</summary>
    public const ulong QuietBit = 1UL << 62;

    private const int MaxBiased = 0x7FFF;

    /// <summary>The real indefinite: the default quiet NaN, negative.</summary>
    public static Float80 Indefinite => new(IntegerBit | QuietBit, 0xFFFF);

    /// <summary>+0.</summary>
    public static Float80 Zero => default;

    /// <summary>+1.</summary>
    public static Float80 One => new(IntegerBit, 0x3FFF);

    /// <summary>Sign bit.</summary>
    public bool Negative => (SignExponent & 0x8000) != 0;

    /// <summary>Exponent field.</summary>
    public int Biased => SignExponent & MaxBiased;

    /// <summary>The value with its sign inverted (FCHS).</summary>
    public Float80 Negate() => new(Significand, (ushort)(SignExponent ^ 0x8000));

    /// <summary>The value with its sign cleared (FABS).</summary>
    public Float80 Abs() => new(Significand, (ushort)Biased);

    /// <summary>An infinity.</summary>
    public static Float80 Infinity(bool negative) => new(IntegerBit, (ushort)(negative ? 0xFFFF : 0x7FFF));

    /// <summary>A zero.</summary>
    public static Float80 SignedZero(bool negative) => new(0, (ushort)(negative ? 0x8000 : 0));

    /// <summary>Sign and exponent field, then significand, in hexadecimal.</summary>
    public override string ToString() => $"{SignExponent:x4}:{Significand:x16}";
}
