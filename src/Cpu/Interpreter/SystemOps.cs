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

        var exit = new VmExit { Reason = ExitReason.Hlt, Vcpu = cpu.Index };
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

/// <summary>INVD and WBINVD: there is no cache to flush.</summary>
internal readonly unsafe struct CacheFlush : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction) => Privilege.TryKernel(cpu, s, op);
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
