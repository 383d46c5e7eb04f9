using System.Runtime.CompilerServices;
using Vmm.Platform.Dma;
using Vmm.Platform.Memory;

namespace Vmm.Bench.Dma;

/// <summary>
/// DMA of whole pages over a working set in scattered order. The pages lie on few target pages, with and without an IOMMU
/// the same ones, so that a large set differs from a small one in its translation only.
/// </summary>
internal sealed class PageStream
{
    /// <summary>Pages that the data really lies on.</summary>
    public const int TargetPages = 64;

    /// <summary>Where those start.</summary>
    public const ulong Targets = 0x10_0000;

    /// <summary>Where mapped pages start.</summary>
    public const ulong Mapped = 0x40_0000_0000;

    const int Stride = 7919;

    // One for all streams: how a copy's two ends lie to each other matters more than what is measured.
    static readonly byte[] buffer = GC.AllocateArray<byte>(4096, pinned: true);

    readonly DmaPort port;
    readonly int pages;
    readonly int step;
    readonly ulong start;
    readonly int fold;
    DmaCursor cursor;
    int at;

    /// <param name="port">Port of the device.</param>
    /// <param name="pages">Working set.</param>
    public PageStream(DmaPort port, int pages)
    {
        this.port = port;
        this.pages = pages;
        step = Stride % pages;
        start = port.Translator == null ? Targets : Mapped;
        fold = port.Translator == null ? TargetPages - 1 : int.MaxValue;
    }

    Iova Next()
    {
        var address = start + (ulong)(at & fold) * 4096;
        at += step;
        at = at >= pages ? at - pages : at;
        return new(address);
    }

    /// <summary>Reads pages; returns how many could be read.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public int Read(int count)
    {
        var good = 0;
        for (var i = 0; i < count; i++)
        {
            good += port.TryRead(ref cursor, Next(), buffer.AsSpan()) ? 1 : 0;
        }

        return good;
    }

    /// <summary>Writes pages; returns how many could be written.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public int Write(int count)
    {
        var good = 0;
        for (var i = 0; i < count; i++)
        {
            good += port.TryWrite(ref cursor, Next(), buffer.AsSpan()) ? 1 : 0;
        }

        return good;
    }
}
