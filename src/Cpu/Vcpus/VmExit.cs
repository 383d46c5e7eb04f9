namespace Vmm.Cpu.Vcpus;

/// <summary>Why a vCPU called out of the engine.</summary>
public enum ExitReason
{
    /// <summary>IN: <see cref="VmExit.Data"/> is the answer.</summary>
    PortRead,

    /// <summary>OUT.</summary>
    PortWrite,

    /// <summary>Read of an address that is not RAM.</summary>
    MmioRead,

    /// <summary>Write of an address that is not RAM.</summary>
    MmioWrite,

    /// <summary>RDMSR of an APIC register; <see cref="VmExit.Refused"/> raises #GP.</summary>
    MsrRead,

    /// <summary>WRMSR of an APIC register; <see cref="VmExit.Refused"/> raises #GP.</summary>
    MsrWrite,

    /// <summary>CPUID was executed.</summary>
    Cpuid,

    /// <summary>HLT was executed.</summary>
    Halt,

    /// <summary>The processor shut down (triple fault).</summary>
    Shutdown,

    /// <summary>An x87 error with CR0.NE clear: FERR#, routed to IRQ 13. A handler that clears <see cref="VmExit.Data"/> says that IGNNE# is not asserted, and the vCPU waits for an interrupt.</summary>
    FloatError,
}

/// <summary>One exit. The handler fills in <see cref="Data"/> for reads.</summary>
public struct VmExit
{
    /// <summary>Why.</summary>
    public ExitReason Reason;

    /// <summary>Index of the vCPU.</summary>
    public int Vcpu;

    /// <summary>Port, guest-physical address, MSR number or CPUID leaf.</summary>
    public ulong Address;

    /// <summary>Width in bytes.</summary>
    public int Size;

    /// <summary>Value written, or to be returned.</summary>
    public ulong Data;

    /// <summary>Set by the handler to refuse an MSR access.</summary>
    public bool Refused;
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
