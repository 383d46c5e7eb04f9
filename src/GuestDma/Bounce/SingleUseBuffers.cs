using Vmm.GuestDma.Cost;
using Vmm.GuestDma.Domains;
using Vmm.GuestDma.Guest;
using Vmm.Platform.Memory;

namespace Vmm.GuestDma.Bounce;

/// <summary>Bounce buffers that are made for one mapping and gone with it: where a copy is obligatory and the pools cannot give one.</summary>
sealed class SingleUseBuffers(IGuestView view, CostMeter meter, GuestPages pages, Translations translations)
{
    readonly Dictionary<ulong, Buffer> live = [];
    readonly BounceCopy copy = new(view, meter);

    readonly record struct Buffer(ulong Memory, ulong Original, int Order, ulong Bytes);

    /// <summary>Buffers in use.</summary>
    public int Count => live.Count;

    public bool Owns(ulong address) => live.Count > 0 && Find(address, out _, out _);

    public bool TryMap(Gpa original, int length, DmaDirection direction, DmaAttributes attributes, out ulong address)
    {
        address = 0;
        var bytes = Translations.Pages(original, length);
        var order = System.Numerics.BitOperations.Log2((uint)(bytes >> 12) * 2 - 1);
        if (order > GuestPages.MaxOrder || !pages.TryAllocate(order, AllocationSite.Bounce, out var block))
        {
            return false;
        }

        meter.PageAllocation();
        copy.Clear(block, (int)bytes);
        if (!translations.TryMap(block, (int)bytes, direction.Protection(attributes), FlushMode.Strict, out address))
        {
            pages.Free(block, order);
            return false;
        }

        if (direction != DmaDirection.FromDevice && (attributes & DmaAttributes.SkipCpuSync) == 0)
        {
            copy.In(block + (ulong)original.PageOffset, original, length);
        }

        live.Add(address >> 12, new(block.Value, original.Value, order, bytes));
        address += (ulong)original.PageOffset;
        return true;
    }

    public void Unmap(ulong address, int length, DmaDirection direction, DmaAttributes attributes)
    {
        Find(address, out var buffer, out var start);
        if (direction != DmaDirection.ToDevice && (attributes & DmaAttributes.SkipCpuSync) == 0)
        {
            copy.Out(new(buffer.Memory + address - start), new(buffer.Original), length);
        }

        translations.Unmap(start, buffer.Bytes, FlushMode.Strict);
        live.Remove(start >> 12);
        pages.Free(new(buffer.Memory), buffer.Order);
        meter.PageAllocation();
    }

    public void Sync(ulong address, int length, bool forCpu)
    {
        Find(address, out var buffer, out var start);
        var bounce = new Gpa(buffer.Memory + address - start);
        var original = new Gpa((buffer.Original & ~0xFFFul) + address - start);
        if (forCpu)
        {
            copy.Out(bounce, original, length);
        }
        else
        {
            copy.In(bounce, original, length);
        }
    }

    bool Find(ulong address, out Buffer buffer, out ulong start)
    {
        // An address in the middle, as partial synchronisation has it, belongs to the page run that starts below it.
        for (var page = address >> 12; page + (1 << GuestPages.MaxOrder) > address >> 12; page--)
        {
            if (live.TryGetValue(page, out buffer))
            {
                start = page << 12;
                return address - start < buffer.Bytes;
            }

            if (page == 0)
            {
                break;
            }
        }

        (buffer, start) = (default, 0);
        return false;
    }
}
