using System.Runtime.Intrinsics;
using Vmm.Cpu.Float;
using Vmm.Cpu.State;

namespace Vmm.Cpu.Interpreter;

/// <summary>
/// DPPS: products of the elements that Imm 7:4 chooses, summed in pairs, into the elements that Imm 3:0 chooses.
/// Each step reports its exceptions by itself; an unmasked one keeps the next steps from happening.
/// </summary>
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

        if (!SseFloat.Accept(s, op, c))
        {
            return false;
        }

        c.Flags = 0;
        var low = Binary32.Add(products[0], products[1], ref c);
        var high = Binary32.Add(products[2], products[3], ref c);
        if (!SseFloat.Accept(s, op, c))
        {
            return false;
        }

        c.Flags = 0;
        var sum = Binary32.Add(low, high, ref c);
        var result = Vector128.Create(Choose(op, 0, sum), Choose(op, 1, sum), Choose(op, 2, sum), Choose(op, 3, sum));
        return SseRegister.Store(s, op, c, result.AsByte());
    }

    static uint Choose(Op* op, int i, uint sum) => (op->Imm >> i & 1) != 0 ? sum : 0;
}

/// <summary>DPPD: the same with two elements.</summary>
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
        if (!SseFloat.Accept(s, op, c))
        {
            return false;
        }

        c.Flags = 0;
        var sum = Binary64.Add(low, high, ref c);
        var result = Vector128.Create((op->Imm & 1) != 0 ? sum : 0, (op->Imm & 2) != 0 ? sum : 0);
        return SseRegister.Store(s, op, c, result.AsByte());
    }
}
