using Vmm.GuestDma;
using Vmm.GuestDma.Measurement;
using Vmm.Iommu;
using Vmm.Platform.Time;
using Vmm.VirtioIommu;

namespace Vmm.Beds;

/// <summary>Kinds of load.</summary>
internal enum DmaLoad
{
    /// <summary>Reads of a disk.</summary>
    Read,

    /// <summary>Writes of a disk.</summary>
    Write,

    /// <summary>A network card.</summary>
    Packets,

    /// <summary>Data for a device, from pages that do not lie behind each other.</summary>
    Transmit,

    /// <summary>One small mapping at a time.</summary>
    Request,

    /// <summary>A ring of buffers that come back.</summary>
    Stream,

    /// <summary>A ring of buffers whose pages are new each time.</summary>
    Fresh,

    /// <summary>A device with 30 address bits and buffers above them.</summary>
    Mask,

    /// <summary>A device that is slow at walking scatter lists.</summary>
    Walker,
}

/// <summary>One measurement: a load under a policy, an IOMMU and a cost profile.</summary>
/// <param name="Load">Load.</param>
/// <param name="Bytes">Bytes of an operation.</param>
/// <param name="Depth">Operations in flight.</param>
/// <param name="Policy">Policy.</param>
/// <param name="Iommu">"none", "vtd-metal" (the machine's own: register writes are no exits), "vtd", "vtd-cm" (caching mode), "viommu", "viommu-vfio", or "viommu-2021" (VFIO, and a driver that waits for each MAP).</param>
/// <param name="Profile">Cost profile.</param>
internal sealed record DmaPoint(DmaLoad Load, int Bytes, int Depth, DmaPolicy Policy, string Iommu, string Profile)
{
    const ulong OneMiB = 1 << 20;

    /// <summary>Changes the prices; for sensitivity.</summary>
    public Func<CostModel, CostModel>? Reprice { get; init; }

    /// <summary>Cycles of an operation beyond mapping; null takes the load's own.</summary>
    public ulong? Application { get; init; }

    /// <summary>Bandwidth of the disk in bytes per second; null takes the profile's.</summary>
    public ulong? Bandwidth { get; init; }

    /// <summary>Cycles in a second.</summary>
    public ulong Hertz { get; init; } = 2_112_000_000;

    /// <summary>The device may be malicious.</summary>
    public bool Untrusted { get; init; }

    /// <summary>A driver of a disk maps every page by itself.</summary>
    public bool Piecewise { get; init; }

    /// <summary>Operations before measuring and while measuring; null chooses.</summary>
    public (int WarmUp, int Operations)? Count { get; init; }

    /// <summary>Names of IOMMUs.</summary>
    public static IReadOnlyList<string> Iommus { get; } = ["none", "vtd-metal", "vtd", "vtd-cm", "viommu", "viommu-vfio", "viommu-2021"];

    /// <summary>Measures.</summary>
    public MeasurementRow Run()
    {
        var isDisk = Load is DmaLoad.Read or DmaLoad.Write;
        var model = DmaProfiles.Get(Profile);
        using var bed = new DmaBed(new()
        {
            MemoryBytes = Load == DmaLoad.Mask ? 1536 * OneMiB : 1024 * OneMiB,
            RegistersExit = Iommu != "vtd-metal",
            Vtd = Iommu is "vtd-metal" or "vtd" or "vtd-cm" ? new VtdOptions { AddressWidth = 48, CachingMode = Iommu == "vtd-cm" } : null,
            Viommu = Iommu.StartsWith("viommu", StringComparison.Ordinal) ? new VirtioIommuOptions { Backend = Iommu == "viommu" ? ViommuBackend.None : ViommuBackend.Vfio } : null,
            BatchesMaps = Iommu != "viommu-2021",
            Cost = Reprice?.Invoke(model) ?? model,
            Hertz = Hertz,
            Policy = Policy,
            HasDisk = isDisk,
            DiskBandwidth = Bandwidth ?? (Profile == DmaProfiles.Chromebook ? DmaProfiles.ChromebookBandwidth : 2_650_000_000),
            DiskQueues = (1, 1024),
            KernelStart = Load == DmaLoad.Mask ? 1100 * OneMiB : 2 * OneMiB,
            ReachableBytes = Load == DmaLoad.Mask && Policy < DmaPolicy.Bypass ? 512 * OneMiB : 0,
            Device = new() { Swiotlb = new() { Forced = Load != DmaLoad.Mask }, Mask = Load == DmaLoad.Mask ? (1ul << 30) - 1 : ulong.MaxValue, Untrusted = Untrusted },
        });
        var load = CreateLoad(bed.Machine);
        // The adaptive policy has to learn first.
        var learning = Policy == DmaPolicy.Adaptive ? (int)Math.Min(4096, (512 << 20) / (long)Bytes) : 256;
        var (warmUp, operations) = Count ?? (Math.Max(learning, 4 * Depth), Math.Max(512, 2 * Depth));
        return MeasurementRow.Measure(bed.Machine, load, Load.ToString().ToLowerInvariant(), Depth, Iommu, Profile, warmUp, operations);
    }

    ulong Work => Application ?? (Profile == DmaProfiles.Chromebook ? DmaProfiles.ChromebookApplication : 8448);

    ILoad CreateLoad(MeasuredMachine machine) => Load switch
    {
        DmaLoad.Read or DmaLoad.Write => new BlockLoad(machine, new(Bytes, Depth, Load == DmaLoad.Write, Work, Piecewise), DmaBed.DiskBlocks),
        DmaLoad.Packets => new PacketLoad(machine, Application ?? 3000),
        DmaLoad.Transmit => new StreamLoad(machine, new(Bytes, Depth, 4096, DmaDirection.ToDevice, Work)),
        DmaLoad.Request => new StreamLoad(machine, new(Bytes, 1, 4096, DmaDirection.ToDevice, Work, 10_000)),
        // Larger buffers are made of larger pieces, as the memory of large buffers is.
        DmaLoad.Stream => new StreamLoad(machine, new(Bytes, Depth, Bytes > 128 << 10 ? 64 << 10 : 4096, Application: Work)),
        DmaLoad.Fresh => new StreamLoad(machine, new(Bytes, Depth, Bytes > 128 << 10 ? 64 << 10 : 4096, Application: Work, Reuse: false)),
        DmaLoad.Mask => new StreamLoad(machine, new(Bytes, Depth, Application: Work)),
        // 200 ns for each segment, 1 GB/s: an adapter of the time in which merging gave 5 %.
        _ => new StreamLoad(machine, new(Bytes, Depth, Application: Work, CyclesPerSegment: 422, CyclesPerKibibyte: 2163)),
    };
}
