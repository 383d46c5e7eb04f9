using Vmm.GuestDma.Cost;
using Vmm.GuestDma.Domains;
using Vmm.GuestDma.Guest;
using Vmm.Platform.Memory;

namespace Vmm.GuestDma.Bounce;

/// <summary>Memory and mappings of bounce buffers, within a limit. Memory is freed only after its mapping is gone from the hardware.</summary>
sealed class BounceMemory(IGuestView view, CostMeter meter, GuestPages pages, Translations translations, BounceOptions options)
{
    readonly List<(Gpa Block, int Bytes)> later = [];

    public CostMeter Meter => meter;

    public Translations Translations => translations;

    public BounceOptions Options => options;

    /// <summary>Bytes in use.</summary>
    public ulong Bytes { get; private set; }

    /// <summary>Allocations so far.</summary>
    public ulong Growths { get; private set; }

    /// <summary>Most bytes that were ever in use.</summary>
    public ulong Peak { get; private set; }

    /// <summary>Allocates zeroed memory for slots that lie behind each other.</summary>
    public bool TryAllocate(int slotBytes, int count, out Gpa block)
    {
        block = default;
        var bytes = (ulong)slotBytes * (ulong)count;
        var order = Order(bytes);
        if (Bytes + bytes > options.MemoryLimit || order > GuestPages.MaxOrder || !pages.TryAllocate(order, AllocationSite.Bounce, out block))
        {
            return false;
        }

        meter.PageAllocation();
        meter.Clear((long)bytes);
        view.Memory(block, (int)bytes).Clear();
        Bytes += bytes;
        Growths++;
        Peak = Math.Max(Peak, Bytes);
        return true;
    }

    public void Free(Gpa block, int slotBytes, int count)
    {
        pages.Free(block, Order((ulong)slotBytes * (ulong)count));
        Bytes -= (ulong)slotBytes * (ulong)count;
    }

    /// <summary>Maps slots that lie behind each other, each by itself, as each is unmapped by itself.</summary>
    public bool TryMap(ulong address, Gpa block, int slotBytes, int count, DmaProtection protection)
    {
        var bytes = (ulong)slotBytes;
        var mapped = 0ul;
        while (mapped < (ulong)count && translations.Domain.TryMap(address + mapped * bytes, block + mapped * bytes, bytes, protection))
        {
            mapped++;
        }

        if (mapped == (ulong)count && translations.Domain.TrySyncMap(address, mapped * bytes))
        {
            return true;
        }

        var gather = new InvalidationGather();
        for (var i = 0ul; i < mapped; i++)
        {
            translations.Domain.Unmap(address + i * bytes, bytes, ref gather, null);
        }

        translations.Domain.Sync(ref gather);
        return false;
    }

    public void Unmap(ulong address, ulong bytes, ref InvalidationGather gather) => translations.Domain.Unmap(address, bytes, ref gather, null);

    /// <summary>Frees memory when the invalidation is over.</summary>
    public void FreeLater(Gpa block, int bytes) => later.Add((block, bytes));

    /// <summary>Invalidates what was unmapped and frees its memory.</summary>
    public void Finish(ref InvalidationGather gather)
    {
        if (later.Count == 0)
        {
            return;
        }

        translations.Domain.Sync(ref gather);
        foreach (var (block, bytes) in later)
        {
            pages.Free(block, Order((ulong)bytes));
            Bytes -= (ulong)bytes;
            meter.PageAllocation();
        }

        later.Clear();
    }

    static int Order(ulong bytes) => System.Numerics.BitOperations.Log2(bytes >> 12);
}
