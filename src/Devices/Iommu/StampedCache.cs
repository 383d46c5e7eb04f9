using System.Runtime.CompilerServices;
using Vmm.Platform.Faults;
using Vmm.Platform.Snapshots;
using Vmm.Specs.VtD;

namespace Vmm.Iommu;

/// <summary>One cached translation, or one cached pointer to a lower paging table.</summary>
struct StampedEntry
{
    /// <summary>Input address above the offset bits.</summary>
    public ulong Page;

    /// <summary>Whose input address: <see cref="TranslationContext.Tag"/>, and a table level above it in paging-structure caches.</summary>
    public ulong Tag;

    /// <summary>Output page or table address in bytes.</summary>
    public ulong Target;

    /// <summary>Time of filling; 0 when empty.</summary>
    public ulong Stamp;

    public PageRights Rights;

    /// <summary>What a user request may do at once: bit 0 read, bit 1 write.</summary>
    public byte Granted;

    /// <summary>Why there is no translation, with <see cref="PageRights.Absent"/>.</summary>
    public FaultReason Reason;
}

/// <summary>
/// A set-associative cache of fixed size. Neighbouring pages fall into neighbouring sets, so a range as large as the cache
/// fits without conflict. Sets replace in round-robin order: deterministic, and saved.
/// </summary>
sealed class StampedCache(int size, CacheClock clock)
{
    public const int Ways = 4;

    // Page and tag folded into one word, apart from the entries so that a set's words share a cache line.
    readonly ulong[] keys = new ulong[size];
    readonly StampedEntry[] entries = new StampedEntry[size];
    readonly byte[] next = new byte[size / Ways];
    readonly int setMask = size / Ways - 1;
    bool used;

    /// <summary>Sets; a selective invalidation of more pages than this scans everything instead.</summary>
    public int Sets => setMask + 1;

    /// <summary>Entries dropped to make room.</summary>
    public ulong Evictions { get; private set; }

    /// <summary>Index of the valid entry, or -1.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int Find(ulong page, ulong tag) => used ? Search(page, tag) : -1;

    public ref readonly StampedEntry this[int index] => ref entries[index];

    int Search(ulong page, ulong tag)
    {
        var first = SetOf(page, tag) * Ways;
        var set = keys.AsSpan(first, Ways);
        var key = KeyOf(page, tag);
        for (var way = 0; way < set.Length; way++)
        {
            if (set[way] == key)
            {
                ref readonly var entry = ref entries[first + way];
                if (entry.Page == page && entry.Tag == tag && clock.Holds(entry.Stamp, tag))
                {
                    return first + way;
                }
            }
        }

        return -1;
    }

    /// <summary>Fills an entry, replacing one with the same key, a free one, or the set's oldest.</summary>
    public void Insert(ulong page, ulong tag, ulong target, PageRights rights, FaultReason reason = FaultReason.None)
    {
        var set = SetOf(page, tag);
        var index = Search(page, tag);
        if (index < 0)
        {
            index = FreeIn(set);
        }

        if (index < 0)
        {
            index = set * Ways + next[set];
            next[set] = (byte)((next[set] + 1) % Ways);
            Evictions++;
            clock.Changes++;
        }

        Put(index, new() { Page = page, Tag = tag, Target = target, Rights = rights, Reason = reason });
    }

    void Put(int index, in StampedEntry entry)
    {
        used = true;
        keys[index] = KeyOf(entry.Page, entry.Tag);
        entries[index] = entry;
        entries[index].Stamp = clock.Now;
        entries[index].Granted = GrantedBy(entry.Rights);
    }

    /// <summary>Rights of user requests that need no further look (the checks of <see cref="AccessNeed"/> in short).</summary>
    static byte GrantedBy(PageRights rights)
    {
        const PageRights Read = PageRights.FirstStageUser | PageRights.SecondStageRead;
        const PageRights Write = PageRights.FirstStageUser | PageRights.FirstStageWrite | PageRights.SecondStageWrite | PageRights.Dirty;
        return (rights & PageRights.Absent) != 0 ? (byte)0
            : (byte)(((rights & Read) == Read ? 1 : 0) | ((rights & Write) == Write ? 2 : 0));
    }

    static ulong KeyOf(ulong page, ulong tag) => page ^ tag * 0x9E3779B97F4A7C15;

    int FreeIn(int set)
    {
        for (var index = set * Ways; index < (set + 1) * Ways; index++)
        {
            if (!clock.Holds(entries[index].Stamp, entries[index].Tag))
            {
                return index;
            }
        }

        return -1;
    }

    /// <summary>
    /// Drops the entries of <paramref name="tag"/> for <paramref name="count"/> pages: set by set while that is shorter
    /// than a scan.
    /// </summary>
    public void Invalidate(ulong page, ulong count, ulong tag)
    {
        if (!used)
        {
            return;
        }

        if (count > (ulong)Sets)
        {
            Scan(tag, page, count);
            return;
        }

        for (ulong i = 0; i < count; i++)
        {
            var index = Search(page + i, tag);
            if (index >= 0)
            {
                entries[index].Stamp = 0;
            }
        }
    }

    /// <summary>Lists the valid entries of a tag that touch both ranges.</summary>
    public void Collect(ulong tag, int shift, AddressRange range, AddressRange? other, List<(int Shift, StampedEntry Entry)> found)
    {
        foreach (ref readonly var entry in entries.AsSpan())
        {
            if (entry.Tag == tag && clock.Holds(entry.Stamp, tag) &&
                range.Touches(entry.Page << shift, 1ul << shift) && other?.Touches(entry.Page << shift, 1ul << shift) != false)
            {
                found.Add((shift, entry));
            }
        }
    }

    /// <summary>Drops every entry of either tag, at whatever table level, in one pass.</summary>
    public void InvalidateAll(ulong tag, ulong otherTag)
    {
        const ulong WithoutLevel = (1ul << 40) - 1;
        if (!used)
        {
            return;
        }

        foreach (ref var entry in entries.AsSpan())
        {
            var found = entry.Tag & WithoutLevel;
            if (found == tag || found == otherTag)
            {
                entry.Stamp = 0;
            }
        }
    }

    void Scan(ulong tag, ulong page, ulong count)
    {
        foreach (ref var entry in entries.AsSpan())
        {
            if (entry.Tag == tag && entry.Page - page < count)
            {
                entry.Stamp = 0;
            }
        }
    }

    /// <summary>Valid entries.</summary>
    public int Count()
    {
        var count = 0;
        foreach (ref readonly var entry in entries.AsSpan())
        {
            count += clock.Holds(entry.Stamp, entry.Tag) ? 1 : 0;
        }

        return count;
    }

    /// <summary>Empties the cache and forgets the replacement order.</summary>
    public void Clear()
    {
        Array.Clear(keys);
        Array.Clear(entries);
        Array.Clear(next);
        used = false;
    }

    int SetOf(ulong page, ulong tag) => (int)(page + (tag * 0x9E3779B97F4A7C15 >> 40)) & setMask;

    public void Save(SnapshotWriter writer)
    {
        writer.Bytes(next);
        writer.U32((uint)Count());
        for (var index = 0; index < entries.Length; index++)
        {
            ref readonly var entry = ref entries[index];
            if (clock.Holds(entry.Stamp, entry.Tag))
            {
                writer.U32((uint)index);
                writer.U64(entry.Page);
                writer.U64(entry.Tag);
                writer.U64(entry.Target);
                writer.U8((byte)entry.Rights);
                writer.U8((byte)entry.Reason);
            }
        }
    }

    /// <summary>Reads back what <see cref="Save"/> wrote; the clock has been reset.</summary>
    public void Load(SnapshotReader reader)
    {
        Clear();
        reader.BytesInto(next);
        if (next.AsSpan().ContainsAnyExceptInRange((byte)0, (byte)(Ways - 1)))
        {
            throw reader.Bad("replacement order out of range");
        }

        for (var left = reader.U32(); left > 0; left--)
        {
            var index = reader.U32();
            if (index >= entries.Length)
            {
                throw reader.Bad($"cache entry {index} of {entries.Length}");
            }

            var entry = new StampedEntry
            {
                Page = reader.U64(),
                Tag = reader.U64(),
                Target = reader.U64(),
                Rights = (PageRights)reader.U8(),
                Reason = (FaultReason)reader.U8(),
            };
            if (SetOf(entry.Page, entry.Tag) != (int)index / Ways)
            {
                throw reader.Bad($"cache entry {index} is not of its set");
            }

            Put((int)index, entry);
        }
    }
}
