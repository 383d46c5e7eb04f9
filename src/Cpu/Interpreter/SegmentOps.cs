using Iced.Intel;
using Vmm.Cpu.Memory;
using Vmm.Cpu.State;
using Vmm.Cpu.Vcpus;

namespace Vmm.Cpu.Interpreter;

/// <summary>MOV to a segment register.</summary>
internal readonly unsafe struct MovToSegment : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        var number = instruction.Op0Register - Register.ES;
        if (number == Seg.CS)
        {
            return cpu.Fail(op, Vector.UD, 0);
        }

        if (!Operands.TryRead(s, op, ref instruction, 1, 2, out var selector) || !cpu.TryLoadSegment(number, (ushort)selector))
        {
            return false;
        }

        if (number == Seg.SS)
        {
            s->Shadow = 2;
        }

        return true;
    }
}

/// <summary>MOV from a segment register.</summary>
internal readonly unsafe struct MovFromSegment : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        var selector = cpu.SegmentAt(instruction.Op1Register - Register.ES)->Selector;
        var size = instruction.Op0Kind == OpKind.Register ? instruction.Op0Register.GetSize() : 2;
        return Operands.TryWrite(s, op, ref instruction, 0, size, selector);
    }
}

/// <summary>PUSH of a segment register.</summary>
internal readonly unsafe struct PushSegment : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        ulong selector = cpu.SegmentAt(instruction.Op0Register - Register.ES)->Selector;
        // A 32-bit push of a segment register writes only 16 bits on current processors.
        var size = op->Size;
        var store = size == 4 ? 2 : size;
        var va = cpu.Is64 ? Stack64.At(s, -size, size, true) : StackLegacy.At(s, -size, size, true);
        if (!Operands.TryStore(s, op, va, store, selector))
        {
            return false;
        }

        Move(cpu, s, -size);
        return true;
    }

    internal static void Move(Vcpu cpu, CpuState* s, long delta)
    {
        if (cpu.Is64)
        {
            Stack64.Move(s, delta);
        }
        else
        {
            StackLegacy.Move(s, delta);
        }
    }
}

/// <summary>POP of a segment register.</summary>
internal readonly unsafe struct PopSegment : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        var number = instruction.Op0Register - Register.ES;
        var size = op->Size;
        var va = cpu.Is64 ? Stack64.At(s, 0, size, false) : StackLegacy.At(s, 0, size, false);
        if (!Operands.TryLoad(s, op, va, 2, out var selector) || !cpu.TryLoadSegment(number, (ushort)selector))
        {
            return false;
        }

        PushSegment.Move(cpu, s, size);
        if (number == Seg.SS)
        {
            s->Shadow = 2;
        }

        return true;
    }
}

/// <summary>LDS, LES, LFS, LGS, LSS.</summary>
internal readonly unsafe struct LoadFarPointer : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        var number = instruction.Mnemonic switch
        {
            Mnemonic.Lds => Seg.DS, Mnemonic.Les => Seg.ES, Mnemonic.Lfs => Seg.FS, Mnemonic.Lgs => Seg.GS, _ => Seg.SS,
        };
        var size = instruction.Op0Register.GetSize();
        if (!Operands.TryLoad(s, op, Operands.Address(s, op, size, false), size, out var offset)
            || !Operands.TryLoad(s, op, Operands.Address(s, op, 2, false, size), 2, out var selector)
            || !cpu.TryLoadSegment(number, (ushort)selector))
        {
            return false;
        }

        Operands.SetRegister(s, Operands.RegisterOffset(instruction.Op0Register), size, offset);
        return true;
    }
}
