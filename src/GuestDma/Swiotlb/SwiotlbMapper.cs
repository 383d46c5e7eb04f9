using Vmm.GuestDma.Bounce;
using Vmm.GuestDma.Cost;
using Vmm.GuestDma.Guest;
using Vmm.Platform.Memory;

namespace Vmm.GuestDma.Swiotlb;

/// <summary>
/// The DMA API without an IOMMU for a device that does not reach all memory, or must not: buffers out of its reach are copied
/// through memory within it. The pieces of a list are copied each by itself. Whatever the direction, a mapping is filled with the
/// buffer's content first, so that what the device leaves out comes back unchanged and nothing older is seen.
/// </summary>
public sealed class SwiotlbMapper : IDmaMapper
{
    readonly CostMeter meter;
    readonly SlotPools pools;
    readonly BounceCopy copy;
    readonly CoherentPages coherent;
    readonly SwiotlbOptions options;
    readonly ulong mask;

    SwiotlbMapper(IGuestView view, CostMeter meter, GuestPages pages, SlotPools pools, SwiotlbOptions options, ulong mask)
    {
        (this.meter, this.pools, this.options, this.mask) = (meter, pools, options, mask);
        copy = new(view, meter);
        coherent = new(view, pages, mask);
    }

    /// <summary>Makes a mapper with its memory. False: that is missing.</summary>
    /// <param name="view">The machine.</param>
    /// <param name="meter">Prices.</param>
    /// <param name="pages">Memory within the device's reach.</param>
    /// <param name="options">Shape.</param>
    /// <param name="mask">Highest address that the device can issue.</param>
    /// <param name="isDynamic">The dynamic form.</param>
    /// <param name="cpus">Processors.</param>
    /// <param name="mapper">The mapper.</param>
    public static bool TryCreate(IGuestView view, CostMeter meter, GuestPages pages, SwiotlbOptions options, ulong mask, bool isDynamic, int cpus, out SwiotlbMapper? mapper)
    {
        var pools = new SlotPools(view, meter, pages, options, isDynamic, cpus);
        mapper = pools.TryStart() ? new(view, meter, pages, pools, options, mask) : null;
        return mapper != null;
    }

    /// <summary>Streaming mappings that exist; each piece of a list counts.</summary>
    public int Live { get; private set; }

    /// <summary>Blocks of coherent memory that exist.</summary>
    public int CoherentBlocks => coherent.Count;

    /// <summary>Memory of slots and single buffers, in bytes.</summary>
    public ulong Bytes => pools.Bytes;

    /// <summary>Most memory there ever was, in bytes.</summary>
    public ulong PeakBytes => pools.Peak;

    /// <summary>Pools now.</summary>
    public int Pools => pools.Pools;

    /// <summary>Buffers that were made for one mapping.</summary>
    public ulong Transients => pools.Transients;

    /// <summary>Pools that were added.</summary>
    public ulong Growths => pools.Growths;

    /// <summary>Mappings that found no memory.</summary>
    public ulong Failures => pools.Failures;

    /// <summary>Gives back memory that was added and is not in use.</summary>
    public void Shrink() => pools.Shrink(all: true);

    /// <summary>Gives back everything; no mapping may exist.</summary>
    public void Close() => pools.Close();

    /// <inheritdoc/>
    public Iova MapPage(Gpa address, int length, DmaDirection direction, DmaAttributes attributes = DmaAttributes.None)
    {
        var outer = meter.Ledger.Enter(DmaOperation.Map);
        var mapped = Map(address, length, attributes);
        meter.Ledger.Leave(outer);
        return mapped;
    }

    Iova Map(Gpa address, int length, DmaAttributes attributes)
    {
        const int most = 1 << 30;
        if (length is <= 0 or > most)
        {
            return IDmaMapper.MappingError;
        }

        if (!options.Forced && address.Value + (ulong)length - 1 <= mask)
        {
            Live++;
            return new(address.Value);
        }

        if (!pools.TryTake(address, length, (attributes & DmaAttributes.MaySleep) != 0, out var found))
        {
            return IDmaMapper.MappingError;
        }

        copy.In(found, address, length);
        Live++;
        return new(found.Value);
    }

    /// <inheritdoc/>
    public void UnmapPage(Iova address, int length, DmaDirection direction, DmaAttributes attributes = DmaAttributes.None)
    {
        var outer = meter.Ledger.Enter(DmaOperation.Unmap);
        Live--;
        if (pools.Owns(address.Value))
        {
            if (direction != DmaDirection.ToDevice && (attributes & DmaAttributes.SkipCpuSync) == 0)
            {
                copy.Out(new(address.Value), pools.Original(address.Value), length);
            }

            pools.Give(address.Value, length);
        }

        meter.Ledger.Leave(outer);
    }

    /// <inheritdoc/>
    public int MapScatterList(Span<ScatterEntry> list, DmaDirection direction, DmaAttributes attributes = DmaAttributes.None)
    {
        for (var i = 0; i < list.Length; i++)
        {
            list[i].DmaAddress = MapPage(list[i].Address, list[i].Length, direction, attributes);
            list[i].DmaLength = list[i].Length;
            if (list[i].DmaAddress == IDmaMapper.MappingError)
            {
                UnmapScatterList(list[..i], direction, attributes | DmaAttributes.SkipCpuSync);
                return 0;
            }
        }

        return list.Length;
    }

    /// <inheritdoc/>
    public void UnmapScatterList(Span<ScatterEntry> list, DmaDirection direction, DmaAttributes attributes = DmaAttributes.None)
    {
        foreach (ref readonly var entry in list)
        {
            UnmapPage(entry.DmaAddress, entry.Length, direction, attributes);
        }
    }

    /// <inheritdoc/>
    public void SyncForCpu(Iova address, int length, DmaDirection direction) => Sync(address, length, forCpu: true, direction != DmaDirection.ToDevice);

    /// <inheritdoc/>
    public void SyncForDevice(Iova address, int length, DmaDirection direction) => Sync(address, length, forCpu: false, direction != DmaDirection.FromDevice);

    /// <inheritdoc/>
    public void SyncScatterListForCpu(ReadOnlySpan<ScatterEntry> list, DmaDirection direction)
    {
        foreach (ref readonly var entry in list)
        {
            SyncForCpu(entry.DmaAddress, entry.Length, direction);
        }
    }

    /// <inheritdoc/>
    public void SyncScatterListForDevice(ReadOnlySpan<ScatterEntry> list, DmaDirection direction)
    {
        foreach (ref readonly var entry in list)
        {
            SyncForDevice(entry.DmaAddress, entry.Length, direction);
        }
    }

    void Sync(Iova address, int length, bool forCpu, bool copies)
    {
        var outer = meter.Ledger.Enter(DmaOperation.Sync);
        if (copies && pools.Owns(address.Value))
        {
            var original = pools.Original(address.Value);
            if (forCpu)
            {
                copy.Out(new(address.Value), original, length);
            }
            else
            {
                copy.In(new(address.Value), original, length);
            }
        }

        meter.Ledger.Leave(outer);
    }

    /// <inheritdoc/>
    public bool TryAllocateCoherent(int bytes, out CoherentMemory memory) => coherent.TryAllocate(bytes, out memory);

    /// <inheritdoc/>
    public void FreeCoherent(in CoherentMemory memory) => coherent.Free(memory);
}
