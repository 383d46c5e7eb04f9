using Vmm.Chipset;
using Vmm.Machine;
using Vmm.Platform.Block;
using Vmm.Virtio;

namespace Vmm.Cli;

/// <summary>The options that describe devices, in the names that QEMU and libvirt use where they have one.</summary>
internal static class DeviceOptions
{
    /// <summary>The machine with the IOMMU that <c>--iommu</c> names; "none" or null gives none.</summary>
    /// <exception cref="UsageException">There is no such IOMMU, or a setting of it is wrong; the message names it.</exception>
    public static MachineConfig WithIommu(this MachineConfig config, string? text)
    {
        var model = text?.Split(',')[0];
        switch (model?.StartsWith("model=", StringComparison.Ordinal) == true ? model["model=".Length..] : model)
        {
            case null or "none":
                return config;
            case "vtd" or "intel":
                return config with { Vtd = DeviceSettings.Vtd.Parse(new(), text!) };
            case "virtio" or "virtio-iommu":
                var options = DeviceSettings.VirtioIommu.Parse(new(), text!);
                try
                {
                    return config with { VirtioIommu = DeviceSettings.Check(options) };
                }
                catch (ArgumentException bad)
                {
                    throw new UsageException($"--iommu: {bad.Message}");
                }

            case var other:
                throw new UsageException($"--iommu: model '{other}' is not vtd, virtio or none");
        }
    }

    /// <summary><c>--disk path=a.img,readonly=on,iommu=off,driver=virtio</c> or <c>--disk size=64M</c> for one in memory.</summary>
    /// <param name="text">The option's value.</param>
    /// <param name="index">Its place among the disks.</param>
    public static DiskConfig Disk(string text, int index) => Disk(text, index, static path => path);

    /// <summary>As <see cref="Disk(string, int)"/>, with a say in which file a path means.</summary>
    public static DiskConfig Disk(string text, int index, Func<string, string> file)
    {
        var pairs = OptionText.Pairs("--disk", text, "path", ["size", "readonly", "block-size", "serial", "iommu", "driver", .. DeviceSettings.Virtio.Names]);
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

        return new(open, blockSize, serial, !pairs.TryGetValue("iommu", out var behind) || OptionText.Flag("--disk iommu", behind), Virtio(pairs));
    }

    /// <summary><c>driver=virtio,packed=on,event-idx=off</c>; null for an NVMe disk.</summary>
    static VirtioOptions? Virtio(Dictionary<string, string> pairs) => pairs.GetValueOrDefault("driver", "nvme") switch
    {
        "nvme" => DeviceSettings.Virtio.Names.FirstOrDefault(pairs.ContainsKey) is { } key ? throw new UsageException($"--disk: {key} is for driver=virtio") : null,
        "virtio" => DeviceSettings.Virtio.Apply(new(), pairs),
        var other => throw new UsageException($"--disk: driver '{other}' is not nvme or virtio"),
    };

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
    public static EduOptions Edu(string text) => DeviceSettings.Edu.Parse(new(), text);
}
