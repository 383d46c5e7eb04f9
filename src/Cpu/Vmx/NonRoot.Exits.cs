using Iced.Intel;
using Vmm.Cpu.Interpreter;
using Vmm.Cpu.State;
using Vmm.Cpu.Vcpus;
using Vmm.Specs.X86;
using F = Vmm.Specs.X86.VmcsField;

namespace Vmm.Cpu.Vmx;

/// <content>VM exits: what they record (SDM 3C §28.2), and how the guest goes on.</content>
public sealed unsafe partial class NonRoot
{
    uint vectoring;
    uint vectoringError;
    uint interruption;
    uint interruptionError;
    bool drPassed;

    /// <summary>Instruction information of the exit to come (SDM 3C §28.2.5).</summary>
    internal void Describe(uint instructionInfo) => vmcs[F.ExitInstructionInfo] = instructionInfo;

    /// <summary>INS or OUTS: instruction information and the linear address of its memory operand.</summary>
    internal void DescribeString(Op* op, ulong linear)
    {
        vmcs[F.ExitInstructionInfo] = InstructionInformation.OfString(op);
        vmcs[F.GuestLinearAddress] = linear;
    }

    /// <summary>An exit that the hypervisor part of the vCPU handles: the caller goes on as the hypervisor would.</summary>
    internal void Exit(Op* op, ExitReason reason, ulong qualification = 0, ExitKind kind = ExitKind.None, ulong address = 0)
    {
        var exit = new VmExit { Reason = reason, Kind = kind, By = ExitService.Vcpu, Vcpu = cpu.Index, Address = address, Qualification = qualification };
        cpu.CallOut(op, ref exit);
    }

    /// <summary>The processor leaves guest mode.</summary>
    internal void Leave(Op* op, in VmExit exit)
    {
        Exits++;
        inHost = true;
        vmcs[F.ExitReason] = (ulong)exit.Reason;
        vmcs[F.ExitQualification] = exit.Qualification;
        vmcs[F.ExitInstructionLength] = op == null ? 0 : (ulong)(op->NextOffset - op->Offset);
        vmcs[F.ExitInterruptionInfo] = interruption;
        vmcs[F.ExitErrorCode] = interruptionError;
        vmcs[F.IdtVectoringInfo] = vectoring;
        vmcs[F.IdtVectoringErrorCode] = vectoringError;
        vmcs[F.EntryInterruptionInfo] &= 0x7FFF_FFFF;
        (interruption, interruptionError) = (0, 0);
        LoadHostCr4();
        StopPreemptionTimer();
        if (drPassed)
        {
            // KVM lets the guest have the debug registers until the next exit.
            drPassed = false;
            SetPrimary(Primary | PrimaryControls.MovDr);
        }
    }

    /// <summary>The hypervisor enters the guest again.</summary>
    internal void Return()
    {
        ChargeCr4Read();
        PrepareCr4();
        inHost = false;
        StartPreemptionTimer();
    }

    /// <summary>A vCPU that the hypervisor had taken off the processor runs again.</summary>
    internal void Resume()
    {
        if (inHost)
        {
            cpu.SyncClock(null);
            var before = clock.Now;
            Return();
            cpu.GiveUp(clock.Now - before);
        }
    }

    /// <summary>MOV DR exits before every other check (SDM 3C §26.1.3). KVM then gives the registers to the guest for a while.</summary>
    internal void AccessDr(Op* op, int register, bool from, int gpr)
    {
        if ((Primary & PrimaryControls.MovDr) == 0)
        {
            return;
        }

        Exit(op, ExitReason.DrAccess, new DrAccessQualification(register, from, gpr).Raw, from ? ExitKind.Read : ExitKind.Write);
        if (Options.Profile.LendsDebugRegisters)
        {
            SetPrimary(Primary & ~PrimaryControls.MovDr);
            drPassed = true;
        }
    }

    void SetPrimary(PrimaryControls value)
    {
        Primary = vmcs.Primary = value;
        NoteAttention();
    }

    /// <summary>How an access to a port goes: an exit, or straight to the device.</summary>
    internal ExitService PortService(ushort port, int size)
    {
        // With I/O bitmaps the unconditional control is ignored (SDM 3C table 25-6).
        var exits = (Primary & PrimaryControls.UseIoBitmaps) != 0 ? Bitmaps.Exits(port, size) : (Primary & PrimaryControls.UnconditionalIo) != 0;
        return exits ? ExitService.Handler : ExitService.Direct;
    }

    /// <summary>True when an access to the MSR exits.</summary>
    internal bool ExitsOnMsr(uint msr, bool write) => (Primary & PrimaryControls.UseMsrBitmaps) == 0 || Bitmaps.Exits(msr, write);

    /// <summary>How an access to an MSR of the local APIC goes.</summary>
    internal ExitService MsrService(uint msr, bool write) => ExitsOnMsr(msr, write) ? ExitService.Handler : ExitService.Direct;

    /// <summary>RDMSR or WRMSR. MSRs of the local APIC report their exit themselves.</summary>
    internal void AccessMsr(Op* op, uint msr, bool write)
    {
        if (msr is not (0x1B or 0x6E0 or (>= 0x800 and <= 0x8FF)) && ExitsOnMsr(msr, write))
        {
            Exit(op, write ? ExitReason.Wrmsr : ExitReason.Rdmsr, 0, ExitKind.None, msr);
        }
    }

    /// <summary>LGDT, LIDT, SGDT, SIDT with descriptor-table exiting.</summary>
    internal void AccessTable(Op* op, in Instruction instruction)
    {
        if ((Secondary & SecondaryControls.DescriptorTable) != 0)
        {
            Describe(InstructionInformation.OfTable(op, instruction));
            Exit(op, ExitReason.GdtrIdtrAccess, InstructionInformation.Displacement(instruction));
        }
    }

    /// <summary>LLDT, LTR, SLDT, STR with descriptor-table exiting.</summary>
    internal void AccessSelector(Op* op, in Instruction instruction)
    {
        if ((Secondary & SecondaryControls.DescriptorTable) != 0)
        {
            Describe(InstructionInformation.OfSelector(op, instruction));
            Exit(op, ExitReason.LdtrTrAccess, InstructionInformation.Displacement(instruction));
        }
    }

    /// <summary>How an access to an address that is not RAM shows (SDM 3C §28.2.1): APIC-access page, EPT, or directly.</summary>
    internal VmExit MemoryExit(ulong physical, int size, ExitKind kind, ulong linear)
    {
        var exit = new VmExit { Kind = kind, Vcpu = cpu.Index, Address = physical, Size = size };
        if ((Secondary & SecondaryControls.VirtualizeApicAccesses) != 0 && (physical & ~0xFFFul) == vmcs[F.ApicAccessAddress])
        {
            exit.Reason = ExitReason.ApicAccess;
            var type = vectoring >> 31 != 0 ? ApicAccessQualification.EventDelivery
                : kind switch { ExitKind.Write => ApicAccessQualification.Write, ExitKind.Execute => ApicAccessQualification.Fetch, _ => ApicAccessQualification.Read };
            exit.Qualification = new ApicAccessQualification((int)physical, type).Raw;
        }
        else if (Options.Profile.MmioByMisconfiguration)
        {
            exit.Reason = ExitReason.EptMisconfiguration;
            vmcs[F.GuestPhysicalAddress] = physical;
        }
        else
        {
            exit.Reason = ExitReason.EptViolation;
            exit.Qualification = EptViolationQualification.Unmapped(kind == ExitKind.Write, kind == ExitKind.Execute, true).Raw;
            vmcs[F.GuestPhysicalAddress] = physical;
            vmcs[F.GuestLinearAddress] = linear;
        }

        exit.By = exit.Reason != ExitReason.ApicAccess && (Secondary & SecondaryControls.EnableEpt) == 0 ? ExitService.Direct : ExitService.Handler;
        return exit;
    }

    /// <summary>True when the exception bitmap, for #PF with the error-code mask and match, makes the exception exit (SDM 3C §26.2).</summary>
    internal bool Intercepts(byte vector, uint error)
    {
        var bit = (exceptions >> vector & 1) != 0;
        if (vector == Vector.PF)
        {
            bit = bit == ((error & (uint)vmcs[F.PageFaultErrorMask]) == (uint)vmcs[F.PageFaultErrorMatch]);
        }

        return bit;
    }

    /// <summary>An exception exits. The hypervisor injects it again, as KVM does with those that it has no use for.</summary>
    internal void ExitOnException(InterruptionInfo info, uint error, ulong qualification)
    {
        (interruption, interruptionError) = (info.Raw, error);
        Exit(null, ExitReason.ExceptionOrNmi, qualification, ExitKind.Exception, info.Vector);
    }

    /// <summary>FERR#: the x87 error of a guest with CR0.NE clear. The processor's NE is set, so it is #MF to the processor.</summary>
    internal void DescribeFloatError() => interruption = new InterruptionInfo(Vector.MF, InterruptionType.HardwareException, false).Raw;

    /// <summary>An event is being delivered through the IDT: exits from now on name it (SDM 3C §28.2.4).</summary>
    internal void BeginVectoring(InterruptionInfo info, uint error) => (vectoring, vectoringError) = (info.Raw, error);

    /// <summary>The delivery is over.</summary>
    internal void EndVectoring() => (vectoring, vectoringError) = (0, 0);

    ulong pauseFirst;
    ulong pauseLast;

    /// <summary>PAUSE exiting, and PAUSE-loop exiting at privilege level 0 (SDM 3C §26.1.3).</summary>
    internal void Pause(Op* op)
    {
        if ((Primary & PrimaryControls.Pause) != 0)
        {
            Exit(op, ExitReason.Pause);
            return;
        }

        if ((Secondary & SecondaryControls.PauseLoop) == 0 || s->Cpl != 0)
        {
            return;
        }

        cpu.SyncClock(op);
        var now = clock.Now;
        if (now - pauseLast > vmcs[F.PleGap])
        {
            pauseFirst = now;
        }
        else if (now - pauseFirst > vmcs[F.PleWindow])
        {
            Exit(op, ExitReason.Pause);
            pauseFirst = clock.Now;
        }

        pauseLast = clock.Now;
    }

    bool isTscScaled;

    /// <summary>The TSC that RDTSC and RDMSR yield (SDM 3C §26.3): scaled, then offset.</summary>
    internal ulong GuestTsc(ulong host)
    {
        if ((Primary & PrimaryControls.UseTscOffsetting) == 0)
        {
            return host;
        }

        return (isTscScaled ? (ulong)((UInt128)host * vmcs[F.TscMultiplier] >> 48) : host) + s->TscOffset;
    }
}
