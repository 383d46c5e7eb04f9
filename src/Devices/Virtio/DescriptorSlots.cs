using Vmm.Specs.Virtio;

namespace Vmm.Virtio;

/// <summary>
/// The descriptors of buffers in flight, as they were when the device took them: the driver may change the ring, and in
/// a packed queue the device itself overwrites it. As many as the queue has entries, so an honest driver never runs out.
/// </summary>
sealed class DescriptorSlots(int capacity)
{
    readonly SplitDescriptor[] slots = new SplitDescriptor[capacity];
    ushort free;

    /// <summary>Slots in use.</summary>
    public int Used { get; private set; }

    /// <summary>Slots that may be used: the size of the queue.</summary>
    public int Limit { get; private set; }

    /// <summary>Empties all slots and sets how many there are.</summary>
    public void Reset(int limit)
    {
        Limit = limit;
        Used = 0;
        free = 0;
        for (var i = 0; i < limit; i++)
        {
            slots[i].Next = (ushort)(i + 1);
        }
    }

    /// <summary>Appends a descriptor to a buffer. False when all slots are in use.</summary>
    public bool TryAdd(ref VirtioBuffer buffer, ref ushort last, ulong address, uint length, ushort flags)
    {
        if (Used == Limit)
        {
            return false;
        }

        var at = free;
        free = slots[at].Next;
        Used++;
        slots[at] = new() { Address = address, Length = length, Flags = flags };
        if (buffer.Count == 0)
        {
            buffer = buffer with { First = at, Count = 1 };
        }
        else
        {
            slots[last].Next = at;
            buffer = buffer with { Count = (ushort)(buffer.Count + 1) };
        }

        last = at;
        return true;
    }

    /// <summary>A descriptor of a buffer; <paramref name="at"/> moves to the one after it.</summary>
    public ref readonly SplitDescriptor Next(ref ushort at)
    {
        ref readonly var slot = ref slots[at];
        at = slot.Next;
        return ref slot;
    }

    /// <summary>Gives the slots of a buffer back.</summary>
    public void Release(in VirtioBuffer buffer)
    {
        var last = buffer.First;
        for (var i = 1; i < buffer.Count; i++)
        {
            last = slots[last].Next;
        }

        slots[last].Next = free;
        free = buffer.First;
        Used -= buffer.Count;
    }
}
