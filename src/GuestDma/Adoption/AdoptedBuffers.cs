using Vmm.GuestDma.Cost;
using Vmm.GuestDma.Domains;
using Vmm.GuestDma.Guest;
using Vmm.Platform.Memory;

namespace Vmm.GuestDma.Adoption;

/// <summary>
/// Buffers that come back again and again keep their mapping: mapping them anew is a look-up and a comparison of their
/// page addresses, without a copy and without a request. Every page is referred to while it is adopted, so that nobody
/// else gets it before the mapping is gone from the hardware. Only whole pages are adopted.
/// </summary>
sealed class AdoptedBuffers(CostMeter meter, GuestPages pages, Translations translations, AllocationFaults faults, int capacity, int mostPages)
{
    /// <summary>Buffers that are evicted together, with one invalidation.</summary>
    const int Batch = 32;

    const int Probe = 64, MostParked = 32;

    const int None = -1;

    readonly Dictionary<Key, int> byBuffer = new(capacity);
    readonly Dictionary<ulong, int> byAddress = new(capacity);
    readonly Gate gate = new();
    readonly Entry[] entries = new Entry[capacity];
    int free = None, used, first = None, last = None;

    readonly record struct Key(ulong Signature, int Pages, DmaProtection Protection);

    struct Entry
    {
        public Key Key;
        public ulong Address;
        public ulong[] Targets;
        public int Busy, Next, Previous;
        public ulong Touched;
    }

    /// <summary>Buffers that are adopted.</summary>
    public int Count => byAddress.Count;

    /// <summary>Pages of all of them.</summary>
    public int Pages { get; private set; }

    /// <summary>Mappings of them that exist.</summary>
    public int Busy { get; private set; }

    /// <summary>Mappings that were found adopted.</summary>
    public ulong Hits { get; private set; }

    ulong now;
    int refused;

    /// <summary>Finds an adopted buffer and uses it.</summary>
    public bool TryUse(ReadOnlySpan<ScatterEntry> list, ulong signature, int count, DmaProtection protection, out ulong address)
    {
        meter.Lock(gate);
        var found = TryFind(list, signature, count, protection, out var at);
        meter.Unlock(gate);
        address = 0;
        if (!found)
        {
            return false;
        }

        ref var entry = ref entries[at];
        entry.Busy++;
        entry.Touched = now;
        Busy++;
        Hits++;
        Unlink(at);
        LinkFirst(at);
        address = entry.Address;
        return true;
    }

    bool TryFind(ReadOnlySpan<ScatterEntry> list, ulong signature, int count, DmaProtection protection, out int at)
    {
        now++;
        if (!byBuffer.TryGetValue(new(signature, count, protection), out at))
        {
            return false;
        }

        meter.Compare(count);
        return Matches(list, entries[at].Targets);
    }

    /// <summary>Maps a buffer to stay. False: there is no room, or something could not be allocated; nothing was changed.</summary>
    public bool TryAdopt(ReadOnlySpan<ScatterEntry> list, ulong signature, int count, DmaProtection protection, out ulong address)
    {
        address = 0;
        var key = new Key(signature, count, protection);
        if (!IsWorthwhile() || byBuffer.ContainsKey(key) || !MakeRoom(count) || faults.Fails(AllocationSite.Adoption) ||
            !translations.TryMap(list, protection, FlushMode.Referenced, out address))
        {
            return false;
        }

        var at = free == None ? used++ : free;
        ref var entry = ref entries[at];
        free = at == used - 1 && free == None ? None : entry.Next;
        var targets = entry.Targets?.Length >= count ? entry.Targets : new ulong[System.Numerics.BitOperations.RoundUpToPowerOf2((uint)count)];
        entry = new() { Key = key, Address = address, Targets = targets, Busy = 1, Touched = now };
        Store(list, targets);
        byBuffer.Add(key, at);
        byAddress.Add(address >> 12, at);
        LinkFirst(at);
        Pages += count;
        Busy++;
        return true;
    }

    /// <summary>True when owners free pages of adopted buffers, which then wait for nobody. What waits for a flush is not counted.</summary>
    public bool AreFreed => pages.ParkedPages - translations.Queue.HeldPages > MostParked + Pages / 8;

    /// <summary>
    /// False while owners free pages of adopted buffers, which then wait for nobody; those that waited longest are given up.
    /// </summary>
    bool IsWorthwhile()
    {
        if (!AreFreed)
        {
            return true;
        }

        if (++refused % Probe == 0)
        {
            Evict(Batch, now > (ulong)(2 * Count) ? now - (ulong)(2 * Count) : 0);
        }

        return false;
    }

    /// <summary>Ends a use; false when the address is of no adopted buffer.</summary>
    public bool TryRelease(ulong address)
    {
        if (!byAddress.TryGetValue(address >> 12, out var at))
        {
            return false;
        }

        meter.Lock(gate);
        entries[at].Busy--;
        Busy--;
        meter.Unlock(gate);
        return true;
    }

    /// <summary>True when the address is of an adopted buffer's first page.</summary>
    public bool Owns(ulong address) => byAddress.ContainsKey(address >> 12);

    /// <summary>Gives up buffers that are not in use, those that waited longest first; returns how many pages that freed.</summary>
    public int Evict(int most, ulong olderThan)
    {
        var gone = 0;
        var before = Pages;
        for (var at = last; at != None && gone < most;)
        {
            var next = entries[at].Previous;
            if (entries[at].Busy == 0 && entries[at].Touched <= olderThan)
            {
                Remove(at);
                gone++;
            }

            at = next;
        }

        translations.Queue.Flush();
        return before - Pages;
    }

    /// <summary>Gives up everything that is not in use.</summary>
    public void EvictAll() => Evict(int.MaxValue, ulong.MaxValue);

    /// <summary>Room is made only at the expense of buffers that were not used for as long as it takes to see all of them once.</summary>
    bool MakeRoom(int count)
    {
        if (count > mostPages)
        {
            return false;
        }

        var old = now > (ulong)(2 * Count) ? now - (ulong)(2 * Count) : 0;
        while (Pages + count > mostPages || Count == capacity)
        {
            if (Evict(Batch, old) == 0)
            {
                return false;
            }
        }

        return true;
    }

    void Remove(int at)
    {
        ref var entry = ref entries[at];
        byBuffer.Remove(entry.Key);
        byAddress.Remove(entry.Address >> 12);
        Unlink(at);
        Pages -= entry.Key.Pages;
        translations.Unmap(entry.Address, (ulong)entry.Key.Pages << 12, FlushMode.Referenced);
        entry.Next = free;
        free = at;
    }

    static bool Matches(ReadOnlySpan<ScatterEntry> list, ulong[] targets)
    {
        var at = 0;
        foreach (ref readonly var entry in list)
        {
            for (var offset = 0; offset < entry.Length; offset += 4096)
            {
                if (targets[at++] != entry.Address.Value + (ulong)offset)
                {
                    return false;
                }
            }
        }

        return true;
    }

    static void Store(ReadOnlySpan<ScatterEntry> list, ulong[] targets)
    {
        var at = 0;
        foreach (ref readonly var entry in list)
        {
            for (var offset = 0; offset < entry.Length; offset += 4096)
            {
                targets[at++] = entry.Address.Value + (ulong)offset;
            }
        }
    }

    void LinkFirst(int at)
    {
        entries[at].Next = first;
        entries[at].Previous = None;
        if (first == None)
        {
            last = at;
        }
        else
        {
            entries[first].Previous = at;
        }

        first = at;
    }

    void Unlink(int at)
    {
        ref var entry = ref entries[at];
        if (entry.Previous == None)
        {
            first = entry.Next;
        }
        else
        {
            entries[entry.Previous].Next = entry.Next;
        }

        if (entry.Next == None)
        {
            last = entry.Previous;
        }
        else
        {
            entries[entry.Next].Previous = entry.Previous;
        }
    }
}
