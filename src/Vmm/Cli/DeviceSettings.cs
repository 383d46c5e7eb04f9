using System.Globalization;
using Vmm.Chipset;
using Vmm.Cpu.MachineCheck;
using Vmm.Iommu;
using Vmm.Specs.Virtio;
using Vmm.Specs.X86;
using Vmm.Virtio;
using Vmm.VirtioIommu;

namespace Vmm.Cli;

/// <summary>
/// What can be set of each device, in the names that QEMU and libvirt use where they have one. The command line and the
/// API read the same tables, so that a value is taken or refused by both.
/// </summary>
internal static class DeviceSettings
{
    /// <summary>VT-d: <c>--iommu vtd,profile=scalable,caching-mode=on,aw-bits=48,...</c>.</summary>
    public static SettingTable<VtdOptions> Vtd { get; } = new(
        "--iommu",
        Setting.Word<VtdOptions>(
            "profile",
            ("legacy", o => o with { Profile = VtdProfile.Legacy }), ("scalable", o => o with { Profile = VtdProfile.Scalable }), ("strict", o => o with { Profile = VtdProfile.Strict })) with { Field = "profile" },
        Setting.Flag<VtdOptions>("caching-mode", (o, on) => o with { CachingMode = on }) with { Field = "caching_mode" },
        Setting.Flag<VtdOptions>("intremap", (o, on) => o with { InterruptRemapping = on }) with { Field = "interrupt_remapping" },
        Setting.Flag<VtdOptions>("eim", (o, on) => o with { ExtendedInterruptMode = on }) with { Field = "extended_interrupt_mode" },
        Setting.Number<VtdOptions>("aw-bits", 39, 57, (o, bits) => o with { AddressWidth = (int)bits }, bits => bits is 39 or 48 or 57, "39, 48 or 57") with { Field = "address_width" },
        Setting.Flag<VtdOptions>("pt", (o, on) => o with { PassThrough = on }) with { Field = "pass_through" },
        Setting.Flag<VtdOptions>("device-iotlb", (o, on) => o with { DeviceTlb = on }) with { Field = "device_tlb" },
        Setting.Flag<VtdOptions>("snoop-control", (o, on) => o with { SnoopControl = on }) with { Field = "snoop_control" },
        Setting.Flag<VtdOptions>("posted", (o, on) => o with { PostedInterrupts = on }) with { Field = "posted_interrupts" },
        Setting.Flag<VtdOptions>("coherent", (o, on) => o with { CoherentWalks = on }) with { Field = "coherent_walks" },
        Setting.Number<VtdOptions>("fault-records", 1, 128, (o, count) => o with { FaultRecords = (int)count }) with { Field = "fault_records" },
        Setting.Flag<VtdOptions>("detector", (o, on) => o with { DetectMissingInvalidations = on }) with { Field = "detect_missing_invalidations" },
        Setting.Power<VtdOptions>("iotlb", 64, 65536, (o, count) => o with { IotlbEntries = (int)count }) with { Field = "iotlb_entries" },
        Setting.Word<VtdOptions>("ioapic-sid", ("verified", o => o with { Habits = VtdHabits.None }), ("unverified", o => o with { Habits = VtdHabits.IoapicSourceIdUnverified })));

    /// <summary>virtio-iommu: <c>--iommu virtio,bypass=on,page-size-mask=...,...</c>.</summary>
    public static SettingTable<VirtioIommuOptions> VirtioIommu { get; } = new(
        "--iommu",
        Setting.Flag<VirtioIommuOptions>("bypass", (o, on) => o with { Bypass = on }),
        Setting.Flag<VirtioIommuOptions>("bypass-config", (o, on) => o with { OffersBypassConfig = on }),
        Setting.Flag<VirtioIommuOptions>("probe", (o, on) => o with { OffersProbe = on }),
        Setting.Flag<VirtioIommuOptions>("mmio", (o, on) => o with { OffersMmio = on }),
        Setting.Hex<VirtioIommuOptions>("page-size-mask", (o, mask) => o with { PageSizeMask = mask }),
        Setting.Number<VirtioIommuOptions>("aw-bits", 32, 64, (o, bits) => o with { InputEnd = bits == 64 ? ulong.MaxValue : (1ul << (int)bits) - 1 }),
        Setting.Number<VirtioIommuOptions>("phys-bits", 32, 64, (o, bits) => o with { PhysicalAddressBits = (int)bits }),
        Setting.Number<VirtioIommuOptions>("domains", 1, 65536, (o, count) => o with { MaxDomains = (int)count }),
        Setting.Number<VirtioIommuOptions>("mappings", 1, 1 << 22, (o, count) => o with { MaxMappings = (int)count }),
        Setting.Power<VirtioIommuOptions>("cache", 16, 65536, (o, count) => o with { CacheEntries = (int)count }),
        new("reserved", "START-END in hexadecimal, several with '+'", (o, text) => Regions(text) is { } regions ? o with { Reserved = [.. regions, .. o.Reserved] } : null),
        Setting.Flag<VirtioIommuOptions>("msi", (o, on) => on ? o : o with { Reserved = [.. o.Reserved.Where(r => r.Kind != VirtioIommuReservedKind.Msi)] }),
        Setting.Word<VirtioIommuOptions>("backend", ("none", o => o with { Backend = ViommuBackend.None }), ("vfio", o => o with { Backend = ViommuBackend.Vfio })));

    /// <summary>A virtio disk: <c>--disk size=1G,driver=virtio,packed=on,...</c>.</summary>
    public static SettingTable<VirtioOptions> Virtio { get; } = new(
        "--disk",
        Setting.Flag<VirtioOptions>("packed", (o, on) => o with { Packed = on }),
        Setting.Flag<VirtioOptions>("indirect", (o, on) => o with { Indirect = on }),
        Setting.Flag<VirtioOptions>("event-idx", (o, on) => o with { EventIndex = on }),
        Setting.Flag<VirtioOptions>("queue-reset", (o, on) => o with { RingReset = on }),
        Setting.Flag<VirtioOptions>("notification-data", (o, on) => o with { NotificationData = on }),
        Setting.Flag<VirtioOptions>("order-platform", (o, on) => o with { OrderPlatform = on }),
        Setting.Flag<VirtioOptions>("access-platform", (o, on) => o with { AccessPlatform = on }));

    /// <summary>The machine-check architecture of the processors: <c>--mca banks=10,cmci=on,ser=on,lmce=on</c>.</summary>
    public static SettingTable<MachineCheckOptions> MachineCheck { get; } = new(
        "--mca",
        Setting.Number<MachineCheckOptions>("banks", 1, MachineCheckMsr.MaxBanks, (o, count) => o with { Banks = (int)count }) with { Field = "banks" },
        Setting.Flag<MachineCheckOptions>("cmci", (o, on) => o with { Cmci = on }) with { Field = "cmci" },
        // Local machine checks need recovery, so without a word of their own they come and go with it.
        Setting.Flag<MachineCheckOptions>("ser", (o, on) => o with { Recovery = on, Local = on }) with { Field = "recovery" },
        Setting.Flag<MachineCheckOptions>("lmce", (o, on) => o with { Local = on }) with { Field = "local" });

    /// <summary>The edu device: <c>--edu dma-mask=0xfffffff,rogue=on</c>.</summary>
    public static SettingTable<EduOptions> Edu { get; } = new(
        "--edu",
        new Setting<EduOptions>("dma-mask", "a number, hexadecimal with 0x", (o, text) => TryMask(text, out var mask) ? o with { DmaMask = mask } : null) { Field = "dma_mask" },
        Setting.Flag<EduOptions>("rogue", (o, on) => o with { Rogue = on }) with { Field = "rogue" });

    static bool TryMask(string text, out ulong mask) => text.StartsWith("0x", StringComparison.OrdinalIgnoreCase)
        ? Setting.TryHex(text, out mask) : ulong.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out mask);

    /// <summary>What settings that fit one by one make of a virtio-iommu together.</summary>
    /// <exception cref="ArgumentException">They do not go together; the message says why.</exception>
    public static VirtioIommuOptions Check(VirtioIommuOptions options)
    {
        options.Validate();
        return options.Granule >= 4096 ? options : throw new ArgumentException("page-size-mask has a bit below 4 KiB, which the machine's DMA cannot keep apart");
    }

    /// <summary>START-END in hexadecimal, both bytes included; several are joined by '+'.</summary>
    static List<ReservedRegion>? Regions(string text)
    {
        var regions = new List<ReservedRegion>();
        foreach (var part in text.Split('+'))
        {
            var ends = part.Split('-');
            if (ends.Length != 2 || !Setting.TryHex(ends[0], out var start) || !Setting.TryHex(ends[1], out var end))
            {
                return null;
            }

            regions.Add(new(start, end, VirtioIommuReservedKind.Reserved));
        }

        return regions;
    }
}
