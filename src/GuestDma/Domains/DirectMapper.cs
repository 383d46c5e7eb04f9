using Vmm.GuestDma.Guest;
using Vmm.Platform.Memory;

namespace Vmm.GuestDma.Domains;

/// <summary>Addresses are guest-physical: no unit, a unit that lets the device pass, or an identity map.</summary>
/// <param name="view">The machine.</param>
/// <param name="pages">Memory.</param>
/// <param name="mask">Highest address that the device can issue.</param>
public sealed class DirectMapper(IGuestView view, GuestPages pages, ulong mask) : IDmaMapper
{
    readonly CoherentPages coherent = new(view, pages, mask);

    /// <summary>Streaming mappings that exist.</summary>
    public int Live { get; private set; }

    /// <summary>Blocks of coherent memory that exist.</summary>
    public int CoherentBlocks => coherent.Count;

    /// <inheritdoc/>
    public Iova MapPage(Gpa address, int length, DmaDirection direction, DmaAttributes attributes = DmaAttributes.None)
    {
        if (length <= 0 || address.Value + (ulong)length - 1 > mask)
        {
            return IDmaMapper.MappingError;
        }

        Live++;
        return new(address.Value);
    }

    /// <inheritdoc/>
    public void UnmapPage(Iova address, int length, DmaDirection direction, DmaAttributes attributes = DmaAttributes.None) => Live--;

    /// <inheritdoc/>
    public int MapScatterList(Span<ScatterEntry> list, DmaDirection direction, DmaAttributes attributes = DmaAttributes.None)
    {
        foreach (ref var entry in list)
        {
            if (entry.Length <= 0 || entry.Address.Value + (ulong)entry.Length - 1 > mask)
            {
                return 0;
            }

            entry.DmaAddress = new(entry.Address.Value);
            entry.DmaLength = entry.Length;
        }

        Live++;
        return list.Length;
    }

    /// <inheritdoc/>
    public void UnmapScatterList(Span<ScatterEntry> list, DmaDirection direction, DmaAttributes attributes = DmaAttributes.None) => Live--;

    /// <inheritdoc/>
    public void SyncForCpu(Iova address, int length, DmaDirection direction)
    {
    }

    /// <inheritdoc/>
    public void SyncForDevice(Iova address, int length, DmaDirection direction)
    {
    }

    /// <inheritdoc/>
    public void SyncScatterListForCpu(ReadOnlySpan<ScatterEntry> list, DmaDirection direction)
    {
    }

    /// <inheritdoc/>
    public void SyncScatterListForDevice(ReadOnlySpan<ScatterEntry> list, DmaDirection direction)
    {
    }

    /// <inheritdoc/>
    public bool TryAllocateCoherent(int bytes, out CoherentMemory memory) => coherent.TryAllocate(bytes, out memory);

    /// <inheritdoc/>
    public void FreeCoherent(in CoherentMemory memory) => coherent.Free(memory);
}
