using Vmm.Platform.Dma;
using Vmm.Specs.Virtio;

namespace Vmm.VirtioIommu;

/// <summary>Virtual addresses that the driver cannot map (virtio 1.2 §5.13.6.8.1).</summary>
/// <param name="Start">First byte.</param>
/// <param name="End">Last byte.</param>
/// <param name="Kind">Reserved, or the doorbell of interrupt messages.</param>
public readonly record struct ReservedRegion(ulong Start, ulong End, VirtioIommuReservedKind Kind)
{
    /// <summary>The interrupt message range of x86 (SDM 3A §11.11.1).</summary>
    public static ReservedRegion X86Msi => new(0xFEE0_0000, 0xFEEF_FFFF, VirtioIommuReservedKind.Msi);

    /// <summary>True when the two have a byte in common.</summary>
    public bool Overlaps(ulong start, ulong end) => start <= End && Start <= end;
}

/// <summary>Whose work a mapping is beyond the device's own books.</summary>
public enum ViommuBackend : byte
{
    /// <summary>Nobody's: the devices behind are software.</summary>
    None,

    /// <summary>VFIO's: pages are pinned and entered into the host's IOMMU, at the prices of the cost model.</summary>
    Vfio,
}

/// <summary>How one virtio-iommu is built.</summary>
public sealed record VirtioIommuOptions
{
    /// <summary>Name for reports and the snapshot section.</summary>
    public string Name { get; init; } = "viommu0";

    /// <summary>Initial value of the configuration field bypass: endpoints that are attached to no domain reach memory directly.</summary>
    public bool Bypass { get; init; } = true;

    /// <summary>VIRTIO_IOMMU_F_BYPASS_CONFIG is offered. Without it unattached endpoints are always blocked.</summary>
    public bool OffersBypassConfig { get; init; } = true;

    /// <summary>VIRTIO_IOMMU_F_PROBE is offered.</summary>
    public bool OffersProbe { get; init; } = true;

    /// <summary>VIRTIO_IOMMU_F_MMIO is offered.</summary>
    public bool OffersMmio { get; init; } = true;

    /// <summary>Page sizes; the lowest set bit is the granule.</summary>
    public ulong PageSizeMask { get; init; } = ~0xFFFul;

    /// <summary>First virtual address that can be mapped.</summary>
    public ulong InputStart { get; init; }

    /// <summary>Last virtual address that can be mapped.</summary>
    public ulong InputEnd { get; init; } = ulong.MaxValue;

    /// <summary>First domain id.</summary>
    public uint DomainStart { get; init; }

    /// <summary>Last domain id.</summary>
    public uint DomainEnd { get; init; } = uint.MaxValue;

    /// <summary>
    /// Bits of a guest-physical address; mappings beyond get status FAULT. Linux maps the whole input range to itself for a
    /// pass-through domain when there is no bypass domain, so a smaller number needs a smaller input range.
    /// </summary>
    public int PhysicalAddressBits { get; init; } = 64;

    /// <summary>Bytes of properties in a PROBE request.</summary>
    public int ProbeSize { get; init; } = 512;

    /// <summary>Regions that no endpoint can map.</summary>
    public IReadOnlyList<ReservedRegion> Reserved { get; init; } = [ReservedRegion.X86Msi];

    /// <summary>Domains that may exist at once; one more gets status NOMEM.</summary>
    public int MaxDomains { get; init; } = 65536;

    /// <summary>Mappings that may exist at once in all domains; one more gets status NOMEM.</summary>
    public int MaxMappings { get; init; } = 1 << 20;

    /// <summary>Entries of the translation cache, a power of two.</summary>
    public int CacheEntries { get; init; } = 1024;

    /// <summary>What mapping and unmapping cost besides the request itself.</summary>
    public ViommuBackend Backend { get; init; }

    /// <summary>Bytes of the smallest mapping.</summary>
    public ulong Granule => PageSizeMask & (~PageSizeMask + 1);

    /// <summary>What the device offers.</summary>
    public VirtioIommuFeatures Features =>
        VirtioIommuFeatures.MapUnmap | VirtioIommuFeatures.InputRange | VirtioIommuFeatures.DomainRange |
        (OffersProbe ? VirtioIommuFeatures.Probe : 0) | (OffersMmio ? VirtioIommuFeatures.Mmio : 0) |
        (OffersBypassConfig ? VirtioIommuFeatures.BypassConfig : 0);

    /// <summary>Checks every value.</summary>
    /// <exception cref="ArgumentException">A value is invalid; the message names it.</exception>
    public void Validate()
    {
        Check(Name.Length > 0, nameof(Name), Name, "a name");
        Check(PageSizeMask != 0, nameof(PageSizeMask), PageSizeMask, "a mask with a bit set");
        Check(InputStart < InputEnd, nameof(InputEnd), InputEnd, "above InputStart");
        Check(DomainStart <= DomainEnd, nameof(DomainEnd), DomainEnd, "at or above DomainStart");
        Check(PhysicalAddressBits is >= 32 and <= 64, nameof(PhysicalAddressBits), PhysicalAddressBits, "32 to 64");
        Check(ProbeSize is >= 4 and <= 4096 && ProbeSize >= Reserved.Count * 24, nameof(ProbeSize), ProbeSize, "4 to 4096 and enough for the reserved regions");
        Check(MaxDomains is >= 1 and <= 65536, nameof(MaxDomains), MaxDomains, "1 to 65536");
        Check(MaxMappings is >= 1 and <= 1 << 22, nameof(MaxMappings), MaxMappings, "1 to 4194304");
        Check(CacheEntries is >= 16 and <= 65536 && (CacheEntries & CacheEntries - 1) == 0, nameof(CacheEntries), CacheEntries, "a power of two from 16 to 65536");
        Check(Reserved.Count(r => r.Kind == VirtioIommuReservedKind.Msi) <= 1, nameof(Reserved), Reserved.Count, "a list with at most one MSI region");
        foreach (var region in Reserved)
        {
            Check(region.Start <= region.End, nameof(Reserved), region, "a region");
            Check(Reserved.Count(r => r.Overlaps(region.Start, region.End)) == 1, nameof(Reserved), region, "apart from the others");
            Check(
                region.Kind != VirtioIommuReservedKind.Msi || DmaPort.IsInterruptAddress(region.Start) && DmaPort.IsInterruptAddress(region.End),
                nameof(Reserved), region, "within the interrupt message range");
        }
    }

    static void Check(bool valid, string field, object? value, string expected)
    {
        if (!valid)
        {
            throw new ArgumentException($"virtio-iommu {field}: {value} is not {expected}", field);
        }
    }
}
