namespace Vmm.Chipset;

/// <summary>How a local APIC identifies itself and how fast its timer runs.</summary>
public sealed record LocalApicOptions
{
    /// <summary>Timer input clock in Hz: the core crystal clock that CPUID leaf 0x15 ECX names (SDM 3A §11.5.4).</summary>
    public ulong TimerHertz { get; init; } = 24_000_000;

    /// <summary>MAXPHYADDR: bits of IA32_APIC_BASE above it are reserved.</summary>
    public int PhysicalAddressBits { get; init; } = 46;

    /// <summary>CPUID.1:ECX[21]: x2APIC mode can be entered.</summary>
    public bool HasX2Apic { get; init; } = true;

    /// <summary>Version register bit 24: software may suppress EOI broadcasts through SVR bit 12 (SDM 3A §11.8.5).</summary>
    public bool CanSuppressEoiBroadcast { get; init; }
}

/// <summary>Operating mode of a local APIC: IA32_APIC_BASE bits 11 and 10 (SDM 3A §11.12.1).</summary>
public enum ApicMode
{
    /// <summary>Globally disabled: LINT0 is INTR and LINT1 is NMI.</summary>
    Disabled,

    /// <summary>Registers on the MMIO page, 8-bit ids.</summary>
    XApic,

    /// <summary>Registers as MSRs, 32-bit ids.</summary>
    X2Apic,
}

/// <summary>Entries of the local vector table, in register order (SDM 3A §11.5.1).</summary>
public enum LocalInterrupt
{
    /// <summary>Corrected machine check.</summary>
    Cmci,

    /// <summary>APIC timer.</summary>
    Timer,

    /// <summary>Thermal monitor.</summary>
    Thermal,

    /// <summary>Performance counter overflow.</summary>
    Performance,

    /// <summary>Pin LINT0.</summary>
    Lint0,

    /// <summary>Pin LINT1.</summary>
    Lint1,

    /// <summary>APIC error.</summary>
    Error,
}

/// <summary>Delivery modes of messages and of local vector table entries (SDM 3A §11.5.1, §11.6.1, §11.11.2).</summary>
enum DeliveryMode
{
    Fixed = 0,
    LowestPriority = 1,
    Smi = 2,
    Reserved = 3,
    Nmi = 4,
    Init = 5,
    StartUp = 6,
    ExtInt = 7,
}

/// <summary>Bits of the error status register (SDM 3A §11.5.3).</summary>
[Flags]
enum ApicErrors : byte
{
    None = 0,
    SendIllegalVector = 1 << 5,
    ReceivedIllegalVector = 1 << 6,
    IllegalRegister = 1 << 7,
}

/// <summary>Register numbers: MMIO offset / 16, and MSR number - 0x800 (SDM 3A table 11-6).</summary>
static class ApicRegister
{
    public const int ID = 0x02, Version = 0x03, TPR = 0x08, APR = 0x09, PPR = 0x0A, EOI = 0x0B, RRD = 0x0C,
        LDR = 0x0D, DFR = 0x0E, SVR = 0x0F, ISR = 0x10, TMR = 0x18, IRR = 0x20, ESR = 0x28, LvtCmci = 0x2F,
        ICR = 0x30, ICR2 = 0x31, LvtTimer = 0x32, LvtError = 0x37, TMICT = 0x38, TMCCT = 0x39, DCR = 0x3E, SelfIpi = 0x3F;
}
