using Iced.Intel;
using Vmm.Cpu.Memory;
using Vmm.Cpu.State;
using Vmm.Cpu.Vcpus;
using Vmm.Cpu.Vmx;
using Vmm.Specs.X86;

namespace Vmm.Cpu.Interpreter;

/// <summary>MOV from CR.</summary>
internal readonly unsafe struct MovFromCr : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        if (!Privilege.TryKernel(cpu, s, op))
        {
            return false;
        }

        var gpr = InstructionInformation.Number(instruction.Op0Register);
        ulong value;
        switch (instruction.Op1Register)
        {
            case Register.CR0:
                value = cpu.Vmx.GuestCr0;
                break;
            case Register.CR2:
                value = s->Cr2;
                break;
            case Register.CR3:
                if ((cpu.Vmx.Primary & PrimaryControls.Cr3Store) != 0)
                {
                    cpu.Vmx.Exit(op, ExitReason.CrAccess, CrAccessQualification.Mov(3, true, gpr).Raw, ExitKind.Read);
                }

                value = s->Cr3;
                break;
            case Register.CR4:
                value = cpu.Vmx.GuestCr4;
                break;
            case Register.CR8:
                cpu.Vmx.AccessCr8(op, true, gpr);
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
        var gpr = InstructionInformation.Number(instruction.Op1Register);
        switch (instruction.Op0Register)
        {
            case Register.CR0:
                return cpu.Vmx.TryMovToCr0(op, value, gpr);
            case Register.CR2:
                s->Cr2 = value;
                return true;
            case Register.CR3:
                cpu.Vmx.MovToCr3(op, value, gpr);
                return cpu.TryWriteCr3(value);
            case Register.CR4:
                return cpu.Vmx.TryMovToCr4(op, value, gpr);
            case Register.CR8:
                cpu.Vmx.AccessCr8(op, false, gpr);
                if (value > 15)
                {
                    return cpu.Fail(op, Vector.GP, 0);
                }

                if (cpu.Apic != null)
                {
                    cpu.Apic.TaskPriority = (byte)(value << 4);
                }

                cpu.Vmx.CheckTprThreshold(value);

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

        cpu.Vmx.AccessDr(op, number, !write, InstructionInformation.Number(write ? instruction.Op1Register : instruction.Op0Register));
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

        if (cpu.IsGeneralDetect)
        {
            return cpu.FailGeneralDetect(op);
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

        cpu.Vmx.ClearTaskSwitched(op);
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

        var memory = instruction.Op0Kind != OpKind.Register;
        return cpu.Vmx.TryLmsw(op, (ushort)value, memory, memory ? Operands.Address(s, op, 2, false) : 0);
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
        return Operands.TryWrite(s, op, ref instruction, 0, size, cpu.Vmx.GuestCr0);
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
        if ((cpu.Vmx.Primary & PrimaryControls.Invlpg) != 0)
        {
            cpu.Vmx.Exit(op, ExitReason.Invlpg, va);
        }

        cpu.FlushPage(va);
        return true;
    }
}
