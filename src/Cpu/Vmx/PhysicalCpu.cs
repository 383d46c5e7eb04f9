using Vmm.Cpu.State;

namespace Vmm.Cpu.Vmx;

/// <summary>
/// The processor that a vCPU runs on, as the host has it set up. Its CR4 may change at any time and differ from processor to
/// processor: whoever wants to know it reads it here. A read costs what the cost profile says (<c>cr4-read</c>).
/// </summary>
public sealed class PhysicalCpu(int index)
{
    /// <summary>CR4 of a 64-bit Linux host: PAE, MCE, PGE, OSFXSR, OSXMMEXCPT, VMXE and what goes with them.</summary>
    public const ulong LinuxCr4 = 0x37_26E0;

    /// <summary>Number in the host.</summary>
    public int Index { get; } = index;

    /// <summary>
    /// The host's CR4, as the register holds it while the host runs. Setting it is the host's MOV to CR4: a guest that runs on
    /// the processor is interrupted for it (<see cref="NonRoot.Kick"/>), and what it runs with afterwards is up to the next VM entry.
    /// </summary>
    public ulong Cr4
    {
        get => cr4;
        set
        {
            cr4 = value;
            Occupant?.HostCr4Changes();
        }
    }

    ulong cr4 = LinuxCr4;

    /// <summary>The vCPU that runs here, or null.</summary>
    internal NonRoot? Occupant { get; set; }

    /// <summary>A VM exit loads CR4.</summary>
    internal void LoadCr4(ulong value) => cr4 = value;

    /// <summary>CR4.MCE of the host.</summary>
    public bool MachineCheckEnable
    {
        get => (Cr4 & Cr.Cr4MCE) != 0;
        set => Cr4 = value ? Cr4 | Cr.Cr4MCE : Cr4 & ~Cr.Cr4MCE;
    }

    /// <summary>The VMM has read CR4 from the register this often, to enter guests.</summary>
    public ulong Cr4Reads { get; internal set; }
}
