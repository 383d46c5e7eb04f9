using System.Numerics;
using Vmm.Cpu.Float;
using Xunit;

namespace Vmm.Unit.Cpu.Float;

/// <summary>FPREM and FPREM1 against integer arithmetic, through as many rounds as C2 asks for.</summary>
public sealed class RemainderTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Repeated_rounds_end_at_the_exact_remainder(bool nearest)
    {
        FloatCases cases = new(99);
        for (int i = 0; i < 500; i++)
        {
            Float80 a = Finite(cases, 0x2000 + cases.Below(0x3000));
            Float80 b = Finite(cases, 0x2000 + cases.Below(0x3000));
            (Float80 result, int quotient) = Reduce(a, b, nearest);
            int low = Math.Min(a.Biased, b.Biased);
            BigInteger dividend = (BigInteger)a.Significand << (a.Biased - low);
            BigInteger divisor = (BigInteger)b.Significand << (b.Biased - low);
            BigInteger whole = BigInteger.DivRem(dividend, divisor, out BigInteger rest);
            int half = (rest * 2).CompareTo(divisor);
            if (nearest && (half > 0 || (half == 0 && !whole.IsEven)))
            {
                rest -= divisor;
                whole++;
            }

            Assert.Equal(Scaled(rest * (a.Negative ? -1 : 1), low, a.Negative), result);
            Assert.Equal((int)(whole & 7), quotient);
        }
    }

    private static Float80 Finite(FloatCases cases, int exponent)
        => new(cases.Next() | Float80.IntegerBit, (ushort)(exponent | (cases.Below(2) << 15)));

    private static (Float80 Result, int Quotient) Reduce(Float80 a, Float80 b, bool nearest)
    {
        for (int round = 0; round < 1000; round++)
        {
            FloatContext c = FloatContext.FromControlWord(0x37F);
            a = Float80.Remainder(a, b, nearest, out int quotient, out bool partial, ref c);
            Assert.Equal(FloatFlags.None, c.Flags);
            if (!partial)
            {
                return (a, quotient);
            }
        }

        throw new InvalidOperationException("C2 stays set.");
    }

    private static Float80 Scaled(BigInteger value, int biased, bool negativeZero)
    {
        if (value.IsZero)
        {
            return Float80.SignedZero(negativeZero);
        }

        BigInteger magnitude = BigInteger.Abs(value);
        int shift = 64 - (int)magnitude.GetBitLength();
        ulong significand = (ulong)(shift >= 0 ? magnitude << shift : magnitude >> -shift);
        return new(significand, (ushort)((biased - shift) | (value.Sign < 0 ? 0x8000 : 0)));
    }
}
