using System.CommandLine;
using System.Globalization;
using Vmm.Machine;
using Vmm.Platform.Dma;
using Vmm.Platform.Memory;
using Vmm.Platform.Snapshots;

namespace Vmm.Cli;

/// <summary><c>vmm iommu walk BDF IOVA</c> on the machine of a snapshot.</summary>
internal static class IommuCommand
{
    /// <summary>Builds the command.</summary>
    public static Command Create()
    {
        var device = new Argument<string>("bdf") { Description = "requester: 00:03.0" };
        var address = new Argument<string>("iova") { Description = "address as the device issues it" };
        var restore = new Option<string>("--restore") { Description = "snapshot of the machine", Required = true };
        var iommu = new Option<string>("--iommu") { Description = "the unit it was saved with", DefaultValueFactory = _ => "vtd" };
        var disk = new Option<string[]>("--disk") { Description = "the disks it was saved with" };
        var edu = new Option<string?>("--edu") { Description = "the edu device it was saved with" };
        var write = new Option<bool>("--write") { Description = "a write instead of a read" };
        var pasid = new Option<string?>("--pasid") { Description = "PASID of the request" };
        var walk = new Command("walk", "Explain a DMA translation step by step") { device, address, restore, iommu, disk, edu, write, pasid };
        walk.SetAction(result =>
        {
            var devices = new MachineConfig
            {
                Disks = [.. (result.GetValue(disk) ?? []).Select(DeviceOptions.Disk)],
                Edu = result.GetValue(edu) is { } e ? DeviceOptions.Edu(e) : null,
            }.WithIommu(result.GetValue(iommu));
            using var machine = Restored(result.GetValue(restore)!, devices, new ConsolePort());
            var tag = result.GetValue(pasid) is { } p ? (uint)Number("--pasid", p) : (uint?)null;
            Console.Write(IommuReport.Walk(machine, new(
                Device(result.GetValue(device)!), new Iova(Number("iova", result.GetValue(address)!)),
                result.GetValue(write) ? DmaAccess.Write : DmaAccess.Read, tag ?? 0, tag != null)));
            return ExitCode.Pass;
        });
        return new("iommu", "Look at the remapping unit") { walk };
    }

    /// <summary>A machine in the state of a snapshot file; the devices are those of <paramref name="devices"/>.</summary>
    public static VirtualMachine Restored(string path, MachineConfig devices, ConsolePort console)
    {
        try
        {
            using var file = new FileStream(path, FileMode.Open, FileAccess.Read);
            return SnapshotFile.Restore(file, devices, console);
        }
        catch (Exception bad) when (bad is SnapshotException or IOException or UnauthorizedAccessException)
        {
            throw new UsageException($"--restore: {path}: {bad.Message}");
        }
    }

    static Bdf Device(string text)
    {
        var parts = text.Split(':', '.');
        return parts.Length == 3 && TryHex(parts[0], 255, out var bus) && TryHex(parts[1], 31, out var device) && TryHex(parts[2], 7, out var function)
            ? new((int)bus, (int)device, (int)function)
            : throw new UsageException($"bdf: '{text}' is not bus:device.function in hexadecimal");
    }

    static bool TryHex(string text, ulong limit, out ulong value) =>
        ulong.TryParse(text, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out value) && value <= limit;

    static ulong Number(string name, string text)
    {
        var hex = text.StartsWith("0x", StringComparison.OrdinalIgnoreCase);
        return ulong.TryParse(hex ? text[2..] : text, hex ? NumberStyles.AllowHexSpecifier : NumberStyles.None, CultureInfo.InvariantCulture, out var value)
            ? value
            : throw new UsageException($"{name}: '{text}' is not a number");
    }
}
