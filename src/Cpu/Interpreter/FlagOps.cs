using Iced.Intel;
using Vmm.Cpu.Memory;
using Vmm.Cpu.State;
using Vmm.Cpu.Vcpus;

namespace Vmm.Cpu.Interpreter;

/// <summary>CLI and STI (SDM 2A, 2B). VME and PVI are not advertised.</summary>
internal readonly unsafe struct InterruptFlag : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        if ((s->Cr0 & Cr.Cr0PE) != 0 && s->Cpl > (int)(s->FlagRest >> 12 & 3))
        {
            return cpu.Fail(op, Vector.GP, 0);
        }

        if (instruction.Mnemonic == Mnemonic.Cli)
        {
            s->FlagRest &= ~Cr.IF;
            return true;
        }

        if ((s->FlagRest & Cr.IF) == 0)
        {
            s->FlagRest |= Cr.IF;
            s->Shadow = 1;
        }

        return true;
    }
}

/// <summary>PUSHF.</summary>
internal readonly unsafe struct Pushf : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        if (cpu.IsIoplGuarded)
        {
            return cpu.Fail(op, Vector.GP, 0);
        }

        var size = op->Size;
        var va = cpu.Is64 ? Stack64.At(s, -size, size, true) : StackLegacy.At(s, -size, size, true);
        if (!Operands.TryStore(s, op, va, size, Flags.Read(s) & ~(Cr.RF | Cr.VM)))
        {
            return false;
        }

        PushSegment.Move(cpu, s, -size);
        return true;
    }
}

/// <summary>POPF.</summary>
internal readonly unsafe struct Popf : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        if (cpu.IsIoplGuarded)
        {
            return cpu.Fail(op, Vector.GP, 0);
        }

        var size = op->Size;
        var va = cpu.Is64 ? Stack64.At(s, 0, size, false) : StackLegacy.At(s, 0, size, false);
        if (!Operands.TryLoad(s, op, va, size, out var value))
        {
            return false;
        }

        PushSegment.Move(cpu, s, size);
        var real = (s->Cr0 & Cr.Cr0PE) == 0;
        cpu.WriteFlagsMasked(value & ~Cr.RF, size, real || s->Cpl == 0, real || s->Cpl <= (int)(s->FlagRest >> 12 & 3));
        s->FlagRest &= ~Cr.RF;
        return true;
    }
}

/// <summary>STAC and CLAC.</summary>
internal readonly unsafe struct AccessFlag : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        if (s->Cpl != 0)
        {
            return cpu.Fail(op, Vector.UD, 0);
        }

        s->FlagRest = instruction.Mnemonic == Mnemonic.Stac ? s->FlagRest | Cr.AC : s->FlagRest & ~Cr.AC;
        cpu.UpdateView();
        return true;
    }
}

/// <summary>LAHF, SAHF, CLC, STC, CMC, CLD, STD.</summary>
internal readonly unsafe struct FlagOp : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Lahf:
                Handlers.Set<byte>(s, 1, Flags.Read(s) & 0xD5 | 2);
                break;
            case Mnemonic.Sahf:
                Flags.WriteArithmetic(s, Flags.Read(s) & Cr.OF | Handlers.Get<byte>(s, 1) & 0xD5);
                break;
            case Mnemonic.Clc:
                Flags.SetCarry(s, false);
                break;
            case Mnemonic.Stc:
                Flags.SetCarry(s, true);
                break;
            case Mnemonic.Cmc:
                Flags.SetCarry(s, Flags.Carry(s) == 0);
                break;
            case Mnemonic.Cld:
                s->FlagRest &= ~Cr.DF;
                break;
            default:
                s->FlagRest |= Cr.DF;
                break;
        }

        return true;
    }
}
