using System.Runtime.Intrinsics;
using Vmm.Cpu.Float;
using Vmm.Cpu.State;

namespace Vmm.Cpu.Interpreter;

/// <summary>The immediate of the ROUND instructions (SDM vol. 2, ROUNDPD, figure 4-24).</summary>
internal static class RoundControl
{
    /// <summary>Rounding to use.</summary>
    public static FloatRounding Mode(long imm, in FloatContext c) => (imm & 4) != 0 ? c.Rounding : (FloatRounding)(imm & 3);

    /// <summary>Whether a changed value is reported.</summary>
    public static bool Reports(long imm) => (imm & 8) == 0;
}

/// <summary>ROUNDSS.</summary>
internal readonly unsafe struct RoundSingle : ISseFloat
{
    public static int Bytes => 4;

    public static bool Run(CpuState* s, Op* op, byte* source)
    {
        var c = FloatContext.FromMxcsr(s->Mxcsr);
        var result = Binary32.ToIntegral(*(uint*)source, RoundControl.Mode(op->Imm, c), RoundControl.Reports(op->Imm), ref c);
        return SseResult.Accept(s, op, c, result);
    }
}

/// <summary>ROUNDSD.</summary>
internal readonly unsafe struct RoundDouble : ISseFloat
{
    public static int Bytes => 8;

    public static bool Run(CpuState* s, Op* op, byte* source)
    {
        var c = FloatContext.FromMxcsr(s->Mxcsr);
        var result = Binary64.ToIntegral(*(ulong*)source, RoundControl.Mode(op->Imm, c), RoundControl.Reports(op->Imm), ref c);
        return SseResult.Accept(s, op, c, result);
    }
}

/// <summary>ROUNDPS and ROUNDPD.</summary>
internal readonly unsafe struct RoundPacked<TSize> : ISseFloat
    where TSize : struct, ISseSize
{
    public static int Bytes => 16;

    public static bool Run(CpuState* s, Op* op, byte* source)
    {
        var c = FloatContext.FromMxcsr(s->Mxcsr);
        var mode = RoundControl.Mode(op->Imm, c);
        var reports = RoundControl.Reports(op->Imm);
        if (TSize.IsDouble)
        {
            var b = SseRegister.Load64(source);
            var both = Vector128.Create(
                Binary64.ToIntegral(b[0], mode, reports, ref c), Binary64.ToIntegral(b[1], mode, reports, ref c));
            return SseRegister.Store(s, op, c, both.AsByte());
        }

        var x = SseRegister.Load32(source);
        var result = Vector128.Create(
            Binary32.ToIntegral(x[0], mode, reports, ref c), Binary32.ToIntegral(x[1], mode, reports, ref c),
            Binary32.ToIntegral(x[2], mode, reports, ref c), Binary32.ToIntegral(x[3], mode, reports, ref c));
        return SseRegister.Store(s, op, c, result.AsByte());
    }
}

/// <summary>DPPS: products of the elements that Imm 7:4 chooses, summed in pairs, into the elements that Imm 3:0 chooses.</summary>
internal readonly unsafe struct DotSingle : ISseFloat
{
    public static int Bytes => 16;

    public static bool Run(CpuState* s, Op* op, byte* source)
    {
        var a = SseRegister.Load32((byte*)s + op->A);
        var b = SseRegister.Load32(source);
        var c = FloatContext.FromMxcsr(s->Mxcsr);
        var products = stackalloc uint[4];
        for (var i = 0; i < 4; i++)
        {
            products[i] = (op->Imm >> 4 + i & 1) != 0 ? Binary32.Multiply(a[i], b[i], ref c) : 0;
        }

        if (c.Unmasked != 0)
        {
            return SseFloat.Accept(s, op, c);
        }

        var low = Binary32.Add(products[0], products[1], ref c);
        var high = Binary32.Add(products[2], products[3], ref c);
        if (c.Unmasked != 0)
        {
            return SseFloat.Accept(s, op, c);
        }

        var sum = Binary32.Add(low, high, ref c);
        var result = Vector128.Create(Choose(op, 0, sum), Choose(op, 1, sum), Choose(op, 2, sum), Choose(op, 3, sum));
        return SseRegister.Store(s, op, c, result.AsByte());
    }

    static uint Choose(Op* op, int i, uint sum) => (op->Imm >> i & 1) != 0 ? sum : 0;
}

/// <summary>DPPD.</summary>
internal readonly unsafe struct DotDouble : ISseFloat
{
    public static int Bytes => 16;

    public static bool Run(CpuState* s, Op* op, byte* source)
    {
        var a = SseRegister.Load64((byte*)s + op->A);
        var b = SseRegister.Load64(source);
        var c = FloatContext.FromMxcsr(s->Mxcsr);
        var low = (op->Imm & 16) != 0 ? Binary64.Multiply(a[0], b[0], ref c) : 0;
        var high = (op->Imm & 32) != 0 ? Binary64.Multiply(a[1], b[1], ref c) : 0;
        if (c.Unmasked != 0)
        {
            return SseFloat.Accept(s, op, c);
        }

        var sum = Binary64.Add(low, high, ref c);
        var result = Vector128.Create((op->Imm & 1) != 0 ? sum : 0, (op->Imm & 2) != 0 ? sum : 0);
        return SseRegister.Store(s, op, c, result.AsByte());
    }
}
