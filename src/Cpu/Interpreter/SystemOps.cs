using Iced.Intel;
using Vmm.Cpu.Memory;
using Vmm.Cpu.State;
using Vmm.Cpu.Vcpus;
using Vmm.Platform.Time;
using Vmm.Specs.X86;

namespace Vmm.Cpu.Interpreter;

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

        if ((cpu.Vmx.Primary & PrimaryControls.Hlt) != 0)
        {
            cpu.Vmx.Exit(op, ExitReason.Hlt);
        }

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
        var extended = instruction.Mnemonic == Mnemonic.Rdtscp;
        if (extended && (cpu.Vmx.Secondary & SecondaryControls.EnableRdtscp) == 0)
        {
            return cpu.Fail(op, Vector.UD, 0);
        }

        if (s->Cpl != 0 && (s->Cr4 & Cr.Cr4TSD) != 0)
        {
            return cpu.Fail(op, Vector.GP, 0);
        }

        if ((cpu.Vmx.Primary & PrimaryControls.Rdtsc) != 0)
        {
            cpu.Vmx.Exit(op, extended ? ExitReason.Rdtscp : ExitReason.Rdtsc);
        }

        var tsc = cpu.ReadTsc();
        s->Gpr[0] = (uint)tsc;
        s->Gpr[2] = tsc >> 32;
        if (extended)
        {
            s->Gpr[1] = (uint)s->TscAux;
        }

        return true;
    }
}

/// <summary>RDPMC: no counters are advertised, so every index is out of range.</summary>
internal readonly unsafe struct Rdpmc : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        if ((s->Cpl == 0 || (s->Cr4 & Cr.Cr4PCE) != 0) && (cpu.Vmx.Primary & PrimaryControls.Rdpmc) != 0)
        {
            cpu.Vmx.Exit(op, ExitReason.Rdpmc);
        }

        return cpu.Fail(op, Vector.GP, 0);
    }
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

        cpu.Vmx.AccessMsr(op, (uint)s->Gpr[1], false);
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

        cpu.Vmx.AccessMsr(op, (uint)s->Gpr[1], true);
        return cpu.TryWriteMsr((uint)s->Gpr[1], s->Gpr[2] << 32 | (uint)s->Gpr[0]) || cpu.Fail(op, Vector.GP, 0);
    }
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

/// <summary>PAUSE: lets another vCPU have its turn.</summary>
internal readonly unsafe struct Pause : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        cpu.Vmx.Pause(op);
        cpu.Charge(op, CostKind.Pause);
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
        var qualification = new IoQualification(port, size, input, false, false, instruction.GetOpKind(portOperand) != OpKind.Register);
        if (input)
        {
            Operands.SetRegister(s, 0, size, cpu.PortIn(op, qualification));
        }
        else
        {
            cpu.PortOut(op, qualification, Operands.GetRegister(s, 0, size));
        }

        return true;
    }
}

/// <summary>INVD and WBINVD: there is no cache to flush.</summary>
internal readonly unsafe struct CacheFlush : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        if (!Privilege.TryKernel(cpu, s, op))
        {
            return false;
        }

        if (instruction.Mnemonic == Mnemonic.Invd)
        {
            cpu.Vmx.Exit(op, ExitReason.Invd);
        }
        else if ((cpu.Vmx.Secondary & SecondaryControls.Wbinvd) != 0)
        {
            cpu.Vmx.Exit(op, ExitReason.Wbinvd);
        }

        return true;
    }
}

/// <summary>CLFLUSH: faults like a load of one byte.</summary>
internal readonly unsafe struct Clflush : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        if (!Mem.TryLoad<byte>(s, op, Operands.Address(s, op, 1, false), out _))
        {
            return false;
        }

        cpu.Charge(op, CostKind.CacheFlush);
        return true;
    }
}

/// <summary>SERIALIZE: the block ends here, which is all there is to order.</summary>
internal readonly unsafe struct Serialize : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction) => true;
}
