using Vmm.Cpu.Interpreter;
using Vmm.Cpu.MachineCheck;
using Vmm.Cpu.Memory;
using Vmm.Cpu.State;
using Vmm.Platform.Memory;

namespace Vmm.Cpu.Vcpus;

/// <content>Machine checks: recording, delivery, and accesses to poisoned pages (SDM 3B ch. 16).</content>
public sealed unsafe partial class Vcpu
{
    /// <summary>Banks and global registers, or null when the processor has no machine-check architecture.</summary>
    public MachineCheckState? Mca { get; }

    bool IsMachineCheckWaiting => Mca is { IsWaiting: true };

    /// <summary>Records an error in a bank. Unless <paramref name="silent"/>, the corrected machine-check interrupt is raised when it is due.</summary>
    /// <exception cref="InvalidOperationException">The processor has no machine-check architecture.</exception>
    public LogOutcome RecordMachineCheck(in MachineCheckRecord record, bool silent = false)
    {
        var outcome = (Mca ?? throw new InvalidOperationException("the processor has no machine-check architecture")).Log(record, silent, out var interrupt);
        if (interrupt)
        {
            Apic?.CorrectedMachineCheck();
        }

        return outcome;
    }

    /// <summary>
    /// A machine check arrives: delivered before the next instruction, or, from within a poisoned access, at the instruction
    /// itself. Wakes a halted processor. <paramref name="flags"/> are IA32_MCG_STATUS.RIPV, EIPV and LMCE_S as the handler will find them.
    /// </summary>
    public void DeliverMachineCheck(ulong flags)
    {
        if (Mca == null)
        {
            return;
        }

        var idle = !IsRunnable;
        Mca.Signal(flags);
        s->Pending |= PendingOther;
        RequestCheck();
        NoteWake(idle);
    }

    /// <summary>Enters the handler between two instructions. False when the processor shut down.</summary>
    bool TryTakeMachineCheck()
    {
        s->Shadow = 0;
        Activity = Activity.Active;
        current = null;
        Fail(null, Vector.MC, 0);
        DeliverException();
        return Activity == Activity.Active;
    }

    /// <summary>
    /// What comes before the IDT: the exception is taken only with CR4.MCE set - the guest's, or the processor's where the
    /// hypervisor does not intercept it - and MCIP clear; otherwise the processor shuts down (SDM 3A §6.15, vector 18). False
    /// when it did.
    /// </summary>
    bool TryBeginMachineCheck()
    {
        // The hypervisor has had its exit before it injects anything.
        Vmx.ExitOnMachineChecks();
        NoteInjection();
        var flags = Mca!.Take();
        UpdateOther();
        if (!Vmx.GuestMachineCheckEnabled && (Vmx.Intercepts(Vector.MC, 0) || !Vmx.IsMachineCheckEnabled))
        {
            Shutdown($"machine check with CR4.MCE clear at rip 0x{s->Rip:x}");
            return false;
        }

        if (!Mca.TryEnter(flags))
        {
            Shutdown($"machine check while MCG_STATUS.MCIP is set at rip 0x{s->Rip:x}");
            return false;
        }

        return true;
    }

    /// <summary>Forgets translations and ways into decoded code: a page has been poisoned and every access must ask.</summary>
    public void ForgetTranslations() => FlushTlb();

    /// <summary>The page walk for an address is about to read its entries. False: one was poisoned and a machine check waits.</summary>
    bool TryTouchTables(Op* op, ulong va)
    {
        var entries = stackalloc ulong[4];
        var count = TableWalk.Entries(s, memory, va, entries);
        for (var i = 0; i < count; i++)
        {
            if (memory.IsPoisoned(new(entries[i])) && !TryTouch(op, PoisonAccess.PageWalk, entries[i]))
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>
    /// An access consumes the poison of a page. True: it goes on, because nobody raised a machine check. False: one waits, at this
    /// very instruction.
    /// </summary>
    bool TryTouchPage(Op* op, Access access, ulong physical) => TryTouch(
        op, access switch { Access.Read => PoisonAccess.Load, Access.Write => PoisonAccess.Store, _ => PoisonAccess.Fetch }, physical);

    bool TryTouch(Op* op, PoisonAccess access, ulong physical)
    {
        memory.PoisonObserver?.Touched(access, Index, new Gpa(physical));
        return !IsMachineCheckWaiting || Fail(op, Vector.MC, 0);
    }
}
