using System.Runtime.Intrinsics;
using Vmm.Cpu.Float;
using Vmm.Cpu.State;

namespace Vmm.Cpu.Interpreter;

/// <summary>COMISS and UCOMISS. Imm non-zero: quiet NaNs are invalid.</summary>
internal readonly unsafe struct OrderSingle : ISseFloat
{
    public static int Bytes => 4;

    public static bool Run(CpuState* s, Op* op, byte* source)
    {
        var c = FloatContext.FromMxcsr(s->Mxcsr);
        var order = Binary32.Compare(*(uint*)((byte*)s + op->A), *(uint*)source, op->Imm != 0, ref c);
        return SseOrder.Accept(s, op, c, order);
    }
}

/// <summary>COMISD and UCOMISD. Imm non-zero: quiet NaNs are invalid.</summary>
internal readonly unsafe struct OrderDouble : ISseFloat
{
    public static int Bytes => 8;

    public static bool Run(CpuState* s, Op* op, byte* source)
    {
        var c = FloatContext.FromMxcsr(s->Mxcsr);
        var order = Binary64.Compare(*(ulong*)((byte*)s + op->A), *(ulong*)source, op->Imm != 0, ref c);
        return SseOrder.Accept(s, op, c, order);
    }
}

/// <summary>Results of ordered comparisons.</summary>
internal static unsafe class SseOrder
{
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
