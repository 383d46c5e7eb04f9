using Vmm.Cpu.State;
using Vmm.Cpu.Vcpus;
using Vmm.Platform.Time;
using Vmm.Specs.X86;
using F = Vmm.Specs.X86.VmcsField;

namespace Vmm.Cpu.Vmx;

/// <content>
/// Events between instructions: physical interrupts, windows, the preemption timer and the monitor trap flag (SDM 3C §26.2, §26.5).
/// What a guest's devices raise is virtual: the hypervisor kicks the processor out of guest mode and injects it.
/// </content>
public sealed unsafe partial class NonRoot : ITimerTarget
{
    /// <summary>Bit of <see cref="CpuState.Pending"/>: this class wants to be asked.</summary>
    internal const int PendingBit = 4;

    bool isStepping;
    bool preemptionExpired;
    bool interruptArrived;
    byte interruptVector;
    bool nmiArrived;
    bool initArrived;
    int startUpArrived;
    bool kicked;
    uint injecting;
    uint injectingError;

    /// <summary>The monitor trap flag is set: every instruction is a step.</summary>
    internal bool IsStepping => isStepping;

    /// <summary>What blocks events, as the VMCS says it.</summary>
    internal Interruptibility Blocking =>
        (s->Shadow switch { 0 => 0, 1 => Interruptibility.Sti, _ => Interruptibility.MovSs }) | (s->NmiBlocked != 0 ? Interruptibility.Nmi : 0);

    /// <summary>Activity state as the VMCS says it: one that the host has taken off the processor is active to the VMCS.</summary>
    internal GuestActivityState GuestActivity => cpu.Activity switch
    {
        Activity.Halted when (Primary & PrimaryControls.Hlt) == 0 => GuestActivityState.Hlt,
        Activity.WaitForStartUp when !Options.Profile.HostBlocks => GuestActivityState.WaitForSipi,
        _ => GuestActivityState.Active,
    };

    /// <inheritdoc/>
    public bool IsInGuestMode => !inHost && cpu.Activity switch
    {
        Activity.Active => true,
        Activity.Halted => (Primary & PrimaryControls.Hlt) == 0,
        Activity.WaitForStartUp => !Options.Profile.HostBlocks,
        _ => false,
    };

    /// <summary>A physical interrupt for the host arrives at the processor.</summary>
    public void InterruptArrives(byte vector)
    {
        if (IsInGuestMode)
        {
            (interruptArrived, interruptVector) = (true, vector);
            cpu.Attend();
        }
    }

    /// <summary>A physical NMI arrives.</summary>
    public void NmiArrives()
    {
        if (IsInGuestMode)
        {
            nmiArrived = true;
            cpu.Attend();
        }
    }

    /// <summary>A physical INIT arrives; in guest mode it exits, whatever the controls say, except in the wait-for-SIPI state (SDM 3C §26.2).</summary>
    public void InitArrives()
    {
        if (IsInGuestMode && cpu.Activity != Activity.WaitForStartUp)
        {
            initArrived = true;
            cpu.Attend();
        }
    }

    /// <summary>A physical start-up IPI arrives: an exit in the wait-for-SIPI state, otherwise nothing.</summary>
    public void StartUpArrives(byte vector)
    {
        if (IsInGuestMode && cpu.Activity == Activity.WaitForStartUp)
        {
            startUpArrived = vector;
            cpu.Attend();
        }
    }

    /// <summary>The hypervisor has something for the guest: it takes the processor out of guest mode by an interrupt of its own.</summary>
    public void Kick()
    {
        if (IsInGuestMode && (Pin & PinControls.ExternalInterrupt) != 0 && cpu.Activity != Activity.WaitForStartUp)
        {
            kicked = true;
            NoteAttention();
        }
    }

    /// <summary>A halted vCPU that stays in guest mode wakes up for an event of the processor.</summary>
    internal bool Wakes => preemptionExpired || nmiArrived || interruptArrived || initArrived || startUpArrived >= 0 || machineChecks != 0
        || (vmcs.Primary & PrimaryControls.NmiWindow) != 0 && s->NmiBlocked == 0;

    void NoteAttention()
    {
        var wants = Wakes || kicked || isStepping || (Primary & (PrimaryControls.InterruptWindow | PrimaryControls.NmiWindow)) != 0;
        s->Pending = wants ? s->Pending | PendingBit : s->Pending & ~PendingBit;
    }

    /// <summary>Lets everything that waits exit, in the order of the SDM's priorities. Nothing is injected here.</summary>
    /// <param name="shadowed">STI or MOV SS holds events off for one instruction.</param>
    internal void Service(bool shadowed)
    {
        if ((s->Pending & PendingBit) == 0)
        {
            return;
        }

        ServiceProcessor();
        if (!shadowed)
        {
            ServiceWindows();
        }

        if (kicked)
        {
            kicked = false;
            ExitOnInterrupt(KickVector);
        }

        NoteAttention();
    }

    void ServiceProcessor()
    {
        ExitOnMachineChecks();
        if (initArrived)
        {
            initArrived = false;
            Exit(null, ExitReason.Init);
        }

        if (startUpArrived >= 0)
        {
            var vector = (ulong)startUpArrived;
            startUpArrived = -1;
            Exit(null, ExitReason.StartUpIpi, vector);
            cpu.StartUp((byte)vector);
        }

        if (preemptionExpired)
        {
            preemptionExpired = false;
            Exit(null, ExitReason.PreemptionTimer);
        }

        if (nmiArrived)
        {
            nmiArrived = false;
            TakeNmi();
        }

        if (interruptArrived)
        {
            interruptArrived = false;
            TakeInterrupt();
        }
    }

    void TakeNmi()
    {
        if ((Pin & PinControls.Nmi) == 0)
        {
            cpu.Nmi();
            return;
        }

        interruption = new InterruptionInfo(Vector.NMI, InterruptionType.Nmi, false).Raw;
        Exit(null, ExitReason.ExceptionOrNmi, 0, ExitKind.Nmi, Vector.NMI);
    }

    void TakeInterrupt()
    {
        if ((Pin & PinControls.ExternalInterrupt) != 0)
        {
            ExitOnInterrupt(interruptVector);
        }
        else if ((s->FlagRest & Cr.IF) != 0)
        {
            // The host's interrupt goes through the guest's IDT.
            cpu.TakeHostInterrupt(interruptVector);
        }
        else
        {
            interruptArrived = true;
        }
    }

    void ExitOnInterrupt(byte vector)
    {
        if ((vmcs.Exit & ExitControls.AcknowledgeInterrupt) != 0)
        {
            interruption = new InterruptionInfo(vector, InterruptionType.External, false).Raw;
        }

        Exit(null, ExitReason.ExternalInterrupt);
    }

    void ServiceWindows()
    {
        if ((Primary & PrimaryControls.NmiWindow) != 0 && s->NmiBlocked == 0)
        {
            Exit(null, ExitReason.NmiWindow);
            SetPrimary(Primary & ~PrimaryControls.NmiWindow);
        }

        if ((Primary & PrimaryControls.InterruptWindow) != 0 && (s->FlagRest & Cr.IF) != 0)
        {
            Exit(null, ExitReason.InterruptWindow);
            SetPrimary(Primary & ~PrimaryControls.InterruptWindow);
        }
    }

    /// <summary>The hypervisor has an interrupt or NMI that the guest does not take now: it asks for an exit as soon as it would.</summary>
    internal void AwaitWindow(bool interrupt, bool nmi)
    {
        var wanted = (interrupt && (Pin & PinControls.ExternalInterrupt) != 0 ? PrimaryControls.InterruptWindow : 0)
            | (nmi && (Pin & PinControls.VirtualNmis) != 0 ? PrimaryControls.NmiWindow : 0);
        if ((Primary & wanted) != wanted)
        {
            SetPrimary(Primary | wanted);
        }
    }

    /// <summary>The hypervisor puts an event into the guest at this VM entry.</summary>
    internal void NoteInjection() => clock.Ledger.Charge(CostKind.Injection);

    /// <summary>One instruction has run under the monitor trap flag.</summary>
    internal void Stepped() => Exit(null, ExitReason.MonitorTrapFlag);

    void StartPreemptionTimer()
    {
        if ((Pin & PinControls.PreemptionTimer) != 0)
        {
            preemption.Arm(clock.Now + (vmcs[F.PreemptionTimer] << VmxCapability.PreemptionTimerShift));
            cpu.RequestYield();
        }
    }

    void StopPreemptionTimer()
    {
        if ((Pin & PinControls.PreemptionTimer) == 0)
        {
            return;
        }

        if ((vmcs.Exit & ExitControls.SavePreemptionTimer) != 0)
        {
            vmcs[F.PreemptionTimer] = preemption.IsArmed && preemption.Due > clock.Now
                ? preemption.Due - clock.Now >> VmxCapability.PreemptionTimerShift : 0;
        }

        preemption.Disarm();
        if (preemptionExpired || (ExitReason)vmcs[F.ExitReason] == ExitReason.PreemptionTimer)
        {
            // The hypervisor of the model arms it for one expiry at a time.
            Pin = vmcs.Pin = Pin & ~PinControls.PreemptionTimer;
            vmcs.Exit &= ~ExitControls.SavePreemptionTimer;
        }
    }

    /// <inheritdoc/>
    public void Expired(ClockTimer timer, ulong due)
    {
        if ((Pin & PinControls.PreemptionTimer) != 0)
        {
            preemptionExpired = true;
            cpu.Attend();
        }
    }
}
