using System.Runtime.CompilerServices;
using Iced.Intel;
using Vmm.Cpu.Memory;
using Vmm.Cpu.State;
using Vmm.Cpu.Vcpus;

namespace Vmm.Cpu.Interpreter;

/// <summary>An instruction that is not worth a specialised handler: it works on the decoded form.</summary>
internal unsafe interface ICold
{
    /// <summary>Carries the instruction out. False: a stop reason is in the state and nothing else changed.</summary>
    static abstract bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction);
}

/// <content>Cold instructions: in the middle of a block, and at its end.</content>
internal static unsafe partial class Handlers
{
    /// <summary>A cold instruction after which the block goes on.</summary>
    public static Block* Cold<T>(CpuState* s, Op* op)
        where T : struct, ICold
    {
        var cpu = Vcpu.Of(s);
        cpu.BeginCold(op);
        if (!T.Run(cpu, s, op, ref *op->Instruction))
        {
            return null;
        }

        cpu.EndCold();
        return Next(s, op);
    }

    /// <summary>A cold instruction that ends the block: control transfers and changes of mode, privilege or translation.</summary>
    public static Block* ColdEnd<T>(CpuState* s, Op* op)
        where T : struct, ICold
    {
        var cpu = Vcpu.Of(s);
        cpu.BeginCold(op);
        s->NextRip = cpu.Wrap(s->Rip + op->NextOffset);
        if (!T.Run(cpu, s, op, ref *op->Instruction))
        {
            return null;
        }

        cpu.EndCold();
        s->Rip = s->NextRip;
        if (s->Stop == StopReason.None && ((s->Pending | s->Shadow) != 0 || s->DebugActive != 0 || (s->FlagRest & (Cr.TF | Cr.RF)) != 0))
        {
            s->Stop = StopReason.Resync;
        }

        return null;
    }
}

/// <summary>Operand access for cold instructions.</summary>
internal static unsafe class Operands
{
    /// <summary>Byte offset of a general register in the state.</summary>
    public static int RegisterOffset(Register register)
    {
        if (register is >= Register.AH and <= Register.BH)
        {
            return (register - Register.AH) * 8 + 1;
        }

        return (register.GetFullRegister() - Register.RAX) * 8;
    }

    /// <summary>Linear address of the memory operand.</summary>
    public static ulong Address(CpuState* s, Op* op, int size, bool write, long displaced = 0)
    {
        if ((s->Mode & Vcpu.Mode64) != 0)
        {
            return op->AddressSize == 4 ? Address64.At(s, op, size, write, displaced) : Address32.At(s, op, size, write, displaced);
        }

        return AddressChecked.At(s, op, size, write, displaced);
    }

    /// <summary>Reads a register by size.</summary>
    public static ulong GetRegister(CpuState* s, int offset, int size) => size switch
    {
        1 => Handlers.Get<byte>(s, offset),
        2 => Handlers.Get<ushort>(s, offset),
        4 => Handlers.Get<uint>(s, offset),
        _ => Handlers.Get<ulong>(s, offset),
    };

    /// <summary>Writes a register by size.</summary>
    public static void SetRegister(CpuState* s, int offset, int size, ulong value)
    {
        switch (size)
        {
            case 1:
                Handlers.Set<byte>(s, offset, value);
                break;
            case 2:
                Handlers.Set<ushort>(s, offset, value);
                break;
            case 4:
                Handlers.Set<uint>(s, offset, value);
                break;
            default:
                Handlers.Set<ulong>(s, offset, value);
                break;
        }
    }

    /// <summary>Loads from a linear address by size. False: an exception waits.</summary>
    public static bool TryLoad(CpuState* s, Op* op, ulong va, int size, out ulong value) => size switch
    {
        1 => Mem.TryLoad<byte>(s, op, va, out value),
        2 => Mem.TryLoad<ushort>(s, op, va, out value),
        4 => Mem.TryLoad<uint>(s, op, va, out value),
        _ => Mem.TryLoad<ulong>(s, op, va, out value),
    };

    /// <summary>Stores to a linear address by size. False: an exception waits.</summary>
    public static bool TryStore(CpuState* s, Op* op, ulong va, int size, ulong value) => size switch
    {
        1 => Mem.TryStore<byte>(s, op, va, value),
        2 => Mem.TryStore<ushort>(s, op, va, value),
        4 => Mem.TryStore<uint>(s, op, va, value),
        _ => Mem.TryStore<ulong>(s, op, va, value),
    };

    /// <summary>Reads an operand that is a register or memory of <paramref name="size"/> bytes. False: an exception waits.</summary>
    public static bool TryRead(CpuState* s, Op* op, ref Instruction instruction, int operand, int size, out ulong value)
    {
        if (instruction.GetOpKind(operand) == OpKind.Register)
        {
            value = GetRegister(s, RegisterOffset(instruction.GetOpRegister(operand)), size);
            return true;
        }

        return TryLoad(s, op, Address(s, op, size, false), size, out value);
    }

    /// <summary>Writes an operand that is a register or memory. False: an exception waits.</summary>
    public static bool TryWrite(CpuState* s, Op* op, ref Instruction instruction, int operand, int size, ulong value)
    {
        if (instruction.GetOpKind(operand) == OpKind.Register)
        {
            SetRegister(s, RegisterOffset(instruction.GetOpRegister(operand)), size, value);
            return true;
        }

        return TryStore(s, op, Address(s, op, size, true), size, value);
    }
}
