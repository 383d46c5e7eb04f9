using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Vmm.Cpu.Float;
using Vmm.Cpu.State;

namespace Vmm.Cpu.Interpreter;

/// <summary>ADDSS and its kin: the low single precision element.</summary>
internal readonly unsafe struct ScalarSingle<TOp> : ISseFloat
    where TOp : struct, IFloatOperation
{
    public static int Bytes => 4;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Run(CpuState* s, Op* op, byte* source)
    {
        var destination = (uint*)((byte*)s + op->A);
        var a = *destination;
        var b = *(uint*)source;
        if (FloatContext.IsPlainMxcsr(s->Mxcsr) && Binary32.Plain(a, b))
        {
            var result = TOp.Host(BitConverter.UInt32BitsToSingle(a), BitConverter.UInt32BitsToSingle(b));
            if (Binary32.IsSafe(result) || (result == 0 && TOp.ZeroIsExact(a << 1 == 0, b << 1 == 0)))
            {
                *(float*)destination = result;
                return true;
            }
        }

        return Slow(s, op, b);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    static bool Slow(CpuState* s, Op* op, uint b)
    {
        var destination = (uint*)((byte*)s + op->A);
        var c = FloatContext.FromMxcsr(s->Mxcsr);
        var result = TOp.Single(*destination, b, ref c);
        if (!SseFloat.Accept(s, op, c))
        {
            return false;
        }

        *destination = result;
        return true;
    }
}

/// <summary>ADDSD and its kin: the low double precision element.</summary>
internal readonly unsafe struct ScalarDouble<TOp> : ISseFloat
    where TOp : struct, IFloatOperation
{
    public static int Bytes => 8;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Run(CpuState* s, Op* op, byte* source)
    {
        var destination = (ulong*)((byte*)s + op->A);
        var a = *destination;
        var b = *(ulong*)source;
        if (FloatContext.IsPlainMxcsr(s->Mxcsr) && Binary64.Plain(a, b))
        {
            var result = TOp.Host(BitConverter.UInt64BitsToDouble(a), BitConverter.UInt64BitsToDouble(b));
            if (Binary64.IsSafe(result) || (result == 0 && TOp.ZeroIsExact(a << 1 == 0, b << 1 == 0)))
            {
                *(double*)destination = result;
                return true;
            }
        }

        return Slow(s, op, b);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    static bool Slow(CpuState* s, Op* op, ulong b)
    {
        var destination = (ulong*)((byte*)s + op->A);
        var c = FloatContext.FromMxcsr(s->Mxcsr);
        var result = TOp.Double(*destination, b, ref c);
        if (!SseFloat.Accept(s, op, c))
        {
            return false;
        }

        *destination = result;
        return true;
    }
}

/// <summary>ADDPS and its kin.</summary>
internal readonly unsafe struct PackedSingle<TOp> : ISseFloat
    where TOp : struct, IFloatOperation
{
    public static int Bytes => 16;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Run(CpuState* s, Op* op, byte* source)
    {
        var at = (byte*)s + op->A;
        var a = Vector128.Load(at).AsSingle();
        var b = Vector128.Load(source).AsSingle();
        var host = TOp.Host(a, b);
        if (FloatContext.IsPlainMxcsr(s->Mxcsr) && PackedFloat.IsHostResult<TOp>(a.AsUInt32(), b.AsUInt32(), host.AsUInt32()))
        {
            host.AsByte().Store(at);
            return true;
        }

        return Slow(s, op, source);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    static bool Slow(CpuState* s, Op* op, byte* source)
    {
        var c = FloatContext.FromMxcsr(s->Mxcsr);
        var result = PackedFloat.Run32<TOp>(SseRegister.Load32((byte*)s + op->A), SseRegister.Load32(source), ref c);
        return SseRegister.Store(s, op, c, result.AsByte());
    }
}

/// <summary>ADDPD and its kin.</summary>
internal readonly unsafe struct PackedDouble<TOp> : ISseFloat
    where TOp : struct, IFloatOperation
{
    public static int Bytes => 16;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Run(CpuState* s, Op* op, byte* source)
    {
        var at = (byte*)s + op->A;
        var a = Vector128.Load(at).AsDouble();
        var b = Vector128.Load(source).AsDouble();
        var host = TOp.Host(a, b);
        if (FloatContext.IsPlainMxcsr(s->Mxcsr) && PackedFloat.IsHostResult<TOp>(a.AsUInt64(), b.AsUInt64(), host.AsUInt64()))
        {
            host.AsByte().Store(at);
            return true;
        }

        return Slow(s, op, source);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    static bool Slow(CpuState* s, Op* op, byte* source)
    {
        var c = FloatContext.FromMxcsr(s->Mxcsr);
        var result = PackedFloat.Run64<TOp>(SseRegister.Load64((byte*)s + op->A), SseRegister.Load64(source), ref c);
        return SseRegister.Store(s, op, c, result.AsByte());
    }
}

/// <summary>Whole XMM registers.</summary>
internal static unsafe class SseRegister
{
    /// <summary>Four elements at an address of ours.</summary>
    public static Vector128<uint> Load32(byte* at) => Vector128.Load(at).AsUInt32();

    /// <summary>Two elements at an address of ours.</summary>
    public static Vector128<ulong> Load64(byte* at) => Vector128.Load(at).AsUInt64();

    /// <summary>Writes the destination unless an unmasked exception was met. False: it waits.</summary>
    public static bool Store(CpuState* s, Op* op, in FloatContext c, Vector128<byte> value)
    {
        if (!SseFloat.Accept(s, op, c))
        {
            return false;
        }

        value.Store((byte*)s + op->A);
        return true;
    }
}

/// <summary>HADDPS, HSUBPS: sums or differences of neighbours, the destination's first.</summary>
internal readonly unsafe struct HorizontalSingle<TOp> : ISseFloat
    where TOp : struct, IFloatOperation
{
    public static int Bytes => 16;

    public static bool Run(CpuState* s, Op* op, byte* source)
    {
        var a = SseRegister.Load32((byte*)s + op->A);
        var b = SseRegister.Load32(source);
        var c = FloatContext.FromMxcsr(s->Mxcsr);
        var result = PackedFloat.Run32<TOp>(
            Vector128.Create(a[0], a[2], b[0], b[2]), Vector128.Create(a[1], a[3], b[1], b[3]), ref c);
        return SseRegister.Store(s, op, c, result.AsByte());
    }
}

/// <summary>HADDPD, HSUBPD.</summary>
internal readonly unsafe struct HorizontalDouble<TOp> : ISseFloat
    where TOp : struct, IFloatOperation
{
    public static int Bytes => 16;

    public static bool Run(CpuState* s, Op* op, byte* source)
    {
        var a = SseRegister.Load64((byte*)s + op->A);
        var b = SseRegister.Load64(source);
        var c = FloatContext.FromMxcsr(s->Mxcsr);
        var result = PackedFloat.Run64<TOp>(Vector128.Create(a[0], b[0]), Vector128.Create(a[1], b[1]), ref c);
        return SseRegister.Store(s, op, c, result.AsByte());
    }
}

/// <summary>ADDSUBPS, ADDSUBPD: even elements subtracted, odd ones added.</summary>
internal readonly unsafe struct AlternatingSums<TSize> : ISseFloat
    where TSize : struct, ISseSize
{
    public static int Bytes => 16;

    public static bool Run(CpuState* s, Op* op, byte* source)
    {
        var c = FloatContext.FromMxcsr(s->Mxcsr);
        var at = (byte*)s + op->A;
        if (TSize.IsDouble)
        {
            var a = SseRegister.Load64(at);
            var b = SseRegister.Load64(source);
            var both = Vector128.Create(Binary64.Subtract(a[0], b[0], ref c), Binary64.Add(a[1], b[1], ref c));
            return SseRegister.Store(s, op, c, both.AsByte());
        }

        var x = SseRegister.Load32(at);
        var y = SseRegister.Load32(source);
        var result = Vector128.Create(
            Binary32.Subtract(x[0], y[0], ref c), Binary32.Add(x[1], y[1], ref c),
            Binary32.Subtract(x[2], y[2], ref c), Binary32.Add(x[3], y[3], ref c));
        return SseRegister.Store(s, op, c, result.AsByte());
    }
}

/// <summary>Element size of a packed operation.</summary>
internal interface ISseSize
{
    /// <summary>Double precision.</summary>
    static abstract bool IsDouble { get; }
}

/// <summary>Single precision.</summary>
internal readonly struct Singles : ISseSize
{
    public static bool IsDouble => false;
}

/// <summary>Double precision.</summary>
internal readonly struct Doubles : ISseSize
{
    public static bool IsDouble => true;
}
