using Vmm.Platform.Memory;

namespace Vmm.GuestDma.Guest;

/// <summary>
/// The guest kernel's page allocator: buddies of 2^order pages, and references on single pages. A page that is freed
/// while something still refers to it goes back to the free lists with its last reference, never before.
/// </summary>
public sealed class GuestPages
{
    /// <summary>Largest block: 2^10 pages, 4 MiB.</summary>
    public const int MaxOrder = 10;

    const int None = -1;
    const byte InUse = 0xFF, Parked = 0xFE;

    readonly ulong start;
    readonly byte[] state;
    readonly int[] references, next, previous;
    readonly int[] heads = new int[MaxOrder + 1];
    readonly AllocationFaults faults;

    /// <param name="start">First byte, page-aligned.</param>
    /// <param name="pages">Number of pages.</param>
    /// <param name="faults">Which allocations fail on purpose.</param>
    public GuestPages(Gpa start, int pages, AllocationFaults faults)
    {
        this.start = start.Value;
        this.faults = faults;
        state = new byte[pages];
        references = new int[pages];
        next = new int[pages];
        previous = new int[pages];
        Array.Fill(heads, None);
        Array.Fill(state, InUse);
        for (var at = 0; at < pages;)
        {
            var order = Math.Min(MaxOrder, at == 0 ? MaxOrder : System.Numerics.BitOperations.TrailingZeroCount(at));
            while (at + (1 << order) > pages)
            {
                order--;
            }

            Push(at, order);
            at += 1 << order;
        }

        Total = FreePages = pages;
    }

    /// <summary>All pages.</summary>
    public int Total { get; }

    /// <summary>Pages that can be allocated now.</summary>
    public int FreePages { get; private set; }

    /// <summary>Pages that were freed but are still referred to.</summary>
    public int ParkedPages { get; private set; }

    /// <summary>Times that memory was missing, failures on purpose left out.</summary>
    public ulong Shortages { get; private set; }

    /// <summary>Asked when memory is missing: each may give pages back and returns whether it did.</summary>
    public List<Func<bool>> Reclaimers { get; } = [];

    /// <summary>Allocates 2^<paramref name="order"/> contiguous pages; their content is whatever it was.</summary>
    public bool TryAllocate(int order, AllocationSite site, out Gpa address)
    {
        address = default;
        if (faults.Fails(site))
        {
            return false;
        }

        if (TryTake(order, out address))
        {
            return true;
        }

        Shortages++;
        var gained = false;
        foreach (var reclaim in Reclaimers)
        {
            gained |= reclaim();
        }

        return gained && TryTake(order, out address);
    }

    /// <summary>Allocates largest blocks that lie behind each other, from the lowest address on; they are freed one by one.</summary>
    public bool TryAllocateRun(int blocks, AllocationSite site, out Gpa address)
    {
        const int block = 1 << MaxOrder;
        address = default;
        if (faults.Fails(site))
        {
            return false;
        }

        for (int at = 0, found = 0; at + block <= state.Length; at += block)
        {
            found = state[at] == MaxOrder ? found + 1 : 0;
            if (found < blocks)
            {
                continue;
            }

            var first = at - (blocks - 1) * block;
            for (var i = 0; i < blocks; i++)
            {
                Remove(first + i * block, MaxOrder);
            }

            FreePages -= blocks * block;
            address = new(start + ((ulong)first << 12));
            return true;
        }

        Shortages++;
        return false;
    }

    /// <summary>Frees a block. Pages with references stay away from the free lists until the last is released.</summary>
    public void Free(Gpa address, int order)
    {
        var at = Index(address);
        if (!AnyReference(at, 1 << order))
        {
            FreePages += 1 << order;
            Merge(at, order);
            return;
        }

        for (var i = at; i < at + (1 << order); i++)
        {
            if (references[i] == 0)
            {
                FreePages++;
                Merge(i, 0);
            }
            else
            {
                state[i] = Parked;
                ParkedPages++;
            }
        }
    }

    /// <summary>Takes a reference on every page of a range; memory that is not this allocator's is left alone.</summary>
    public void Hold(Gpa address, ulong bytes)
    {
        for (var page = address.Value & ~0xFFFul; page < address.Value + bytes; page += 4096)
        {
            if (Owns(page))
            {
                references[(page - start) >> 12]++;
            }
        }
    }

    /// <summary>Puts the references of <see cref="Hold"/>.</summary>
    public void Release(Gpa address, ulong bytes)
    {
        for (var page = address.Value & ~0xFFFul; page < address.Value + bytes; page += 4096)
        {
            if (!Owns(page))
            {
                continue;
            }

            var at = (int)((page - start) >> 12);
            if (--references[at] == 0 && state[at] == Parked)
            {
                state[at] = InUse;
                ParkedPages--;
                FreePages++;
                Merge(at, 0);
            }
        }
    }

    /// <summary>References on the page.</summary>
    public int References(Gpa page) => Owns(page.Value) ? references[Index(page)] : 0;

    /// <summary>True when the page is on a free list.</summary>
    public bool IsFree(Gpa page)
    {
        var at = Index(page);
        for (var order = 0; order <= MaxOrder; order++)
        {
            if (state[at & -(1 << order)] == order)
            {
                return true;
            }
        }

        return false;
    }

    bool Owns(ulong page) => page >= start && (page - start) >> 12 < (ulong)state.Length;

    int Index(Gpa address) => (int)((address.Value - start) >> 12);

    bool AnyReference(int at, int count) => references.AsSpan(at, count).IndexOfAnyExcept(0) >= 0;

    bool TryTake(int order, out Gpa address)
    {
        address = default;
        var found = order;
        while (found <= MaxOrder && heads[found] == None)
        {
            found++;
        }

        if (found > MaxOrder)
        {
            return false;
        }

        var at = heads[found];
        Remove(at, found);
        while (found > order)
        {
            found--;
            Push(at + (1 << found), found);
        }

        FreePages -= 1 << order;
        address = new(start + ((ulong)at << 12));
        return true;
    }

    void Merge(int at, int order)
    {
        while (order < MaxOrder)
        {
            var buddy = at ^ 1 << order;
            if (buddy + (1 << order) > state.Length || state[buddy] != order)
            {
                break;
            }

            Remove(buddy, order);
            at &= ~(1 << order);
            order++;
        }

        Push(at, order);
    }

    void Push(int at, int order)
    {
        state[at] = (byte)order;
        next[at] = heads[order];
        previous[at] = None;
        if (heads[order] != None)
        {
            previous[heads[order]] = at;
        }

        heads[order] = at;
    }

    void Remove(int at, int order)
    {
        state[at] = InUse;
        if (previous[at] == None)
        {
            heads[order] = next[at];
        }
        else
        {
            next[previous[at]] = next[at];
        }

        if (next[at] != None)
        {
            previous[next[at]] = previous[at];
        }
    }
}
