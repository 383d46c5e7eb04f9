using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Vmm.Cpu.State;

namespace Vmm.Cpu.Interpreter;

#pragma warning disable SA1649 // One operation per struct.

/// <summary>PHADDW, PHSUBW, PHADDSW, PHSUBSW on adjacent words, the left one in the low half.</summary>
internal interface ISsePair
{
    /// <summary>Combines the words of each doubleword; the caller keeps the low 16 bits.</summary>
    static abstract Vector128<int> Apply(Vector128<int> low, Vector128<int> high);
}

/// <summary>Wrapping or saturating sums and differences of adjacent words.</summary>
internal readonly unsafe struct SsePairWords<TPair> : ISse
    where TPair : struct, ISsePair
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Apply(CpuState* s, Op* op, Vector128<byte> a, Vector128<byte> b) =>
        Vector128.Narrow(Each(a.AsInt32()), Each(b.AsInt32())).AsByte();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector128<int> Each(Vector128<int> v) => TPair.Apply(v << 16 >> 16, v >> 16);
}

/// <summary>PHADDW.</summary>
internal readonly struct SsePairSum : ISsePair
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<int> Apply(Vector128<int> low, Vector128<int> high) => low + high;
}

/// <summary>PHSUBW.</summary>
internal readonly struct SsePairDifference : ISsePair
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<int> Apply(Vector128<int> low, Vector128<int> high) => low - high;
}

/// <summary>PHADDSW.</summary>
internal readonly struct SsePairSumSaturate : ISsePair
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<int> Apply(Vector128<int> low, Vector128<int> high) => SsePortable.ClampToInt16(low + high);
}

/// <summary>PHSUBSW.</summary>
internal readonly struct SsePairDifferenceSaturate : ISsePair
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<int> Apply(Vector128<int> low, Vector128<int> high) => SsePortable.ClampToInt16(low - high);
}

/// <summary>PHADDD.</summary>
internal readonly unsafe struct SsePairSumDoublewords : ISse
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Apply(CpuState* s, Op* op, Vector128<byte> a, Vector128<byte> b) =>
        Vector128.Narrow(a.AsUInt64() + (a.AsUInt64() >>> 32), b.AsUInt64() + (b.AsUInt64() >>> 32)).AsByte();
}

/// <summary>PHSUBD.</summary>
internal readonly unsafe struct SsePairDifferenceDoublewords : ISse
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Apply(CpuState* s, Op* op, Vector128<byte> a, Vector128<byte> b) =>
        Vector128.Narrow(a.AsUInt64() - (a.AsUInt64() >>> 32), b.AsUInt64() - (b.AsUInt64() >>> 32)).AsByte();
}

/// <summary>PHMINPOSUW: the smallest word and, above it, the first place where it stands.</summary>
internal readonly unsafe struct SseMinimumPosition : ISse
{
    public static Vector128<byte> Apply(CpuState* s, Op* op, Vector128<byte> a, Vector128<byte> b)
    {
        var words = b.AsUInt16();
        var (least, place) = (words.ToScalar(), 0);
        for (var i = 1; i < 8; i++)
        {
            if (words[i] < least)
            {
                (least, place) = (words[i], i);
            }
        }

        return Vector128.CreateScalar(least | (uint)place << 16).AsByte();
    }
}

/// <summary>MPSADBW: four bytes of the source against eight successive places of the destination.</summary>
internal readonly unsafe struct SseMultipleDifferenceSum : ISse
{
    public static Vector128<byte> Apply(CpuState* s, Op* op, Vector128<byte> a, Vector128<byte> b)
    {
        var block = (int)op->Imm & 4;
        var reference = ((int)op->Imm & 3) * 4;
        var sums = Vector128<ushort>.Zero;
        for (var i = 0; i < 8; i++)
        {
            var sum = 0;
            for (var k = 0; k < 4; k++)
            {
                sum += Math.Abs(a[block + i + k] - b[reference + k]);
            }

            sums = sums.WithElement(i, (ushort)sum);
        }

        return sums.AsByte();
    }
}

/// <summary>INSERTPS: one element of the source, then zeros. Imm: source 7:6, destination 5:4, zero mask 3:0.</summary>
internal readonly unsafe struct SseInsertSingle : ISse
{
    public static Vector128<byte> Apply(CpuState* s, Op* op, Vector128<byte> a, Vector128<byte> b)
    {
        var imm = (int)op->Imm;
        var result = a.AsUInt32().WithElement(imm >> 4 & 3, b.AsUInt32()[imm >> 6 & 3]);
        for (var i = 0; i < 4; i++)
        {
            if ((imm >> i & 1) != 0)
            {
                result = result.WithElement(i, 0u);
            }
        }

        return result.AsByte();
    }
}
