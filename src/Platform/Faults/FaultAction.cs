using System.Text.Json.Serialization;
using Vmm.Platform.Dma;

namespace Vmm.Platform.Faults;

/// <summary>Where in the machine rules are asked.</summary>
public enum FaultPoint
{
    /// <summary>A DMA request is about to be translated.</summary>
    Translation,

    /// <summary>An invalidation is about to be carried out.</summary>
    Invalidation,

    /// <summary>An invalidation is about to drop entries.</summary>
    Cache,

    /// <summary>A device sends an interrupt message.</summary>
    Interrupt,

    /// <summary>A device moves bytes within one 4 KiB page.</summary>
    Transfer,

    /// <summary>A device is about to carry out a command.</summary>
    Completion,
}

/// <summary>What happens when a rule fires.</summary>
/// <param name="Point">Where it happens.</param>
[JsonDerivedType(typeof(TranslationFault), "translation")]
[JsonDerivedType(typeof(InvalidationFault), "invalidation")]
[JsonDerivedType(typeof(CacheFault), "cache")]
[JsonDerivedType(typeof(InterruptFault), "interrupt")]
[JsonDerivedType(typeof(DmaFault), "dma")]
[JsonDerivedType(typeof(CompletionFault), "completion")]
public abstract record FaultAction([property: JsonIgnore] FaultPoint Point);

/// <summary>Blocks a request with a fault of the unit in front of the device.</summary>
/// <param name="Reason">VT-d: fault reason (§7.1.3). virtio-iommu: 0 unknown, 1 domain, 2 mapping (§5.13.6.9).</param>
/// <param name="Level">Paging level that raises it, 1 to 5: the tables are walked, past the caches. 0: before any walk.</param>
public sealed record TranslationFault(uint Reason, uint Level) : FaultAction(FaultPoint.Translation);

/// <summary>How an invalidation goes wrong.</summary>
public enum InvalidationFaultKind
{
    /// <summary>It completes without having been done.</summary>
    Skip = 1,

    /// <summary>It, and everything queued behind it, waits.</summary>
    Delay,

    /// <summary>The queue never goes on.</summary>
    NeverComplete,

    /// <summary>FSTS.IQE; virtio-iommu answers DEVERR to this and the following.</summary>
    QueueError,

    /// <summary>FSTS.ITE.</summary>
    TimeoutError,

    /// <summary>FSTS.ICE.</summary>
    CompletionError,
}

/// <summary>An invalidation goes wrong.</summary>
/// <param name="Kind">How.</param>
/// <param name="DelayNanoseconds">Delay: 1 to 3,600,000,000,000 virtual nanoseconds.</param>
public sealed record InvalidationFault(InvalidationFaultKind Kind, ulong DelayNanoseconds = 0) : FaultAction(FaultPoint.Invalidation);

/// <summary>Cached translations survive the invalidation that names them.</summary>
public sealed record CacheFault() : FaultAction(FaultPoint.Cache);

/// <summary>How an interrupt message goes wrong.</summary>
public enum InterruptFaultKind
{
    /// <summary>It is lost.</summary>
    Drop = 1,

    /// <summary>It arrives twice.</summary>
    Duplicate,

    /// <summary>It arrives again and again.</summary>
    Storm,

    /// <summary>It arrives with other data.</summary>
    WrongVector,

    /// <summary>The remapping unit blocks it.</summary>
    RemapFault,
}

/// <summary>An interrupt message goes wrong.</summary>
/// <param name="Kind">How.</param>
/// <param name="Repeat">Storm: further messages, 1 to 1,000,000.</param>
/// <param name="PeriodNanoseconds">Storm: 100 to 1,000,000,000 virtual nanoseconds between them.</param>
/// <param name="DataXor">WrongVector: bits of the message data that are inverted; in remappable format those are index bits of the address.</param>
/// <param name="Reason">RemapFault: 0x20 to 0x29 (VT-d §7.1.3).</param>
public sealed record InterruptFault(
    InterruptFaultKind Kind, ulong Repeat = 0, ulong PeriodNanoseconds = 0, uint DataXor = 0, uint Reason = 0) : FaultAction(FaultPoint.Interrupt);

/// <summary>How a transfer goes wrong.</summary>
public enum DmaFaultKind
{
    /// <summary>A write is lost; a read gets no answer, and the device notices.</summary>
    Drop = 1,

    /// <summary>A write arrives late.</summary>
    Delay,

    /// <summary>Only the first bytes are written; of a read, the rest are ones.</summary>
    Truncate,

    /// <summary>A write arrives a second time, late.</summary>
    Duplicate,

    /// <summary>A write arrives after the next one of the same device.</summary>
    Reorder,

    /// <summary>Bits of the data are inverted.</summary>
    FlipBits,

    /// <summary>The address is another one.</summary>
    WrongAddress,

    /// <summary>The requester id is another one.</summary>
    WrongRequester,

    /// <summary>The device accesses the address again after the next invalidation.</summary>
    AfterUnmap,

    /// <summary>A write goes on past the end of its buffer, within the page.</summary>
    Overrun,
}

/// <summary>A transfer goes wrong in the device or on the wire.</summary>
/// <param name="Kind">How.</param>
/// <param name="DelayNanoseconds">Delay, Duplicate: 1 to 3,600,000,000,000 virtual nanoseconds.</param>
/// <param name="Bytes">Truncate: bytes that are moved, 0 to 4095. Overrun: bytes too many, 1 to 4095.</param>
/// <param name="Bits">FlipBits: how many, 1 to 64, drawn from the rule's stream.</param>
/// <param name="Offset">WrongAddress: added to the address modulo 2^64; not 0.</param>
/// <param name="Requester">WrongRequester: the id that is used.</param>
public sealed record DmaFault(
    DmaFaultKind Kind, ulong DelayNanoseconds = 0, uint Bytes = 0, uint Bits = 0, ulong Offset = 0, Bdf Requester = default)
    : FaultAction(FaultPoint.Transfer)
{
    /// <summary>Reads can not go wrong like this: there is nothing of them to hold back, repeat or lengthen.</summary>
    public bool IsForWrites => Kind is DmaFaultKind.Delay or DmaFaultKind.Duplicate or DmaFaultKind.Reorder or DmaFaultKind.Overrun;
}

/// <summary>How a command goes wrong.</summary>
public enum CompletionFaultKind
{
    /// <summary>It completes with a status and without effect.</summary>
    Status = 1,

    /// <summary>It never completes.</summary>
    Timeout,

    /// <summary>The device leaves its slot.</summary>
    SurpriseRemoval,
}

/// <summary>A command goes wrong, or the device goes away.</summary>
/// <param name="Kind">How.</param>
/// <param name="StatusCodeType">Status: 0 to 7 (NVMe 1.4 §4.6.1).</param>
/// <param name="StatusCode">Status: 0 to 255; not 0 together with a type of 0. A virtio disk answers UNSUPP to 2 of type 0, otherwise IOERR.</param>
/// <param name="DoNotRetry">Status: Do Not Retry.</param>
public sealed record CompletionFault(CompletionFaultKind Kind, uint StatusCodeType = 0, uint StatusCode = 0, bool DoNotRetry = false)
    : FaultAction(FaultPoint.Completion);
