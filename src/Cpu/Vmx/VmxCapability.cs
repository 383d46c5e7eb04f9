using Vmm.Cpu.State;
using Vmm.Specs.X86;

namespace Vmm.Cpu.Vmx;

/// <summary>A control word's allowed settings: bits that must be 1 and bits that may be 1 (SDM 3D appendix A.2).</summary>
/// <param name="MustBeOne">Low half of the capability MSR.</param>
/// <param name="MayBeOne">High half of the capability MSR.</param>
public readonly record struct AllowedBits(uint MustBeOne, uint MayBeOne)
{
    /// <summary>True when every bit is set as it may be.</summary>
    public bool Permits(ulong value) => (~value & MustBeOne) == 0 && (value & ~(ulong)MayBeOne) == 0;

    /// <summary>The MSR's value.</summary>
    public ulong Msr => (ulong)MayBeOne << 32 | MustBeOne;
}

/// <summary>
/// What VMX operation offers on the modelled processor: the capability MSRs 0x480 to 0x491 (SDM 3D appendix A). The true MSRs
/// count, so that default1 bits which have got a meaning may be clear.
/// </summary>
public static class VmxCapability
{
    /// <summary>Physical-address width in bits.</summary>
    public const int PhysicalBits = Memory.PageWalker.PhysicalBits;

    /// <summary>CR3-target values that there are.</summary>
    public const int Cr3Targets = 4;

    /// <summary>The VMX-preemption timer counts once when this bit of the TSC changes (IA32_VMX_MISC[4:0]).</summary>
    public const int PreemptionTimerShift = 5;

    /// <summary>MSRs that one MSR area may hold: 512 * (N + 1) with N of IA32_VMX_MISC[27:25].</summary>
    public const int MsrAreaLimit = 512;

    /// <summary>VMCS revision identifier.</summary>
    public const uint Revision = 0x12;

    /// <summary>Pin-based controls.</summary>
    public static AllowedBits Pin { get; } = new(0x16, 0x16 | (uint)(
        PinControls.ExternalInterrupt | PinControls.Nmi | PinControls.VirtualNmis | PinControls.PreemptionTimer));

    /// <summary>Primary processor-based controls.</summary>
    public static AllowedBits Primary { get; } = new(0x0400_6172, 0x0400_6172 | (uint)(
        PrimaryControls.InterruptWindow | PrimaryControls.UseTscOffsetting | PrimaryControls.Hlt | PrimaryControls.Invlpg | PrimaryControls.Mwait
        | PrimaryControls.Rdpmc | PrimaryControls.Rdtsc | PrimaryControls.Cr3Load | PrimaryControls.Cr3Store | PrimaryControls.Cr8Load
        | PrimaryControls.Cr8Store | PrimaryControls.UseTprShadow | PrimaryControls.NmiWindow | PrimaryControls.MovDr | PrimaryControls.UnconditionalIo
        | PrimaryControls.UseIoBitmaps | PrimaryControls.MonitorTrapFlag | PrimaryControls.UseMsrBitmaps | PrimaryControls.Monitor
        | PrimaryControls.Pause | PrimaryControls.ActivateSecondary));

    /// <summary>Secondary processor-based controls: those whose effect is modelled.</summary>
    public static AllowedBits Secondary { get; } = new(0, (uint)(
        SecondaryControls.VirtualizeApicAccesses | SecondaryControls.EnableEpt | SecondaryControls.DescriptorTable | SecondaryControls.EnableRdtscp
        | SecondaryControls.EnableVpid | SecondaryControls.Wbinvd | SecondaryControls.UnrestrictedGuest | SecondaryControls.PauseLoop
        | SecondaryControls.Rdrand | SecondaryControls.EnableInvpcid | SecondaryControls.Rdseed | SecondaryControls.UseTscScaling));

    /// <summary>VM-exit controls.</summary>
    public static AllowedBits Exit { get; } = new(0x0003_6DFB, 0x0003_6DFB | (uint)(
        ExitControls.SaveDebug | ExitControls.HostAddressSpace | ExitControls.AcknowledgeInterrupt | ExitControls.SavePat | ExitControls.LoadPat
        | ExitControls.SaveEfer | ExitControls.LoadEfer | ExitControls.SavePreemptionTimer));

    /// <summary>VM-entry controls.</summary>
    public static AllowedBits Entry { get; } = new(0x0000_11FB, 0x0000_11FB | (uint)(
        EntryControls.LoadDebug | EntryControls.Ia32eGuest | EntryControls.LoadPat | EntryControls.LoadEfer));

    /// <summary>Bits of CR0 that are 1 in VMX operation; an unrestricted guest may clear PE and PG.</summary>
    public const ulong Cr0Fixed0 = Cr.Cr0PE | Cr.Cr0NE | Cr.Cr0PG;

    /// <summary>Bits of CR0 that may be 1.</summary>
    public const ulong Cr0Fixed1 = 0xFFFF_FFFF;

    /// <summary>CR4.VMXE.</summary>
    public const ulong Cr4Vmxe = 1 << 13;

    /// <summary>Bits of CR4 that are 1 in VMX operation.</summary>
    public const ulong Cr4Fixed0 = Cr4Vmxe;

    /// <summary>Bits of CR4 that may be 1: the engine's, VMXE, PCIDE and those that hosts of that age use.</summary>
    public const ulong Cr4Fixed1 = 0x0037_67FF | Cr.Cr4UMIP;

    /// <summary>A capability MSR (0x480 to 0x491). False: there is no such MSR.</summary>
    public static bool TryReadMsr(uint msr, out ulong value)
    {
        // The MSRs without "true" give the default1 class as fixed to 1 (SDM 3D appendix A.2).
        const uint DefaultPin = 0x16, DefaultPrimary = 0x0401_E172, DefaultExit = 0x0003_6DFF, DefaultEntry = 0x0000_11FF;
        value = msr switch
        {
            0x480 => Revision | 4096ul << 32 | 6ul << 50 | 1ul << 54 | 1ul << 55,
            0x481 => new AllowedBits(DefaultPin, Pin.MayBeOne).Msr,
            0x482 => new AllowedBits(DefaultPrimary, Primary.MayBeOne).Msr,
            0x483 => new AllowedBits(DefaultExit, Exit.MayBeOne).Msr,
            0x484 => new AllowedBits(DefaultEntry, Entry.MayBeOne).Msr,
            0x485 => PreemptionTimerShift | 7ul << 6 | (ulong)Cr3Targets << 16,
            0x486 => Cr0Fixed0,
            0x487 => Cr0Fixed1,
            0x488 => Cr4Fixed0,
            0x489 => Cr4Fixed1,
            0x48A => 0x34,
            0x48B => Secondary.Msr,
            0x48C => 1ul << 6 | 1ul << 8 | 1ul << 14 | 1ul << 16 | 1ul << 17 | 1ul << 20 | 1ul << 21 | 1ul << 25 | 1ul << 26 | 1ul << 32 | 0xFul << 40,
            0x48D => Pin.Msr,
            0x48E => Primary.Msr,
            0x48F => Exit.Msr,
            0x490 => Entry.Msr,
            0x491 => 0,
            _ => ulong.MaxValue,
        };
        return msr is >= 0x480 and <= 0x491;
    }
}
