using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Vmm.Cpu.Float;
using Vmm.Cpu.State;

namespace Vmm.Cpu.Interpreter;

/// <summary>COMISS and UCOMISS. Imm non-zero: quiet NaNs are invalid.</summary>
internal readonly unsafe struct OrderSingle : ISseFloat
{
    public static int Bytes => 4;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Run(CpuState* s, Op* op, byte* source)
    {
        var a = *(uint*)((byte*)s + op->A);
        var b = *(uint*)source;
        if (Binary32.Plain(a, b))
        {
            var x = BitConverter.UInt32BitsToSingle(a);
            var y = BitConverter.UInt32BitsToSingle(b);
            SseOrder.Set(s, x < y, x == y);
            return true;
        }

        return Slow(s, op, a, b);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    static bool Slow(CpuState* s, Op* op, uint a, uint b)
    {
        var c = FloatContext.FromMxcsr(s->Mxcsr);
        var order = Binary32.Compare(a, b, op->Imm != 0, ref c);
        return SseOrder.Accept(s, op, c, order);
    }
}

/// <summary>COMISD and UCOMISD. Imm non-zero: quiet NaNs are invalid.</summary>
internal readonly unsafe struct OrderDouble : ISseFloat
{
    public static int Bytes => 8;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Run(CpuState* s, Op* op, byte* source)
    {
        var a = *(ulong*)((byte*)s + op->A);
        var b = *(ulong*)source;
        if (Binary64.Plain(a, b))
        {
            var x = BitConverter.UInt64BitsToDouble(a);
            var y = BitConverter.UInt64BitsToDouble(b);
            SseOrder.Set(s, x < y, x == y);
            return true;
        }

        return Slow(s, op, a, b);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    static bool Slow(CpuState* s, Op* op, ulong a, ulong b)
    {
        var c = FloatContext.FromMxcsr(s->Mxcsr);
        var order = Binary64.Compare(a, b, op->Imm != 0, ref c);
        return SseOrder.Accept(s, op, c, order);
    }
}

/// <summary>Results of ordered comparisons.</summary>
internal static unsafe class SseOrder
{
    /// <summary>Sets EFLAGS for ordered operands: CF if less, ZF if equal, and nothing else.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Set(CpuState* s, bool less, bool equal)
    {
        // As Flags.WriteArithmetic would: the result 0 needs its parity turned, CF without OF is the top two bits.
        s->FlagRes = equal ? 0ul : 1ul;
        s->FlagAux = less ? 0xC000_0000_0000_0000 : equal ? 0x100ul : 0;
    }

    /// <summary>Sets EFLAGS unless an unmasked exception was met. False: it waits.</summary>
    public static bool Accept(CpuState* s, Op* op, in FloatContext c, FloatOrder order)
    {
        if (!SseFloat.Accept(s, op, c))
        {
            return false;
        }

        Flags.WriteArithmetic(s, X87Order.ToFlags(order));
        return true;
    }
}

/// <summary>CMPSS. Imm is the predicate.</summary>
internal readonly unsafe struct MaskSingle : ISseFloat
{
    public static int Bytes => 4;

    public static bool Run(CpuState* s, Op* op, byte* source)
    {
        var destination = (uint*)((byte*)s + op->A);
        var c = FloatContext.FromMxcsr(s->Mxcsr);
        var mask = Binary32.CompareMask(*destination, *(uint*)source, (int)op->Imm, ref c);
        if (!SseFloat.Accept(s, op, c))
        {
            return false;
        }

        *destination = mask;
        return true;
    }
}

/// <summary>CMPSD. Imm is the predicate.</summary>
internal readonly unsafe struct MaskDouble : ISseFloat
{
    public static int Bytes => 8;

    public static bool Run(CpuState* s, Op* op, byte* source)
    {
        var destination = (ulong*)((byte*)s + op->A);
        var c = FloatContext.FromMxcsr(s->Mxcsr);
        var mask = Binary64.CompareMask(*destination, *(ulong*)source, (int)op->Imm, ref c);
        if (!SseFloat.Accept(s, op, c))
        {
            return false;
        }

        *destination = mask;
        return true;
    }
}

/// <summary>CMPPS and CMPPD. Imm is the predicate.</summary>
internal readonly unsafe struct MaskPacked<TSize> : ISseFloat
    where TSize : struct, ISseSize
{
    public static int Bytes => 16;

    public static bool Run(CpuState* s, Op* op, byte* source)
    {
        var c = FloatContext.FromMxcsr(s->Mxcsr);
        var at = (byte*)s + op->A;
        var imm = (int)op->Imm;
        if (TSize.IsDouble)
        {
            var a = SseRegister.Load64(at);
            var b = SseRegister.Load64(source);
            var both = Vector128.Create(
                Binary64.CompareMask(a[0], b[0], imm, ref c), Binary64.CompareMask(a[1], b[1], imm, ref c));
            return SseRegister.Store(s, op, c, both.AsByte());
        }

        var x = SseRegister.Load32(at);
        var y = SseRegister.Load32(source);
        var result = Vector128.Create(
            Binary32.CompareMask(x[0], y[0], imm, ref c), Binary32.CompareMask(x[1], y[1], imm, ref c),
            Binary32.CompareMask(x[2], y[2], imm, ref c), Binary32.CompareMask(x[3], y[3], imm, ref c));
        return SseRegister.Store(s, op, c, result.AsByte());
    }
}
