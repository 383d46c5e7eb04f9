namespace Vmm.Specs.X86;

#pragma warning disable CS1591 // The names are the architecture's own.

/// <summary>Pin-based VM-execution controls (SDM 3C §25.6.1).</summary>
[Flags]
public enum PinControls : uint
{
    None = 0,
    ExternalInterrupt = 1u << 0,
    Nmi = 1u << 3,
    VirtualNmis = 1u << 5,
    PreemptionTimer = 1u << 6,
    ProcessPostedInterrupts = 1u << 7,
}

/// <summary>Primary processor-based VM-execution controls (SDM 3C §25.6.2, table 25-6).</summary>
[Flags]
public enum PrimaryControls : uint
{
    None = 0,
    InterruptWindow = 1u << 2,
    UseTscOffsetting = 1u << 3,
    Hlt = 1u << 7,
    Invlpg = 1u << 9,
    Mwait = 1u << 10,
    Rdpmc = 1u << 11,
    Rdtsc = 1u << 12,
    Cr3Load = 1u << 15,
    Cr3Store = 1u << 16,
    ActivateTertiary = 1u << 17,
    Cr8Load = 1u << 19,
    Cr8Store = 1u << 20,
    UseTprShadow = 1u << 21,
    NmiWindow = 1u << 22,
    MovDr = 1u << 23,
    UnconditionalIo = 1u << 24,
    UseIoBitmaps = 1u << 25,
    MonitorTrapFlag = 1u << 27,
    UseMsrBitmaps = 1u << 28,
    Monitor = 1u << 29,
    Pause = 1u << 30,
    ActivateSecondary = 1u << 31,
}

/// <summary>Secondary processor-based VM-execution controls (SDM 3C §25.6.2, table 25-7).</summary>
[Flags]
public enum SecondaryControls : uint
{
    None = 0,
    VirtualizeApicAccesses = 1u << 0,
    EnableEpt = 1u << 1,
    DescriptorTable = 1u << 2,
    EnableRdtscp = 1u << 3,
    VirtualizeX2Apic = 1u << 4,
    EnableVpid = 1u << 5,
    Wbinvd = 1u << 6,
    UnrestrictedGuest = 1u << 7,
    ApicRegisterVirtualization = 1u << 8,
    VirtualInterruptDelivery = 1u << 9,
    PauseLoop = 1u << 10,
    Rdrand = 1u << 11,
    EnableInvpcid = 1u << 12,
    EnableVmFunctions = 1u << 13,
    VmcsShadowing = 1u << 14,
    Encls = 1u << 15,
    Rdseed = 1u << 16,
    EnablePml = 1u << 17,
    EptViolationVe = 1u << 18,
    ConcealFromPt = 1u << 19,
    EnableXsaves = 1u << 20,
    ModeBasedExecute = 1u << 22,
    SubPageWrite = 1u << 23,
    PtUsesGuestPhysical = 1u << 24,
    UseTscScaling = 1u << 25,
    EnableUserWait = 1u << 26,
    EnablePconfig = 1u << 27,
    Enclv = 1u << 28,
    BusLockDetection = 1u << 30,
    InstructionTimeout = 1u << 31,
}

/// <summary>VM-exit controls (SDM 3C §25.7.1).</summary>
[Flags]
public enum ExitControls : uint
{
    None = 0,
    SaveDebug = 1u << 2,
    HostAddressSpace = 1u << 9,
    LoadPerfGlobalCtrl = 1u << 12,
    AcknowledgeInterrupt = 1u << 15,
    SavePat = 1u << 18,
    LoadPat = 1u << 19,
    SaveEfer = 1u << 20,
    LoadEfer = 1u << 21,
    SavePreemptionTimer = 1u << 22,
    ClearBndcfgs = 1u << 23,
    ConcealFromPt = 1u << 24,
}

/// <summary>VM-entry controls (SDM 3C §25.8.1).</summary>
[Flags]
public enum EntryControls : uint
{
    None = 0,
    LoadDebug = 1u << 2,
    Ia32eGuest = 1u << 9,
    EntryToSmm = 1u << 10,
    DeactivateDualMonitor = 1u << 11,
    LoadPerfGlobalCtrl = 1u << 13,
    LoadPat = 1u << 14,
    LoadEfer = 1u << 15,
    LoadBndcfgs = 1u << 16,
    ConcealFromPt = 1u << 17,
}
#pragma warning restore CS1591

/// <summary>Guest activity states (SDM 3C §25.4.2).</summary>
public enum GuestActivityState : uint
{
    /// <summary>Executes.</summary>
    Active = 0,

    /// <summary>HLT was executed.</summary>
    Hlt = 1,

    /// <summary>Triple fault or another serious error.</summary>
    Shutdown = 2,

    /// <summary>Waits for a start-up IPI.</summary>
    WaitForSipi = 3,
}

/// <summary>Guest interruptibility state (SDM 3C §25.4.2, table 25-3).</summary>
[Flags]
public enum Interruptibility : uint
{
    /// <summary>Nothing is blocked.</summary>
    None = 0,

    /// <summary>Blocking by STI.</summary>
    Sti = 1,

    /// <summary>Blocking by MOV SS.</summary>
    MovSs = 2,

    /// <summary>Blocking by SMI.</summary>
    Smi = 4,

    /// <summary>Blocking by NMI.</summary>
    Nmi = 8,
}
