using Vmm.Platform.Memory;

namespace Vmm.GuestDma;

/// <summary>One piece of a scatter list: where it lies, and after mapping what the device is to be told.</summary>
public struct ScatterEntry
{
    /// <summary>Guest-physical address of the first byte.</summary>
    public Gpa Address;

    /// <summary>Length in bytes.</summary>
    public int Length;

    /// <summary>Address of a DMA segment; the first ones of a mapped list are set.</summary>
    public Iova DmaAddress;

    /// <summary>Length of that segment in bytes.</summary>
    public int DmaLength;
}

/// <summary>Memory that the CPU and the device both see at all times.</summary>
/// <param name="Address">Where the CPU finds it.</param>
/// <param name="DmaAddress">Where the device finds it.</param>
/// <param name="Bytes">Length, whole pages.</param>
public readonly record struct CoherentMemory(Gpa Address, Iova DmaAddress, int Bytes);

/// <summary>
/// The DMA API of one device, in the vocabulary of Linux. Mapping never sleeps; a failure is <see cref="MappingError"/>,
/// 0 segments or false, and leaves nothing behind.
/// </summary>
public interface IDmaMapper
{
    /// <summary>What a failed map returns.</summary>
    static Iova MappingError => new(ulong.MaxValue);

    /// <summary>Maps a buffer that is contiguous in guest-physical space.</summary>
    Iova MapPage(Gpa address, int length, DmaDirection direction, DmaAttributes attributes = DmaAttributes.None);

    /// <summary>Ends a mapping; the arguments are those of the map.</summary>
    void UnmapPage(Iova address, int length, DmaDirection direction, DmaAttributes attributes = DmaAttributes.None);

    /// <summary>Maps a scatter list. Returns how many DMA segments its first entries describe now; 0 is failure.</summary>
    int MapScatterList(Span<ScatterEntry> list, DmaDirection direction, DmaAttributes attributes = DmaAttributes.None);

    /// <summary>Ends the mapping of a scatter list; entries are as the map left them.</summary>
    void UnmapScatterList(Span<ScatterEntry> list, DmaDirection direction, DmaAttributes attributes = DmaAttributes.None);

    /// <summary>Makes what the device wrote visible to the CPU. The range may be any part of a mapping of one buffer.</summary>
    void SyncForCpu(Iova address, int length, DmaDirection direction);

    /// <summary>Makes what the CPU wrote visible to the device. The range may be any part of a mapping of one buffer.</summary>
    void SyncForDevice(Iova address, int length, DmaDirection direction);

    /// <summary>As <see cref="SyncForCpu"/>, for all of a mapped list; entries are as the map left them.</summary>
    void SyncScatterListForCpu(ReadOnlySpan<ScatterEntry> list, DmaDirection direction);

    /// <summary>As <see cref="SyncForDevice"/>, for all of a mapped list.</summary>
    void SyncScatterListForDevice(ReadOnlySpan<ScatterEntry> list, DmaDirection direction);

    /// <summary>Allocates zeroed memory that both sides see.</summary>
    bool TryAllocateCoherent(int bytes, out CoherentMemory memory);

    /// <summary>Gives it back.</summary>
    void FreeCoherent(in CoherentMemory memory);
}
