using Vmm.Chipset;
using Vmm.Iommu;
using Vmm.Machine;
using Vmm.Platform.Block;
using Vmm.Virtio;

namespace Vmm.Cli;

/// <summary>The options that describe devices, in the names that QEMU and libvirt use where they have one.</summary>
internal static class DeviceOptions
{
    /// <summary>Features of a virtio disk that can be chosen.</summary>
    public static readonly string[] VirtioKeys = ["packed", "indirect", "event-idx", "queue-reset", "notification-data", "order-platform", "access-platform"];

    /// <summary><c>--iommu vtd,profile=scalable,caching-mode=on,aw-bits=48,...</c>.</summary>
    public static VtdOptions Iommu(string text)
    {
        var pairs = OptionText.Pairs(
            "--iommu", text, "model", "profile", "caching-mode", "intremap", "eim", "aw-bits", "pt", "device-iotlb", "snoop-control", "posted",
            "coherent", "fault-records", "detector", "ioapic-sid", "iotlb");
        if (pairs["model"] is not ("vtd" or "intel"))
        {
            throw new UsageException($"--iommu: model '{pairs["model"]}' is not vtd");
        }

        bool? Flag(string key) => pairs.TryGetValue(key, out var value) ? OptionText.Flag($"--iommu {key}", value) : null;
        int? Number(string key, int low, int high) => pairs.TryGetValue(key, out var value) ? (int)OptionText.Integer($"--iommu {key}", value, low, high) : null;
        return new()
        {
            Profile = pairs.GetValueOrDefault("profile", "legacy") switch
            {
                "legacy" => VtdProfile.Legacy,
                "scalable" => VtdProfile.Scalable,
                "strict" => VtdProfile.Strict,
                var other => throw new UsageException($"--iommu: profile '{other}' is not legacy, scalable or strict"),
            },
            CachingMode = Flag("caching-mode"),
            InterruptRemapping = Flag("intremap"),
            ExtendedInterruptMode = Flag("eim"),
            AddressWidth = Number("aw-bits", 39, 57),
            PassThrough = Flag("pt"),
            DeviceTlb = Flag("device-iotlb"),
            SnoopControl = Flag("snoop-control"),
            PostedInterrupts = Flag("posted"),
            CoherentWalks = Flag("coherent"),
            FaultRecords = Number("fault-records", 1, 128),
            DetectMissingInvalidations = Flag("detector"),
            IotlbEntries = Number("iotlb", 64, 65536) ?? new VtdOptions().IotlbEntries,
            Habits = pairs.GetValueOrDefault("ioapic-sid", "verified") switch
            {
                "verified" => VtdHabits.None,
                "unverified" => VtdHabits.IoapicSourceIdUnverified,
                var other => throw new UsageException($"--iommu: ioapic-sid '{other}' is not verified or unverified"),
            },
        };
    }

    /// <summary><c>--disk path=a.img,readonly=on,iommu=off,driver=virtio</c> or <c>--disk size=64M</c> for one in memory.</summary>
    /// <param name="text">The option's value.</param>
    /// <param name="index">Its place among the disks.</param>
    public static DiskConfig Disk(string text, int index) => Disk(text, index, static path => path);

    /// <summary>As <see cref="Disk(string, int)"/>, with a say in which file a path means.</summary>
    public static DiskConfig Disk(string text, int index, Func<string, string> file)
    {
        var pairs = OptionText.Pairs("--disk", text, "path", ["size", "readonly", "block-size", "serial", "iommu", "driver", .. VirtioKeys]);
        var isReadOnly = pairs.TryGetValue("readonly", out var flag) && OptionText.Flag("--disk readonly", flag);
        var blockSize = pairs.TryGetValue("block-size", out var size) ? (int)OptionText.Integer("--disk block-size", size, 512, 4096) : 512;
        if (blockSize is not (512 or 4096))
        {
            throw new UsageException($"--disk: block-size {blockSize} is not 512 or 4096");
        }

        var serial = pairs.GetValueOrDefault("serial", $"vmm{index}");
        if (serial.Length > 20 || !serial.All(char.IsAscii))
        {
            throw new UsageException($"--disk: serial '{serial}' is not up to 20 ASCII characters");
        }

        Func<IBlockBackend> open;
        if (pairs.TryGetValue("size", out var bytes) && pairs.TryAdd("path", ""))
        {
            var length = OptionText.Size("--disk size", bytes);
            if (length is < 4096 or > 1 << 30)
            {
                throw new UsageException("--disk: a disk in memory has 4 KiB to 1 GiB");
            }

            open = () => new MemoryBlockBackend("memory", length, isReadOnly);
        }
        else
        {
            var path = file(pairs["path"]);
            open = () => OpenFile(path, isReadOnly);
        }

        return new(open, blockSize, serial, !pairs.TryGetValue("iommu", out var behind) || OptionText.Flag("--disk iommu", behind), Virtio("--disk", pairs));
    }

    /// <summary><c>driver=virtio,packed=on,event-idx=off</c>; null for an NVMe disk.</summary>
    public static VirtioOptions? Virtio(string option, Dictionary<string, string> pairs)
    {
        bool? Flag(string key) => pairs.TryGetValue(key, out var value) ? OptionText.Flag($"{option} {key}", value) : null;
        switch (pairs.GetValueOrDefault("driver", "nvme"))
        {
            case "nvme":
                return VirtioKeys.FirstOrDefault(pairs.ContainsKey) is { } key ? throw new UsageException($"{option}: {key} is for driver=virtio") : null;
            case "virtio":
                var usual = new VirtioOptions();
                return new()
                {
                    Packed = Flag("packed") ?? usual.Packed,
                    Indirect = Flag("indirect") ?? usual.Indirect,
                    EventIndex = Flag("event-idx") ?? usual.EventIndex,
                    RingReset = Flag("queue-reset") ?? usual.RingReset,
                    NotificationData = Flag("notification-data") ?? usual.NotificationData,
                    OrderPlatform = Flag("order-platform") ?? usual.OrderPlatform,
                    AccessPlatform = Flag("access-platform"),
                };
            case var other:
                throw new UsageException($"{option}: driver '{other}' is not nvme or virtio");
        }
    }

    /// <summary>A configuration with one more device option.</summary>
    /// <param name="config">The configuration.</param>
    /// <param name="name">Name of the option without dashes.</param>
    /// <param name="value">Its value.</param>
    /// <param name="file">Which file a path means; it may refuse.</param>
    public static MachineConfig Apply(MachineConfig config, string name, string value, Func<string, string> file) => name switch
    {
        "disk" => config with { Disks = [.. config.Disks, Disk(value, config.Disks.Count, file)] },
        "iommu" => (config with { Vtd = null, VirtioIommu = null }).WithIommu(value),
        "edu" => config with { Edu = Edu(value) },
        _ => throw new UsageException($"'{name}' is not a device option"),
    };

    /// <summary>Opens a raw image file.</summary>
    public static FileBlockBackend OpenFile(string path, bool isReadOnly)
    {
        try
        {
            if (Directory.Exists(path))
            {
                throw new UsageException($"--disk: {path} is a directory");
            }

            if (!File.Exists(path) || new FileInfo(path).Length == 0)
            {
                throw new UsageException($"--disk: {path} is missing, empty or not a regular file");
            }

            return new(path, isReadOnly);
        }
        catch (Exception bad) when (bad is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            throw new UsageException($"--disk: {path}: {bad.Message}");
        }
    }

    /// <summary><c>--edu dma-mask=0xfffffff,rogue=on</c>.</summary>
    public static EduOptions Edu(string text)
    {
        var pairs = OptionText.Pairs("--edu", text, "model", "dma-mask", "rogue");
        var options = new EduOptions();
        if (pairs.TryGetValue("dma-mask", out var mask))
        {
            var hex = mask.StartsWith("0x", StringComparison.OrdinalIgnoreCase);
            options = ulong.TryParse(hex ? mask[2..] : mask, hex ? System.Globalization.NumberStyles.AllowHexSpecifier : System.Globalization.NumberStyles.None, null, out var value)
                ? options with { DmaMask = value }
                : throw new UsageException($"--edu: dma-mask '{mask}' is not a number");
        }

        return pairs.TryGetValue("rogue", out var rogue) ? options with { Rogue = OptionText.Flag("--edu rogue", rogue) } : options;
    }
}
