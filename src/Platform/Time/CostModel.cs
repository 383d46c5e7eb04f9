namespace Vmm.Platform.Time;

/// <summary>
/// What passes virtual time, in TSC cycles: the one place that says so. Defaults and their sources are in docs/cost-model.md;
/// they are estimates for a 2.1 GHz laptop core under a hypervisor that handles the exit in its kernel part.
/// </summary>
/// <param name="Instruction">Each retired instruction.</param>
/// <param name="PortAccess">IN or OUT that leaves the processor.</param>
/// <param name="MmioAccess">Read or write of a device register in memory space.</param>
/// <param name="MsrAccess">RDMSR or WRMSR of a local APIC register.</param>
/// <param name="Cpuid">CPUID.</param>
/// <param name="Halt">HLT, up to the moment the processor sleeps.</param>
public sealed record CostModel(
    ulong Instruction = 1, ulong PortAccess = 1600, ulong MmioAccess = 2800, ulong MsrAccess = 1500, ulong Cpuid = 1100, ulong Halt = 1100);
