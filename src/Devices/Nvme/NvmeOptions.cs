using Vmm.Platform.Block;

namespace Vmm.Nvme;

/// <summary>Settings of an NVMe controller. Wrong ones are refused when the controller is built.</summary>
public sealed record NvmeOptions
{
    /// <summary>Namespaces; the first has NSID 1. 1 to 32.</summary>
    public required IReadOnlyList<NvmeNamespaceOptions> Namespaces { get; init; }

    /// <summary>I/O queue pairs, 1 to 64.</summary>
    public int IoQueues { get; init; } = 4;

    /// <summary>MSI-X vectors, 1 to 65; 0 means one for each I/O queue and one for the admin queue.</summary>
    public int Vectors { get; init; }

    /// <summary>Largest I/O queue in entries, 2 to 4096.</summary>
    public int QueueEntries { get; init; } = 1024;

    /// <summary>Largest transfer: 2^n pages of 4 KiB; 0 to 8.</summary>
    public int MaxTransferPages { get; init; } = 7;

    /// <summary>Serial number, up to 20 ASCII characters.</summary>
    public string Serial { get; init; } = "0";

    /// <summary>Model number, up to 40 ASCII characters.</summary>
    public string Model { get; init; } = "vmm NVMe Controller";

    /// <summary>PCI vendor and device id; by default those of QEMU's controller, which guests know.</summary>
    public (ushort Vendor, ushort Device) PciId { get; init; } = (0x1B36, 0x0010);

    /// <summary>Virtual time of an admin command, in nanoseconds.</summary>
    public ulong AdminNanoseconds { get; init; } = 2_000;

    /// <summary>Virtual time of I/O commands.</summary>
    public MediaTimes Media { get; init; } = new();

    /// <summary>Checks every setting.</summary>
    /// <exception cref="ArgumentException">A setting is out of range; the message names it.</exception>
    internal void Validate()
    {
        Check(Namespaces.Count is >= 1 and <= 32, nameof(Namespaces), Namespaces.Count);
        Check(IoQueues is >= 1 and <= 64, nameof(IoQueues), IoQueues);
        Check(Vectors is >= 0 and <= 65, nameof(Vectors), Vectors);
        Check(QueueEntries is >= 2 and <= 4096, nameof(QueueEntries), QueueEntries);
        Check(MaxTransferPages is >= 0 and <= 8, nameof(MaxTransferPages), MaxTransferPages);
        Check(Media.IsValid, nameof(Media), Media);
        Check(Serial.Length <= 20 && Serial.All(char.IsAscii), nameof(Serial), Serial);
        Check(Model.Length <= 40 && Model.All(char.IsAscii), nameof(Model), Model);
        foreach (var item in Namespaces)
        {
            Check(item.BlockSize is 512 or 4096, nameof(item.BlockSize), item.BlockSize);
            Check(item.Backend.Length >= (ulong)item.BlockSize, nameof(item.Backend), item.Backend.Name);
        }
    }

    static void Check(bool good, string field, object value)
    {
        if (!good)
        {
            throw new ArgumentException($"nvme: {field} = {value} is not possible", field);
        }
    }
}

/// <summary>One namespace.</summary>
/// <param name="Backend">Its bytes; a rest that is no whole block is not seen by the guest.</param>
/// <param name="BlockSize">Logical block size in bytes, 512 or 4096, until the guest formats it anew.</param>
/// <param name="Id">Identity; null makes one from the controller's serial number and the NSID.</param>
public sealed record NvmeNamespaceOptions(IBlockBackend Backend, int BlockSize = 512, Guid? Id = null);
