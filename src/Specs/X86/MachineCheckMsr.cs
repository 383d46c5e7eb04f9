namespace Vmm.Specs.X86;

/// <summary>Numbers of the machine-check MSRs (SDM 3B §16.3, SDM 4 table 2-2).</summary>
public static class MachineCheckMsr
{
#pragma warning disable CS1591 // The names are the architecture's own.
    public const uint MCG_CAP = 0x179, MCG_STATUS = 0x17A, MCG_CTL = 0x17B, MCG_EXT_CTL = 0x4D0;
    public const uint MC0_CTL2 = 0x280, MC0_CTL = 0x400;
#pragma warning restore CS1591

    /// <summary>Most banks that the MSR numbers leave room for here: IA32_MC0_CTL2 to IA32_MC31_CTL2.</summary>
    public const int MaxBanks = 32;

    /// <summary>True for every MSR of the architecture, whether the processor implements it or not.</summary>
    public static bool Contains(uint msr) =>
        msr is MCG_CAP or MCG_STATUS or MCG_CTL or MCG_EXT_CTL
            or (>= MC0_CTL2 and < MC0_CTL2 + MaxBanks)
            or (>= MC0_CTL and < MC0_CTL + 4 * MaxBanks);
}

/// <summary>IA32_MCG_CAP (SDM 3B §16.3.1.1).</summary>
public static class McgCap
{
    /// <summary>Number of banks, bits 7:0.</summary>
    public const ulong Count = 0xFF;

    /// <summary>IA32_MCG_CTL is there.</summary>
    public const ulong CTL_P = 1 << 8;

    /// <summary>CMCI and IA32_MCi_CTL2 are there.</summary>
    public const ulong CMCI_P = 1 << 10;

    /// <summary>Software error recovery: the S and AR bits of IA32_MCi_STATUS mean something.</summary>
    public const ulong SER_P = 1 << 24;

    /// <summary>Local machine checks can be enabled in IA32_MCG_EXT_CTL.</summary>
    public const ulong LMCE_P = 1 << 27;
}

/// <summary>IA32_MCG_STATUS (SDM 3B §16.3.1.2).</summary>
public static class McgStatus
{
    /// <summary>Execution can restart at the instruction on the stack.</summary>
    public const ulong RIPV = 1;

    /// <summary>The instruction on the stack is what the error is about.</summary>
    public const ulong EIPV = 2;

    /// <summary>A machine check is in progress; another one shuts the processor down.</summary>
    public const ulong MCIP = 4;

    /// <summary>The machine check was delivered to this logical processor only.</summary>
    public const ulong LMCE_S = 8;
}

/// <summary>IA32_MCi_CTL2 (SDM 3B §16.3.2.5).</summary>
public static class MciCtl2
{
    /// <summary>Corrected errors that raise CMCI, bits 14:0.</summary>
    public const ulong Threshold = 0x7FFF;

    /// <summary>CMCI is enabled for the bank.</summary>
    public const ulong CMCI_EN = 1 << 30;
}

/// <summary>IA32_FEATURE_CONTROL as far as machine checks are concerned (SDM 4 table 2-2).</summary>
public static class FeatureControl
{
    /// <summary>Further writes fault.</summary>
    public const ulong Lock = 1;

    /// <summary>Software may set IA32_MCG_EXT_CTL.LMCE_EN.</summary>
    public const ulong LMCE_ON = 1 << 20;
}
