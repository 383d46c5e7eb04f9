using System.Runtime.Intrinsics;
using Iced.Intel;
using Vmm.Cpu.State;
using Vmm.Cpu.Vcpus;

namespace Vmm.Cpu.Interpreter;

/// <summary>
/// The MMX registers: significands of the x87 data registers, by physical number. Every MMX instruction but EMMS makes
/// all tags valid and TOP zero; a written register gets an exponent and sign of all ones (SDM 1 §9.5, 3A §12.2).
/// </summary>
internal static unsafe class Mmx
{
    const ushort Top = 7 << 11, ErrorSummary = 1 << 7;

    /// <summary>False when MMX is off or an x87 exception is pending: #UD, #NM or #MF waits.</summary>
    public static bool TryEnter(Vcpu cpu, CpuState* s, Op* op)
    {
        if ((s->Cr0 & Cr.Cr0EM) != 0)
        {
            return cpu.Fail(op, Vector.UD, 0);
        }

        if ((s->Cr0 & Cr.Cr0TS) != 0)
        {
            return cpu.Fail(op, Vector.NM, 0);
        }

        return (s->Fsw & ErrorSummary) == 0 || cpu.Fail(op, Vector.MF, 0);
    }

    /// <summary>For instructions that also use XMM registers: #UD and #NM come before #MF.</summary>
    public static bool TryEnterWithSse(Vcpu cpu, CpuState* s, Op* op) => SseAccess.TryEnter(cpu, s, op) && TryEnter(cpu, s, op);

    /// <summary>What an MMX instruction does to the x87 state once it can no longer fault.</summary>
    public static void Begin(CpuState* s)
    {
        s->Fsw = (ushort)(s->Fsw & ~Top);
        s->Ftw = 0xFF;
    }

    /// <summary>Reads the MMX register that an operand names.</summary>
    public static ulong Get(CpuState* s, ref Instruction instruction, int operand) =>
        s->Fpr[2 * (instruction.GetOpRegister(operand) - Register.MM0)];

    /// <summary>Writes the MMX register that an operand names, and the x87 state.</summary>
    public static void Set(CpuState* s, ref Instruction instruction, int operand, ulong value)
    {
        Begin(s);
        var at = 2 * (instruction.GetOpRegister(operand) - Register.MM0);
        s->Fpr[at] = value;
        s->Fpr[at + 1] = 0xFFFF;
    }

    /// <summary>Reads an operand that is an MMX register or memory of 4 or 8 bytes. False: an exception waits.</summary>
    public static bool TryRead(CpuState* s, Op* op, ref Instruction instruction, int operand, out ulong value)
    {
        if (instruction.GetOpKind(operand) == OpKind.Register)
        {
            value = Get(s, ref instruction, operand);
            return true;
        }

        var size = instruction.MemorySize.GetSize();
        return Operands.TryLoad(s, op, Operands.Address(s, op, size, false), size, out value);
    }
}

/// <summary>How a 128-bit operation serves for 64-bit operands.</summary>
internal unsafe interface IMmxShape
{
    /// <summary>The new destination.</summary>
    static abstract ulong Apply<TOp>(CpuState* s, Op* op, ulong a, ulong b)
        where TOp : struct, ISse;
}

/// <summary>Elements do not meet: the low half of the wide result.</summary>
internal readonly unsafe struct MmxLow : IMmxShape
{
    public static ulong Apply<TOp>(CpuState* s, Op* op, ulong a, ulong b)
        where TOp : struct, ISse =>
        TOp.Apply(s, op, Vector128.CreateScalar(a).AsByte(), Vector128.CreateScalar(b).AsByte()).AsUInt64().ToScalar();
}

/// <summary>The high unpacks: the upper half of what the wide low unpack gives.</summary>
internal readonly unsafe struct MmxHigh : IMmxShape
{
    public static ulong Apply<TOp>(CpuState* s, Op* op, ulong a, ulong b)
        where TOp : struct, ISse =>
        TOp.Apply(s, op, Vector128.CreateScalar(a).AsByte(), Vector128.CreateScalar(b).AsByte()).AsUInt64()[1];
}

/// <summary>Packs and sums of neighbours: both operands side by side, reduced to half.</summary>
internal readonly unsafe struct MmxPair : IMmxShape
{
    public static ulong Apply<TOp>(CpuState* s, Op* op, ulong a, ulong b)
        where TOp : struct, ISse
    {
        var both = Vector128.Create(a, b).AsByte();
        return TOp.Apply(s, op, both, both).AsUInt64().ToScalar();
    }
}

/// <summary>PSHUFB: indexes of three bits.</summary>
internal readonly unsafe struct MmxIndexed : IMmxShape
{
    public static ulong Apply<TOp>(CpuState* s, Op* op, ulong a, ulong b)
        where TOp : struct, ISse => MmxLow.Apply<TOp>(s, op, a, b & 0x8787_8787_8787_8787);
}

/// <summary>PALIGNR: the destination follows the source at once.</summary>
internal readonly unsafe struct MmxAlign : IMmxShape
{
    public static ulong Apply<TOp>(CpuState* s, Op* op, ulong a, ulong b)
        where TOp : struct, ISse
    {
        var both = Vector128.Create(b, a).AsByte();
        return TOp.Apply(s, op, both, both).AsUInt64().ToScalar();
    }
}

/// <summary>An MMX instruction with a destination register and a source register, memory operand or immediate.</summary>
internal readonly unsafe struct MmxOperation<TOp, TShape> : ICold
    where TOp : struct, ISse
    where TShape : struct, IMmxShape
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        ulong b = 0;
        if (!Mmx.TryEnter(cpu, s, op) || (instruction.Op1Kind != OpKind.Immediate8 && !Mmx.TryRead(s, op, ref instruction, 1, out b)))
        {
            return false;
        }

        Mmx.Set(s, ref instruction, 0, TShape.Apply<TOp>(s, op, Mmx.Get(s, ref instruction, 0), b));
        return true;
    }
}
