using Vmm.GuestDma.Cost;
using Vmm.GuestDma.Flush;
using Vmm.GuestDma.Guest;
using Vmm.GuestDma.Addresses;
using Vmm.Platform.Memory;

namespace Vmm.GuestDma.Domains;

/// <summary>When a translation that was taken out is gone from the hardware's caches too.</summary>
public enum FlushMode
{
    /// <summary>Before unmap returns.</summary>
    Strict,

    /// <summary>When a queue is full or old, all of the domain at once. Until then the device may still reach the page.</summary>
    Lazy,

    /// <summary>As lazy, but neighbouring ranges are joined and few ranges are invalidated one by one.</summary>
    Batched,

    /// <summary>As lazy, but a page is not given to anybody else before the flush.</summary>
    Referenced,
}

/// <summary>
/// IO virtual addresses and translations of one domain: what every policy is made of. Each page is referred to while it is
/// mapped; <see cref="FlushMode.Referenced"/> puts that reference only when the flush is over.
/// </summary>
public sealed class Translations
{
    readonly CostMeter meter;
    readonly GuestPages pages;
    readonly IIovaAllocator iovas;
    readonly FlushQueue queue;
    readonly PageRuns runs = new();
    readonly ulong limit;

    /// <param name="view">The machine.</param>
    /// <param name="meter">Prices.</param>
    /// <param name="pages">Holds references on mapped pages.</param>
    /// <param name="domain">Address space.</param>
    /// <param name="iovas">Its addresses.</param>
    /// <param name="mask">Highest address that the device can issue.</param>
    public Translations(IGuestView view, CostMeter meter, GuestPages pages, IIommuDomain domain, IIovaAllocator iovas, ulong mask)
    {
        this.meter = meter;
        this.pages = pages;
        this.iovas = iovas;
        Domain = domain;
        queue = new(view, meter, pages, domain, iovas);
        limit = Math.Min(mask, domain.Limit) >> 12;
    }

    /// <summary>The address space.</summary>
    public IIommuDomain Domain { get; }

    /// <summary>Last page that can be handed out.</summary>
    public ulong Limit => limit;

    /// <summary>Ranges that wait for a flush.</summary>
    public FlushQueue Queue => queue;

    /// <summary>Mappings that exist.</summary>
    public int Live { get; private set; }

    /// <summary>Takes addresses without mapping them; below 4 GiB first, as devices that lie about their mask prefer.</summary>
    public bool TryReserve(ulong bytes, out ulong address)
    {
        var count = (int)(bytes >> 12);
        var found = TryFind(count, out var first);
        if (!found && queue.Count > 0)
        {
            // What waits for a flush may be what is missing.
            queue.Flush();
            found = TryFind(count, out first);
        }

        address = first << 12;
        return found;
    }

    bool TryFind(int count, out ulong first)
    {
        const ulong below4G = (1ul << 20) - 1;
        return limit > below4G && iovas.TryAllocate(count, below4G, out first) || iovas.TryAllocate(count, limit, out first);
    }

    /// <summary>Gives addresses back.</summary>
    public void Unreserve(ulong address, ulong bytes) => iovas.Free(address >> 12, (int)(bytes >> 12));

    /// <summary>Maps the pages around a run of bytes; the address is that of the first byte.</summary>
    public bool TryMap(Gpa target, int length, DmaProtection protection, FlushMode mode, out ulong address)
    {
        var bytes = Pages(target, length);
        if (!TryReserve(bytes, out address))
        {
            return false;
        }

        if (!TryMapAt(address, target.Value & ~0xFFFul, bytes, protection, mode))
        {
            Unreserve(address, bytes);
            return false;
        }

        if (!Domain.TrySyncMap(address, bytes))
        {
            Undo(address, bytes, bytes);
            return false;
        }

        Live++;
        address += target.Value & 0xFFF;
        return true;
    }

    /// <summary>Maps a list behind each other, every entry on pages of its own; runs that are contiguous are mapped as one.</summary>
    public bool TryMap(ReadOnlySpan<ScatterEntry> list, DmaProtection protection, FlushMode mode, out ulong address)
    {
        var bytes = Pages(list);
        if (!TryReserve(bytes, out address))
        {
            return false;
        }

        var done = 0ul;
        for (var i = 0; i < list.Length;)
        {
            var start = list[i].Address.Value & ~0xFFFul;
            var run = Pages(list[i].Address, list[i].Length);
            for (i++; i < list.Length && (list[i].Address.Value & ~0xFFFul) == start + run; i++)
            {
                run += Pages(list[i].Address, list[i].Length);
            }

            if (!TryMapAt(address + done, start, run, protection, mode))
            {
                Undo(address, done, bytes);
                return false;
            }

            done += run;
        }

        if (!Domain.TrySyncMap(address, bytes))
        {
            Undo(address, bytes, bytes);
            return false;
        }

        Live++;
        return true;
    }

    void Undo(ulong address, ulong mapped, ulong reserved)
    {
        if (mapped != 0)
        {
            var gather = new InvalidationGather();
            Domain.Unmap(address, mapped, ref gather, runs);
            Domain.Sync(ref gather);
            runs.Release(pages);
        }

        Unreserve(address, reserved);
    }

    bool TryMapAt(ulong address, ulong target, ulong bytes, DmaProtection protection, FlushMode mode)
    {
        if (!Domain.TryMap(address, new(target), bytes, protection))
        {
            return false;
        }

        pages.Hold(new(target), bytes);
        if (mode == FlushMode.Referenced)
        {
            meter.References((int)(bytes >> 12));
        }

        return true;
    }

    /// <summary>Ends a mapping. Address and length are those of whole pages.</summary>
    public void Unmap(ulong address, ulong bytes, FlushMode mode)
    {
        Live--;
        var gather = new InvalidationGather();
        if (mode == FlushMode.Strict)
        {
            Domain.Unmap(address, bytes, ref gather, runs);
            Domain.Sync(ref gather);
            runs.Release(pages);
            Unreserve(address, bytes);
            return;
        }

        var held = mode == FlushMode.Referenced ? queue.Held : runs;
        Domain.Unmap(address, bytes, ref gather, held);
        if (mode == FlushMode.Referenced)
        {
            meter.References((int)(bytes >> 12));
        }
        else
        {
            runs.Release(pages);
        }

        queue.Add(address, bytes, mode);
    }

    /// <summary>Bytes of the whole pages around a run.</summary>
    public static ulong Pages(Gpa address, int length) => (address.Value & 0xFFF) + (ulong)length + 0xFFF & ~0xFFFul;

    /// <summary>Bytes of the whole pages around all entries.</summary>
    public static ulong Pages(ReadOnlySpan<ScatterEntry> list)
    {
        var sum = 0ul;
        foreach (ref readonly var entry in list)
        {
            sum += Pages(entry.Address, entry.Length);
        }

        return sum;
    }
}
