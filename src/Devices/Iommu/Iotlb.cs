using System.Runtime.CompilerServices;
using Vmm.Platform.Dma;
using Vmm.Platform.Faults;
using Vmm.Platform.Snapshots;
using Vmm.Specs;
using Vmm.Specs.VtD;

namespace Vmm.Iommu;

/// <summary>
/// IOTLB and paging-structure caches with the invalidations that software can ask for (VT-d §6.2, §6.5). One array for
/// each page size; an invalidation touches no more than the fixed arrays hold.
/// </summary>
sealed class Iotlb
{
    /// <summary>log2 of the page sizes.</summary>
    public static ReadOnlySpan<byte> Shifts => [12, 21, 30];

    readonly CacheClock clock;
    readonly StampedCache[] pages;

    public Iotlb(VtdOptions options, CacheClock clock)
    {
        this.clock = clock;
        pages = [new(options.IotlbEntries, clock), new(options.IotlbEntries / 8, clock), new(options.IotlbEntries / 8, clock)];
        Structures = new(options.CacheEntries, clock);
    }

    /// <summary>Pointers to lower-level paging tables.</summary>
    public StampedCache Structures { get; }

    /// <summary>Valid entries of one page size (0: 4 KiB, 1: 2 MiB, 2: 1 GiB).</summary>
    public int Count(int size) => pages[size].Count();

    /// <summary>Entries that made room for others.</summary>
    public ulong Evictions => pages[0].Evictions + pages[1].Evictions + pages[2].Evictions;

    /// <summary>True when a translation of <paramref name="input"/> is cached.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool TryFind(ulong input, ulong tag, out int shift, out int index)
    {
        shift = 12;
        index = pages[0].Find(input >> 12, tag);
        return index >= 0 || TryFindLarge(input, tag, out shift, out index);
    }

    bool TryFindLarge(ulong input, ulong tag, out int shift, out int index)
    {
        shift = 21;
        index = pages[1].Find(input >> 21, tag);
        if (index < 0)
        {
            shift = 30;
            index = pages[2].Find(input >> 30, tag);
        }

        return index >= 0;
    }

    public ref readonly StampedEntry Entry(int shift, int index) => ref pages[(shift - 12) / 9][index];

    /// <summary>
    /// Keeps a translation. A large page that overlaps the interrupt range is kept as a 4 KiB page, so that a hit need
    /// not look at its output.
    /// </summary>
    public void Insert(ulong input, ulong tag, in WalkLeaf leaf)
    {
        var shift = leaf.Shift;
        var mask = Bits.Mask(shift);
        var start = leaf.Address & ~mask;
        if (shift > 12 && start < 0xFEF0_0000 && start + mask >= 0xFEE0_0000)
        {
            shift = 12;
            start = leaf.Address & ~0xFFFul;
        }

        pages[(shift - 12) / 9].Insert(input >> shift, tag, start, leaf.Rights);
    }

    /// <summary>Keeps the absence of a translation (caching mode).</summary>
    public void InsertAbsent(ulong input, ulong tag, FaultReason reason) =>
        pages[0].Insert(input >> 12, tag, 0, PageRights.Absent, reason);

    /// <summary>Lists the valid entries of a tag that touch both ranges.</summary>
    public void Collect(ulong tag, AddressRange range, AddressRange? other, List<(int Shift, StampedEntry Entry)> found)
    {
        for (var i = 0; i < pages.Length; i++)
        {
            pages[i].Collect(tag, Shifts[i], range, other, found);
        }
    }

    /// <summary>Puts an entry back that <see cref="Collect"/> listed.</summary>
    public void Insert(int shift, in StampedEntry entry)
    {
        pages[(shift - 12) / 9].Insert(entry.Page, entry.Tag, entry.Target, entry.Rights, entry.Reason);
        clock.Changes++;
    }

    /// <summary>Page-selective within a domain: second-stage pages in the range, and every nested page of the domain.</summary>
    public void InvalidatePages(ushort domain, Iva target)
    {
        clock.InvalidateNested(domain);
        InvalidateRange(TranslationContext.TagOf(StageKind.SecondStage, domain, 0), target);
    }

    /// <summary>Page-selective within a PASID: first-stage and nested pages in the range.</summary>
    public void InvalidatePages(ushort domain, uint pasid, Iva target)
    {
        clock.Changes++;
        InvalidateRange(TranslationContext.TagOf(StageKind.FirstStage, domain, pasid), target);
        InvalidateRange(TranslationContext.TagOf(StageKind.Nested, domain, pasid), target);
    }

    /// <summary>PASID-selective: every first-stage and nested page.</summary>
    public void InvalidatePasid(ushort domain, uint pasid)
    {
        clock.Changes++;
        var first = TranslationContext.TagOf(StageKind.FirstStage, domain, pasid);
        var nested = TranslationContext.TagOf(StageKind.Nested, domain, pasid);
        foreach (var cache in pages)
        {
            cache.InvalidateAll(first, nested);
        }

        Structures.InvalidateAll(first, nested);
    }

    /// <summary>AM may exceed the aligned address: hardware ignores the low address bits that the mask covers.</summary>
    void InvalidateRange(ulong tag, Iva target)
    {
        var size = Bits.Mask(Math.Min(target.AM + 12, 63)) + 1;
        var start = target.ADDR & ~(size - 1);
        for (var i = 0; i < pages.Length; i++)
        {
            var shift = Shifts[i];
            pages[i].Invalidate(start >> shift, Math.Max(1, size >> shift), tag);
        }

        for (var level = 1; level <= 4 && !target.IH; level++)
        {
            var shift = 12 + 9 * level;
            Structures.Invalidate(start >> shift, Math.Max(1, size >> shift), PageWalker.TagAt(tag, level));
        }
    }

    public void Clear()
    {
        foreach (var cache in pages)
        {
            cache.Clear();
        }

        Structures.Clear();
    }

    /// <summary>Answer for <paramref name="input"/> from an entry: address and bytes to the page's end.</summary>
    public static DmaWindow WindowOf(ulong input, int shift, ulong target, bool readable, bool writable)
    {
        var offset = input & Bits.Mask(shift);
        return new(new(target | offset), (1ul << shift) - offset, readable, writable);
    }

    public void Save(SnapshotWriter writer)
    {
        foreach (var cache in pages)
        {
            cache.Save(writer);
        }

        Structures.Save(writer);
    }

    public void Load(SnapshotReader reader)
    {
        foreach (var cache in pages)
        {
            cache.Load(reader);
        }

        Structures.Load(reader);
    }
}
