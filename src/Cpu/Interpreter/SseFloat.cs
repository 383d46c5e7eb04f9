using Vmm.Cpu.Float;
using Vmm.Cpu.State;
using Vmm.Cpu.Vcpus;

namespace Vmm.Cpu.Interpreter;

/// <summary>Exceptions of SSE floating-point instructions (SDM vol. 1 §11.5).</summary>
internal static unsafe class SseFloat
{
    /// <summary>Adds the flags of an instruction to MXCSR. False: an unmasked one is #XM, or #UD for want of CR4.OSXMMEXCPT.</summary>
    public static bool Accept(CpuState* s, Op* op, in FloatContext c)
    {
        s->Mxcsr |= (uint)c.MxcsrFlags;
        return c.Unmasked == 0
            || Vcpu.Of(s).Fail(op, (s->Cr4 & Cr.Cr4OSXMMEXCPT) != 0 ? Vector.XM : Vector.UD, 0);
    }

    /// <summary>#GP for an operand that is not on a 16-byte boundary; a failed segment check comes first. False: it waits.</summary>
    public static bool TryAligned(Vcpu cpu, Op* op, ulong va)
    {
        if ((va & ~0xFFul) == Vcpu.Poison)
        {
            return cpu.Fail(op, (va & 0xFF) == Seg.SS ? Vector.SS : Vector.GP, 0);
        }

        return (va & 15) == 0 || cpu.Fail(op, Vector.GP, 0);
    }
}
