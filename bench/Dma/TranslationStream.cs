using System.Runtime.CompilerServices;
using Vmm.Iommu;
using Vmm.Platform.Dma;
using Vmm.Platform.Memory;

namespace Vmm.Bench.Dma;

/// <summary>Translation requests for a list of pages, again and again, with no data behind them.</summary>
internal sealed class TranslationStream(VtdUnit unit, Bdf device, ulong[] pages)
{
    int at;

    /// <summary>Pages one after the other.</summary>
    public static TranslationStream Dense(VtdUnit unit, Bdf device, int count) =>
        new(unit, device, [.. Enumerable.Range(0, count).Select(static i => PageStream.Mapped + (ulong)i * 4096)]);

    /// <summary>
    /// Pages of which no two near each other in time share a table at any level, and more of them than any cache holds:
    /// every request reads one entry at each of four levels.
    /// </summary>
    public static TranslationStream Sparse(VtdUnit unit, Bdf device)
    {
        var pages = new ulong[8192];
        for (var i = 0ul; i < (ulong)pages.Length; i++)
        {
            var (top, third, second, first) = (i & 511, ((i >> 9) * 31 + i * 3) & 511, i * 5 & 511, i * 7 & 511);
            pages[i] = top << 39 | third << 30 | second << 21 | first << 12;
        }

        return new(unit, device, pages);
    }

    /// <summary>Asks; returns how many were granted.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public int Run(int count)
    {
        var good = 0;
        for (var i = 0; i < count; i++)
        {
            good += unit.TryTranslate(new(device, new Iova(pages[at]), DmaAccess.Read), out _) ? 1 : 0;
            at = at + 1 == pages.Length ? 0 : at + 1;
        }

        return good;
    }
}
