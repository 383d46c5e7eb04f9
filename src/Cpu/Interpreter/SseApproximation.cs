using System.Runtime.Intrinsics;
using Vmm.Cpu.Float;
using Vmm.Cpu.State;

namespace Vmm.Cpu.Interpreter;

/// <summary>RCPSS, and with Imm non-zero RSQRTSS.</summary>
internal readonly unsafe struct ApproximateScalar : ISseFloat
{
    public static int Bytes => 4;

    public static bool Run(CpuState* s, Op* op, byte* source)
    {
        *(uint*)((byte*)s + op->A) = Of(op, *(uint*)source);
        return true;
    }

    /// <summary>One element.</summary>
    public static uint Of(Op* op, uint a) =>
        op->Imm != 0 ? Approximation.ReciprocalSquareRoot(a) : Approximation.Reciprocal(a);
}

/// <summary>RCPPS, and with Imm non-zero RSQRTPS.</summary>
internal readonly unsafe struct ApproximatePacked : ISseFloat
{
    public static int Bytes => 16;

    public static bool Run(CpuState* s, Op* op, byte* source)
    {
        var b = SseRegister.Load32(source);
        var result = Vector128.Create(
            ApproximateScalar.Of(op, b[0]), ApproximateScalar.Of(op, b[1]), ApproximateScalar.Of(op, b[2]), ApproximateScalar.Of(op, b[3]));
        result.AsByte().Store((byte*)s + op->A);
        return true;
    }
}
