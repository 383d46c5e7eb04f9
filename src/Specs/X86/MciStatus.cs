namespace Vmm.Specs.X86;

/// <summary>What an error in a bank demands of software (SDM 3B §16.6.3, table 16-6).</summary>
public enum MachineCheckClass
{
    /// <summary>Corrected by the hardware.</summary>
    Corrected,

    /// <summary>Uncorrected, no action required: reported through CMCI or polling.</summary>
    Ucna,

    /// <summary>Software recoverable, action optional.</summary>
    Srao,

    /// <summary>Software recoverable, action required.</summary>
    Srar,

    /// <summary>Uncorrected and not recoverable.</summary>
    Fatal,
}

/// <summary>IA32_MCi_STATUS (SDM 3B §16.3.2.2).</summary>
/// <param name="Value">The register.</param>
public readonly record struct MciStatus(ulong Value)
{
#pragma warning disable CS1591 // The names are the architecture's own.
    public const ulong VAL = 1ul << 63, OVER = 1ul << 62, UC = 1ul << 61, EN = 1ul << 60, MISCV = 1ul << 59, ADDRV = 1ul << 58, PCC = 1ul << 57;
    public const ulong S = 1ul << 56, AR = 1ul << 55;
#pragma warning restore CS1591

    const int CountShift = 38, CountWidth = 15;

    /// <summary>Largest corrected error count: 14 bits and a sticky overflow bit above them.</summary>
    public const int MaxCount = (1 << CountWidth - 1) - 1;

    const int CountOverflow = 1 << CountWidth - 1;

    /// <summary>All of the bits are set.</summary>
    public bool Has(ulong bits) => (Value & bits) == bits;

    /// <summary>MCA error code, bits 15:0.</summary>
    public ushort McaCode => (ushort)Value;

    /// <summary>Corrected errors that this entry stands for, at least one: bits 51:38.</summary>
    public int CorrectedCount => Math.Max((int)Bits.Field(Value, CountShift, CountWidth) & MaxCount, 1);

    /// <summary>The register with another count; what does not fit sets the overflow bit 52, which stays.</summary>
    public MciStatus WithCount(int count)
    {
        var sticky = (int)Bits.Field(Value, CountShift, CountWidth) & CountOverflow;
        var field = count > MaxCount ? MaxCount | CountOverflow : count | sticky;
        return new(Bits.SetField(Value, CountShift, CountWidth, (ulong)field));
    }

    /// <summary>Class of the error; without software recovery every uncorrected error is fatal.</summary>
    public MachineCheckClass Class(bool recovery)
    {
        if (!Has(UC))
        {
            return MachineCheckClass.Corrected;
        }

        if (Has(PCC) || !recovery)
        {
            return MachineCheckClass.Fatal;
        }

        return !Has(S) ? MachineCheckClass.Ucna : Has(AR) ? MachineCheckClass.Srar : MachineCheckClass.Srao;
    }
}

/// <summary>MCA error codes and complete registers of errors that the architecture defines (SDM 3B §16.9).</summary>
public static class MachineCheckCode
{
    /// <summary>IA32_MCi_MISC: physical address (mode 2, bits 8:6), valid from bit 12 up (bits 5:0). SDM 3B §16.3.2.4.</summary>
    public const ulong PageAddressMisc = 2 << 6 | 12;

    const ulong Addressed = MciStatus.VAL | MciStatus.EN | MciStatus.MISCV | MciStatus.ADDRV;

    /// <summary>Corrected: data read from the first-level cache.</summary>
    public const ulong CorrectedDataRead = Addressed | 1ul << 38 | 0x0135;

    /// <summary>UCNA: the memory controller read uncorrectable data for a device, or while scrubbing.</summary>
    public const ulong MemoryReadUcna = Addressed | MciStatus.UC | 0x009F;

    /// <summary>SRAO: memory scrubbing (0xC0 to 0xCF).</summary>
    public const ulong MemoryScrub = Addressed | MciStatus.UC | MciStatus.S | 0x00C0;

    /// <summary>SRAO: explicit write-back from the last-level cache.</summary>
    public const ulong ExplicitWriteBack = Addressed | MciStatus.UC | MciStatus.S | 0x017A;

    /// <summary>SRAR: data load; model-specific code 0x10 is poison.</summary>
    public const ulong DataLoad = Addressed | MciStatus.UC | MciStatus.S | MciStatus.AR | 0x0010_0134;

    /// <summary>SRAR: instruction fetch; model-specific code 0xF is poison.</summary>
    public const ulong InstructionFetch = Addressed | MciStatus.UC | MciStatus.S | MciStatus.AR | 0x000F_0150;

    /// <summary>Fatal: instruction fetch unit, processor context corrupt.</summary>
    public const ulong ContextCorrupt = MciStatus.VAL | MciStatus.UC | MciStatus.EN | MciStatus.PCC | 0x0150;
}
