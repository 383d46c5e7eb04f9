using Vmm.Platform.Snapshots;

namespace Vmm.Chipset;

/// <summary>Bounded queue of characters with their LSR error bits in the high byte.</summary>
sealed class CharacterQueue(int capacity)
{
    readonly ushort[] items = new ushort[capacity];
    int head;

    /// <summary>Characters held.</summary>
    public int Count { get; private set; }

    /// <summary>Adds one; false when full.</summary>
    public bool TryAdd(int item)
    {
        if (Count == items.Length)
        {
            return false;
        }

        items[(head + Count++) % items.Length] = (ushort)item;
        return true;
    }

    /// <summary>The next character; the queue is not empty.</summary>
    public ushort Peek() => items[head];

    /// <summary>Removes the next character; the queue is not empty.</summary>
    public ushort Take()
    {
        var item = items[head];
        head = (head + 1) % items.Length;
        Count--;
        return item;
    }

    /// <summary>Clears the high byte of the next character.</summary>
    public void ClearNextHigh() => items[head] &= 0xFF;

    /// <summary>True when a character has one of the bits.</summary>
    public bool Any(int mask)
    {
        for (var i = 0; i < Count; i++)
        {
            if ((items[(head + i) % items.Length] & mask) != 0)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Empties the queue.</summary>
    public void Clear() => Count = 0;

    /// <summary>Saves the characters.</summary>
    public void Save(SnapshotWriter writer)
    {
        writer.U32((uint)Count);
        for (var i = 0; i < Count; i++)
        {
            writer.U16(items[(head + i) % items.Length]);
        }
    }

    /// <summary>Loads what <see cref="Save"/> wrote.</summary>
    public void Load(SnapshotReader reader)
    {
        var count = reader.U32();
        if (count > (uint)items.Length)
        {
            throw reader.Bad($"{count} characters where {items.Length} fit");
        }

        (head, Count) = (0, 0);
        for (var i = 0; i < count; i++)
        {
            TryAdd(reader.U16());
        }
    }
}
