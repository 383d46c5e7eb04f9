using Vmm.Platform.Memory;

namespace Vmm.Platform.Dma;

/// <summary>
/// The last translation that one stream of DMA used: a ring, a queue. Kept by the device next to the stream and handed to
/// its <see cref="DmaPort"/>; holds nothing that must be saved. The default value is empty and carries no PASID.
/// </summary>
public struct DmaCursor
{
    internal ulong Start;
    internal ulong Length;
    internal ulong Target;
    internal ulong Stamp;
    internal bool Readable;
    internal bool Writable;

    /// <summary>A stream whose transactions carry a PASID (PCIe §6.20), 20 bits.</summary>
    public DmaCursor(uint pasid)
    {
        Pasid = pasid & 0xF_FFFF;
        HasPasid = true;
    }

    /// <summary>Process address space id.</summary>
    public uint Pasid { get; }

    /// <summary>True when transactions carry <see cref="Pasid"/>.</summary>
    public bool HasPasid { get; }

    /// <summary>Forgets the translation.</summary>
    public void Clear() => Length = 0;

    internal readonly bool Holds(ulong address, ulong stamp, DmaAccess access) =>
        Stamp == stamp && address - Start < Length && (access == DmaAccess.Read ? Readable : Writable);

    /// <summary>Keeps a window. Translations are whole pages, so the window also covers the page's bytes before the request.</summary>
    internal void Keep(Iova address, in DmaWindow window, ulong stamp)
    {
        var before = Math.Min(address.Value & 0xFFF, window.Address.Value & 0xFFF);
        Start = address.Value - before;
        Target = window.Address.Value - before;
        Length = window.Length > ulong.MaxValue - before ? ulong.MaxValue : window.Length + before;
        Stamp = stamp;
        Readable = window.Readable;
        Writable = window.Writable;
    }
}
