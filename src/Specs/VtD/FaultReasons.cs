namespace Vmm.Specs.VtD;

/// <summary>Properties of <see cref="FaultReason"/>.</summary>
public static class FaultReasons
{
    /// <summary>
    /// True for qualified conditions: FPD of an entry that was read on the way suppresses the record. Conditions met
    /// before any such entry could be read are always recorded (VT-d §7.1.3).
    /// </summary>
    public static bool IsQualified(FaultReason reason) => reason switch
    {
        FaultReason.RootNotPresent or FaultReason.RootAccess or FaultReason.RootReserved or FaultReason.ContextAccess => false,
        FaultReason.InterruptReserved or FaultReason.InterruptIndexBeyondTable or FaultReason.IrteAccess => false,
        FaultReason.CompatibilityBlocked or FaultReason.InvalidInterruptRequest => false,
        FaultReason.RootAddressInvalid or FaultReason.LegacyModeWithPasid or FaultReason.LegacyModePageRequest => false,
        FaultReason.DmaAborted or FaultReason.SmRootAccess or FaultReason.SmRootNotPresent or FaultReason.SmRootReserved => false,
        FaultReason.SmContextAccess => false,
        _ => true,
    };

    /// <summary>True for the interrupt-remapping conditions.</summary>
    public static bool IsInterrupt(FaultReason reason) => (byte)reason is >= 0x20 and <= 0x2F;

    /// <summary>
    /// True for conditions that a translation request (ATS) answers with "no permission" instead of a fault, so that the
    /// device may ask for the page (VT-d §4.1.2, §7.1.3).
    /// </summary>
    public static bool IsRecoverable(FaultReason reason) => reason is
        FaultReason.NoWritePermission or FaultReason.NoReadPermission or FaultReason.FsNotPresent or FaultReason.SsNotPresent or
        FaultReason.UserDenied or FaultReason.ExecuteDenied or FaultReason.SmNoWritePermission or FaultReason.SmNoReadPermission;
}
