using Iced.Intel;
using Vmm.Cpu.Memory;
using Vmm.Cpu.State;
using Vmm.Cpu.Vcpus;

namespace Vmm.Cpu.Interpreter;

#pragma warning disable SA1649 // One file for the system instructions: each is a few lines.

/// <summary>Shorthand for privilege checks.</summary>
internal static unsafe class Privilege
{
    /// <summary>CPL must be zero. False: #GP(0) waits.</summary>
    public static bool TryKernel(Vcpu cpu, CpuState* s, Op* op) => s->Cpl == 0 || cpu.Fail(op, Vector.GP, 0);

    /// <summary>User-mode instruction prevention (CR4.UMIP). False: #GP(0) waits.</summary>
    public static bool TryUmip(Vcpu cpu, CpuState* s, Op* op) =>
        s->Cpl == 0 || (s->Cr4 & Cr.Cr4UMIP) == 0 || cpu.Fail(op, Vector.GP, 0);
}

/// <summary>#UD: invalid encodings, UD0-UD2, and instructions that are not advertised.</summary>
internal readonly unsafe struct Undefined : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction) => cpu.Fail(op, Vector.UD, 0);
}

/// <summary>An instruction longer than 15 bytes: #GP(0).</summary>
internal readonly unsafe struct TooLong : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction) => cpu.Fail(op, Vector.GP, 0);
}

/// <summary>HLT.</summary>
internal readonly unsafe struct Hlt : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        if (!Privilege.TryKernel(cpu, s, op))
        {
            return false;
        }

        var exit = new VmExit { Reason = ExitReason.Halt, Vcpu = cpu.Index };
        cpu.CallOut(op, ref exit);
        s->Stop = StopReason.Halt;
        return true;
    }
}

/// <summary>CPUID.</summary>
internal readonly unsafe struct CpuidOp : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        cpu.Cpuid();
        return true;
    }
}

/// <summary>RDTSC and RDTSCP (SDM 2B).</summary>
internal readonly unsafe struct Rdtsc : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        if (s->Cpl != 0 && (s->Cr4 & Cr.Cr4TSD) != 0)
        {
            return cpu.Fail(op, Vector.GP, 0);
        }

        var tsc = cpu.ReadTsc();
        s->Gpr[0] = (uint)tsc;
        s->Gpr[2] = tsc >> 32;
        if (instruction.Mnemonic == Mnemonic.Rdtscp)
        {
            s->Gpr[1] = (uint)s->TscAux;
        }

        return true;
    }
}

/// <summary>RDPMC: no counters are advertised, so every index is out of range.</summary>
internal readonly unsafe struct Rdpmc : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction) => cpu.Fail(op, Vector.GP, 0);
}

/// <summary>RDMSR.</summary>
internal readonly unsafe struct Rdmsr : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        if (!Privilege.TryKernel(cpu, s, op))
        {
            return false;
        }

        if (!cpu.TryReadMsr((uint)s->Gpr[1], out var value))
        {
            return cpu.Fail(op, Vector.GP, 0);
        }

        s->Gpr[0] = (uint)value;
        s->Gpr[2] = value >> 32;
        return true;
    }
}

/// <summary>WRMSR.</summary>
internal readonly unsafe struct Wrmsr : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        if (!Privilege.TryKernel(cpu, s, op))
        {
            return false;
        }

        return cpu.TryWriteMsr((uint)s->Gpr[1], s->Gpr[2] << 32 | (uint)s->Gpr[0]) || cpu.Fail(op, Vector.GP, 0);
    }
}

/// <summary>MOV from CR.</summary>
internal readonly unsafe struct MovFromCr : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        if (!Privilege.TryKernel(cpu, s, op))
        {
            return false;
        }

        ulong value;
        switch (instruction.Op1Register)
        {
            case Register.CR0:
                value = s->Cr0;
                break;
            case Register.CR2:
                value = s->Cr2;
                break;
            case Register.CR3:
                value = s->Cr3;
                break;
            case Register.CR4:
                value = s->Cr4;
                break;
            case Register.CR8:
                value = (ulong)(cpu.Apic?.TaskPriority >> 4 ?? 0);
                break;
            default:
                return cpu.Fail(op, Vector.UD, 0);
        }

        var offset = Operands.RegisterOffset(instruction.Op0Register);
        Operands.SetRegister(s, offset, cpu.Is64 ? 8 : 4, value);
        return true;
    }
}

/// <summary>MOV to CR.</summary>
internal readonly unsafe struct MovToCr : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        if (!Privilege.TryKernel(cpu, s, op))
        {
            return false;
        }

        var value = Operands.GetRegister(s, Operands.RegisterOffset(instruction.Op1Register), cpu.Is64 ? 8 : 4);
        switch (instruction.Op0Register)
        {
            case Register.CR0:
                return cpu.TryWriteCr0(value);
            case Register.CR2:
                s->Cr2 = value;
                return true;
            case Register.CR3:
                return cpu.TryWriteCr3(value);
            case Register.CR4:
                return cpu.TryWriteCr4(value);
            case Register.CR8:
                if (value > 15)
                {
                    return cpu.Fail(op, Vector.GP, 0);
                }

                if (cpu.Apic != null)
                {
                    cpu.Apic.TaskPriority = (byte)(value << 4);
                }

                return true;
            default:
                return cpu.Fail(op, Vector.UD, 0);
        }
    }
}

/// <summary>MOV from and to DR (SDM 3B §17.2).</summary>
internal readonly unsafe struct MovDr : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        var write = instruction.Op0Register is >= Register.DR0 and <= Register.DR15;
        var number = (write ? instruction.Op0Register : instruction.Op1Register) - Register.DR0;
        if (number > 7)
        {
            return cpu.Fail(op, Vector.UD, 0);
        }

        if (number is 4 or 5)
        {
            if ((s->Cr4 & Cr.Cr4DE) != 0)
            {
                return cpu.Fail(op, Vector.UD, 0);
            }

            number += 2;
        }

        if (!Privilege.TryKernel(cpu, s, op))
        {
            return false;
        }

        var size = cpu.Is64 ? 8 : 4;
        if (!write)
        {
            Operands.SetRegister(s, Operands.RegisterOffset(instruction.Op0Register), size, s->Dr[number]);
            return true;
        }

        var value = Operands.GetRegister(s, Operands.RegisterOffset(instruction.Op1Register), size);
        if (number is 6 or 7 && value >> 32 != 0)
        {
            return cpu.Fail(op, Vector.GP, 0);
        }

        s->Dr[number] = number switch
        {
            6 => value & 0xE00F | 0xFFFF_0FF0,
            7 => value & 0xFFFF_2BFF | 0x400,
            _ => value,
        };
        cpu.UpdateDebug();
        return true;
    }
}

/// <summary>CLTS.</summary>
internal readonly unsafe struct Clts : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        if (!Privilege.TryKernel(cpu, s, op))
        {
            return false;
        }

        s->Cr0 &= ~Cr.Cr0TS;
        cpu.UpdateMode();
        return true;
    }
}

/// <summary>LMSW: may set PE but not clear it.</summary>
internal readonly unsafe struct Lmsw : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        if (!Privilege.TryKernel(cpu, s, op) || !Operands.TryRead(s, op, ref instruction, 0, 2, out var value))
        {
            return false;
        }

        return cpu.TryWriteCr0(s->Cr0 & ~0xEul | value & 0xF | s->Cr0 & 1);
    }
}

/// <summary>SMSW.</summary>
internal readonly unsafe struct Smsw : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        if (!Privilege.TryUmip(cpu, s, op))
        {
            return false;
        }

        var size = instruction.Op0Kind == OpKind.Register ? instruction.Op0Register.GetSize() : 2;
        return Operands.TryWrite(s, op, ref instruction, 0, size, s->Cr0);
    }
}

/// <summary>INVLPG.</summary>
internal readonly unsafe struct Invlpg : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        if (!Privilege.TryKernel(cpu, s, op))
        {
            return false;
        }

        var va = cpu.Is64 ? Operands.Address(s, op, 1, false) : AddressChecked.Offset(s, op) + (&s->Es + op->Segment)->Base & 0xFFFF_FFFF;
        cpu.FlushPage(va);
        return true;
    }
}

/// <summary>INVD and WBINVD: there is no cache to flush.</summary>
internal readonly unsafe struct CacheFlush : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction) => Privilege.TryKernel(cpu, s, op);
}

/// <summary>CLFLUSH: faults like a load of one byte.</summary>
internal readonly unsafe struct Clflush : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction) =>
        Mem.TryLoad<byte>(s, op, Operands.Address(s, op, 1, false), out _);
}

/// <summary>LGDT and LIDT.</summary>
internal readonly unsafe struct LoadTable : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        if (!Privilege.TryKernel(cpu, s, op)
            || !Operands.TryLoad(s, op, Operands.Address(s, op, 2, false), 2, out var limit)
            || !Operands.TryLoad(s, op, Operands.Address(s, op, cpu.Is64 ? 8 : 4, false, 2), cpu.Is64 ? 8 : 4, out var address))
        {
            return false;
        }

        if (cpu.Is64 && !Vcpu.IsCanonical(address))
        {
            return cpu.Fail(op, Vector.GP, 0);
        }

        if (instruction.Code is Code.Lgdt_m1632_16 or Code.Lidt_m1632_16)
        {
            address &= 0xFF_FFFF;
        }

        if (instruction.Mnemonic == Mnemonic.Lgdt)
        {
            s->GdtBase = address;
            s->GdtLimit = (uint)limit;
        }
        else
        {
            s->IdtBase = address;
            s->IdtLimit = (uint)limit;
        }

        return true;
    }
}

/// <summary>SGDT and SIDT.</summary>
internal readonly unsafe struct StoreTable : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        var global = instruction.Mnemonic == Mnemonic.Sgdt;
        var size = cpu.Is64 ? 8 : 4;
        return Privilege.TryUmip(cpu, s, op)
            && cpu.TryProbeWrite(op, Operands.Address(s, op, 2 + size, true), 2 + size)
            && Operands.TryStore(s, op, Operands.Address(s, op, 2, true), 2, global ? s->GdtLimit : s->IdtLimit)
            && Operands.TryStore(s, op, Operands.Address(s, op, size, true, 2), size, global ? s->GdtBase : s->IdtBase);
    }
}

/// <summary>LLDT and LTR (SDM 2A).</summary>
internal readonly unsafe struct LoadSystemSegment : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        if ((s->Cr0 & Cr.Cr0PE) == 0)
        {
            return cpu.Fail(op, Vector.UD, 0);
        }

        if (!Privilege.TryKernel(cpu, s, op) || !Operands.TryRead(s, op, ref instruction, 0, 2, out var value))
        {
            return false;
        }

        var selector = (ushort)value;
        var task = instruction.Mnemonic == Mnemonic.Ltr;
        if ((selector & 0xFFFC) == 0)
        {
            if (task)
            {
                return cpu.Fail(op, Vector.GP, 0);
            }

            s->Ldtr = new() { Selector = selector, Access = 0x1_0000 };
            return true;
        }

        if ((selector & 4) != 0)
        {
            return cpu.Fail(op, Vector.GP, selector & 0xFFFCu);
        }

        if (!cpu.TryReadDescriptor(selector, Vector.GP, 0, out var raw))
        {
            return false;
        }

        var descriptor = Descriptor.Parse(selector, raw);
        var lma = (s->Efer & Cr.EferLMA) != 0;
        if (descriptor.S || (task ? !(descriptor.Type == 9 || (descriptor.Type == 1 && !lma)) : descriptor.Type != 2))
        {
            return cpu.Fail(op, Vector.GP, selector & 0xFFFCu);
        }

        if (!descriptor.P)
        {
            return cpu.Fail(op, Vector.NP, selector & 0xFFFCu);
        }

        ulong high = 0;
        if (lma)
        {
            if ((selector & 0xFFF8u) + 15 > s->GdtLimit)
            {
                return cpu.Fail(op, Vector.GP, selector & 0xFFFCu);
            }

            if (!cpu.TryLoadSystem(s->GdtBase + (uint)(selector & 0xFFF8) + 8, out high))
            {
                return false;
            }

            if (!Vcpu.IsCanonical(high << 32 | descriptor.Base) || (high >> 40 & 0x1F) != 0)
            {
                return cpu.Fail(op, Vector.GP, selector & 0xFFFCu);
            }
        }

        if (task && !cpu.TryMarkDescriptor(selector, raw, 2))
        {
            return false;
        }

        var register = descriptor.ToRegister(selector);
        register.Base |= high << 32;
        if (task)
        {
            register.Access |= 2;
            s->Tr = register;
        }
        else
        {
            s->Ldtr = register;
        }

        return true;
    }
}

/// <summary>SLDT and STR.</summary>
internal readonly unsafe struct StoreSystemSegment : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        if ((s->Cr0 & Cr.Cr0PE) == 0)
        {
            return cpu.Fail(op, Vector.UD, 0);
        }

        var selector = instruction.Mnemonic == Mnemonic.Str ? s->Tr.Selector : s->Ldtr.Selector;
        var size = instruction.Op0Kind == OpKind.Register ? instruction.Op0Register.GetSize() : 2;
        return Privilege.TryUmip(cpu, s, op) && Operands.TryWrite(s, op, ref instruction, 0, size, selector);
    }
}

/// <summary>LAR, LSL, VERR, VERW (SDM 2A): report through ZF, never fault on the selector.</summary>
internal readonly unsafe struct DescriptorQuery : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        if ((s->Cr0 & Cr.Cr0PE) == 0)
        {
            return cpu.Fail(op, Vector.UD, 0);
        }

        var mnemonic = instruction.Mnemonic;
        var source = mnemonic is Mnemonic.Lar or Mnemonic.Lsl ? 1 : 0;
        if (!Operands.TryRead(s, op, ref instruction, source, 2, out var value))
        {
            return false;
        }

        var selector = (ushort)value;
        var good = TryFind(cpu, s, selector, out var raw, out var faulted);
        if (faulted)
        {
            return false;
        }

        var descriptor = Descriptor.Parse(selector, raw);
        good = good && IsVisible(s, selector, descriptor, mnemonic);
        if (good && mnemonic is Mnemonic.Lar or Mnemonic.Lsl)
        {
            if (good)
            {
                var size = instruction.Op0Register.GetSize();
                var result = mnemonic == Mnemonic.Lar ? raw >> 32 & 0x00FF_FF00 : descriptor.Limit;
                Operands.SetRegister(s, Operands.RegisterOffset(instruction.Op0Register), size, result);
            }
        }

        var flags = Flags.Read(s) & Cr.Arithmetic & ~Cr.ZF;
        Flags.WriteArithmetic(s, good ? flags | Cr.ZF : flags);
        return true;
    }

    static bool TryFind(Vcpu cpu, CpuState* s, ushort selector, out ulong raw, out bool faulted)
    {
        raw = 0;
        faulted = false;
        var local = (selector & 4) != 0;
        if ((selector & 0xFFFC) == 0 || (local && s->Ldtr.Unusable) || (uint)(selector & 0xFFF8) + 7 > (local ? s->Ldtr.Limit : s->GdtLimit))
        {
            return false;
        }

        faulted = !cpu.TryLoadSystem((local ? s->Ldtr.Base : s->GdtBase) + (uint)(selector & 0xFFF8), out raw);
        return !faulted;
    }

    static bool IsVisible(CpuState* s, ushort selector, in Descriptor descriptor, Mnemonic mnemonic)
    {
        var lma = (s->Efer & Cr.EferLMA) != 0;
        if (!descriptor.S)
        {
            var known = mnemonic switch
            {
                Mnemonic.Lar => lma ? descriptor.Type is 2 or 9 or 11 or 12 : descriptor.Type is 1 or 2 or 3 or 4 or 5 or 9 or 11 or 12,
                Mnemonic.Lsl => lma ? descriptor.Type is 2 or 9 or 11 : descriptor.Type is 1 or 2 or 3 or 9 or 11,
                _ => false,
            };
            if (!known)
            {
                return false;
            }
        }

        if (mnemonic == Mnemonic.Verr && !descriptor.IsReadable)
        {
            return false;
        }

        if (mnemonic == Mnemonic.Verw && !descriptor.IsWritableData)
        {
            return false;
        }

        return descriptor.IsConforming || (s->Cpl <= descriptor.DPL && (selector & 3) <= descriptor.DPL);
    }
}

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
            s->Shadow = 1;
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
            s->Shadow = 1;
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

/// <summary>SWAPGS.</summary>
internal readonly unsafe struct Swapgs : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        if (!Privilege.TryKernel(cpu, s, op))
        {
            return false;
        }

        (s->Gs.Base, s->KernelGsBase) = (s->KernelGsBase, s->Gs.Base);
        return true;
    }
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

/// <summary>PAUSE: lets another vCPU have its turn.</summary>
internal readonly unsafe struct Pause : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        Handlers.Spend(s, Vcpu.PauseCost);
        return true;
    }
}

/// <summary>IN and OUT with immediate or DX.</summary>
internal readonly unsafe struct PortAccess : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        var input = instruction.Mnemonic == Mnemonic.In;
        var portOperand = input ? 1 : 0;
        var port = instruction.GetOpKind(portOperand) == OpKind.Register ? (ushort)s->Gpr[2] : instruction.Immediate8;
        var size = op->Size;
        if (!cpu.TryPortAccess(op, port, size))
        {
            return false;
        }

        cpu.BeginCold(op);
        if (input)
        {
            Operands.SetRegister(s, 0, size, cpu.PortIn(op, port, size));
        }
        else
        {
            cpu.PortOut(op, port, size, Operands.GetRegister(s, 0, size));
        }

        return true;
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

/// <summary>PUSHA and POPA (16 and 32 bits).</summary>
internal readonly unsafe struct PushAll : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        var size = op->Size;
        if (instruction.Mnemonic is Mnemonic.Pusha or Mnemonic.Pushad)
        {
            if (!cpu.TryProbeWrite(op, StackLegacy.At(s, -8 * size, size, true), size))
            {
                return false;
            }

            for (var i = 0; i < 8; i++)
            {
                if (!Operands.TryStore(s, op, StackLegacy.At(s, -(i + 1) * size, size, true), size, s->Gpr[i]))
                {
                    return false;
                }
            }

            StackLegacy.Move(s, -8 * size);
            return true;
        }

        var values = stackalloc ulong[8];
        for (var i = 0; i < 8; i++)
        {
            if (!Operands.TryLoad(s, op, StackLegacy.At(s, i * size, size, false), size, out values[i]))
            {
                return false;
            }
        }

        StackLegacy.Move(s, 8 * size);
        for (var i = 0; i < 8; i++)
        {
            if (i != 3)
            {
                Operands.SetRegister(s, (7 - i) * 8, size, values[i]);
            }
        }

        return true;
    }
}

/// <summary>AAA, AAS, AAM, AAD, DAA, DAS, SALC, ARPL: 32-bit mode only.</summary>
internal readonly unsafe struct Decimal : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        var flags = Flags.Read(s);
        var al = (byte)s->Gpr[0];
        var af = (flags & Cr.AF) != 0;
        var cf = (flags & Cr.CF) != 0;
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Salc:
                Handlers.Set<byte>(s, 0, cf ? 0xFFul : 0);
                return true;
            case Mnemonic.Daa:
            case Mnemonic.Das:
                var down = instruction.Mnemonic == Mnemonic.Das;
                var adjust = 0;
                var carry = false;
                if ((al & 15) > 9 || af)
                {
                    adjust = 6;
                    carry = cf || (down ? al < 6 : al > 0xF9);
                    af = true;
                }
                else
                {
                    af = false;
                }

                if (al > 0x99 || cf)
                {
                    adjust += 0x60;
                    carry = true;
                }

                al = (byte)(down ? al - adjust : al + adjust);
                Handlers.Set<byte>(s, 0, al);
                Finish(s, al, carry, af);
                return true;
            case Mnemonic.Aaa:
            case Mnemonic.Aas:
                var ax = (ushort)s->Gpr[0];
                if ((al & 15) > 9 || af)
                {
                    ax = (ushort)(instruction.Mnemonic == Mnemonic.Aaa ? ax + 0x106 : ax - 0x106);
                    af = cf = true;
                }
                else
                {
                    af = cf = false;
                }

                ax &= 0xFF0F;
                Handlers.Set<ushort>(s, 0, ax);
                Finish(s, (byte)ax, cf, af);
                return true;
            case Mnemonic.Aam:
                var divisor = instruction.Immediate8;
                if (divisor == 0)
                {
                    return cpu.Fail(op, Vector.DE, 0);
                }

                Handlers.Set<ushort>(s, 0, (ulong)(al / divisor << 8 | al % divisor));
                Finish(s, (byte)(al % divisor), false, false);
                return true;
            case Mnemonic.Aad:
                al = (byte)(al + (byte)(s->Gpr[0] >> 8) * instruction.Immediate8);
                Handlers.Set<ushort>(s, 0, al);
                Finish(s, al, false, false);
                return true;
            default:
                return Arpl(cpu, s, op, ref instruction);
        }
    }

    static void Finish(CpuState* s, byte result, bool cf, bool af)
    {
        Flags.Result<byte>(s, result, cf, false);
        if (af)
        {
            s->FlagAux |= 8;
        }
    }

    static bool Arpl(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        if ((s->Cr0 & Cr.Cr0PE) == 0)
        {
            return cpu.Fail(op, Vector.UD, 0);
        }

        if (!Operands.TryRead(s, op, ref instruction, 0, 2, out var dest))
        {
            return false;
        }

        var source = Operands.GetRegister(s, Operands.RegisterOffset(instruction.Op1Register), 2);
        var raise = (dest & 3) < (source & 3);
        if (raise && !Operands.TryWrite(s, op, ref instruction, 0, 2, dest & ~3ul | source & 3))
        {
            return false;
        }

        var flags = Flags.Read(s) & Cr.Arithmetic & ~Cr.ZF;
        Flags.WriteArithmetic(s, raise ? flags | Cr.ZF : flags);
        return true;
    }
}

/// <summary>XLAT.</summary>
internal readonly unsafe struct Xlat : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        var mask = op->AddressSize == 4 ? ulong.MaxValue : op->AddressSize == 2 ? 0xFFFF_FFFF : 0xFFFFul;
        var offset = s->Gpr[3] + (byte)s->Gpr[0] & mask;
        var va = cpu.Is64 ? offset + (op->Segment >= Seg.FS ? cpu.SegmentAt(op->Segment)->Base : 0) : Vcpu.CheckedLinear(s, op->Segment, offset, 1, false);
        if (!Operands.TryLoad(s, op, va, 1, out var value))
        {
            return false;
        }

        Handlers.Set<byte>(s, 0, value);
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

/// <summary>SERIALIZE: the block ends here, which is all there is to order.</summary>
internal readonly unsafe struct Serialize : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction) => true;
}
