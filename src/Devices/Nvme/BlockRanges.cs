using Vmm.Platform.Snapshots;

namespace Vmm.Nvme;

/// <summary>A bounded set of logical blocks, as sorted ranges that neither overlap nor touch.</summary>
sealed class BlockRanges
{
    /// <summary>Most ranges that the set holds.</summary>
    public const int Limit = 1024;

    readonly ulong[] starts = new ulong[Limit];
    readonly ulong[] ends = new ulong[Limit];

    /// <summary>Number of ranges.</summary>
    public int Count { get; private set; }

    /// <summary>True when a block of the range is in the set.</summary>
    public bool Intersects(ulong start, ulong length)
    {
        if (Count == 0 || length == 0)
        {
            return false;
        }

        var at = FirstEndingAfter(start);
        return at < Count && starts[at] < start + length;
    }

    /// <summary>Adds a range. False, and nothing changed, when that needs more than <see cref="Limit"/> ranges.</summary>
    public bool TryAdd(ulong start, ulong length)
    {
        if (length == 0)
        {
            return true;
        }

        var end = start + length;
        // Neighbours that touch are merged, so look for an end at or after the start.
        var first = start == 0 ? 0 : FirstEndingAfter(start - 1);
        var last = first;
        while (last < Count && starts[last] <= end)
        {
            start = Math.Min(start, starts[last]);
            end = Math.Max(end, ends[last]);
            last++;
        }

        return TryReplace(first, last, start, end, 0, 0);
    }

    /// <summary>Removes a range. False, and nothing changed, when that needs more than <see cref="Limit"/> ranges.</summary>
    public bool TryRemove(ulong start, ulong length)
    {
        if (length == 0)
        {
            return true;
        }

        var end = start + length;
        var first = FirstEndingAfter(start);
        var last = first;
        while (last < Count && starts[last] < end)
        {
            last++;
        }

        if (first == last)
        {
            return true;
        }

        ulong leftStart = starts[first], rightEnd = ends[last - 1];
        return TryReplace(first, last, leftStart, Math.Max(leftStart, start), Math.Min(end, rightEnd), rightEnd);
    }

    /// <summary>Empties the set.</summary>
    public void Clear() => Count = 0;

    public void Save(SnapshotWriter writer)
    {
        writer.U16((ushort)Count);
        for (var i = 0; i < Count; i++)
        {
            writer.U64(starts[i]);
            writer.U64(ends[i]);
        }
    }

    public void Load(SnapshotReader reader)
    {
        var count = reader.U16();
        if (count > Limit)
        {
            throw reader.Bad($"{count} block ranges exceed {Limit}");
        }

        Count = 0;
        for (var i = 0; i < count; i++)
        {
            (starts[i], ends[i]) = (reader.U64(), reader.U64());
            if (starts[i] >= ends[i] || i > 0 && starts[i] <= ends[i - 1])
            {
                throw reader.Bad($"block range {i} is out of order");
            }
        }

        Count = count;
    }

    int FirstEndingAfter(ulong block)
    {
        int low = 0, high = Count;
        while (low < high)
        {
            var middle = (low + high) / 2;
            if (ends[middle] > block)
            {
                high = middle;
            }
            else
            {
                low = middle + 1;
            }
        }

        return low;
    }

    /// <summary>Puts up to two ranges, of which empty ones are left out, in place of those from first to before last.</summary>
    bool TryReplace(int first, int last, ulong start1, ulong end1, ulong start2, ulong end2)
    {
        var added = (start1 < end1 ? 1 : 0) + (start2 < end2 ? 1 : 0);
        var count = Count - (last - first) + added;
        if (count > Limit)
        {
            return false;
        }

        Array.Copy(starts, last, starts, first + added, Count - last);
        Array.Copy(ends, last, ends, first + added, Count - last);
        if (start1 < end1)
        {
            (starts[first], ends[first]) = (start1, end1);
            first++;
        }

        if (start2 < end2)
        {
            (starts[first], ends[first]) = (start2, end2);
        }

        Count = count;
        return true;
    }
}
