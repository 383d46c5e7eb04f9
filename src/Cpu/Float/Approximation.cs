namespace Vmm.Cpu.Float;

/// <summary>RCPSS and RSQRTSS: relative error below 1.5 * 2^-12, no exceptions, denormals as zeros (SDM vol. 2).</summary>
/// <remarks>The bits beyond that bound differ between processors; these are the same on every host.</remarks>
internal static class Approximation
{
    private const uint SignBit = 0x8000_0000;
    private const uint InfinityBits = 0x7F80_0000;
    private const uint QuietBit = 0x0040_0000;
    private const uint Indefinite = 0xFFC0_0000;

    // Fraction bits of the argument that count, and of the result.
    private const int ArgumentBits = 12;
    private const int ResultBits = 14;

    /// <summary>1 / a.</summary>
    public static uint Reciprocal(uint a)
    {
        uint sign = a & SignBit;
        uint magnitude = a & ~SignBit;
        if (magnitude >= InfinityBits)
        {
            return magnitude == InfinityBits ? sign : a | QuietBit;
        }

        return magnitude < 0x0080_0000 ? sign | InfinityBits : sign | Shorten(1 / Representative(magnitude));
    }

    /// <summary>1 / sqrt a.</summary>
    public static uint ReciprocalSquareRoot(uint a)
    {
        uint magnitude = a & ~SignBit;
        if (magnitude > InfinityBits)
        {
            return a | QuietBit;
        }

        if (magnitude < 0x0080_0000)
        {
            return (a & SignBit) | InfinityBits;
        }

        if (a != magnitude)
        {
            return Indefinite;
        }

        return magnitude == InfinityBits ? 0 : Shorten(1 / Math.Sqrt(Representative(magnitude)));
    }

    // The middle of the interval that shares the leading fraction bits.
    private static double Representative(uint magnitude)
    {
        const int Dropped = 23 - ArgumentBits;
        uint middle = (magnitude >> Dropped << Dropped) | (1u << (Dropped - 1));
        return BitConverter.UInt32BitsToSingle(middle);
    }

    // Division and square root of doubles are exact to the last bit on every host; what follows is integer arithmetic.
    private static uint Shorten(double value)
    {
        ulong bits = BitConverter.DoubleToUInt64Bits(value);
        int exponent = (int)(bits >> 52) - 1023 + 127;
        uint fraction = (uint)(bits >> (52 - ResultBits)) & ((1u << ResultBits) - 1);
        return exponent <= 0 ? 0 : ((uint)exponent << 23) | (fraction << (23 - ResultBits));
    }
}
