namespace Vmm.Cpu.Vmx;

/// <summary>How the hypervisor of the model treats its guest, and the processors under it.</summary>
public sealed record VmxOptions
{
    /// <summary>How the VMCS is set up.</summary>
    public VmxProfile Profile { get; init; } = VmxProfile.Kvm;

    /// <summary>
    /// CR4.MCE in guest mode is the host's. Off: it follows the guest, as KVM had it until 2015, and a machine check while a guest
    /// has it clear is CATERR.
    /// </summary>
    public bool PreserveMce { get; init; } = true;

    /// <summary>
    /// The VMM takes its host's CR4 from the copy it made when it created the vCPU, instead of reading the register at every VM
    /// entry: cheap, and wrong as soon as the host changes CR4 or the vCPU moves to a processor where it differs.
    /// </summary>
    public bool StaleHostCr4 { get; init; }

    /// <summary>The host's CR4.MCE when the vCPUs are created.</summary>
    public bool HostMceAtCreation { get; init; } = true;

    /// <summary>The host's CR4.MCE from the first VM entry on.</summary>
    public bool HostMce { get; init; } = true;
}
