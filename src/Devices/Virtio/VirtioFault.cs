namespace Vmm.Virtio;

/// <summary>Why a device needs to be reset.</summary>
public enum VirtioFault : byte
{
    /// <summary>It does not.</summary>
    None,

    /// <summary>A queue was enabled with an impossible size, or with an area misaligned or past the address space.</summary>
    QueueSetup,

    /// <summary>The driver or device area cannot be reached by DMA.</summary>
    RingUnreachable,

    /// <summary>A descriptor or a table of descriptors cannot be reached by DMA.</summary>
    DescriptorUnreachable,

    /// <summary>The available index is further ahead than the queue has entries.</summary>
    AvailableIndex,

    /// <summary>An available entry names a descriptor that is not there.</summary>
    HeadOutOfRange,

    /// <summary>A descriptor goes on with one that is not there.</summary>
    NextOutOfRange,

    /// <summary>A chain has more descriptors than the queue, perhaps because it is a loop.</summary>
    ChainTooLong,

    /// <summary>More descriptors are in flight than the queue has.</summary>
    TooManyInFlight,

    /// <summary>An indirect table without the feature.</summary>
    IndirectNotNegotiated,

    /// <summary>An indirect table inside an indirect table.</summary>
    IndirectNested,

    /// <summary>An indirect descriptor that also says that another one follows.</summary>
    IndirectWithNext,

    /// <summary>An indirect table that is empty or no whole number of descriptors.</summary>
    IndirectLength,

    /// <summary>A device-readable buffer after a device-writable one.</summary>
    ReadableAfterWritable,

    /// <summary>A buffer past the end of the address space.</summary>
    AddressWrap,

    /// <summary>A chain of more than 4 GiB.</summary>
    TooManyBytes,

    /// <summary>A request that the device cannot even answer.</summary>
    Request,
}
