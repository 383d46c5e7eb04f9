using System.Globalization;
using Vmm.GuestDma;
using Vmm.GuestDma.Cost;
using Vmm.GuestDma.Guest;
using Vmm.Iommu;
using Vmm.Platform.Memory;

namespace Vmm.Beds;

/// <summary>
/// What reaching a buffer costs a device that is limited to 1 GiB: the static and the dynamic software IO TLB, and an IOMMU. Map,
/// copy, search and growth each by themselves, in cycles that never vary.
/// </summary>
internal static class SwiotlbCost
{
    const int Rounds = 32;

    /// <summary>How the buffer is reached.</summary>
    public enum Way
    {
        /// <summary>64 MiB reserved at boot.</summary>
        Static,

        /// <summary>Starts with 1 MiB; mappings must not sleep.</summary>
        Dynamic,

        /// <summary>Mappings may sleep.</summary>
        DynamicSleeping,

        /// <summary>An IOMMU, strict.</summary>
        Iommu,
    }

    /// <summary>One point; all zero but the names when the buffer cannot be mapped.</summary>
    /// <param name="Bytes">Size of a buffer.</param>
    /// <param name="Depth">Buffers in flight.</param>
    /// <param name="Way">How.</param>
    /// <param name="IsMapped">Every mapping succeeded.</param>
    /// <param name="Map">Cycles of a map.</param>
    /// <param name="Unmap">Cycles of an unmap.</param>
    /// <param name="Copy">Cycles of copying and clearing in both.</param>
    /// <param name="Search">Cycles of finding slots and keeping their books in both.</param>
    /// <param name="Background">Cycles of adding pools, all rounds.</param>
    /// <param name="Transients">Buffers made for one mapping.</param>
    /// <param name="Growths">Pools added.</param>
    /// <param name="Peak">Most memory, in bytes.</param>
    public sealed record Line(int Bytes, int Depth, Way Way, bool IsMapped, ulong Map, ulong Unmap, ulong Copy, ulong Search, ulong Background, ulong Transients, ulong Growths, ulong Peak);

    /// <summary>Points of the report.</summary>
    public static IReadOnlyList<(int Bytes, int Depth)> Points { get; } =
        [(4 << 10, 1), (64 << 10, 1), (256 << 10, 1), (4 << 10, 64), (64 << 10, 64), (256 << 10, 64), (256 << 10, 250), (1 << 20, 1), (8 << 20, 1), (34 << 20, 1)];

    /// <summary>Measures one point.</summary>
    public static Line Run(int bytes, int depth, Way way)
    {
        using var bed = new DmaBed(new()
        {
            MemoryBytes = 1536ul << 20, KernelStart = 1100ul << 20, HasDisk = false, RegistersExit = false,
            ReachableBytes = way == Way.Iommu ? 0 : 512ul << 20, Vtd = way == Way.Iommu ? new VtdOptions { AddressWidth = 48 } : null,
            Device = new() { Mask = (1ul << 30) - 1 },
            Policy = way switch { Way.Static => DmaPolicy.Swiotlb, Way.Iommu => DmaPolicy.Strict, _ => DmaPolicy.DynamicSwiotlb },
        });
        const int block = 4096 << GuestPages.MaxOrder;
        var buffers = new Gpa[depth];
        foreach (ref var buffer in buffers.AsSpan())
        {
            var order = System.Numerics.BitOperations.Log2((uint)(bytes >> 12) * 2 - 1);
            var found = order <= GuestPages.MaxOrder
                ? bed.Machine.Pages.TryAllocate(order, AllocationSite.Buffer, out buffer)
                : bed.Machine.Pages.TryAllocateRun((bytes + block - 1) / block, AllocationSite.Buffer, out buffer);
            if (!found)
            {
                throw new InvalidOperationException("swiotlb: not enough memory for the buffers");
            }
        }

        bed.Ledger.Clear();
        var attributes = way == Way.DynamicSleeping ? DmaAttributes.MaySleep : DmaAttributes.None;
        if (!TryRounds(bed, buffers, bytes, attributes))
        {
            return new(bytes, depth, way, false, 0, 0, 0, 0, 0, 0, 0, 0);
        }

        var ledger = bed.Ledger;
        var count = (ulong)(Rounds * depth);
        ulong Both(CycleCause cause) => ledger.Cycles(DmaOperation.Map, cause) + ledger.Cycles(DmaOperation.Unmap, cause);
        var swiotlb = bed.Machine.Device.Swiotlb;
        return new(
            bytes, depth, way, true, ledger.Cycles(DmaOperation.Map) / count, ledger.Cycles(DmaOperation.Unmap) / count, Both(CycleCause.Copy) / count,
            (Both(CycleCause.Pool) + Both(CycleCause.Lock) + Both(CycleCause.IovaSearch)) / count, ledger.Cycles(DmaOperation.Background),
            swiotlb?.Transients ?? 0, swiotlb?.Growths ?? 0, swiotlb?.PeakBytes ?? 0);
    }

    /// <summary>Maps all buffers, lets the device use each, and unmaps them; again and again.</summary>
    static bool TryRounds(DmaBed bed, Gpa[] buffers, int bytes, DmaAttributes attributes)
    {
        var mapper = bed.Machine.Device.Mapper;
        var addresses = new Iova[buffers.Length];
        for (var round = 0; round < Rounds; round++)
        {
            for (var i = 0; i < buffers.Length; i++)
            {
                addresses[i] = mapper.MapPage(buffers[i], bytes, DmaDirection.FromDevice, attributes);
                if (addresses[i] == IDmaMapper.MappingError)
                {
                    for (var j = 0; j < i; j++)
                    {
                        mapper.UnmapPage(addresses[j], bytes, DmaDirection.FromDevice, attributes);
                    }

                    return false;
                }

                if (!bed.Port.TryWrite(addresses[i] + (ulong)(bytes - 4), (uint)(round * buffers.Length + i)))
                {
                    throw new InvalidOperationException("swiotlb: the device does not reach a mapping");
                }

                bed.Clock.Charge(bed.Clock.Hertz / 100_000);
                bed.Machine.Poll();
            }

            for (var i = 0; i < buffers.Length; i++)
            {
                mapper.UnmapPage(addresses[i], bytes, DmaDirection.FromDevice, attributes);
                if (!bed.Memory.TryRead(buffers[i] + (ulong)(bytes - 4), out uint found) || found != (uint)(round * buffers.Length + i))
                {
                    throw new InvalidOperationException("swiotlb: a byte was lost");
                }
            }
        }

        return true;
    }

    /// <summary>Writes the table.</summary>
    public static void Report(TextWriter text, Func<bool> stop)
    {
        text.WriteLine($"""
            ## A device limited to 1 GiB: software IO TLB and IOMMU

            Buffers above 1 GiB that the device writes; {Rounds} rounds, `comet-lake` prices. Static: 64 MiB. Dynamic: 1 MiB, grown by up to 4 MiB at once by a
            worker; a mapping that finds no room gets a buffer of its own. One that may sleep waits for the pool instead, and for contiguous
            memory of any size. Cycles of a map and an unmap; both copy, as the published design does.

            | buffer | in flight | way | map | unmap | of both: copy | search | adding pools, all | own buffers | pools added | memory |
            | --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
            """);
        foreach (var (bytes, depth) in Points)
        {
            foreach (var way in Enum.GetValues<Way>().TakeWhile(_ => !stop()))
            {
                var l = Run(bytes, depth, way);
                var name = way switch { Way.Static => "static", Way.Dynamic => "dynamic", Way.DynamicSleeping => "dynamic, may sleep", _ => "IOMMU, strict" };
                var head = string.Create(CultureInfo.InvariantCulture, $"| {bytes >> 10} KiB | {depth} | {name} |");
                text.WriteLine(!l.IsMapped ? $"{head} fails | | | | | | | |" : string.Create(CultureInfo.InvariantCulture,
                    $"{head} {l.Map} | {l.Unmap} | {l.Copy} | {l.Search} | {l.Background} | {l.Transients} | {l.Growths} | {(l.Way == Way.Iommu ? "" : $"{l.Peak / 1048576.0:F1} MiB")} |"));
            }
        }
    }
}
