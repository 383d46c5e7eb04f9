using System.Runtime.CompilerServices;
using Vmm.Cpu.Memory;
using Vmm.Cpu.State;
using Vmm.Cpu.Vcpus;

namespace Vmm.Cpu.Interpreter;

/// <content>SSE floating point: every operation with a register or a memory source.</content>
internal static unsafe partial class Handlers
{
    /// <summary>Source in a register.</summary>
    [MethodImpl(Hot)]
    public static Block* SseFloatReg<TOp>(CpuState* s, Op* op)
        where TOp : struct, ISseFloat
    {
        if (s->SseFault != 0)
        {
            return SseAccess.Refuse(s, op);
        }

        if (!TOp.Run(s, op, (byte*)s + op->B))
        {
            return null;
        }

        return Next(s, op);
    }

    /// <summary>Source in memory.</summary>
    [MethodImpl(Hot)]
    public static Block* SseFloatMem<TOp, TAddress>(CpuState* s, Op* op)
        where TOp : struct, ISseFloat
        where TAddress : struct, IAddress
    {
        if (s->SseFault != 0)
        {
            return SseAccess.Refuse(s, op);
        }

        var va = TAddress.At(s, op, TOp.Bytes, false);
        if (TOp.Bytes == 16 && (va & 15) != 0 && !SseFloat.TryAligned(Vcpu.Of(s), op, va))
        {
            return null;
        }

        var source = Mem.Peek(s, op, va, TOp.Bytes);
        if (source == null || !TOp.Run(s, op, source))
        {
            return null;
        }

        return Next(s, op);
    }
}
