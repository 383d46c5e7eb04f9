using System.Globalization;
using Google.Protobuf;
using Vmm.Api.V1;
using Vmm.Cli;
using Vmm.Cpu.MachineCheck;
using Vmm.Iommu;
using Vmm.Machine;
using Vmm.Platform.Block;
using Vmm.Virtio;
using Vmm.VirtioIommu;

namespace Vmm.Control;

/// <content>Devices. Their settings are those of the command line: see <see cref="DeviceSettings"/>.</content>
internal sealed partial class SpecReader
{
    DiskConfig Disk(DiskSpec spec, int index, string at)
    {
        var blockSize = spec.BlockSize == 0 ? 512 : (int)Math.Min(spec.BlockSize, 1 << 20);
        violations.Require(blockSize is 512 or 4096, $"{at}.block_size", "512 or 4096");
        violations.Require(spec.Serial.Length <= 20 && spec.Serial.All(char.IsAscii), $"{at}.serial", "up to 20 ASCII characters");
        Known(spec.Mode, $"{at}.mode");
        Func<IBlockBackend> open;
        if (spec.Path.Length == 0)
        {
            violations.Require(spec.SizeBytes is >= 4096 and <= 1 << 30, $"{at}.size_bytes", "4096 bytes to 1 GiB, or a path");
            var readOnly = spec.Mode == DiskMode.ReadOnly;
            open = () => new MemoryBlockBackend("memory", spec.SizeBytes, readOnly);
        }
        else
        {
            violations.Require(spec.SizeBytes == 0, $"{at}.size_bytes", "not together with a path");
            var path = File(spec.Path, $"{at}.path");
            open = spec.Mode switch
            {
                DiskMode.Direct => () => DeviceOptions.OpenFile(path, false),
                DiskMode.ReadOnly => () => DeviceOptions.OpenFile(path, true),
                _ => () => new MemoryBlockBackend(DeviceOptions.OpenFile(path, true)),
            };
        }

        return new(open, blockSize, spec.Serial.Length == 0 ? $"vmm{index}" : spec.Serial, !spec.BypassIommu, Virtio(spec, at));
    }

    VirtioOptions? Virtio(DiskSpec spec, string at)
    {
        violations.Require(spec.Driver is "" or "nvme" or "virtio", $"{at}.driver", "nvme or virtio");
        violations.Require(spec.Driver == "virtio" || spec.VirtioFeatures.Count == 0, $"{at}.virtio_features", "are for driver virtio");
        var options = new VirtioOptions();
        foreach (var (key, isOn) in spec.VirtioFeatures)
        {
            var setting = DeviceSettings.Virtio.Find(key);
            violations.Require(setting != null, $"{at}.virtio_features[{Errors.Plain(key)}]", $"one of {string.Join(", ", DeviceSettings.Virtio.Names)}");
            options = setting?.Set(options, isOn ? "on" : "off") ?? options;
        }

        return spec.Driver == "virtio" ? options : null;
    }

    VtdOptions Vtd(IommuSpec spec, string at)
    {
        violations.Require(spec.VirtioOptions.Count == 0, $"{at}.virtio_options", "are for model virtio");
        return Fields(new VtdOptions(), DeviceSettings.Vtd, spec, at);
    }

    /// <summary>Options from the fields of a message that are settings.</summary>
    T Fields<T>(T options, SettingTable<T> table, IMessage spec, string at)
        where T : class
    {
        foreach (var setting in table.All)
        {
            if (TextOf(spec, setting.Field) is { } text)
            {
                options = Set(options, setting, text, $"{at}.{setting.Field}");
            }
        }

        return options;
    }

    T Set<T>(T options, Setting<T> setting, string text, string field)
        where T : class
    {
        var next = setting.Set(options, text);
        violations.Require(next != null, field, setting.Takes);
        return next ?? options;
    }

    /// <summary>A field's value as the command line says it; null: it is not given.</summary>
    static string? TextOf(IMessage spec, string? name)
    {
        if (name == null || spec.Descriptor.FindFieldByName(name) is not { } field || field.HasPresence && !field.Accessor.HasValue(spec))
        {
            return null;
        }

        return field.Accessor.GetValue(spec) switch
        {
            bool value => value ? "on" : "off",
            "" => null,
            var value => Convert.ToString(value, CultureInfo.InvariantCulture),
        };
    }

    VirtioIommuOptions VirtioIommu(IommuSpec spec, string at)
    {
        var options = new VirtioIommuOptions();
        foreach (var (key, value) in spec.VirtioOptions.OrderBy(o => o.Key, StringComparer.Ordinal))
        {
            var field = $"{at}.virtio_options[{Errors.Plain(key)}]";
            if (DeviceSettings.VirtioIommu.Find(key) is { } setting)
            {
                options = Set(options, setting, value, field);
            }
            else
            {
                violations.Add(field, $"one of {string.Join(", ", DeviceSettings.VirtioIommu.Names)}");
            }
        }

        foreach (var setting in DeviceSettings.Vtd.All.Where(s => TextOf(spec, s.Field) != null))
        {
            violations.Add($"{at}.{setting.Field}", "is for model vtd");
        }

        Attempt($"{at}.virtio_options", () => DeviceSettings.Check(options));
        return options;
    }

    MachineConfig Iommu(MachineConfig config, IommuSpec? spec, string at)
    {
        switch (spec?.Model)
        {
            case null:
                return config;
            case "" or "vtd" or "intel":
                return config with { Vtd = Vtd(spec, at) };
            case "virtio":
                return config with { VirtioIommu = VirtioIommu(spec, at) };
            default:
                violations.Add($"{at}.model", "vtd or virtio");
                return config;
        }
    }

    MachineCheckOptions? MachineCheck(MachineCheckSpec? spec, string at)
    {
        if (spec is null or { Off: true })
        {
            return spec == null ? new() : null;
        }

        var options = Fields(new MachineCheckOptions(), DeviceSettings.MachineCheck, spec, at);
        violations.Require(options.Problem == null, at, options.Problem ?? "");
        return options;
    }
}
