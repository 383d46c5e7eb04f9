using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Vmm.Cpu.State;

namespace Vmm.Cpu.Interpreter;

#pragma warning disable SA1649 // One operation per struct, a line each.

/// <summary>PAND, ANDPS, ANDPD.</summary>
internal readonly unsafe struct SseAnd : ISse
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Apply(CpuState* s, Op* op, Vector128<byte> a, Vector128<byte> b) => a & b;
}

/// <summary>PANDN, ANDNPS, ANDNPD.</summary>
internal readonly unsafe struct SseAndNot : ISse
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Apply(CpuState* s, Op* op, Vector128<byte> a, Vector128<byte> b) => Vector128.AndNot(b, a);
}

/// <summary>POR, ORPS, ORPD.</summary>
internal readonly unsafe struct SseOr : ISse
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Apply(CpuState* s, Op* op, Vector128<byte> a, Vector128<byte> b) => a | b;
}

/// <summary>PXOR, XORPS, XORPD.</summary>
internal readonly unsafe struct SseXor : ISse
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Apply(CpuState* s, Op* op, Vector128<byte> a, Vector128<byte> b) => a ^ b;
}

/// <summary>PADDx.</summary>
internal readonly unsafe struct SseAdd<T> : ISse
    where T : unmanaged
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Apply(CpuState* s, Op* op, Vector128<byte> a, Vector128<byte> b) =>
        (a.As<byte, T>() + b.As<byte, T>()).AsByte();
}

/// <summary>PSUBx.</summary>
internal readonly unsafe struct SseSubtract<T> : ISse
    where T : unmanaged
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Apply(CpuState* s, Op* op, Vector128<byte> a, Vector128<byte> b) =>
        (a.As<byte, T>() - b.As<byte, T>()).AsByte();
}

/// <summary>PADDSx, PADDUSx.</summary>
internal readonly unsafe struct SseAddSaturate<T> : ISse
    where T : unmanaged
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Apply(CpuState* s, Op* op, Vector128<byte> a, Vector128<byte> b) =>
        Vector128.AddSaturate(a.As<byte, T>(), b.As<byte, T>()).AsByte();
}

/// <summary>PSUBSx, PSUBUSx.</summary>
internal readonly unsafe struct SseSubtractSaturate<T> : ISse
    where T : unmanaged
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Apply(CpuState* s, Op* op, Vector128<byte> a, Vector128<byte> b) =>
        Vector128.SubtractSaturate(a.As<byte, T>(), b.As<byte, T>()).AsByte();
}

/// <summary>PMINxx.</summary>
internal readonly unsafe struct SseMinimum<T> : ISse
    where T : unmanaged
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Apply(CpuState* s, Op* op, Vector128<byte> a, Vector128<byte> b) =>
        Vector128.Min(a.As<byte, T>(), b.As<byte, T>()).AsByte();
}

/// <summary>PMAXxx.</summary>
internal readonly unsafe struct SseMaximum<T> : ISse
    where T : unmanaged
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Apply(CpuState* s, Op* op, Vector128<byte> a, Vector128<byte> b) =>
        Vector128.Max(a.As<byte, T>(), b.As<byte, T>()).AsByte();
}

/// <summary>PCMPEQx.</summary>
internal readonly unsafe struct SseEqual<T> : ISse
    where T : unmanaged
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Apply(CpuState* s, Op* op, Vector128<byte> a, Vector128<byte> b) =>
        Vector128.Equals(a.As<byte, T>(), b.As<byte, T>()).AsByte();
}

/// <summary>PCMPGTx.</summary>
internal readonly unsafe struct SseGreater<T> : ISse
    where T : unmanaged
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Apply(CpuState* s, Op* op, Vector128<byte> a, Vector128<byte> b) =>
        Vector128.GreaterThan(a.As<byte, T>(), b.As<byte, T>()).AsByte();
}

/// <summary>PAVGB, PAVGW: (a + b + 1) / 2 without losing the carry.</summary>
internal readonly unsafe struct SseAverage<T> : ISse
    where T : unmanaged
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Apply(CpuState* s, Op* op, Vector128<byte> a, Vector128<byte> b)
    {
        if (Sse2.IsSupported)
        {
            return sizeof(T) == 1 ? Sse2.Average(a, b) : Sse2.Average(a.AsUInt16(), b.AsUInt16()).AsByte();
        }

        return sizeof(T) == 1 ? SsePortable.AverageBytes(a, b) : SsePortable.AverageWords(a.AsUInt16(), b.AsUInt16()).AsByte();
    }
}

/// <summary>PABSx: the most negative number stays as it is.</summary>
internal readonly unsafe struct SseAbsolute<T> : ISse
    where T : unmanaged
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Apply(CpuState* s, Op* op, Vector128<byte> a, Vector128<byte> b)
    {
        var negative = Vector128.LessThan(b.As<byte, T>(), Vector128<T>.Zero);
        return ((b.As<byte, T>() ^ negative) - negative).AsByte();
    }
}

/// <summary>PSIGNx: the destination negated, kept or cleared by the sign of the source.</summary>
internal readonly unsafe struct SseSign<T> : ISse
    where T : unmanaged
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Apply(CpuState* s, Op* op, Vector128<byte> a, Vector128<byte> b)
    {
        var sign = b.As<byte, T>();
        var negative = Vector128.LessThan(sign, Vector128<T>.Zero);
        var value = (a.As<byte, T>() ^ negative) - negative;
        return Vector128.AndNot(value, Vector128.Equals(sign, Vector128<T>.Zero)).AsByte();
    }
}
