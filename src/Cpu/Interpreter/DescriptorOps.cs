using Iced.Intel;
using Vmm.Cpu.Memory;
using Vmm.Cpu.State;
using Vmm.Cpu.Vcpus;

namespace Vmm.Cpu.Interpreter;

/// <summary>LGDT and LIDT.</summary>
internal readonly unsafe struct LoadTable : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        if (!Privilege.TryKernel(cpu, s, op))
        {
            return false;
        }

        cpu.Vmx.AccessTable(op, instruction);
        if (!Operands.TryLoad(s, op, Operands.Address(s, op, 2, false), 2, out var limit)
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
        if (!Privilege.TryUmip(cpu, s, op))
        {
            return false;
        }

        cpu.Vmx.AccessTable(op, instruction);
        return cpu.TryProbeWrite(op, Operands.Address(s, op, 2 + size, true), 2 + size)
            && Operands.TryStore(s, op, Operands.Address(s, op, 2, true), 2, global ? s->GdtLimit : s->IdtLimit)
            && Operands.TryStore(s, op, Operands.Address(s, op, size, true, 2), size, global ? s->GdtBase : s->IdtBase);
    }
}

/// <summary>LLDT and LTR (SDM 2A).</summary>
internal readonly unsafe struct LoadSystemSegment : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        if (cpu.IsRealStyle)
        {
            return cpu.Fail(op, Vector.UD, 0);
        }

        if (!Privilege.TryKernel(cpu, s, op))
        {
            return false;
        }

        cpu.Vmx.AccessSelector(op, instruction);
        if (!Operands.TryRead(s, op, ref instruction, 0, 2, out var value))
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
        if (cpu.IsRealStyle)
        {
            return cpu.Fail(op, Vector.UD, 0);
        }

        var selector = instruction.Mnemonic == Mnemonic.Str ? s->Tr.Selector : s->Ldtr.Selector;
        var size = instruction.Op0Kind == OpKind.Register ? instruction.Op0Register.GetSize() : 2;
        if (!Privilege.TryUmip(cpu, s, op))
        {
            return false;
        }

        cpu.Vmx.AccessSelector(op, instruction);
        return Operands.TryWrite(s, op, ref instruction, 0, size, selector);
    }
}

/// <summary>LAR, LSL, VERR, VERW (SDM 2A): report through ZF, never fault on the selector.</summary>
internal readonly unsafe struct DescriptorQuery : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        if (cpu.IsRealStyle)
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
