using Vmm.Platform.Time;

namespace Vmm.Beds;

/// <summary>Prices that DMA is measured with: the built-in cost profiles, and one fitted to a published experiment.</summary>
internal static class DmaProfiles
{
    /// <summary>Name of the fitted profile.</summary>
    public const string Chromebook = "chromebook";

    /// <summary>All names.</summary>
    public static IReadOnlyList<string> Names { get; } = [.. CostProfiles.Names, Chromebook];

    /// <summary>Prices of a profile.</summary>
    /// <exception cref="CostException">There is none of that name.</exception>
    public static CostModel Get(string name) => name == Chromebook ? Fitted : CostProfiles.Get(name);

    /// <summary>
    /// i5-10210U, crosvm, virtio-iommu before VFIO. Four prices are fitted, to all block sizes of the publication together:
    /// MAP of a page 6 us, UNMAP 15 us and 3.5 us for each page, copying 8 GB/s. The rest is the profile of that processor.
    /// </summary>
    static CostModel Fitted { get; } = CostModel.Default
        .With(CostKind.VfioMap, 9470)
        .With(CostKind.IotlbInvalidation, 28_580)
        .With(CostKind.VfioUnmap, 7392)
        .With(CostKind.CopyLineCold, 17);

    /// <summary>Everything of an I/O that is not mapping in the fitted experiment: 12.7 us.</summary>
    public const ulong ChromebookApplication = 26_822;

    /// <summary>Bandwidth of its disk in bytes per second.</summary>
    public const ulong ChromebookBandwidth = 1_370_000_000;
}
