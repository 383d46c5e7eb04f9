using Vmm.Platform.Block;
using Vmm.Virtio;

namespace Vmm.VirtioBlk;

/// <summary>Settings of a virtio block device. Wrong ones are refused when the device is built.</summary>
public sealed record VirtioBlkOptions
{
    /// <summary>The bytes of the disk; a rest that is no whole block is not seen by the guest.</summary>
    public required IBlockBackend Backend { get; init; }

    /// <summary>Block size in bytes that the guest is told, 512 or 4096.</summary>
    public int BlockSize { get; init; } = 512;

    /// <summary>Serial number, up to 20 ASCII characters.</summary>
    public string Serial { get; init; } = "0";

    /// <summary>Queues, 1 to 64.</summary>
    public int Queues { get; init; } = 1;

    /// <summary>Most entries of a queue: a power of two, 4 to 1024.</summary>
    public int QueueEntries { get; init; } = 256;

    /// <summary>Most bytes of one segment, a multiple of 4096 up to 1 MiB.</summary>
    public uint SizeMax { get; init; } = 64 * 1024;

    /// <summary>What the transport offers.</summary>
    public VirtioOptions Transport { get; init; } = new();

    /// <summary>Virtual time of requests.</summary>
    public MediaTimes Media { get; init; } = new();

    /// <summary>Checks every setting.</summary>
    /// <exception cref="ArgumentException">A setting is out of range; the message names it.</exception>
    internal void Validate()
    {
        Check(Backend.Length >= (ulong)BlockSize, nameof(Backend), Backend.Name);
        Check(BlockSize is 512 or 4096, nameof(BlockSize), BlockSize);
        Check(Serial.Length <= 20 && Serial.All(char.IsAscii), nameof(Serial), Serial);
        Check(Queues is >= 1 and <= 64, nameof(Queues), Queues);
        Check(QueueEntries is >= 4 and <= 1024 && (QueueEntries & QueueEntries - 1) == 0, nameof(QueueEntries), QueueEntries);
        Check(Media.IsValid, nameof(Media), Media);
        Check(SizeMax is >= 4096 and <= 1 << 20 && SizeMax % 4096 == 0, nameof(SizeMax), SizeMax);
    }

    static void Check(bool good, string field, object value)
    {
        if (!good)
        {
            throw new ArgumentException($"virtio-blk: {field} = {value} is not possible", field);
        }
    }
}
