namespace Vmm.Cpu.Vmx;

/// <summary>What became of a physical machine check.</summary>
public enum MachineCheckOutcome
{
    /// <summary>
    /// The guest ran, the processor's CR4.MCE was set and the exception bitmap has bit 18: VM exit with reason 0 and vector 18. The
    /// host's handler ran; the guest has seen nothing. A machine check that is meant for the guest is injected now.
    /// </summary>
    Exit,

    /// <summary>The host ran on this processor and took #MC through its own IDT: no exit, and the guest has seen nothing.</summary>
    Host,

    /// <summary>The guest ran with CR4.MCE set and the exception bitmap clear: #MC goes to the guest's IDT, the host never hears of it.</summary>
    Guest,

    /// <summary>CR4.MCE was clear: the processor shut down, CATERR is asserted and the machine is dead.</summary>
    Caterr,

    /// <summary>It hit in the middle of a VM entry, which failed with exit reason 41; the host's handler ran.</summary>
    EntryFailed,
}

/// <summary>
/// The physical processor's view of machine checks, as the machine-check model sees it: it says that one arrives and learns what
/// the VMX state made of it. Call it between turns or inside an exit handler, never from another thread.
/// </summary>
public interface IPhysicalMachineCheck
{
    /// <summary>True while the guest, not the host, runs on the processor.</summary>
    bool IsInGuestMode { get; }

    /// <summary>CR4.MCE that is in force on the physical processor now: the guest-mode one while the guest runs, else the host's.</summary>
    bool IsMachineCheckEnabled { get; }

    /// <summary>CR4.MCE as the guest reads it.</summary>
    bool GuestMachineCheckEnabled { get; }

    /// <summary>
    /// A physical machine check arrives now. Reports the VM exit through <see cref="Vcpus.IExitHandler"/>, with reason 0 and
    /// <see cref="Specs.X86.ExitKind.MachineCheck"/>, when there is one; on <see cref="MachineCheckOutcome.Caterr"/> the machine has ended.
    /// </summary>
    MachineCheckOutcome MachineCheckArrives();
}
