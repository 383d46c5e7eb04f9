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

    /// <summary>
    /// The same processor without a hypervisor, at its highest clock: copying takes as long as in the fit, as memory is no
    /// faster; the wait for an invalidation is fitted to the published load of its untrusted disk.
    /// </summary>
    public static CostModel OnTheMachine(CostModel model) => model.With(CostKind.CopyLineCold, 34).With(CostKind.IotlbInvalidation, 1350);

    /// <summary>Highest clock of that processor, in cycles per second.</summary>
    public const ulong TurboHertz = 4_200_000_000;

    /// <summary>Everything of an I/O that is not mapping there: 4 us.</summary>
    public const ulong InternalApplication = 16_800;

    /// <summary>Bandwidth of the internal disk in bytes per second, fitted to the same load.</summary>
    public const ulong InternalBandwidth = 927_000_000;
}
