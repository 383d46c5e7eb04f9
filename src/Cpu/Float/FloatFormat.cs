namespace Vmm.Cpu.Float;

/// <summary>Parameters of a binary format (IEEE 754-2019 §3.3, SDM vol. 1 §4.2.2).</summary>
internal sealed class FloatFormat
{
    /// <summary>Single precision.</summary>
    public static readonly FloatFormat Binary32 = new(24, 8);

    /// <summary>Double precision.</summary>
    public static readonly FloatFormat Binary64 = new(53, 11);

    /// <summary>Double extended precision, with its explicit integer bit.</summary>
    public static readonly FloatFormat Extended80 = new(64, 15);

    private FloatFormat(int precision, int exponentBits)
    {
        Precision = precision;
        MaxBiased = (1 << exponentBits) - 1;
        Bias = MaxBiased >> 1;
    }

    /// <summary>Significand bits, integer bit included.</summary>
    public int Precision { get; }

    /// <summary>Exponent bias; also the largest exponent of a finite number.</summary>
    public int Bias { get; }

    /// <summary>Exponent field of infinities and NaNs.</summary>
    public int MaxBiased { get; }

    /// <summary>Exponent of the smallest normal number.</summary>
    public int MinExponent => 1 - Bias;

    /// <summary>Only x87 register results carry on, rescaled, after an unmasked overflow or underflow (SDM vol. 1 §8.5.4).</summary>
    public bool IsExtended => Precision == 64;
}
