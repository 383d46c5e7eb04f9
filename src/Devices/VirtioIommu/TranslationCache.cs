namespace Vmm.VirtioIommu;

/// <summary>
/// Mappings that were used last, by domain and 4 KiB page of the virtual address; direct-mapped. The device removes an entry
/// together with its mapping, so no answer is ever stale: the cache spares the walk of the tree and nothing else. It holds
/// nothing that must be saved.
/// </summary>
/// <param name="entries">Size, a power of two.</param>
sealed class TranslationCache(int entries)
{
    readonly Entry[] slots = new Entry[entries];

    struct Entry
    {
        public ulong Page;
        public Mapping Mapping;
        public uint Domain;
        public bool IsValid;
    }

    /// <summary>Valid entries.</summary>
    public int Count { get; private set; }

    /// <summary>Valid entries that another one replaced.</summary>
    public ulong Evictions { get; private set; }

    /// <summary>Entries removed together with their mapping or domain.</summary>
    public ulong Invalidations { get; private set; }

    /// <summary>The cached mapping of an address.</summary>
    public bool TryFind(uint domain, ulong address, out Mapping mapping)
    {
        ref readonly var entry = ref slots[Slot(domain, address >> 12)];
        mapping = entry.Mapping;
        return entry.IsValid && entry.Domain == domain && entry.Page == address >> 12 && mapping.Contains(address);
    }

    /// <summary>Keeps the mapping that an address uses.</summary>
    public void Keep(uint domain, ulong address, in Mapping mapping)
    {
        ref var entry = ref slots[Slot(domain, address >> 12)];
        if (entry.IsValid)
        {
            Evictions++;
            Count--;
        }

        entry = new() { Domain = domain, Page = address >> 12, Mapping = mapping, IsValid = true };
        Count++;
    }

    /// <summary>Removes what lies in a range of a domain: page by page, or by a look at all entries, whichever is shorter.</summary>
    public void Remove(uint domain, ulong start, ulong end)
    {
        if (Count == 0)
        {
            return;
        }

        var (first, last) = (start >> 12, end >> 12);
        if (last - first < (ulong)slots.Length)
        {
            for (var page = first; page <= last; page++)
            {
                RemoveAt(Slot(domain, page), domain, start, end);
            }

            return;
        }

        for (var i = 0; i < slots.Length; i++)
        {
            RemoveAt(i, domain, start, end);
        }
    }

    /// <summary>Removes everything.</summary>
    public void Clear()
    {
        Invalidations += (ulong)Count;
        Array.Clear(slots);
        Count = 0;
    }

    /// <summary>Removes everything though it is right.</summary>
    public void Evict()
    {
        Evictions += (ulong)Count;
        Array.Clear(slots);
        Count = 0;
    }

    void RemoveAt(int slot, uint domain, ulong start, ulong end)
    {
        ref var entry = ref slots[slot];
        if (entry.IsValid && entry.Domain == domain && entry.Mapping.Start <= end && start <= entry.Mapping.End)
        {
            entry = default;
            Count--;
            Invalidations++;
        }
    }

    int Slot(uint domain, ulong page) => (int)((page ^ domain * 0x9E3779B1u) & (ulong)(slots.Length - 1));
}
