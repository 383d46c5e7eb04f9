using Vmm.GuestDma.Cost;
using Vmm.GuestDma.Domains;
using Vmm.GuestDma.Guest;
using Vmm.Platform.Memory;

namespace Vmm.GuestDma.Bounce;

/// <summary>A slot: memory at an address that belongs to it for good, and the mapping that uses it now.</summary>
struct BounceSlot
{
    public ulong Memory;
    public ulong Original;
    public DmaProtection Protection;
    public int Offset, Length;
    public int DirtyStart, DirtyEnd;
    public int Next, Previous;
    public bool IsMapped, IsOld, IsBusy;
}

/// <summary>
/// Buffers of one size. A range of addresses is reserved once, so that address and slot follow from each other by
/// arithmetic. A slot that is given back keeps its memory and its mapping and waits in the list of its permission; taking
/// and giving are a few steps under one lock.
/// </summary>
sealed class BouncePool(BounceMemory memory, int order, int capacity)
{
    const int None = -1, Lists = 5, Rare = 4;

    readonly Gate gate = new();
    readonly int[] first = [None, None, None, None, None];
    readonly int[] last = [None, None, None, None, None];
    BounceSlot[] slots = new BounceSlot[16];
    int untouched, empty = None;
    InvalidationGather gather;

    /// <summary>Bytes of a slot.</summary>
    public int SlotBytes { get; } = 4096 << order;

    /// <summary>First address, once there is one.</summary>
    public ulong Base { get; private set; }

    /// <summary>True when addresses are reserved.</summary>
    public bool IsOpen => Base != 0;

    /// <summary>Slots in use.</summary>
    public int Busy { get; private set; }

    /// <summary>Slots with memory.</summary>
    public int Mapped { get; private set; }

    ulong SpanBytes => (ulong)capacity * (ulong)SlotBytes;

    public bool Contains(ulong address) => IsOpen && address - Base < SpanBytes;

    public ref BounceSlot Slot(int at) => ref slots[at];

    public int IndexOf(ulong address) => (int)((address - Base) / (ulong)SlotBytes);

    public ulong AddressOf(int at) => Base + (ulong)at * (ulong)SlotBytes;

    /// <summary>Takes a slot with a permission; true with its number.</summary>
    public bool TryTake(DmaProtection protection, out int at)
    {
        memory.Meter.Lock(gate);
        memory.Meter.Slot();
        at = TakeCached(protection);
        memory.Meter.Unlock(gate);
        if (at == None && !TryGrow(protection, out at) && !(memory.Options.Converts && TryConvert(protection, out at)))
        {
            return false;
        }

        slots[at].IsBusy = true;
        slots[at].IsOld = false;
        Busy++;
        return true;
    }

    /// <summary>Gives a slot back.</summary>
    public void Give(int at)
    {
        memory.Meter.Lock(gate);
        memory.Meter.Slot();
        slots[at].IsBusy = false;
        Busy--;
        Push(ListOf(slots[at].Protection), at);
        memory.Meter.Unlock(gate);
    }

    /// <summary>
    /// One pass of the evictor: slots that nobody took since the last pass lose mapping and memory, the rest are marked.
    /// </summary>
    public void Evict(bool all)
    {
        if (Mapped == 0)
        {
            return;
        }

        memory.Meter.Lock(gate);
        for (var list = 0; list < Lists; list++)
        {
            for (var at = last[list]; at != None;)
            {
                var next = slots[at].Previous;
                if (all || slots[at].IsOld)
                {
                    Unlink(list, at);
                    Unmap(at);
                }
                else
                {
                    slots[at].IsOld = true;
                }

                at = next;
            }
        }

        Finish();
        memory.Meter.Unlock(gate);
    }

    /// <summary>Gives the addresses back; nothing may be in use.</summary>
    public void Close()
    {
        Evict(all: true);
        if (IsOpen)
        {
            memory.Translations.Unreserve(Base, SpanBytes);
        }

        (Base, untouched, empty) = (0, 0, None);
    }

    int TakeCached(DmaProtection protection)
    {
        var list = ListOf(protection);
        var at = first[list];
        if (list == Rare)
        {
            // Rare permissions share a list and are searched for.
            var visited = 0;
            for (; at != None && slots[at].Protection != protection; at = slots[at].Next)
            {
                visited++;
            }

            memory.Meter.PoolNodes(visited);
        }

        if (at != None)
        {
            Unlink(list, at);
        }

        return at;
    }

    static int ListOf(DmaProtection protection) => (protection & ~DmaProtection.ReadWrite) != 0 ? Rare : (int)protection;

    /// <summary>Gives memory and mappings to as many slots as are mapped at once; one is taken, the others wait.</summary>
    bool TryGrow(DmaProtection protection, out int at)
    {
        at = None;
        if (!IsOpen && !TryOpen())
        {
            return false;
        }

        var batch = empty == None ? Math.Min(Math.Max(1, memory.Options.GrowthBytes / SlotBytes), capacity - untouched) : 1;
        batch = batch == 0 ? 0 : 1 << System.Numerics.BitOperations.Log2((uint)batch);
        for (; batch > 0; batch /= 2)
        {
            var index = empty == None ? untouched : empty;
            if (memory.TryAllocate(SlotBytes, batch, out var block))
            {
                if (TryMap(index, batch, block, protection))
                {
                    at = index;
                    return true;
                }

                memory.Free(block, SlotBytes, batch);
            }
        }

        return false;
    }

    bool TryOpen()
    {
        if (!memory.Translations.TryReserve(SpanBytes, out var address))
        {
            return false;
        }

        Base = address;
        return true;
    }

    bool TryMap(int index, int batch, Gpa block, DmaProtection protection)
    {
        if (!memory.TryMap(AddressOf(index), block, SlotBytes, batch, protection))
        {
            return false;
        }

        if (index == untouched)
        {
            untouched += batch;
            while (slots.Length < untouched)
            {
                Array.Resize(ref slots, slots.Length * 2);
            }
        }
        else
        {
            empty = slots[index].Next;
        }

        for (var i = batch - 1; i >= 0; i--)
        {
            slots[index + i] = new() { Memory = block.Value + (ulong)i * (ulong)SlotBytes, Protection = protection, IsMapped = true };
            Mapped++;
            if (i > 0)
            {
                Push(ListOf(protection), index + i);
            }
        }

        return true;
    }

    /// <summary>Changes the permission of the slot that waited longest; what it held is cleared.</summary>
    bool TryConvert(DmaProtection protection, out int at)
    {
        for (var list = 0; list < Lists; list++)
        {
            at = last[list];
            if (at == None)
            {
                continue;
            }

            Unlink(list, at);
            Unmap(at);
            Finish();
            return TryGrow(protection, out at);
        }

        at = None;
        return false;
    }

    void Unmap(int at)
    {
        memory.Unmap(AddressOf(at), (ulong)SlotBytes, ref gather);
        slots[at].IsMapped = false;
        slots[at].Next = empty;
        empty = at;
        Mapped--;
        memory.FreeLater(new(slots[at].Memory), SlotBytes);
    }

    void Finish() => memory.Finish(ref gather);

    void Push(int list, int at)
    {
        slots[at].Next = first[list];
        slots[at].Previous = None;
        if (first[list] == None)
        {
            last[list] = at;
        }
        else
        {
            slots[first[list]].Previous = at;
        }

        first[list] = at;
    }

    void Unlink(int list, int at)
    {
        ref var slot = ref slots[at];
        if (slot.Previous == None)
        {
            first[list] = slot.Next;
        }
        else
        {
            slots[slot.Previous].Next = slot.Next;
        }

        if (slot.Next == None)
        {
            last[list] = slot.Previous;
        }
        else
        {
            slots[slot.Next].Previous = slot.Previous;
        }
    }
}
