namespace Vmm.Cpu.Float;

/// <summary>A result of some format before its fields are joined: biased exponent, and significand left aligned with explicit integer bit.</summary>
internal readonly record struct Encoded(bool Negative, int Biased, ulong Significand)
{
    /// <summary>A zero.</summary>
    public static Encoded Zero(bool negative) => new(negative, 0, 0);

    /// <summary>An infinity.</summary>
    public static Encoded Infinity(FloatFormat format, bool negative) => new(negative, format.MaxBiased, Float80.IntegerBit);

    /// <summary>The default quiet NaN, negative on x86 (SDM vol. 1 §4.8.3.7).</summary>
    public static Encoded DefaultNaN(FloatFormat format) => new(true, format.MaxBiased, Float80.IntegerBit | Float80.QuietBit);

    /// <summary><paramref name="nan"/> in <paramref name="format"/>, made quiet; low payload bits that do not fit are lost.</summary>
    public static Encoded Quieted(FloatFormat format, in Unpacked nan)
        => new(nan.Negative, format.MaxBiased, nan.Significand | Float80.IntegerBit | Float80.QuietBit);

    /// <summary>As an x87 register value.</summary>
    public Float80 ToFloat80() => new(Significand, (ushort)(Biased | (Negative ? 0x8000 : 0)));

    /// <summary>As a double.</summary>
    public ulong ToBinary64() => (Negative ? 1UL << 63 : 0) | ((ulong)(uint)Biased << 52) | ((Significand & ~Float80.IntegerBit) >> 11);

    /// <summary>As a float.</summary>
    public uint ToBinary32() => (Negative ? 1U << 31 : 0) | ((uint)Biased << 23) | (uint)((Significand & ~Float80.IntegerBit) >> 40);

    /// <summary>As the interchange format <paramref name="format"/>.</summary>
    public ulong ToBits(FloatFormat format) => format.Precision == 53 ? ToBinary64() : ToBinary32();
}
