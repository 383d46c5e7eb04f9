using Vmm.Platform.Snapshots;

namespace Vmm.Iommu;

/// <summary>An entry of a <see cref="KeyedCache{T}"/>.</summary>
interface IKeyedEntry
{
    ulong Key { get; }

    bool IsValid { get; set; }
}

/// <summary>A small set-associative cache with one 64-bit key. Sets replace in round-robin order: deterministic, and saved.</summary>
sealed class KeyedCache<T>(int size, CacheClock clock)
    where T : struct, IKeyedEntry
{
    const int Ways = 4;

    readonly T[] entries = new T[size];
    readonly byte[] next = new byte[size / Ways];
    readonly int setMask = size / Ways - 1;

    /// <summary>All slots, valid or not, for selective invalidation: the table is small.</summary>
    public Span<T> Entries => entries;

    /// <summary>Entries dropped to make room.</summary>
    public ulong Evictions { get; private set; }

    /// <summary>Replacement order of the sets.</summary>
    public byte[] ReplacementOrder => next;

    public ref T this[int index] => ref entries[index];

    /// <summary>Index of the valid entry, or -1.</summary>
    public int Find(ulong key)
    {
        var first = SetOf(key) * Ways;
        var set = entries.AsSpan(first, Ways);
        for (var way = 0; way < set.Length; way++)
        {
            if (set[way].Key == key && set[way].IsValid)
            {
                return first + way;
            }
        }

        return -1;
    }

    /// <summary>Index where an entry with this key belongs now: its own slot, a free one, or the set's oldest.</summary>
    public int SlotFor(ulong key)
    {
        var index = Find(key);
        if (index >= 0)
        {
            return index;
        }

        var set = SetOf(key);
        for (index = set * Ways; index < (set + 1) * Ways; index++)
        {
            if (!entries[index].IsValid)
            {
                return index;
            }
        }

        index = set * Ways + next[set];
        next[set] = (byte)((next[set] + 1) % Ways);
        Evictions++;
        clock.Changes++;
        return index;
    }

    /// <summary>Valid entries.</summary>
    public int Count()
    {
        var count = 0;
        foreach (ref readonly var entry in entries.AsSpan())
        {
            count += entry.IsValid ? 1 : 0;
        }

        return count;
    }

    /// <summary>Drops every entry; the replacement order stays.</summary>
    public void InvalidateAll()
    {
        foreach (ref var entry in entries.AsSpan())
        {
            entry.IsValid = false;
        }
    }

    /// <summary>Empties the cache and forgets the replacement order.</summary>
    public void Clear()
    {
        Array.Clear(entries);
        Array.Clear(next);
    }

    /// <summary>Reads the replacement order and the number of entries that follow.</summary>
    public uint LoadHeader(SnapshotReader reader)
    {
        Clear();
        reader.BytesInto(next);
        return next.AsSpan().ContainsAnyExceptInRange((byte)0, (byte)(Ways - 1)) ? throw reader.Bad("replacement order out of range") : reader.U32();
    }

    /// <summary>Reads and checks a slot index.</summary>
    public int LoadIndex(SnapshotReader reader)
    {
        var index = reader.U32();
        return index < entries.Length ? (int)index : throw reader.Bad($"cache entry {index} of {entries.Length}");
    }

    int SetOf(ulong key) => (int)(key ^ key >> 9 ^ key >> 20) & setMask;
}
