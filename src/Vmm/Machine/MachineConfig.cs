using Vmm.Chipset;
using Vmm.Cpu.MachineCheck;
using Vmm.Cpu.Vmx;
using Vmm.Iommu;
using Vmm.Platform.Block;
using Vmm.Platform.Memory;
using Vmm.Platform.Time;
using Vmm.Virtio;
using Vmm.VirtioIommu;

namespace Vmm.Machine;

/// <summary>A configuration that cannot be built; the message names the field.</summary>
public sealed class ConfigException(string field, string message) : Exception($"{field}: {message}")
{
    /// <summary>The field at fault, as the command line and the API spell it.</summary>
    public string Field { get; } = field;
}

/// <summary>One disk.</summary>
/// <param name="Open">Opens the bytes behind it; called once for each machine that is built.</param>
/// <param name="BlockSize">512 or 4096.</param>
/// <param name="Serial">Serial number, up to 20 characters.</param>
/// <param name="BehindIommu">False: the controller's DMA bypasses the IOMMU, as a device outside its scope does.</param>
/// <param name="Virtio">The disk is a virtio-blk device with this transport; null: an NVMe controller.</param>
public sealed record DiskConfig(
    Func<IBlockBackend> Open, int BlockSize = 512, string Serial = "vmm0", bool BehindIommu = true, VirtioOptions? Virtio = null);

/// <summary>What a machine is made of. Defaults give one vCPU and 256 MiB.</summary>
public sealed record MachineConfig
{
    /// <summary>RAM in bytes: a multiple of 1 MiB, 16 MiB to 64 GiB.</summary>
    public ulong MemoryBytes { get; init; } = 256ul << 20;

    /// <summary>vCPUs, 1 to 8.</summary>
    public int Vcpus { get; init; } = 1;

    /// <summary>Virtual cycles of a vCPU's turn when several take turns.</summary>
    public ulong Quantum { get; init; } = 20_000;

    /// <summary>What passes virtual time.</summary>
    public CostModel Cost { get; init; } = CostModel.Default;

    /// <summary>False: costs pass time but are not counted.</summary>
    public bool Ledger { get; init; } = true;

    /// <summary>Seed of everything that is drawn at random.</summary>
    public ulong Seed { get; init; } = 1;

    /// <summary>RTC time at power-on, seconds since 1970-01-01 UTC.</summary>
    public long StartTime { get; init; } = 1_767_225_600;

    /// <summary>The remapping unit that all DMA and interrupts pass, or null for none.</summary>
    public VtdOptions? Vtd { get; init; }

    /// <summary>How the hypervisor of the model runs its vCPUs.</summary>
    public VmxOptions Vmx { get; init; } = new();

    /// <summary>The virtio-iommu that DMA passes, or null for none; not together with <see cref="Vtd"/>.</summary>
    public VirtioIommuOptions? VirtioIommu { get; init; }

    /// <summary>Disks, one device each.</summary>
    public IReadOnlyList<DiskConfig> Disks { get; init; } = [];

    /// <summary>The edu test device, or null for none.</summary>
    public EduOptions? Edu { get; init; }

    /// <summary>The processors' machine-check architecture, or null for none.</summary>
    public MachineCheckOptions? MachineCheck { get; init; } = new();

    /// <summary>Checks every field.</summary>
    /// <exception cref="ConfigException">A field is out of range.</exception>
    public void Validate()
    {
        if (MemoryBytes < 16ul << 20 || MemoryBytes > 64ul << 30 || MemoryBytes % (1 << 20) != 0)
        {
            throw new ConfigException("memory", $"{MemoryBytes} bytes is not a multiple of 1 MiB from 16 MiB to 64 GiB");
        }

        if (Vcpus is < 1 or > 8)
        {
            throw new ConfigException("smp", $"{Vcpus} is not 1 to 8");
        }

        if (Quantum is < 100 or > 100_000_000)
        {
            throw new ConfigException("quantum", $"{Quantum} is not 100 to 100000000 cycles");
        }

        if (Disks.Count > 16)
        {
            throw new ConfigException("disk", $"{Disks.Count} disks are more than 16");
        }

        if (MachineCheck?.Problem is { } problem)
        {
            throw new ConfigException("mca", problem);
        }

        if (Vtd != null && VirtioIommu != null)
        {
            throw new ConfigException("iommu", "a machine has either VT-d or virtio-iommu");
        }

        try
        {
            Vtd?.Validate();
            VirtioIommu?.Validate();
        }
        catch (ArgumentException bad)
        {
            throw new ConfigException("iommu", bad.Message);
        }
    }
}
