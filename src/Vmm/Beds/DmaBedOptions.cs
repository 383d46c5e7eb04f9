using Vmm.GuestDma;
using Vmm.GuestDma.Cost;
using Vmm.Iommu;
using Vmm.Platform.Time;
using Vmm.VirtioIommu;

namespace Vmm.Beds;

/// <summary>What a bed is made of.</summary>
internal sealed record DmaBedOptions
{
    /// <summary>RAM in bytes.</summary>
    public ulong MemoryBytes { get; init; } = 512ul << 20;

    /// <summary>The remapping unit, or null for none.</summary>
    public VtdOptions? Vtd { get; init; } = new() { AddressWidth = 48 };

    /// <summary>Largest leaf level of the layer's VT-d tables: 1 for 4 KiB to 3 for 1 GiB.</summary>
    public int LargestLeaf { get; init; } = 3;

    /// <summary>An access to a register of the remapping unit leaves the guest; false for the machine's own unit, where the price of an invalidation has it in.</summary>
    public bool RegistersExit { get; init; } = true;

    /// <summary>The virtio-iommu, or null for none; not both.</summary>
    public VirtioIommuOptions? Viommu { get; init; }

    /// <summary>Every access through the virtio-iommu is checked for a synchronisation that was left out; slower.</summary>
    public bool WatchesSync { get; init; }

    /// <summary>The driver of the virtio-iommu notifies of the mappings of a list together.</summary>
    public bool BatchesMaps { get; init; } = true;

    /// <summary>Prices.</summary>
    public CostModel Cost { get; init; } = CostModel.Default;

    /// <summary>Cycles in a second.</summary>
    public ulong Hertz { get; init; } = 2_112_000_000;

    /// <summary>Prices of the layer's own work; null takes those of <see cref="Cost"/>.</summary>
    public DmaCost? Software { get; init; }

    /// <summary>What is known of the device.</summary>
    public DmaDeviceOptions Device { get; init; } = new();

    /// <summary>A second device behind the same unit, or null.</summary>
    public DmaDeviceOptions? Second { get; init; }

    /// <summary>Policy at the start.</summary>
    public DmaPolicy Policy { get; init; } = DmaPolicy.Strict;

    /// <summary>True for an NVMe disk; false for a plain device.</summary>
    public bool HasDisk { get; init; } = true;

    /// <summary>Time of a read or write of the disk, in nanoseconds.</summary>
    public ulong DiskNanoseconds { get; init; } = 80_000;

    /// <summary>Bytes in a second that the disk can move; 0 for no limit.</summary>
    public ulong DiskBandwidth { get; init; } = 2_650_000_000;

    /// <summary>Commands that the disk works on at once.</summary>
    public int DiskParallelism { get; init; } = 64;

    /// <summary>I/O queues of the disk and entries of each.</summary>
    public (int Count, int Entries) DiskQueues { get; init; } = (1, 256);

    /// <summary>Where the memory of the guest's kernel starts, in bytes.</summary>
    public ulong KernelStart { get; init; } = 2 << 20;

    /// <summary>Memory within the reach of devices below <see cref="KernelStart"/>, in bytes from 2 MiB on; 0: all memory is.</summary>
    public ulong ReachableBytes { get; init; }

    /// <summary>Processors of the guest.</summary>
    public int Cpus { get; init; } = 1;
}
