using Vmm.Cpu.State;
using Vmm.Cpu.Vmx;

namespace Vmm.Cpu.Vcpus;

/// <content>Events: the wires from the local APIC, and what is delivered between two instructions (SDM 3A table 6-2).</content>
public sealed unsafe partial class Vcpu
{
    const int PendingIntr = 1, PendingOther = 2;

    /// <inheritdoc/>
    public void SetIntr(bool asserted)
    {
        var idle = !IsRunnable;
        var rises = asserted && (s->Pending & PendingIntr) == 0;
        s->Pending = asserted ? s->Pending | PendingIntr : s->Pending & ~PendingIntr;
        if (rises)
        {
            Vmx.Kick();
        }

        if (asserted)
        {
            RequestCheck();
            NoteWake(idle);
        }
    }

    /// <summary>A vCPU that slept continues at the time of the event that woke it.</summary>
    void NoteWake(bool idle)
    {
        if (idle && !running && IsRunnable && LocalTime < clock.Now)
        {
            LocalTime = clock.Now;
        }
    }

    /// <inheritdoc/>
    public void Nmi()
    {
        var idle = !IsRunnable;
        nmiPending = true;
        s->Pending |= PendingOther;
        Vmx.Kick();
        RequestCheck();
        NoteWake(idle);
    }

    /// <inheritdoc/>
    public void Init()
    {
        var idle = !IsRunnable;
        initPending = true;
        s->Pending |= PendingOther;
        Vmx.Kick();
        RequestCheck();
        NoteWake(idle);
    }

    /// <inheritdoc/>
    public void StartUp(byte vector)
    {
        if (Activity == Activity.WaitForStartUp || initPending)
        {
            var idle = !IsRunnable;
            startUpPending = true;
            startUpVector = vector;
            NoteWake(idle);
        }
    }

    /// <summary>Asks the running engine to look at its events before the next instruction.</summary>
    public void RequestCheck()
    {
        if (running && !stopRequested)
        {
            stopRequested = true;
            s->Deferred += s->Budget;
            s->Budget = 0;
        }
    }

    /// <summary>Asks the running engine to return to the machine before the next instruction.</summary>
    public void RequestYield()
    {
        if (running)
        {
            yieldRequested = true;
            RequestCheck();
        }
    }

    /// <summary>Delivers what is pending. False when the vCPU cannot execute now.</summary>
    bool ServiceEvents()
    {
        if (s->Pending == 0 && Activity == Activity.Active && s->Shadow == 0)
        {
            return true;
        }

        Vmx.Service(s->Shadow != 0);

        // Machine checks come before everything else, INIT included (SDM 3A table 6-2).
        if (IsMachineCheckWaiting && Activity != Activity.Shutdown && !TryTakeMachineCheck())
        {
            return false;
        }

        if (initPending)
        {
            initPending = false;
            nmiPending = false;
            UpdateOther();
            InitReset();
            Activity = Activity.WaitForStartUp;
        }

        if (Activity == Activity.WaitForStartUp)
        {
            if (!startUpPending)
            {
                return false;
            }

            startUpPending = false;
            LoadRealModeSegment(Seg.CS, (ushort)(startUpVector << 8));
            s->Rip = 0;
            Activity = Activity.Active;
            UpdateMode();
        }

        if (Activity == Activity.Shutdown)
        {
            return false;
        }

        var shadow = s->Shadow;
        s->Shadow = 0;
        var intr = (s->Pending & PendingIntr) != 0 && (s->FlagRest & Cr.IF) != 0;
        var nmi = nmiPending && s->NmiBlocked == 0;
        if (shadow != 0 && (intr || nmi || (s->Pending & NonRoot.PendingBit) != 0) && Activity == Activity.Active)
        {
            inShadow = true;
            return true;
        }

        if (nmi)
        {
            nmiPending = false;
            UpdateOther();
            TakeNmi();
        }
        else if (intr)
        {
            Activity = Activity.Active;
            NoteInjection();
            DeliverInterrupt(Apic!.Acknowledge());
        }

        if (Activity == Activity.Active)
        {
            Vmx.Resume();
        }

        if (((s->Pending & PendingIntr) != 0 || nmiPending) && Activity == Activity.Active)
        {
            Vmx.AwaitWindow((s->Pending & PendingIntr) != 0, nmiPending);
        }

        return Activity == Activity.Active;
    }

    void TakeNmi()
    {
        Activity = Activity.Active;
        s->NmiBlocked = 1;
        NoteInjection();
        DeliverInterrupt(Vector.NMI);
    }

    void NoteInjection()
    {
        SyncClock(null);
        var before = clock.Now;
        Vmx.NoteInjection();
        GiveUp(clock.Now - before);
    }

    void UpdateOther() => s->Pending = nmiPending || initPending || IsMachineCheckWaiting ? s->Pending | PendingOther : s->Pending & ~PendingOther;
}
