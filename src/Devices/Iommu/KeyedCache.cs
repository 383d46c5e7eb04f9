using System.Runtime.CompilerServices;
using Vmm.Platform.Snapshots;

namespace Vmm.Iommu;

/// <summary>A small set-associative cache with one 64-bit key. Sets replace in round-robin order: deterministic, and saved.</summary>
sealed class KeyedCache<T>(int size, CacheClock clock)
    where T : struct
{
    const int Ways = 4;

    // Key plus one, 0 for an empty slot; apart from the entries so that a set's keys share a cache line.
    readonly ulong[] keys = new ulong[size];
    readonly T[] entries = new T[size];
    readonly byte[] next = new byte[size / Ways];
    readonly int setMask = size / Ways - 1;

    /// <summary>Slots.</summary>
    public int Size => entries.Length;

    public ref T this[int index] => ref entries[index];

    public bool IsValid(int index) => keys[index] != 0;

    /// <summary>Empties one slot.</summary>
    public void Remove(int index) => keys[index] = 0;

    /// <summary>Index of the valid entry, or -1.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int Find(ulong key)
    {
        var first = SetOf(key) * Ways;
        var set = keys.AsSpan(first, Ways);
        for (var way = 0; way < set.Length; way++)
        {
            if (set[way] == key + 1)
            {
                return first + way;
            }
        }

        return -1;
    }

    /// <summary>Keeps an entry in its own slot, a free one, or the set's oldest; returns where.</summary>
    public ref T Insert(ulong key, in T entry)
    {
        var index = SlotFor(key);
        keys[index] = key + 1;
        entries[index] = entry;
        return ref entries[index];
    }

    int SlotFor(ulong key)
    {
        var index = Find(key);
        if (index >= 0)
        {
            return index;
        }

        var set = SetOf(key);
        for (index = set * Ways; index < (set + 1) * Ways; index++)
        {
            if (keys[index] == 0)
            {
                return index;
            }
        }

        index = set * Ways + next[set];
        next[set] = (byte)((next[set] + 1) % Ways);
        clock.Changes++;
        return index;
    }

    /// <summary>Valid entries.</summary>
    public int Count() => size - keys.AsSpan().Count(0ul);

    /// <summary>Drops every entry; the replacement order stays.</summary>
    public void InvalidateAll() => Array.Clear(keys);

    /// <summary>Empties the cache and forgets the replacement order.</summary>
    public void Clear()
    {
        Array.Clear(keys);
        Array.Clear(entries);
        Array.Clear(next);
    }

    /// <summary>Writes the replacement order and the number of entries that follow.</summary>
    public void SaveHeader(SnapshotWriter writer)
    {
        writer.Bytes(next);
        writer.U32((uint)Count());
    }

    /// <summary>Reads the replacement order and the number of entries that follow.</summary>
    public uint LoadHeader(SnapshotReader reader)
    {
        Clear();
        reader.BytesInto(next);
        return next.AsSpan().ContainsAnyExceptInRange((byte)0, (byte)(Ways - 1)) ? throw reader.Bad("replacement order out of range") : reader.U32();
    }

    /// <summary>Puts an entry back into its slot.</summary>
    public ref T Load(SnapshotReader reader, uint index, ulong key, in T entry)
    {
        if (index >= entries.Length || (int)index / Ways != SetOf(key))
        {
            throw reader.Bad($"cache entry {index} is not of its set");
        }

        keys[index] = key + 1;
        entries[index] = entry;
        return ref entries[index];
    }

    int SetOf(ulong key) => (int)(key ^ key >> 9 ^ key >> 20) & setMask;
}
