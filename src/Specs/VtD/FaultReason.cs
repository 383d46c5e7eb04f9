namespace Vmm.Specs.VtD;

/// <summary>Fault reasons as FRCD_REG.FR encodes them, with the condition's name (VT-d §7.1.3 address translation, §7.1.2 interrupts).</summary>
public enum FaultReason : byte
{
    /// <summary>No fault.</summary>
    None = 0x00,

    /// <summary>LRT.2: the present bit of the root entry is clear.</summary>
    RootNotPresent = 0x01,

    /// <summary>LCT.2: the present bit of the context entry is clear.</summary>
    ContextNotPresent = 0x02,

    /// <summary>LCT.4: the context entry is programmed in a way the unit does not support.</summary>
    ContextInvalid = 0x03,

    /// <summary>LGN.1: the address is beyond what the unit or the context entry allows.</summary>
    AddressBeyondWidth = 0x04,

    /// <summary>LGN.2: a write or AtomicOp lacks write permission.</summary>
    NoWritePermission = 0x05,

    /// <summary>LGN.3: a read or AtomicOp lacks read permission.</summary>
    NoReadPermission = 0x06,

    /// <summary>LSS.1: a second-stage paging entry could not be read.</summary>
    PagingEntryAccess = 0x07,

    /// <summary>LRT.1: the root entry could not be read.</summary>
    RootAccess = 0x08,

    /// <summary>LCT.1: the context entry could not be read.</summary>
    ContextAccess = 0x09,

    /// <summary>LRT.3: a reserved field of the root entry is set.</summary>
    RootReserved = 0x0A,

    /// <summary>LCT.3: a reserved field of the context entry is set.</summary>
    ContextReserved = 0x0B,

    /// <summary>LSS.2: a reserved field of a second-stage paging entry is set.</summary>
    PagingEntryReserved = 0x0C,

    /// <summary>LCT.5: the translation type blocks translation requests and translated requests.</summary>
    TranslationTypeBlocks = 0x0D,

    /// <summary>LGN.4: the translated address is in the interrupt range.</summary>
    OutputInInterruptRange = 0x0E,

    /// <summary>A reserved field of a remappable interrupt request is set.</summary>
    InterruptReserved = 0x20,

    /// <summary>The interrupt index is beyond the interrupt remapping table.</summary>
    InterruptIndexBeyondTable = 0x21,

    /// <summary>The present bit of the interrupt remapping entry is clear.</summary>
    IrteNotPresent = 0x22,

    /// <summary>The interrupt remapping entry could not be read.</summary>
    IrteAccess = 0x23,

    /// <summary>A reserved field of the interrupt remapping entry is set.</summary>
    IrteReserved = 0x24,

    /// <summary>A compatibility format interrupt request was blocked.</summary>
    CompatibilityBlocked = 0x25,

    /// <summary>The source-id verification of the interrupt remapping entry failed.</summary>
    SourceIdMismatch = 0x26,

    /// <summary>The posted interrupt descriptor could not be read or written.</summary>
    PostedDescriptorAccess = 0x27,

    /// <summary>A reserved field of the posted interrupt descriptor is set.</summary>
    PostedDescriptorReserved = 0x28,

    /// <summary>An untranslated request without PASID to the interrupt range is not a valid interrupt request.</summary>
    InvalidInterruptRequest = 0x29,

    /// <summary>RTA.1: the root table address register is programmed in a way the unit does not support.</summary>
    RootAddressInvalid = 0x30,

    /// <summary>RTA.2: a request with PASID arrived in legacy mode.</summary>
    LegacyModeWithPasid = 0x31,

    /// <summary>RTA.3: a page request arrived in legacy mode.</summary>
    LegacyModePageRequest = 0x32,

    /// <summary>RTA.4: the unit is in abort-DMA mode.</summary>
    DmaAborted = 0x33,

    /// <summary>SRT.1: the scalable-mode root entry could not be read.</summary>
    SmRootAccess = 0x38,

    /// <summary>SRT.2: the present bit of the scalable-mode root entry is clear.</summary>
    SmRootNotPresent = 0x39,

    /// <summary>SRT.3: a reserved field of the scalable-mode root entry is set.</summary>
    SmRootReserved = 0x3A,

    /// <summary>SCT.1: the scalable-mode context entry could not be read.</summary>
    SmContextAccess = 0x40,

    /// <summary>SCT.2: the present bit of the scalable-mode context entry is clear.</summary>
    SmContextNotPresent = 0x41,

    /// <summary>SCT.3: a reserved field of the scalable-mode context entry is set.</summary>
    SmContextReserved = 0x42,

    /// <summary>SCT.4: the scalable-mode context entry is programmed in a way the unit does not support.</summary>
    SmContextInvalid = 0x43,

    /// <summary>SCT.5: DTE is clear and the request is a translation request or translated.</summary>
    DeviceTlbDisabled = 0x44,

    /// <summary>SCT.6: PASIDE is clear and the request has a PASID.</summary>
    PasidDisabled = 0x45,

    /// <summary>SCT.7: the PASID is beyond the PASID directory.</summary>
    PasidBeyondDirectory = 0x46,

    /// <summary>SCT.8: PRE is clear and the request is a page request.</summary>
    PageRequestDisabled = 0x47,

    /// <summary>SCT.9: RID_PASID is beyond the PASID directory.</summary>
    RidPasidInvalid = 0x48,

    /// <summary>SPD.1: the PASID directory entry could not be read.</summary>
    PasidDirectoryAccess = 0x50,

    /// <summary>SPD.2: the present bit of the PASID directory entry is clear.</summary>
    PasidDirectoryNotPresent = 0x51,

    /// <summary>SPD.3: a reserved field of the PASID directory entry is set.</summary>
    PasidDirectoryReserved = 0x52,

    /// <summary>SPT.1: the PASID table entry could not be read.</summary>
    PasidEntryAccess = 0x58,

    /// <summary>SPT.2: the present bit of the PASID table entry is clear.</summary>
    PasidEntryNotPresent = 0x59,

    /// <summary>SPT.3: a reserved field of the PASID table entry is set.</summary>
    PasidEntryReserved = 0x5A,

    /// <summary>SPT.4: the PASID table entry is programmed in a way the unit does not support.</summary>
    PasidEntryInvalid = 0x5B,

    /// <summary>SPT.5: ERE is clear and the request asks to execute.</summary>
    ExecuteDisabled = 0x5C,

    /// <summary>SPT.6: SRE is clear and the request asks for privileged mode.</summary>
    SupervisorDisabled = 0x5D,

    /// <summary>SFS.1: a first-stage paging entry could not be read.</summary>
    FsEntryAccess = 0x70,

    /// <summary>SFS.2: the present bit of a first-stage paging entry is clear.</summary>
    FsNotPresent = 0x71,

    /// <summary>SFS.3: a reserved field of a first-stage paging entry is set.</summary>
    FsReserved = 0x72,

    /// <summary>SFS.4: the top-level first-stage paging entry could not be read.</summary>
    FsRootAccess = 0x73,

    /// <summary>SFS.5: nested: the address of a first-stage table is beyond the second stage.</summary>
    FsTableBeyondSecondStage = 0x74,

    /// <summary>SFS.6: nested: the second stage denies reading the top-level first-stage entry.</summary>
    FsRootReadDenied = 0x75,

    /// <summary>SFS.7: nested: the second stage denies reading a first-stage entry.</summary>
    FsEntryReadDenied = 0x76,

    /// <summary>SFS.8: nested: the second stage denies the accessed or dirty update of a first-stage entry.</summary>
    FsEntryWriteDenied = 0x77,

    /// <summary>SSS.1: a second-stage paging entry could not be read.</summary>
    SsEntryAccess = 0x78,

    /// <summary>SSS.2: a second-stage paging entry has neither read nor write permission.</summary>
    SsNotPresent = 0x79,

    /// <summary>SSS.3: a reserved field of a second-stage paging entry is set.</summary>
    SsReserved = 0x7A,

    /// <summary>SSS.4: the top-level second-stage paging entry could not be read.</summary>
    SsRootAccess = 0x7B,

    /// <summary>SSS.5: an accessed or dirty flag must be set in a second-stage entry, but walks are not snooped.</summary>
    SsUpdateNotSnooped = 0x7C,

    /// <summary>SSS.6: setting an accessed or dirty flag in a second-stage entry failed.</summary>
    SsUpdateFailed = 0x7D,

    /// <summary>SGN.1: the address of a first-stage translation is not canonical.</summary>
    NotCanonical = 0x80,

    /// <summary>SGN.2: a user request reached a supervisor page.</summary>
    UserDenied = 0x81,

    /// <summary>SGN.3: a request to execute lacks execute permission.</summary>
    ExecuteDenied = 0x82,

    /// <summary>SGN.4: the address is beyond the host address width.</summary>
    AddressBeyondHardware = 0x83,

    /// <summary>SGN.5: the input address of the second stage is beyond its width.</summary>
    AddressBeyondSecondStage = 0x84,

    /// <summary>SGN.6: a write or AtomicOp lacks write permission.</summary>
    SmNoWritePermission = 0x85,

    /// <summary>SGN.7: a read or AtomicOp lacks read permission.</summary>
    SmNoReadPermission = 0x86,

    /// <summary>SGN.8: the translated address is in the interrupt range.</summary>
    SmOutputInInterruptRange = 0x87,

    /// <summary>SFS.9: an accessed or dirty flag must be set in a first-stage entry, but walks are not snooped.</summary>
    FsUpdateNotSnooped = 0x90,

    /// <summary>SFS.10: setting an accessed or dirty flag in a first-stage entry failed.</summary>
    FsUpdateFailed = 0x91,
}
