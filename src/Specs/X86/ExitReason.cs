namespace Vmm.Specs.X86;

/// <summary>Basic VM-exit reasons (SDM 3D appendix C): bits 15:0 of the exit-reason field.</summary>
public enum ExitReason : ushort
{
    /// <summary>An exception that the exception bitmap names, or an NMI.</summary>
    ExceptionOrNmi = 0,

    /// <summary>An external interrupt arrived.</summary>
    ExternalInterrupt = 1,

    /// <summary>A fault while delivering a double fault.</summary>
    TripleFault = 2,

    /// <summary>INIT signal.</summary>
    Init = 3,

    /// <summary>Start-up IPI in the wait-for-SIPI state.</summary>
    StartUpIpi = 4,

    /// <summary>SMI retired an I/O instruction.</summary>
    IoSmi = 5,

    /// <summary>Other SMI.</summary>
    OtherSmi = 6,

    /// <summary>RFLAGS.IF is set and nothing blocks interrupts, with interrupt-window exiting.</summary>
    InterruptWindow = 7,

    /// <summary>Nothing blocks virtual NMIs, with NMI-window exiting.</summary>
    NmiWindow = 8,

    /// <summary>Task switch.</summary>
    TaskSwitch = 9,

    /// <summary>CPUID.</summary>
    Cpuid = 10,

    /// <summary>GETSEC.</summary>
    Getsec = 11,

    /// <summary>HLT.</summary>
    Hlt = 12,

    /// <summary>INVD.</summary>
    Invd = 13,

    /// <summary>INVLPG.</summary>
    Invlpg = 14,

    /// <summary>RDPMC.</summary>
    Rdpmc = 15,

    /// <summary>RDTSC.</summary>
    Rdtsc = 16,

    /// <summary>RSM in SMM.</summary>
    Rsm = 17,

    /// <summary>VMCALL.</summary>
    Vmcall = 18,

    /// <summary>VMCLEAR.</summary>
    Vmclear = 19,

    /// <summary>VMLAUNCH.</summary>
    Vmlaunch = 20,

    /// <summary>VMPTRLD.</summary>
    Vmptrld = 21,

    /// <summary>VMPTRST.</summary>
    Vmptrst = 22,

    /// <summary>VMREAD.</summary>
    Vmread = 23,

    /// <summary>VMRESUME.</summary>
    Vmresume = 24,

    /// <summary>VMWRITE.</summary>
    Vmwrite = 25,

    /// <summary>VMXOFF.</summary>
    Vmxoff = 26,

    /// <summary>VMXON.</summary>
    Vmxon = 27,

    /// <summary>MOV CR, CLTS or LMSW.</summary>
    CrAccess = 28,

    /// <summary>MOV DR.</summary>
    DrAccess = 29,

    /// <summary>IN, INS, OUT, OUTS.</summary>
    IoInstruction = 30,

    /// <summary>RDMSR.</summary>
    Rdmsr = 31,

    /// <summary>WRMSR.</summary>
    Wrmsr = 32,

    /// <summary>VM entry failed on the guest state.</summary>
    EntryGuestState = 33,

    /// <summary>VM entry failed while loading MSRs.</summary>
    EntryMsrLoad = 34,

    /// <summary>MWAIT.</summary>
    Mwait = 36,

    /// <summary>Monitor trap flag.</summary>
    MonitorTrapFlag = 37,

    /// <summary>MONITOR.</summary>
    Monitor = 39,

    /// <summary>PAUSE, or a loop of them.</summary>
    Pause = 40,

    /// <summary>VM entry failed on a machine check.</summary>
    EntryMachineCheck = 41,

    /// <summary>The virtual TPR fell below the threshold.</summary>
    TprBelowThreshold = 43,

    /// <summary>Access to the APIC-access page.</summary>
    ApicAccess = 44,

    /// <summary>EOI of a vector in the EOI-exit bitmap.</summary>
    VirtualizedEoi = 45,

    /// <summary>LGDT, LIDT, SGDT, SIDT.</summary>
    GdtrIdtrAccess = 46,

    /// <summary>LLDT, LTR, SLDT, STR.</summary>
    LdtrTrAccess = 47,

    /// <summary>The EPT tables do not permit the access.</summary>
    EptViolation = 48,

    /// <summary>An EPT entry holds a value that is not allowed; KVM marks emulated memory so.</summary>
    EptMisconfiguration = 49,

    /// <summary>INVEPT.</summary>
    Invept = 50,

    /// <summary>RDTSCP.</summary>
    Rdtscp = 51,

    /// <summary>The VMX-preemption timer reached zero.</summary>
    PreemptionTimer = 52,

    /// <summary>INVVPID.</summary>
    Invvpid = 53,

    /// <summary>WBINVD or WBNOINVD.</summary>
    Wbinvd = 54,

    /// <summary>XSETBV.</summary>
    Xsetbv = 55,

    /// <summary>Write to the virtual-APIC page that software must complete.</summary>
    ApicWrite = 56,

    /// <summary>RDRAND.</summary>
    Rdrand = 57,

    /// <summary>INVPCID.</summary>
    Invpcid = 58,

    /// <summary>VMFUNC.</summary>
    Vmfunc = 59,

    /// <summary>ENCLS.</summary>
    Encls = 60,

    /// <summary>RDSEED.</summary>
    Rdseed = 61,

    /// <summary>The page-modification log is full.</summary>
    PmlFull = 62,

    /// <summary>XSAVES.</summary>
    Xsaves = 63,

    /// <summary>XRSTORS.</summary>
    Xrstors = 64,

    /// <summary>UMWAIT.</summary>
    Umwait = 67,

    /// <summary>TPAUSE.</summary>
    Tpause = 68,

    /// <summary>A bus lock was asserted.</summary>
    BusLock = 74,

    /// <summary>No VM-exit window opened for too long.</summary>
    Notify = 75,
}

/// <summary>What an exit was about where the basic reason serves several cases; together they are the key of an exit.</summary>
public enum ExitKind : byte
{
    /// <summary>The reason says it all.</summary>
    None = 0,

    /// <summary>IN, read of an address that is not RAM, MOV from CR or DR.</summary>
    Read = 1,

    /// <summary>OUT, write of an address that is not RAM, MOV to CR or DR.</summary>
    Write = 2,

    /// <summary>Instruction fetch from an address that is not RAM.</summary>
    Execute = 3,

    /// <summary>CLTS.</summary>
    Clts = 4,

    /// <summary>LMSW.</summary>
    Lmsw = 5,

    /// <summary>Reason 0: a processor exception other than those below.</summary>
    Exception = 6,

    /// <summary>Reason 0: NMI.</summary>
    Nmi = 7,

    /// <summary>Reason 0: a physical machine check while the guest ran.</summary>
    MachineCheck = 8,

    /// <summary>Reason 0: an x87 error with the guest's CR0.NE clear; the host drives FERR# (IRQ 13) for it.</summary>
    FloatError = 9,
}

/// <summary>Numbers over <see cref="ExitReason"/> and <see cref="ExitKind"/>.</summary>
public static class ExitReasons
{
    /// <summary>Basic reasons are below this.</summary>
    public const int Count = 76;

    /// <summary>Kinds are below this.</summary>
    public const int Kinds = 10;

    /// <summary>Bit 31 of the exit-reason field: the exit is a failed VM entry (SDM 3C §25.9.1).</summary>
    public const uint EntryFailure = 1u << 31;

    /// <summary>Dense number of a key, below <see cref="Count"/> * <see cref="Kinds"/>.</summary>
    public static int Key(ExitReason reason, ExitKind kind) => (int)reason * Kinds + (int)kind;

    /// <summary>The key's name in reports: "Cpuid", "IoInstruction.Write".</summary>
    public static string Name(ExitReason reason, ExitKind kind) => kind == ExitKind.None ? reason.ToString() : $"{reason}.{kind}";
}
