using System.Globalization;
using Vmm.Machine;
using Vmm.Specs.Virtio;
using Vmm.VirtioIommu;

namespace Vmm.Cli;

/// <summary><c>--iommu virtio,bypass=on,granule=4K,...</c>, and the choice between it and VT-d.</summary>
internal static class ViommuOption
{
    /// <summary>The machine with the IOMMU that the text names; "none" or null gives none.</summary>
    public static MachineConfig WithIommu(this MachineConfig config, string? text) => text?.Split(',')[0] switch
    {
        null or "none" => config,
        "virtio" or "virtio-iommu" => config with { VirtioIommu = Parse(text) },
        _ => config with { Vtd = DeviceOptions.Iommu(text) },
    };

    static VirtioIommuOptions Parse(string text)
    {
        var pairs = OptionText.Pairs(
            "--iommu", text, "model", "bypass", "bypass-config", "probe", "mmio", "page-size-mask", "aw-bits", "phys-bits", "domains", "mappings", "cache", "reserved", "msi", "backend");
        bool Flag(string key, bool otherwise) => pairs.TryGetValue(key, out var value) ? OptionText.Flag($"--iommu {key}", value) : otherwise;
        int Number(string key, int low, int high, int otherwise) =>
            pairs.TryGetValue(key, out var value) ? (int)OptionText.Integer($"--iommu {key}", value, low, high) : otherwise;
        var usual = new VirtioIommuOptions();
        var bits = Number("aw-bits", 32, 64, 64);
        var options = new VirtioIommuOptions
        {
            Bypass = Flag("bypass", usual.Bypass),
            OffersBypassConfig = Flag("bypass-config", usual.OffersBypassConfig),
            OffersProbe = Flag("probe", usual.OffersProbe),
            OffersMmio = Flag("mmio", usual.OffersMmio),
            PageSizeMask = pairs.TryGetValue("page-size-mask", out var mask) ? Hex("page-size-mask", mask) : usual.PageSizeMask,
            InputEnd = bits == 64 ? ulong.MaxValue : (1ul << bits) - 1,
            PhysicalAddressBits = Number("phys-bits", 32, 64, usual.PhysicalAddressBits),
            MaxDomains = Number("domains", 1, 65536, usual.MaxDomains),
            MaxMappings = Number("mappings", 1, 1 << 22, usual.MaxMappings),
            CacheEntries = Number("cache", 16, 65536, usual.CacheEntries),
            Reserved = [.. pairs.TryGetValue("reserved", out var list) ? list.Split('+').Select(Region) : [], .. Flag("msi", true) ? [ReservedRegion.X86Msi] : Array.Empty<ReservedRegion>()],
            Backend = pairs.GetValueOrDefault("backend", "none") switch
            {
                "none" => ViommuBackend.None,
                "vfio" => ViommuBackend.Vfio,
                var other => throw new UsageException($"--iommu: backend '{other}' is not none or vfio"),
            },
        };
        try
        {
            options.Validate();
        }
        catch (ArgumentException bad)
        {
            throw new UsageException($"--iommu: {bad.Message}");
        }

        return options.Granule >= 4096 ? options : throw new UsageException("--iommu: page-size-mask has a bit below 4 KiB, which the machine's DMA cannot keep apart");
    }

    /// <summary>START-END in hexadecimal, both bytes included.</summary>
    static ReservedRegion Region(string text)
    {
        var parts = text.Split('-');
        return parts.Length == 2
            ? new(Hex("reserved", parts[0]), Hex("reserved", parts[1]), VirtioIommuReservedKind.Reserved)
            : throw new UsageException($"--iommu: reserved '{text}' is not START-END");
    }

    static ulong Hex(string key, string text) =>
        ulong.TryParse(text.StartsWith("0x", StringComparison.OrdinalIgnoreCase) ? text[2..] : text, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var value)
            ? value
            : throw new UsageException($"--iommu: {key} '{text}' is not a hexadecimal number");
}
