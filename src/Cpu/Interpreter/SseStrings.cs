using System.Numerics;
using System.Runtime.Intrinsics;

namespace Vmm.Cpu.Interpreter;

/// <summary>The comparison of PCMPESTRI, PCMPESTRM, PCMPISTRI and PCMPISTRM (SDM 2B §4.1).</summary>
internal static class SseStrings
{
    /// <summary>Elements in a register: 8 words or 16 bytes.</summary>
    public static int Count(int imm) => (imm & 1) != 0 ? 8 : 16;

    /// <summary>Place of the first zero element, or the number of elements.</summary>
    public static int ImplicitLength(Vector128<byte> v, int imm)
    {
        var zeros = (imm & 1) != 0
            ? Vector128.Equals(v.AsUInt16(), Vector128<ushort>.Zero).ExtractMostSignificantBits()
            : Vector128.Equals(v, Vector128<byte>.Zero).ExtractMostSignificantBits();
        return Math.Min(BitOperations.TrailingZeroCount(zeros), Count(imm));
    }

    /// <summary>The magnitude of a length register, at most the number of elements.</summary>
    public static int ExplicitLength(long length, int imm)
    {
        var magnitude = length < 0 ? 0 - (ulong)length : (ulong)length;
        return (int)Math.Min(magnitude, (ulong)Count(imm));
    }

    /// <summary>IntRes2: one bit for each element of the second operand.</summary>
    public static uint Compare(Vector128<byte> a, Vector128<byte> b, int lengthA, int lengthB, int imm)
    {
        var count = Count(imm);
        var all = (1u << count) - 1;
        var result = 0u;
        for (var j = 0; j < count; j++)
        {
            if (Aggregate(a, b, lengthA, lengthB, imm, j))
            {
                result |= 1u << j;
            }
        }

        return (imm >> 4 & 3) switch
        {
            1 => result ^ all,
            3 => result ^ (1u << lengthB) - 1,
            _ => result,
        };
    }

    static bool Aggregate(Vector128<byte> a, Vector128<byte> b, int lengthA, int lengthB, int imm, int j) => (imm >> 2 & 3) switch
    {
        0 => EqualAny(a, b, lengthA, lengthB, imm, j),
        1 => InRanges(a, b, lengthA, lengthB, imm, j),
        2 => j < lengthA && j < lengthB ? Element(a, j, imm) == Element(b, j, imm) : j >= lengthA && j >= lengthB,
        _ => EqualOrdered(a, b, lengthA, lengthB, imm, j),
    };

    static bool EqualAny(Vector128<byte> a, Vector128<byte> b, int lengthA, int lengthB, int imm, int j)
    {
        if (j >= lengthB)
        {
            return false;
        }

        var element = Element(b, j, imm);
        for (var i = 0; i < lengthA; i++)
        {
            if (Element(a, i, imm) == element)
            {
                return true;
            }
        }

        return false;
    }

    static bool InRanges(Vector128<byte> a, Vector128<byte> b, int lengthA, int lengthB, int imm, int j)
    {
        if (j >= lengthB)
        {
            return false;
        }

        var element = Element(b, j, imm);
        for (var i = 0; i + 1 < lengthA; i += 2)
        {
            if (Element(a, i, imm) <= element && element <= Element(a, i + 1, imm))
            {
                return true;
            }
        }

        return false;
    }

    static bool EqualOrdered(Vector128<byte> a, Vector128<byte> b, int lengthA, int lengthB, int imm, int j)
    {
        // Beyond the first string's end everything matches; beyond the second's end nothing does.
        for (var i = 0; i < lengthA && i + j < Count(imm); i++)
        {
            if (i + j >= lengthB || Element(a, i, imm) != Element(b, i + j, imm))
            {
                return false;
            }
        }

        return true;
    }

    static int Element(Vector128<byte> v, int i, int imm) => (imm & 3) switch
    {
        0 => v[i],
        1 => v.AsUInt16()[i],
        2 => v.AsSByte()[i],
        _ => v.AsInt16()[i],
    };

    /// <summary>Result of PCMPxSTRI: the first or last place, or the number of elements.</summary>
    public static uint Index(uint result, int imm) =>
        result == 0 ? (uint)Count(imm) : (uint)((imm & 0x40) != 0 ? BitOperations.Log2(result) : BitOperations.TrailingZeroCount(result));

    /// <summary>Result of PCMPxSTRM: the bits, or a mask of whole elements.</summary>
    public static Vector128<byte> Mask(uint result, int imm)
    {
        if ((imm & 0x40) == 0)
        {
            return Vector128.CreateScalar(result).AsByte();
        }

        if ((imm & 1) != 0)
        {
            var bits = Vector128.Create((ushort)1, 2, 4, 8, 16, 32, 64, 128);
            return Vector128.Equals(Vector128.Create((ushort)result) & bits, bits).AsByte();
        }

        var byteBits = Vector128.Create(0x8040_2010_0804_0201ul).AsByte();
        var spread = Vector128.Create(Vector64.Create((byte)result), Vector64.Create((byte)(result >> 8)));
        return Vector128.Equals(spread & byteBits, byteBits);
    }
}
