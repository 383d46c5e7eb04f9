using Vmm.Cpu.Interpreter;
using Vmm.Cpu.State;
using Vmm.Cpu.Vmx;
using Vmm.Specs.X86;

namespace Vmm.Cpu.Vcpus;

/// <content>What VMX non-root operation asks of its vCPU.</content>
public sealed unsafe partial class Vcpu
{
    /// <summary>The engine is inside <see cref="Run"/>.</summary>
    internal bool IsRunning => running;

    /// <summary>An event for the processor below has been noted: it is looked at before the next instruction.</summary>
    internal void Attend()
    {
        s->Pending |= NonRoot.PendingBit;
        RequestCheck();
        NoteWake(Activity != Activity.Active);
    }

    /// <summary>The machine is dead.</summary>
    internal void Die(DeathCause cause, string detail)
    {
        Activity = Activity.Shutdown;
        ShutdownCause = detail;
        exits?.Die(cause, Index, detail);
        yieldRequested = true;
        RequestCheck();
    }

    /// <summary>An interrupt of the host's that nothing intercepts.</summary>
    internal void TakeHostInterrupt(byte vector)
    {
        Activity = Activity.Active;
        DeliverInterrupt(vector);
    }

    /// <summary>Delivers an event that the hypervisor injects at VM entry (SDM 3C §27.6).</summary>
    internal void Inject(InterruptionInfo info, uint error, byte length)
    {
        Activity = Activity.Active;
        NoteInjection();
        switch (info.Type)
        {
            case InterruptionType.External:
                DeliverInterrupt(info.Vector);
                return;
            case InterruptionType.Nmi:
                s->NmiBlocked = 1;
                DeliverInterrupt(Vector.NMI);
                return;
            case InterruptionType.Other:
                Vmx.Stepped();
                return;
        }

        s->ExceptionVector = info.Vector;
        s->ExceptionHasError = info.HasError ? (byte)1 : (byte)0;
        s->ExceptionError = error;
        s->ExceptionLength = length;
        s->ExceptionDr6 = 0;
        s->ExceptionKind = info.Type switch
        {
            InterruptionType.SoftwareInterrupt => KindIntN,
            InterruptionType.SoftwareException => KindInt3,
            InterruptionType.PrivilegedSoftwareException => KindInt1,
            _ => KindFault,
        };
        DeliverException(injected: true);
    }

    /// <summary>One instruction, then the exit of the monitor trap flag (SDM 3C §26.5.2).</summary>
    void StepForMonitor(bool afterStackLoad)
    {
        if (s->DebugActive != 0 || (s->FlagRest & (Cr.TF | Cr.RF)) != 0)
        {
            StepWithDebug(afterStackLoad);
        }
        else
        {
            RunOne();
        }

        Settle();
        if (Activity != Activity.Shutdown)
        {
            Vmx.Stepped();
        }
    }

    /// <summary>The event that is being delivered, as exit information has it.</summary>
    static InterruptionInfo EventInfo(byte vector, byte kind, bool hasError) => new(vector, kind switch
    {
        KindIntN => InterruptionType.SoftwareInterrupt,
        KindInt3 => InterruptionType.SoftwareException,
        KindInt1 => InterruptionType.PrivilegedSoftwareException,
        _ => vector == Vector.NMI ? InterruptionType.Nmi : InterruptionType.HardwareException,
    }, hasError);

    /// <summary>Lets an exception exit when the bitmap says so; the hypervisor then injects it.</summary>
    void Intercept(byte vector, bool hasError, uint error, byte kind)
    {
        if (kind != KindIntN && Vmx.Intercepts(vector, error))
        {
            var qualification = vector switch { Vector.PF => s->Cr2, Vector.DB when kind == KindFault => s->ExceptionDr6, _ => 0ul };
            Vmx.ExitOnException(EventInfo(vector, kind, hasError), hasError ? error : 0, qualification);
            NoteInjection();
        }
    }
}
