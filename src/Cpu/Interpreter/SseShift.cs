using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Vmm.Cpu.State;

namespace Vmm.Cpu.Interpreter;

#pragma warning disable SA1649 // One operation per struct.

/// <summary>Where a vector shift takes its count from.</summary>
internal unsafe interface ISseCount
{
    /// <summary>All 64 bits of the count.</summary>
    static abstract ulong Of(Op* op, Vector128<byte> b);
}

/// <summary>The low quadword of the source, which counts as a whole.</summary>
internal readonly unsafe struct SseCountInSource : ISseCount
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Of(Op* op, Vector128<byte> b) => b.AsUInt64().ToScalar();
}

/// <summary>The immediate.</summary>
internal readonly unsafe struct SseCountInImmediate : ISseCount
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Of(Op* op, Vector128<byte> b) => (ulong)op->Imm;
}

/// <summary>PSLLx: a count of the element's width or more clears.</summary>
internal readonly unsafe struct SseShiftLeft<T, TCount> : ISse
    where T : unmanaged
    where TCount : struct, ISseCount
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Apply(CpuState* s, Op* op, Vector128<byte> a, Vector128<byte> b)
    {
        var count = TCount.Of(op, b);
        return count >= (ulong)sizeof(T) * 8 ? default : (a.As<byte, T>() << (int)count).AsByte();
    }
}

/// <summary>PSRLx: a count of the element's width or more clears.</summary>
internal readonly unsafe struct SseShiftRight<T, TCount> : ISse
    where T : unmanaged
    where TCount : struct, ISseCount
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Apply(CpuState* s, Op* op, Vector128<byte> a, Vector128<byte> b)
    {
        var count = TCount.Of(op, b);
        return count >= (ulong)sizeof(T) * 8 ? default : (a.As<byte, T>() >>> (int)count).AsByte();
    }
}

/// <summary>PSRAx: a count of the element's width or more leaves the sign everywhere.</summary>
internal readonly unsafe struct SseShiftArithmetic<T, TCount> : ISse
    where T : unmanaged
    where TCount : struct, ISseCount
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Apply(CpuState* s, Op* op, Vector128<byte> a, Vector128<byte> b) =>
        (a.As<byte, T>() >> (int)Math.Min(TCount.Of(op, b), (ulong)sizeof(T) * 8 - 1)).AsByte();
}
