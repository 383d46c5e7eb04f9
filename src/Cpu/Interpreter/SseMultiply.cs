using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Vmm.Cpu.State;

namespace Vmm.Cpu.Interpreter;

#pragma warning disable SA1649 // One operation per struct.

/// <summary>PMULLW, PMULLD: the low half of each product.</summary>
internal readonly unsafe struct SseMultiplyLow<T> : ISse
    where T : unmanaged
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Apply(CpuState* s, Op* op, Vector128<byte> a, Vector128<byte> b) =>
        (a.As<byte, T>() * b.As<byte, T>()).AsByte();
}

/// <summary>PMULHW.</summary>
internal readonly unsafe struct SseMultiplyHigh : ISse
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Apply(CpuState* s, Op* op, Vector128<byte> a, Vector128<byte> b) =>
        (Sse2.IsSupported ? Sse2.MultiplyHigh(a.AsInt16(), b.AsInt16()) : SsePortable.MultiplyHigh(a.AsInt16(), b.AsInt16())).AsByte();
}

/// <summary>PMULHUW.</summary>
internal readonly unsafe struct SseMultiplyHighUnsigned : ISse
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Apply(CpuState* s, Op* op, Vector128<byte> a, Vector128<byte> b) =>
        (Sse2.IsSupported ? Sse2.MultiplyHigh(a.AsUInt16(), b.AsUInt16()) : SsePortable.MultiplyHigh(a.AsUInt16(), b.AsUInt16())).AsByte();
}

/// <summary>PMULHRSW: the product of two fractions, rounded.</summary>
internal readonly unsafe struct SseMultiplyRounded : ISse
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Apply(CpuState* s, Op* op, Vector128<byte> a, Vector128<byte> b) =>
        (Ssse3.IsSupported ? Ssse3.MultiplyHighRoundScale(a.AsInt16(), b.AsInt16()) : SsePortable.MultiplyRounded(a.AsInt16(), b.AsInt16())).AsByte();
}

/// <summary>PMULUDQ: the even doublewords to quadwords.</summary>
internal readonly unsafe struct SseMultiplyWideUnsigned : ISse
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Apply(CpuState* s, Op* op, Vector128<byte> a, Vector128<byte> b) =>
        (Sse2.IsSupported ? Sse2.Multiply(a.AsUInt32(), b.AsUInt32()) : SsePortable.MultiplyWide(a.AsUInt64(), b.AsUInt64())).AsByte();
}

/// <summary>PMULDQ: the even doublewords, signed, to quadwords.</summary>
internal readonly unsafe struct SseMultiplyWide : ISse
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Apply(CpuState* s, Op* op, Vector128<byte> a, Vector128<byte> b) =>
        (Sse41.IsSupported ? Sse41.Multiply(a.AsInt32(), b.AsInt32()) : SsePortable.MultiplyWide(a.AsInt64(), b.AsInt64())).AsByte();
}

/// <summary>PMADDWD: sums of two adjacent products of words.</summary>
internal readonly unsafe struct SseMultiplyAddWords : ISse
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Apply(CpuState* s, Op* op, Vector128<byte> a, Vector128<byte> b) =>
        (Sse2.IsSupported ? Sse2.MultiplyAddAdjacent(a.AsInt16(), b.AsInt16()) : SsePortable.MultiplyAddWords(a.AsInt32(), b.AsInt32())).AsByte();
}

/// <summary>PMADDUBSW: saturated sums of two adjacent products of an unsigned and a signed byte.</summary>
internal readonly unsafe struct SseMultiplyAddBytes : ISse
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Apply(CpuState* s, Op* op, Vector128<byte> a, Vector128<byte> b) =>
        (Ssse3.IsSupported ? Ssse3.MultiplyAddAdjacent(a, b.AsSByte()) : SsePortable.MultiplyAddBytes(a.AsInt16(), b.AsInt16())).AsByte();
}

/// <summary>PSADBW: the sum of absolute differences of each eight bytes.</summary>
internal readonly unsafe struct SseDifferenceSum : ISse
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Apply(CpuState* s, Op* op, Vector128<byte> a, Vector128<byte> b) =>
        Sse2.IsSupported ? Sse2.SumAbsoluteDifferences(a, b).AsByte() : SsePortable.DifferenceSum(a, b).AsByte();
}
