using Iced.Intel;
using Vmm.Cpu.Memory;
using Vmm.Cpu.State;
using Vmm.Cpu.Vcpus;

namespace Vmm.Cpu.Interpreter;

/// <summary>Far JMP and CALL, direct and through memory.</summary>
internal readonly unsafe struct FarTransfer : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        ulong offset, selector;
        int size;
        if (instruction.Op0Kind is OpKind.FarBranch16 or OpKind.FarBranch32)
        {
            size = instruction.Op0Kind == OpKind.FarBranch16 ? 2 : 4;
            offset = size == 2 ? instruction.FarBranch16 : instruction.FarBranch32;
            selector = instruction.FarBranchSelector;
        }
        else
        {
            size = op->Size;
            if (!Operands.TryLoad(s, op, Operands.Address(s, op, size, false), size, out offset)
                || !Operands.TryLoad(s, op, Operands.Address(s, op, 2, false, size), 2, out selector))
            {
                return false;
            }
        }

        return cpu.TryFarTransfer((ushort)selector, offset, size, instruction.Mnemonic == Mnemonic.Call);
    }
}

/// <summary>Far RET.</summary>
internal readonly unsafe struct FarReturn : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction) =>
        cpu.TryFarReturn(op->Size, instruction.OpCount != 0 ? instruction.Immediate16 : 0u);
}

/// <summary>IRET.</summary>
internal readonly unsafe struct Iret : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction) => cpu.TryIret(op->Size);
}

/// <summary>SYSCALL, SYSRET, SYSENTER, SYSEXIT.</summary>
internal readonly unsafe struct SystemCall : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction) => instruction.Code switch
    {
        Code.Syscall => cpu.TrySyscall(),
        Code.Sysretd => cpu.TrySysret(false),
        Code.Sysretq => cpu.TrySysret(true),
        Code.Sysenter => cpu.TrySysenter(),
        Code.Sysexitd => cpu.TrySysexit(false),
        _ => cpu.TrySysexit(true),
    };
}

/// <summary>INT n, INT3, INT1, INTO.</summary>
internal readonly unsafe struct Interrupt : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Int3:
                cpu.SoftwareInterrupt(op, Vector.BP, Vcpu.KindInt3);
                return false;
            case Mnemonic.Int1:
                cpu.SoftwareInterrupt(op, Vector.DB, Vcpu.KindInt1);
                return false;
            case Mnemonic.Into:
                if (!Flags.Overflow(s))
                {
                    return true;
                }

                cpu.SoftwareInterrupt(op, Vector.OF, Vcpu.KindInt3);
                return false;
            default:
                if (cpu.IsIoplGuarded)
                {
                    return cpu.Fail(op, Vector.GP, 0);
                }

                cpu.SoftwareInterrupt(op, instruction.Immediate8, Vcpu.KindIntN);
                return false;
        }
    }
}

/// <summary>BOUND.</summary>
internal readonly unsafe struct Bound : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        var size = instruction.Op0Register.GetSize();
        if (!Operands.TryLoad(s, op, Operands.Address(s, op, size, false), size, out var low)
            || !Operands.TryLoad(s, op, Operands.Address(s, op, size, false, size), size, out var high))
        {
            return false;
        }

        var value = Operands.GetRegister(s, Operands.RegisterOffset(instruction.Op0Register), size);
        var inside = size == 2
            ? (short)value >= (short)low && (short)value <= (short)high
            : (int)value >= (int)low && (int)value <= (int)high;
        return inside || cpu.Fail(op, Vector.BR, 0);
    }
}

/// <summary>ENTER (SDM 2A).</summary>
internal readonly unsafe struct Enter : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        var size = op->Size;
        var level = instruction.Immediate8_2nd & 31;
        var allocate = instruction.Immediate16;
        var framePointer = s->Gpr[4] - (ulong)size;
        if (!TryPush(cpu, s, op, 1, s->Gpr[5]))
        {
            return false;
        }

        // Each outer frame pointer is read after the ones before it were pushed: the frames may overlap the stack.
        for (var i = 1; i < level; i++)
        {
            var offset = s->Gpr[5] - (ulong)(i * size);
            var va = cpu.Is64 ? offset : Vcpu.CheckedLinear(s, Seg.SS, s->Ss.DB ? (uint)offset : (ushort)offset, size, false);
            if (!Operands.TryLoad(s, op, va, size, out var outer) || !TryPush(cpu, s, op, i + 1, outer))
            {
                return false;
            }
        }

        if (level > 0 && !TryPush(cpu, s, op, level + 1, framePointer))
        {
            return false;
        }

        // The final stack top must be writable too (SDM 2A, ENTER).
        var total = -(long)((level + 1) * size) - allocate;
        var top = cpu.Is64 ? Stack64.At(s, total, size, true) : StackLegacy.At(s, total, size, true);
        if (!cpu.TryProbeWrite(op, top, size))
        {
            return false;
        }

        PushSegment.Move(cpu, s, total);
        Operands.SetRegister(s, 40, size == 2 ? 2 : cpu.Is64 ? 8 : 4, framePointer);
        return true;
    }

    /// <summary>Stores word number <paramref name="position"/> below the stack top; the stack pointer moves at the end only.</summary>
    static bool TryPush(Vcpu cpu, CpuState* s, Op* op, int position, ulong value)
    {
        var delta = -(long)(position * op->Size);
        var va = cpu.Is64 ? Stack64.At(s, delta, op->Size, true) : StackLegacy.At(s, delta, op->Size, true);
        return Operands.TryStore(s, op, va, op->Size, value);
    }
}
