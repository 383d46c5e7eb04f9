namespace Vmm.Specs.Acpi;

/// <summary>Fixed ACPI Description Table, revision 6 (ACPI 6.4 §5.2.9): offsets and flags.</summary>
public static class Fadt
{
    /// <summary>Size of revision 6.</summary>
    public const int Size = 276;

    /// <summary>DSDT: 32-bit address.</summary>
    public const int Dsdt = 40;

    /// <summary>Preferred_PM_Profile.</summary>
    public const int PreferredPmProfile = 45;

    /// <summary>SCI_INT.</summary>
    public const int SciInt = 46;

    /// <summary>PM1a_EVT_BLK, PM1a_CNT_BLK and PM_TMR_BLK: 32-bit ports.</summary>
    public const int Pm1aEvtBlk = 56, Pm1aCntBlk = 64, PmTmrBlk = 76;

    /// <summary>PM1_EVT_LEN, PM1_CNT_LEN and PM_TMR_LEN: bytes.</summary>
    public const int Pm1EvtLen = 88, Pm1CntLen = 89, PmTmrLen = 91;

    /// <summary>P_LVL2_LAT and P_LVL3_LAT: above 100 and 1000 these states are not supported.</summary>
    public const int PLvl2Lat = 96, PLvl3Lat = 98;

    /// <summary>CENTURY: CMOS index of the century.</summary>
    public const int Century = 108;

    /// <summary>IAPC_BOOT_ARCH.</summary>
    public const int IapcBootArch = 109;

    /// <summary>Flags.</summary>
    public const int Flags = 112;

    /// <summary>RESET_REG and RESET_VALUE.</summary>
    public const int ResetReg = 116, ResetValue = 128;

    /// <summary>FADT Minor Version.</summary>
    public const int MinorVersion = 131;

    /// <summary>X_FIRMWARE_CTRL and X_DSDT: 64-bit addresses.</summary>
    public const int XFirmwareCtrl = 132, XDsdt = 140;

    /// <summary>X_PM1a_EVT_BLK, X_PM1a_CNT_BLK and X_PM_TMR_BLK: generic addresses.</summary>
    public const int XPm1aEvtBlk = 148, XPm1aCntBlk = 172, XPmTmrBlk = 208;

    /// <summary>SLEEP_CONTROL_REG and SLEEP_STATUS_REG: generic addresses, for hardware-reduced platforms.</summary>
    public const int SleepControlReg = 244, SleepStatusReg = 256;

    /// <summary>Flags: WBINVD works; C1 works on all processors.</summary>
    public const uint Wbinvd = 1 << 0, ProcC1 = 1 << 2;

    /// <summary>Flags: power button, sleep button and RTC wake are not fixed features.</summary>
    public const uint PwrButton = 1 << 4, SlpButton = 1 << 5, FixRtc = 1 << 6;

    /// <summary>Flags: the PM timer has 32 bits; RESET_REG works; the platform is hardware reduced.</summary>
    public const uint TmrValExt = 1 << 8, ResetRegSup = 1 << 10, HwReducedAcpi = 1 << 20;

    /// <summary>IAPC_BOOT_ARCH: legacy devices; no VGA; no CMOS RTC.</summary>
    public const ushort LegacyDevices = 1 << 0, VgaNotPresent = 1 << 2, CmosRtcNotPresent = 1 << 5;
}
