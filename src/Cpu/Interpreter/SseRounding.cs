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
