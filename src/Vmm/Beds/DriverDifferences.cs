namespace Vmm.Beds;

/// <summary>
/// A way in which Linux' drivers differ from the layer, and by how much that changes the counts of a sequence.
/// </summary>
/// <param name="Name">A name of <see cref="DriverDifferences"/>.</param>
/// <param name="Effect">Linux minus layer.</param>
internal sealed record DriverDifference(string Name, DmaTally Effect);

/// <summary>The ways in which Linux' drivers differ from the layer, with where each is to be read.</summary>
internal static class DriverDifferences
{
    /// <summary>MAP requests are cut.</summary>
    public const string MapPages = "MAP by page size";

    /// <summary>UNMAP requests are cut.</summary>
    public const string UnmapPages = "UNMAP by page size";

    /// <summary>Requests of several that one notification is for.</summary>
    public const string Together = "notified together";

    /// <summary>Capacity of the flush queue.</summary>
    public const string QueueSize = "255 ranges";

    /// <summary>The flush timer and a full queue.</summary>
    public const string TimerRunsOn = "timer runs on";

    /// <summary>The flush timer counts ticks.</summary>
    public const string TimerTicks = "timer in ticks";

    /// <summary>Flush queues of processors.</summary>
    public const string QueuePerProcessor = "queue per processor";

    /// <summary>Scalable mode.</summary>
    public const string FirstStage = "first stage";

    /// <summary>Caching mode.</summary>
    public const string Refused = "lazy refused";

    /// <summary>All, explained.</summary>
    public static IReadOnlyList<(string Name, string Linux, string Layer)> All { get; } =
    [
        (MapPages,
            "`iommu_pgsize` (drivers/iommu/iommu.c) cuts a run into the largest pages that length and both alignments allow, and calls the driver for each size; every call is a MAP request",
            "one MAP request for each contiguous run (`Domains/Translations`)"),
        (UnmapPages,
            "the same function cuts a range by its length and alignment; every call is an UNMAP request, all under one notification; a mapping that begins in one goes with it whole (`viommu_del_mappings`)",
            "one UNMAP request for a buffer (`Drivers/VirtioIommu/ViommuDomain`)"),
        (Together,
            "a notification is for every request in the ring, also for those of a mapping that a completion interrupted or that another processor is about to notify of; that one then finds nothing new, and `virtqueue_kick` of nothing new is no exit (`__viommu_sync_req`, drivers/iommu/virtio-iommu.c)",
            "nothing interrupts, and one processor runs at a time"),
        (QueueSize,
            "the ring of 256 holds 255 ranges and is flushed when one more comes (`fq_full`, `queue_iova`, drivers/iommu/dma-iommu.c)",
            "250 ranges, flushed when the last comes (`Flush/FlushQueue`)"),
        (TimerRunsOn,
            "a full queue leaves the timer as it is: it flushes what came since (`fq_flush_timeout`)",
            "a flush stops the timer; it starts with the next range"),
        (TimerTicks,
            "10 ms in whole ticks and one more, because the timer wheel ends nothing early: 12 to 16 ms at 250 Hz, and a tick later on a processor whose tick comes before that of the one that counts them",
            "10 ms by the virtual clock"),
        (QueuePerProcessor,
            "each processor has a ring of its own for the ranges that it unmaps; a flush is for all of them (`queue_iova`)",
            "one queue for a device"),
        (FirstStage,
            "in scalable mode the driver uses first-stage tables and PASID-based invalidations, by pages or for the whole PASID, which drain by themselves (`cache_tag_flush_iotlb`, `qi_desc_piotlb`, drivers/iommu/intel)",
            "legacy mode: second-stage tables, page- and domain-selective invalidations with DR and DW (`Drivers/VtD`)"),
        (Refused,
            "with caching mode the driver takes strict mode for lazy and says `IOMMU batching disallowed due to virtualization` (`intel_iommu_init`, drivers/iommu/intel/iommu.c)",
            "the policy is the caller's"),
    ];
}
