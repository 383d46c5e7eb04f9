namespace Vmm.Specs.Nvme;

/// <summary>Status Field without phase: SC (7:0), SCT (10:8), More (13), Do Not Retry (14) (NVMe 1.4 §4.6.1).</summary>
public enum NvmeStatus : ushort
{
    /// <summary>Successful Completion.</summary>
    Success = 0x000,

    /// <summary>Invalid Command Opcode.</summary>
    InvalidOpcode = 0x001,

    /// <summary>Invalid Field in Command.</summary>
    InvalidField = 0x002,

    /// <summary>Data Transfer Error.</summary>
    DataTransferError = 0x004,

    /// <summary>Internal Error.</summary>
    InternalError = 0x006,

    /// <summary>Command Abort Requested.</summary>
    AbortRequested = 0x007,

    /// <summary>Command Aborted due to SQ Deletion.</summary>
    AbortedSqDeletion = 0x008,

    /// <summary>Invalid Namespace or Format.</summary>
    InvalidNamespace = 0x00B,

    /// <summary>Command Sequence Error.</summary>
    CommandSequenceError = 0x00C,

    /// <summary>Invalid SGL Segment Descriptor.</summary>
    InvalidSglSegment = 0x00D,

    /// <summary>Invalid Number of SGL Descriptors.</summary>
    InvalidSglCount = 0x00E,

    /// <summary>Data SGL Length Invalid.</summary>
    InvalidSglLength = 0x00F,

    /// <summary>SGL Descriptor Type Invalid.</summary>
    InvalidSglType = 0x011,

    /// <summary>PRP Offset Invalid.</summary>
    InvalidPrpOffset = 0x013,

    /// <summary>Namespace is Write Protected.</summary>
    WriteProtected = 0x020,

    /// <summary>LBA Out of Range.</summary>
    LbaOutOfRange = 0x080,

    /// <summary>Capacity Exceeded.</summary>
    CapacityExceeded = 0x081,

    /// <summary>Namespace Not Ready.</summary>
    NamespaceNotReady = 0x082,

    /// <summary>Completion Queue Invalid.</summary>
    InvalidCompletionQueue = 0x100,

    /// <summary>Invalid Queue Identifier.</summary>
    InvalidQueueId = 0x101,

    /// <summary>Invalid Queue Size.</summary>
    InvalidQueueSize = 0x102,

    /// <summary>Abort Command Limit Exceeded.</summary>
    AbortLimitExceeded = 0x103,

    /// <summary>Asynchronous Event Request Limit Exceeded.</summary>
    EventLimitExceeded = 0x105,

    /// <summary>Invalid Interrupt Vector.</summary>
    InvalidVector = 0x108,

    /// <summary>Invalid Log Page.</summary>
    InvalidLogPage = 0x109,

    /// <summary>Invalid Format.</summary>
    InvalidFormat = 0x10A,

    /// <summary>Invalid Queue Deletion.</summary>
    InvalidQueueDeletion = 0x10C,

    /// <summary>Feature Identifier Not Saveable.</summary>
    FeatureNotSaveable = 0x10D,

    /// <summary>Feature Not Changeable.</summary>
    FeatureNotChangeable = 0x10E,

    /// <summary>Feature Not Namespace Specific.</summary>
    FeatureNotNamespaceSpecific = 0x10F,

    /// <summary>Conflicting Attributes.</summary>
    ConflictingAttributes = 0x180,

    /// <summary>Attempted Write to Read Only Range.</summary>
    WriteToReadOnly = 0x182,

    /// <summary>Write Fault.</summary>
    WriteFault = 0x280,

    /// <summary>Unrecovered Read Error.</summary>
    UnrecoveredRead = 0x281,

    /// <summary>Compare Failure.</summary>
    CompareFailure = 0x285,

    /// <summary>Flag: details are in the error log.</summary>
    More = 0x2000,

    /// <summary>Flag: the same command will fail again.</summary>
    DoNotRetry = 0x4000,
}
