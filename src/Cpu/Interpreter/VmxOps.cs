using Iced.Intel;
using Vmm.Cpu.State;
using Vmm.Cpu.Vcpus;
using Vmm.Cpu.Vmx;
using Vmm.Specs.X86;

namespace Vmm.Cpu.Interpreter;

/// <summary>
/// Instructions that VMX brought, and GETSEC: they exit whatever the controls say (SDM 3C §26.1.2), as far as the mode lets
/// them be instructions. The hypervisor offers no nested VMX, so that it answers with #UD, and VMCALL as a hypercall that it does not know.
/// </summary>
internal readonly unsafe struct VmxInstruction : ICold
{
    const ulong UnknownHypercall = unchecked((ulong)-1000L), NotPermitted = unchecked((ulong)-1L);

    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        var compatibility = (s->Efer & Cr.EferLMA) != 0 && !s->Cs.L;
        if (instruction.Mnemonic != Mnemonic.Vmcall && ((s->Cr0 & Cr.Cr0PE) == 0 || (s->FlagRest & Cr.VM) != 0 || compatibility))
        {
            return cpu.Fail(op, Vector.UD, 0);
        }

        Describe(cpu, op, instruction);
        cpu.Vmx.Exit(op, Reason(instruction.Mnemonic), InstructionInformation.Displacement(instruction));
        if (instruction.Mnemonic != Mnemonic.Vmcall)
        {
            return cpu.Fail(op, Vector.UD, 0);
        }

        s->Gpr[0] = s->Cpl == 0 ? UnknownHypercall : NotPermitted;
        return true;
    }

    static void Describe(Vcpu cpu, Op* op, in Instruction instruction)
    {
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Vmread or Mnemonic.Vmwrite:
                cpu.Vmx.Describe(InstructionInformation.OfField(op, instruction));
                break;
            case Mnemonic.Invept or Mnemonic.Invvpid:
                cpu.Vmx.Describe(InstructionInformation.OfInvalidation(op, instruction));
                break;
            case Mnemonic.Vmclear or Mnemonic.Vmptrld or Mnemonic.Vmptrst or Mnemonic.Vmxon:
                cpu.Vmx.Describe(InstructionInformation.OfMemory(op, instruction));
                break;
        }
    }

    static ExitReason Reason(Mnemonic mnemonic) => mnemonic switch
    {
        Mnemonic.Vmcall => ExitReason.Vmcall,
        Mnemonic.Vmclear => ExitReason.Vmclear,
        Mnemonic.Vmlaunch => ExitReason.Vmlaunch,
        Mnemonic.Vmptrld => ExitReason.Vmptrld,
        Mnemonic.Vmptrst => ExitReason.Vmptrst,
        Mnemonic.Vmread => ExitReason.Vmread,
        Mnemonic.Vmresume => ExitReason.Vmresume,
        Mnemonic.Vmwrite => ExitReason.Vmwrite,
        Mnemonic.Vmxoff => ExitReason.Vmxoff,
        Mnemonic.Vmxon => ExitReason.Vmxon,
        Mnemonic.Invept => ExitReason.Invept,
        _ => ExitReason.Invvpid,
    };
}

/// <summary>RDRAND and RDSEED: not offered to the guest. A hypervisor that hides them makes them exit, and injects #UD.</summary>
internal readonly unsafe struct RandomNumber : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        var seed = instruction.Mnemonic == Mnemonic.Rdseed;
        if ((cpu.Vmx.Secondary & (seed ? SecondaryControls.Rdseed : SecondaryControls.Rdrand)) != 0)
        {
            cpu.Vmx.Describe(InstructionInformation.OfRandom(instruction));
            cpu.Vmx.Exit(op, seed ? ExitReason.Rdseed : ExitReason.Rdrand);
        }

        return cpu.Fail(op, Vector.UD, 0);
    }
}

/// <summary>MONITOR and MWAIT: not offered to the guest; they exit where the processor has them, and the hypervisor injects #UD.</summary>
internal readonly unsafe struct MonitorWait : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        var wait = instruction.Mnemonic == Mnemonic.Mwait;
        if (s->Cpl == 0 && (cpu.Vmx.Primary & (wait ? PrimaryControls.Mwait : PrimaryControls.Monitor)) != 0)
        {
            cpu.Vmx.Exit(op, wait ? ExitReason.Mwait : ExitReason.Monitor);
        }

        return cpu.Fail(op, Vector.UD, 0);
    }
}

/// <summary>INVPCID: #UD unless it is enabled; then it exits with INVLPG exiting. PCIDs are not offered, so that the hypervisor injects #UD.</summary>
internal readonly unsafe struct InvalidatePcid : ICold
{
    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        if ((cpu.Vmx.Secondary & SecondaryControls.EnableInvpcid) != 0)
        {
            if (!Privilege.TryKernel(cpu, s, op))
            {
                return false;
            }

            if ((cpu.Vmx.Primary & PrimaryControls.Invlpg) != 0)
            {
                cpu.Vmx.Describe(InstructionInformation.OfInvalidation(op, instruction));
                cpu.Vmx.Exit(op, ExitReason.Invpcid, InstructionInformation.Displacement(instruction));
            }
        }

        return cpu.Fail(op, Vector.UD, 0);
    }
}

/// <summary>XSETBV: exits whatever the controls say, once CR4.OSXSAVE and privilege let it be an instruction. XSAVE is not offered: #GP.</summary>
internal readonly unsafe struct Xsetbv : ICold
{
    const ulong Osxsave = 1 << 18;

    public static bool Run(Vcpu cpu, CpuState* s, Op* op, ref Instruction instruction)
    {
        if ((s->Cr4 & Osxsave) == 0)
        {
            return cpu.Fail(op, Vector.UD, 0);
        }

        if (!Privilege.TryKernel(cpu, s, op))
        {
            return false;
        }

        cpu.Vmx.Exit(op, ExitReason.Xsetbv);
        return cpu.Fail(op, Vector.GP, 0);
    }
}
