using Vmm.Specs.X86;

namespace Vmm.Cpu.Vcpus;

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

    /// <summary>Cycles that the host spends besides the exit's own cost: what the VMX part of the host did, such as reads of CR4.</summary>
    public ulong HostCycles;

    /// <summary>An access to an address that is not RAM, whatever the VMCS makes of it.</summary>
    public readonly bool IsMemory => Reason is ExitReason.EptMisconfiguration or ExitReason.EptViolation or ExitReason.ApicAccess;
}

/// <summary>The one funnel for everything a vCPU cannot do by itself: the place to charge, trace and inject.</summary>
public interface IExitHandler
{
    /// <summary>Carries the exit out.</summary>
    void Handle(ref VmExit exit);
}

/// <summary>An engine that runs one vCPU.</summary>
public interface IVcpuEngine
{
    /// <summary>Runs at most <paramref name="budget"/> instructions; returns early when the vCPU halts, stops or must yield.</summary>
    /// <returns>Instructions retired.</returns>
    long Run(IExitHandler exits, long budget);
}
