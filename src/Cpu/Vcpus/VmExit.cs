using Vmm.Specs.X86;

namespace Vmm.Cpu.Vcpus;

/// <summary>Who carries out what an exit is about.</summary>
public enum ExitService : byte
{
    /// <summary>The handler.</summary>
    Handler,

    /// <summary>The vCPU's part of the host, when the handler has counted and seen it.</summary>
    Vcpu,

    /// <summary>The handler, but it is no exit: the controls let the guest reach the device by itself. Not counted, not charged.</summary>
    Direct,
}

/// <summary>
/// One VM exit: <see cref="Reason"/> and <see cref="Kind"/> are its key. The handler fills in <see cref="Data"/> for reads.
/// The exit-information fields of the vCPU's VMCS say the rest.
/// </summary>
public struct VmExit
{
    /// <summary>Basic exit reason.</summary>
    public ExitReason Reason;

    /// <summary>Which of the reason's cases.</summary>
    public ExitKind Kind;

    /// <summary>Who carries it out.</summary>
    public ExitService By;

    /// <summary>Index of the vCPU.</summary>
    public int Vcpu;

    /// <summary>Port, guest-physical address, MSR number, CPUID leaf or exception vector.</summary>
    public ulong Address;

    /// <summary>Width in bytes.</summary>
    public int Size;

    /// <summary>
    /// Value written, or to be returned. For FERR# (<see cref="ExitKind.FloatError"/>) a handler that clears it says that IGNNE# is
    /// not asserted, and the vCPU waits for an interrupt.
    /// </summary>
    public ulong Data;

    /// <summary>Set by the handler to refuse an MSR access.</summary>
    public bool Refused;

    /// <summary>Exit qualification (SDM 3C §28.2.1).</summary>
    public ulong Qualification;

    /// <summary>An access to an address that is not RAM, whatever the VMCS makes of it.</summary>
    public readonly bool IsMemory => Reason is ExitReason.EptMisconfiguration or ExitReason.EptViolation or ExitReason.ApicAccess;

    /// <summary>An access to an MSR of the local APIC, which the handler answers.</summary>
    public readonly bool IsApicMsr => Reason is ExitReason.Rdmsr or ExitReason.Wrmsr && Address is 0x1B or 0x6E0 or (>= 0x800 and <= 0x8FF);
}

/// <summary>What a machine dies of without an exit.</summary>
public enum DeathCause
{
    /// <summary>A machine check while CR4.MCE was clear: the processor shuts down and asserts CATERR.</summary>
    Caterr,

    /// <summary>A VM entry failed, and the hypervisor has no remedy.</summary>
    EntryFailure,
}

/// <summary>The one funnel for everything a vCPU cannot do by itself: the place to charge, trace and inject.</summary>
public interface IExitHandler
{
    /// <summary>Carries the exit out, unless <see cref="VmExit.By"/> says that the vCPU does.</summary>
    void Handle(ref VmExit exit);

    /// <summary>The machine cannot go on: CATERR, or a VM entry that is refused. Nothing of it runs after this.</summary>
    void Die(DeathCause cause, int vcpu, string detail)
    {
    }
}

/// <summary>An engine that runs one vCPU.</summary>
public interface IVcpuEngine
{
    /// <summary>Runs at most <paramref name="budget"/> instructions; returns early when the vCPU halts, stops or must yield.</summary>
    /// <returns>Instructions retired.</returns>
    long Run(IExitHandler exits, long budget);
}
