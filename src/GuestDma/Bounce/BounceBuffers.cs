using Vmm.GuestDma.Cost;
using Vmm.GuestDma.Domains;
using Vmm.GuestDma.Guest;
using Vmm.Platform.Memory;
using Vmm.Platform.Time;

namespace Vmm.GuestDma.Bounce;

/// <summary>
/// Pooled bounce buffers of one domain: a pool for each size, an evictor, and buffers for single use where a copy is
/// obligatory but the pools have no room. A device sees of a slot what the present mapping put there and nothing older.
/// </summary>
sealed class BounceBuffers : ITimerTarget
{
    /// <summary>What stands for the original of a slot that serves a list.</summary>
    const ulong OfList = ulong.MaxValue;

    readonly BouncePool[] pools;
    readonly BounceMemory memory;
    readonly BounceCopy copy;
    readonly IGuestView view;
    readonly CostMeter meter;
    readonly ClockTimer evictor;
    readonly ulong period;

    public BounceBuffers(IGuestView view, CostMeter meter, GuestPages pages, Translations translations, BounceOptions options)
    {
        this.view = view;
        this.meter = meter;
        memory = new(view, meter, pages, translations, options);
        copy = new(view, meter);
        pools = new BouncePool[options.Classes];
        for (var order = 0; order < pools.Length; order++)
        {
            // A device with few address bits gets fewer slots, so that direct mappings find room beside the pools.
            var room = (translations.Limit >> 4) + 1 >> order;
            pools[order] = new(memory, order, (int)Math.Max(1, Math.Min((ulong)options.Slots, System.Numerics.BitOperations.RoundUpToPowerOf2(room + 1) >> 1)));
        }

        evictor = view.Clock.CreateTimer("bounce-evictor", this);
        period = view.Clock.ToCycles(options.EvictionNanoseconds, 1_000_000_000);
    }

    /// <summary>Largest buffer that fits a slot, in bytes.</summary>
    public int Largest => 4096 << pools.Length - 1;

    /// <summary>Memory of all slots.</summary>
    public ulong Bytes => memory.Bytes;

    /// <summary>Most memory there ever was.</summary>
    public ulong Peak => memory.Peak;

    /// <summary>Times that a pool took memory it had not had.</summary>
    public ulong Growths => memory.Growths;

    /// <summary>Slots in use.</summary>
    public int Busy => pools.Sum(static p => p.Busy);

    /// <summary>Maps a buffer by copying. False: no slot; nothing was changed.</summary>
    public bool TryMap(Gpa original, int length, DmaDirection direction, DmaAttributes attributes, out ulong address)
    {
        var offset = original.PageOffset;
        if (!TryTake(offset, length, direction.Protection(attributes), out var pool, out var at))
        {
            address = 0;
            return false;
        }

        ref var slot = ref pool.Slot(at);
        slot.Original = original.Value;
        Prepare(ref slot, offset, length, direction, attributes);
        if (CopiesIn(direction, attributes))
        {
            copy.In(new(slot.Memory + (ulong)offset), original, length);
        }

        address = pool.AddressOf(at) + (ulong)offset;
        return true;
    }

    /// <summary>Maps a whole list into one slot; the pieces lie behind each other from the slot's first byte on.</summary>
    public bool TryMap(ReadOnlySpan<ScatterEntry> list, int length, DmaDirection direction, DmaAttributes attributes, out ulong address)
    {
        if (!TryTake(0, length, direction.Protection(attributes), out var pool, out var at))
        {
            address = 0;
            return false;
        }

        ref var slot = ref pool.Slot(at);
        slot.Original = OfList;
        Prepare(ref slot, 0, length, direction, attributes);
        if (CopiesIn(direction, attributes))
        {
            copy.In(new(slot.Memory), list);
        }

        address = pool.AddressOf(at);
        return true;
    }

    /// <summary>True when the address lies in a slot.</summary>
    public bool Owns(ulong address) => Find(address) != null;

    /// <summary>Ends the mapping of a buffer: copies what was asked for.</summary>
    public void Unmap(ulong address, int length, DmaDirection direction, DmaAttributes attributes)
    {
        var pool = Find(address)!;
        var at = pool.IndexOf(address);
        if (CopiesOut(direction, attributes))
        {
            ref var slot = ref pool.Slot(at);
            copy.Out(Inside(pool, at, address), new(slot.Original + address - pool.AddressOf(at) - (ulong)slot.Offset), length);
        }

        Give(pool, at);
    }

    /// <summary>Ends the mapping of a list.</summary>
    public void Unmap(ulong address, ReadOnlySpan<ScatterEntry> list, DmaDirection direction, DmaAttributes attributes)
    {
        var pool = Find(address)!;
        var at = pool.IndexOf(address);
        if (CopiesOut(direction, attributes))
        {
            copy.Out(new(pool.Slot(at).Memory), list);
        }

        Give(pool, at);
    }

    /// <summary>Copies part of a mapping for one of the sides.</summary>
    public void Sync(ulong address, int length, bool forCpu)
    {
        var pool = Find(address)!;
        var at = pool.IndexOf(address);
        ref var slot = ref pool.Slot(at);
        if (slot.Original == OfList)
        {
            throw new InvalidOperationException("dma: a list is synchronised as one, by its entries");
        }

        var original = new Gpa(slot.Original + address - pool.AddressOf(at) - (ulong)slot.Offset);
        if (forCpu)
        {
            copy.Out(Inside(pool, at, address), original, length);
        }
        else
        {
            copy.In(Inside(pool, at, address), original, length);
        }
    }

    /// <summary>Copies all of a list's mapping for one of the sides.</summary>
    public void Sync(ulong address, ReadOnlySpan<ScatterEntry> list, bool forCpu)
    {
        var pool = Find(address)!;
        var bounce = new Gpa(pool.Slot(pool.IndexOf(address)).Memory);
        if (forCpu)
        {
            copy.Out(bounce, list);
        }
        else
        {
            copy.In(bounce, list);
        }
    }

    /// <summary>One pass of the evictor over all pools, or with <paramref name="all"/> everything that is not in use.</summary>
    public void Evict(bool all)
    {
        foreach (var pool in pools)
        {
            pool.Evict(all);
        }
    }

    /// <summary>Gives back everything; nothing may be in use.</summary>
    public void Close()
    {
        evictor.Disarm();
        foreach (var pool in pools)
        {
            pool.Close();
        }
    }

    static Gpa Inside(BouncePool pool, int at, ulong address) => new(pool.Slot(at).Memory + address - pool.AddressOf(at));

    bool TryTake(int offset, int length, DmaProtection protection, out BouncePool pool, out int at)
    {
        var pages = (uint)(offset + length + 4095) >> 12;
        var order = System.Numerics.BitOperations.Log2(pages * 2 - 1);
        pool = null!;
        at = -1;
        if (order >= pools.Length)
        {
            return false;
        }

        pool = pools[order];
        return pool.TryTake(protection, out at);
    }

    void Give(BouncePool pool, int at)
    {
        pool.Give(at);
        if (!evictor.IsArmed)
        {
            evictor.Arm(view.Clock.Now + period);
        }
    }

    /// <summary>
    /// Clears what earlier mappings left, as far as the device may read it and this one does not overwrite it. What the
    /// device itself wrote is no secret from it.
    /// </summary>
    void Prepare(ref BounceSlot slot, int offset, int length, DmaDirection direction, DmaAttributes attributes)
    {
        slot.Offset = offset;
        slot.Length = length;
        if (direction == DmaDirection.FromDevice)
        {
            return;
        }

        var (start, end) = (slot.DirtyStart, slot.DirtyEnd);
        if (CopiesIn(direction, attributes))
        {
            copy.Clear(new(slot.Memory + (ulong)start), Math.Min(end, offset) - start);
            var after = Math.Max(start, offset + length);
            copy.Clear(new(slot.Memory + (ulong)after), end - after);
        }
        else
        {
            copy.Clear(new(slot.Memory + (ulong)start), end - start);
        }

        (slot.DirtyStart, slot.DirtyEnd) = (offset, offset + length);
    }

    static bool CopiesIn(DmaDirection direction, DmaAttributes attributes) =>
        direction != DmaDirection.FromDevice && (attributes & DmaAttributes.SkipCpuSync) == 0;

    static bool CopiesOut(DmaDirection direction, DmaAttributes attributes) =>
        direction != DmaDirection.ToDevice && (attributes & DmaAttributes.SkipCpuSync) == 0;

    BouncePool? Find(ulong address)
    {
        foreach (var pool in pools)
        {
            if (pool.Contains(address))
            {
                return pool;
            }
        }

        return null;
    }

    /// <inheritdoc/>
    void ITimerTarget.Expired(ClockTimer timer, ulong due)
    {
        var outer = meter.Ledger.Enter(DmaOperation.Background);
        Evict(all: false);
        meter.Ledger.Leave(outer);
        if (memory.Bytes != 0)
        {
            timer.Arm(due + period);
        }
    }
}
