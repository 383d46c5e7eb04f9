using Vmm.Cpu.State;
using Vmm.Specs.X86;

namespace Vmm.Cpu.Vmx;

/// <summary>How a hypervisor sets up the controls of a VMCS for its guest.</summary>
public sealed record VmxProfile(string Name)
{
    /// <summary>Pin-based controls.</summary>
    public PinControls Pin { get; init; }

    /// <summary>Primary processor-based controls.</summary>
    public PrimaryControls Primary { get; init; }

    /// <summary>Secondary processor-based controls.</summary>
    public SecondaryControls Secondary { get; init; }

    /// <summary>VM-exit controls.</summary>
    public ExitControls Exit { get; init; }

    /// <summary>VM-entry controls; IA-32e mode guest is added while the guest is in that mode.</summary>
    public EntryControls Entry { get; init; }

    /// <summary>Exception bitmap.</summary>
    public uint Exceptions { get; init; }

    /// <summary>CR0 bits that the host owns.</summary>
    public ulong Cr0Mask { get; init; }

    /// <summary>CR4 bits that the host owns.</summary>
    public ulong Cr4Mask { get; init; }

    /// <summary>MSRs that the guest reads without an exit; null for all that the bitmap covers.</summary>
    public IReadOnlyList<uint>? MsrReads { get; init; } = [];

    /// <summary>MSRs that the guest writes without an exit; null for all that the bitmap covers.</summary>
    public IReadOnlyList<uint>? MsrWrites { get; init; } = [];

    /// <summary>Emulated memory is marked in the EPT by a misconfigured entry, as KVM does; otherwise it is not mapped.</summary>
    public bool MmioByMisconfiguration { get; init; } = true;

    /// <summary>The host takes a vCPU that waits (HLT without exiting, start-up IPI) off the processor. Otherwise it waits in guest mode.</summary>
    public bool HostBlocks { get; init; } = true;

    /// <summary>After a MOV DR exit the guest has the debug registers until the next exit, as KVM does it.</summary>
    public bool LendsDebugRegisters { get; init; }

    const ExitControls ExitDefault =
        ExitControls.SaveDebug | ExitControls.HostAddressSpace | ExitControls.AcknowledgeInterrupt | ExitControls.SavePat | ExitControls.LoadPat | ExitControls.LoadEfer;

    const EntryControls EntryDefault = EntryControls.LoadDebug | EntryControls.LoadPat | EntryControls.LoadEfer;

    const ulong Cr4Owned = ~(Cr.Cr4PVI | Cr.Cr4DE | Cr.Cr4PCE | Cr.Cr4OSFXSR | Cr.Cr4OSXMMEXCPT | Cr.Cr4PGE | Cr.Cr4TSD);

    const uint FsBase = 0xC000_0100, GsBase = 0xC000_0101, KernelGsBase = 0xC000_0102, SysenterCs = 0x174, SysenterEsp = 0x175, SysenterEip = 0x176, Tsc = 0x10;

    /// <summary>
    /// Linux 6.1's KVM with EPT, unrestricted guest, VPID and a TPR shadow, without APICv: #DB, #UD, #AC and #MC are
    /// intercepted, the guest owns CR0.TS and eight bits of CR4, I/O exits unconditionally, and the base and SYSENTER MSRs pass.
    /// </summary>
    public static VmxProfile Kvm { get; } = new("kvm")
    {
        Pin = PinControls.ExternalInterrupt | PinControls.Nmi | PinControls.VirtualNmis,
        Primary = PrimaryControls.UseTscOffsetting | PrimaryControls.Hlt | PrimaryControls.Mwait | PrimaryControls.Rdpmc | PrimaryControls.UseTprShadow
            | PrimaryControls.MovDr | PrimaryControls.UnconditionalIo | PrimaryControls.UseMsrBitmaps | PrimaryControls.Monitor
            | PrimaryControls.ActivateSecondary,
        Secondary = SecondaryControls.VirtualizeApicAccesses | SecondaryControls.EnableEpt | SecondaryControls.EnableRdtscp | SecondaryControls.EnableVpid
            | SecondaryControls.UnrestrictedGuest | SecondaryControls.PauseLoop | SecondaryControls.Rdrand | SecondaryControls.Rdseed
            | SecondaryControls.UseTscScaling,
        Exit = ExitDefault,
        Entry = EntryDefault,
        Exceptions = 1 << 1 | 1 << 6 | 1 << 17 | 1 << 18,
        Cr0Mask = ~Cr.Cr0TS,
        Cr4Mask = Cr4Owned,
        MsrReads = [Tsc, FsBase, GsBase, KernelGsBase, SysenterCs, SysenterEsp, SysenterEip],
        MsrWrites = [FsBase, GsBase, KernelGsBase, SysenterCs, SysenterEsp, SysenterEip],
        LendsDebugRegisters = true,
    };

    /// <summary>Everything that can exit does.</summary>
    public static VmxProfile ExitAll { get; } = Kvm with
    {
        Name = "exit-all",
        Primary = PrimaryControls.UseTscOffsetting | PrimaryControls.Hlt | PrimaryControls.Invlpg | PrimaryControls.Mwait | PrimaryControls.Rdpmc
            | PrimaryControls.Rdtsc | PrimaryControls.Cr3Load | PrimaryControls.Cr3Store | PrimaryControls.Cr8Load | PrimaryControls.Cr8Store
            | PrimaryControls.MovDr | PrimaryControls.UnconditionalIo | PrimaryControls.Monitor | PrimaryControls.Pause | PrimaryControls.ActivateSecondary,
        Secondary = SecondaryControls.EnableEpt | SecondaryControls.DescriptorTable | SecondaryControls.EnableRdtscp | SecondaryControls.EnableVpid
            | SecondaryControls.Wbinvd | SecondaryControls.UnrestrictedGuest | SecondaryControls.Rdrand | SecondaryControls.Rdseed
            | SecondaryControls.EnableInvpcid,
        Exceptions = uint.MaxValue,
        Cr0Mask = ulong.MaxValue,
        Cr4Mask = ulong.MaxValue,
        MsrReads = [],
        MsrWrites = [],
        MmioByMisconfiguration = false,
        LendsDebugRegisters = false,
    };

    /// <summary>
    /// As few exits as VMX allows: interrupts reach the guest directly, ports and MSRs too, HLT waits in guest mode. The host
    /// owns only the control-register bits that VMX fixes, and CR4.MCE. CPUID, INVD, machine checks and emulated memory still exit.
    /// </summary>
    public static VmxProfile Minimal { get; } = new("minimal")
    {
        Primary = PrimaryControls.UseTscOffsetting | PrimaryControls.UseTprShadow | PrimaryControls.UseMsrBitmaps | PrimaryControls.ActivateSecondary,
        Secondary = SecondaryControls.EnableEpt | SecondaryControls.EnableRdtscp | SecondaryControls.EnableVpid | SecondaryControls.UnrestrictedGuest,
        Exit = ExitDefault,
        Entry = EntryDefault,
        Exceptions = 1 << 18,
        Cr0Mask = Cr.Cr0NE,
        Cr4Mask = VmxCapability.Cr4Vmxe | Cr.Cr4MCE,
        MsrReads = null,
        MsrWrites = null,
        MmioByMisconfiguration = false,
        HostBlocks = false,
    };

    /// <summary>All profiles, the default first.</summary>
    public static IReadOnlyList<VmxProfile> All { get; } = [Kvm, ExitAll, Minimal];
}
