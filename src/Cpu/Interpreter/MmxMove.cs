using System.Runtime.Intrinsics;
using Iced.Intel;
using Vmm.Cpu.State;
using Vmm.Cpu.Vcpus;

namespace Vmm.Cpu.Interpreter;

#pragma warning disable SA1649 // One instruction per struct.

/// <summary>EMMS: all x87 registers empty.</summary>
internal readonly unsafe struct Emms : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        if (!Mmx.TryEnter(cpu, s, op))
        {
            return false;
        }

        Mmx.Begin(s);
        s->Ftw = 0;
        return true;
    }
}

/// <summary>MOVD, MOVQ, MOVNTQ with an MMX destination or source.</summary>
internal readonly unsafe struct MmxMove : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        if (!Mmx.TryEnter(cpu, s, op))
        {
            return false;
        }

        var size = instruction.Mnemonic == Mnemonic.Movd ? 4 : 8;
        if (IsMmx(ref instruction, 0))
        {
            ulong value;
            if (IsMmx(ref instruction, 1))
            {
                value = Mmx.Get(s, ref instruction, 1);
            }
            else if (!Operands.TryRead(s, op, ref instruction, 1, size, out value))
            {
                return false;
            }

            Mmx.Set(s, ref instruction, 0, value);
            return true;
        }

        if (!Operands.TryWrite(s, op, ref instruction, 0, size, Mmx.Get(s, ref instruction, 1)))
        {
            return false;
        }

        Mmx.Begin(s);
        return true;
    }

    static bool IsMmx(ref Instruction instruction, int operand) =>
        instruction.GetOpKind(operand) == OpKind.Register && instruction.GetOpRegister(operand).IsMM();
}

/// <summary>MOVQ2DQ and MOVDQ2Q.</summary>
internal readonly unsafe struct MmxMoveXmm : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        if (!Mmx.TryEnterWithSse(cpu, s, op))
        {
            return false;
        }

        if (instruction.Mnemonic == Mnemonic.Movdq2q)
        {
            Mmx.Set(s, ref instruction, 0, s->Xmm[2 * (instruction.Op1Register - Register.XMM0)]);
            return true;
        }

        var to = 2 * (instruction.Op0Register - Register.XMM0);
        s->Xmm[to] = Mmx.Get(s, ref instruction, 1);
        s->Xmm[to + 1] = 0;
        Mmx.Begin(s);
        return true;
    }
}

/// <summary>PINSRW into an MMX register.</summary>
internal readonly unsafe struct MmxInsert : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        if (!Mmx.TryEnter(cpu, s, op) || !Operands.TryRead(s, op, ref instruction, 1, 2, out var word))
        {
            return false;
        }

        var shift = (instruction.Immediate8 & 3) * 16;
        Mmx.Set(s, ref instruction, 0, Mmx.Get(s, ref instruction, 0) & ~(0xFFFFul << shift) | word << shift);
        return true;
    }
}

/// <summary>PEXTRW and PMOVMSKB from an MMX register.</summary>
internal readonly unsafe struct MmxToGeneral : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        if (!Mmx.TryEnter(cpu, s, op))
        {
            return false;
        }

        var value = Mmx.Get(s, ref instruction, 1);
        value = instruction.Mnemonic == Mnemonic.Pextrw
            ? (ushort)(value >> (instruction.Immediate8 & 3) * 16)
            : Vector128.CreateScalar(value).AsByte().ExtractMostSignificantBits();
        Operands.SetRegister(s, Operands.RegisterOffset(instruction.Op0Register), 8, value);
        Mmx.Begin(s);
        return true;
    }
}

/// <summary>PSHUFW.</summary>
internal readonly unsafe struct MmxShuffleWords : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        if (!Mmx.TryEnter(cpu, s, op) || !Mmx.TryRead(s, op, ref instruction, 1, out var words))
        {
            return false;
        }

        var result = 0ul;
        for (var i = 0; i < 4; i++)
        {
            result |= (ulong)(ushort)(words >> (instruction.Immediate8 >> 2 * i & 3) * 16) << 16 * i;
        }

        Mmx.Set(s, ref instruction, 0, result);
        return true;
    }
}

/// <summary>MASKMOVQ: to DS:rDI.</summary>
internal readonly unsafe struct MmxMaskedStore : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        if (!Mmx.TryEnter(cpu, s, op))
        {
            return false;
        }

        // Processors turn the x87 registers over before this one store is tried: a page fault finds them changed.
        Mmx.Begin(s);
        var value = Vector128.CreateScalar(Mmx.Get(s, ref instruction, 1)).AsByte();
        var mask = Vector128.CreateScalar(Mmx.Get(s, ref instruction, 2)).AsByte();
        return MaskedStore.TryStore(cpu, s, op, value, mask, 8);
    }
}
