using Vmm.GuestDma.Cost;
using Vmm.GuestDma.Guest;
using Vmm.Platform.Memory;

namespace Vmm.GuestDma.Domains;

/// <content>Streaming mappings: which way each one takes.</content>
public sealed partial class IommuMapper
{
    readonly ScatterEntry[] one;

    /// <inheritdoc/>
    public Iova MapPage(Gpa address, int length, DmaDirection direction, DmaAttributes attributes = DmaAttributes.None)
    {
        one[0] = new() { Address = address, Length = length };
        return MapScatterList(one, direction, attributes) == 0 ? IDmaMapper.MappingError : one[0].DmaAddress;
    }

    /// <inheritdoc/>
    public void UnmapPage(Iova address, int length, DmaDirection direction, DmaAttributes attributes = DmaAttributes.None)
    {
        var outer = meter.Ledger.Enter(DmaOperation.Unmap);
        var start = view.Clock.Now;
        var bytes = Translations.Pages(new(address.Value), length);
        var bounced = true;
        if (pool.Owns(address.Value))
        {
            pool.Unmap(address.Value, length, direction, attributes);
        }
        else if (arenas.Owns(address.Value))
        {
            arenas.Unmap(address.Value, length, direction, attributes);
        }
        else if (single.Owns(address.Value))
        {
            single.Unmap(address.Value, length, direction, attributes);
        }
        else
        {
            bounced = false;
            UnmapDirect(address.Value, bytes);
        }

        NoteUnmap(address.Value, bytes, 1, bounced, start);
        Live--;
        meter.Ledger.Leave(outer);
    }

    /// <inheritdoc/>
    public int MapScatterList(Span<ScatterEntry> list, DmaDirection direction, DmaAttributes attributes = DmaAttributes.None)
    {
        if (!IsValid(list, out var length))
        {
            return 0;
        }

        var outer = meter.Ledger.Enter(DmaOperation.Map);
        isBusy = true;
        var shortages = pages.Shortages;
        var segments = TryMapWindow(list, attributes) ? list.Length : Map(list, length, direction, attributes);
        isBusy = false;
        if (segments == 0 && pages.Shortages != shortages && TryReclaim())
        {
            isBusy = true;
            segments = Map(list, length, direction, attributes);
            isBusy = false;
        }

        Live += segments > 0 ? 1 : 0;
        meter.Ledger.Leave(outer);
        return segments;
    }

    /// <summary>Refuses what no mapping can describe: nothing at all, empty pieces, more than 1 GiB.</summary>
    static bool IsValid(ReadOnlySpan<ScatterEntry> list, out int length)
    {
        const long most = 1 << 30;
        long sum = 0;
        foreach (ref readonly var entry in list)
        {
            if (entry.Length <= 0)
            {
                length = 0;
                return false;
            }

            sum += entry.Length;
        }

        length = (int)Math.Min(sum, most);
        return sum is > 0 and <= most;
    }

    int Map(Span<ScatterEntry> list, int length, DmaDirection direction, DmaAttributes attributes)
    {
        var protection = direction.Protection(attributes);
        var isWhole = IsWhole(list);
        var mustBounce = options.Untrusted && !isWhole;
        var mayBounce = (attributes & DmaAttributes.PersistentStreaming) == 0;
        if (Policy == DmaPolicy.Adaptive)
        {
            return MapAdaptive(list, length, direction, attributes, isWhole && mayBounce && !options.Untrusted, mustBounce, mayBounce);
        }

        if ((mustBounce || mayBounce && Policy == DmaPolicy.Pool && length <= options.AlwaysBounceLimit) && TryBounce(pool, list, length, direction, attributes))
        {
            return Bounced(list, length);
        }

        return mustBounce ? MapSingle(list, direction, attributes) : MapDirect(list, protection);
    }

    bool TryBounce(Bounce.BounceBuffers from, Span<ScatterEntry> list, int length, DmaDirection direction, DmaAttributes attributes)
    {
        ulong address;
        if (list.Length == 1 ? !from.TryMap(list[0].Address, length, direction, attributes, out address) : !from.TryMap(list, length, direction, attributes, out address))
        {
            return false;
        }

        list[0].DmaAddress = new(address);
        return true;
    }

    /// <summary>One bounce buffer is as many segments as the device's limit asks for.</summary>
    int Bounced(Span<ScatterEntry> list, int length) => Segments(list, list[0].DmaAddress.Value, length);

    int Segments(Span<ScatterEntry> list, ulong address, int length)
    {
        var count = 0;
        for (; length > 0 && count < list.Length; count++)
        {
            var part = count == list.Length - 1 ? length : Math.Min(length, options.SegmentLimit);
            list[count].DmaAddress = new(address);
            list[count].DmaLength = part;
            address += (ulong)part;
            length -= part;
        }

        return count;
    }

    int MapSingle(Span<ScatterEntry> list, DmaDirection direction, DmaAttributes attributes)
    {
        if (list.Length != 1 || !single.TryMap(list[0].Address, list[0].Length, direction, attributes, out var address))
        {
            return MapPieces(list, direction, attributes);
        }

        return Segments(list, address, list[0].Length);
    }

    /// <summary>A list without a slot, where copying is obligatory: one buffer for each entry.</summary>
    int MapPieces(Span<ScatterEntry> list, DmaDirection direction, DmaAttributes attributes)
    {
        for (var i = 0; i < list.Length; i++)
        {
            if (list.Length == 1 || !single.TryMap(list[i].Address, list[i].Length, direction, attributes, out var address))
            {
                while (--i >= 0)
                {
                    single.Unmap(list[i].DmaAddress.Value, list[i].Length, direction, attributes | DmaAttributes.SkipCpuSync);
                }

                return 0;
            }

            list[i].DmaAddress = new(address);
            list[i].DmaLength = list[i].Length;
        }

        return list.Length;
    }

    int MapDirect(Span<ScatterEntry> list, DmaProtection protection)
    {
        ulong address;
        if (list.Length == 1 ? !Translations.TryMap(list[0].Address, list[0].Length, protection, Mode, out address) : !Translations.TryMap(list, protection, Mode, out address))
        {
            return 0;
        }

        return list.Length == 1 ? Segments(list, address, list[0].Length) : Join(list, address);
    }

    /// <summary>Describes a mapped list with as few segments as the device's limit allows: entries whose pages meet become one.</summary>
    int Join(Span<ScatterEntry> list, ulong address)
    {
        var count = 0;
        var meets = false;
        for (var i = 0; i < list.Length; i++)
        {
            var offset = list[i].Address.Value & 0xFFF;
            var length = list[i].Length;
            if (meets && offset == 0 && (long)list[count - 1].DmaLength + length <= options.SegmentLimit)
            {
                list[count - 1].DmaLength += length;
            }
            else
            {
                list[count].DmaAddress = new(address + offset);
                list[count++].DmaLength = length;
            }

            meets = (offset + (ulong)length & 0xFFF) == 0;
            address += offset + (ulong)length + 0xFFF & ~0xFFFul;
        }

        return count;
    }

    /// <inheritdoc/>
    public void UnmapScatterList(Span<ScatterEntry> list, DmaDirection direction, DmaAttributes attributes = DmaAttributes.None)
    {
        if (list.Length == 1)
        {
            UnmapPage(list[0].DmaAddress, list[0].Length, direction, attributes);
            return;
        }

        var outer = meter.Ledger.Enter(DmaOperation.Unmap);
        var start = view.Clock.Now;
        var address = list[0].DmaAddress.Value;
        var bounced = true;
        if (pool.Owns(address))
        {
            pool.Unmap(address, list, direction, attributes);
        }
        else if (arenas.Owns(address))
        {
            arenas.Unmap(address, list, direction, attributes);
        }
        else if (single.Owns(address))
        {
            foreach (ref readonly var entry in list)
            {
                single.Unmap(entry.DmaAddress.Value, entry.Length, direction, attributes);
            }
        }
        else
        {
            bounced = false;
            UnmapDirect(address, Translations.Pages(list));
        }

        NoteUnmap(address, Translations.Pages(list), list.Length, bounced, start);
        Live--;
        meter.Ledger.Leave(outer);
    }

    void UnmapDirect(ulong address, ulong bytes)
    {
        address &= ~0xFFFul;
        if (IsInWindow(address))
        {
            return;
        }

        if (!adopted.TryRelease(address))
        {
            Translations.Unmap(address, bytes, Mode);
        }
        else if (Policy != DmaPolicy.Adaptive)
        {
            // The policy changed while the buffer was in use.
            adopted.EvictAll();
        }
    }

    /// <inheritdoc/>
    public void SyncForCpu(Iova address, int length, DmaDirection direction) => Sync(address, length, forCpu: true, direction != DmaDirection.ToDevice);

    /// <inheritdoc/>
    public void SyncForDevice(Iova address, int length, DmaDirection direction) => Sync(address, length, forCpu: false, direction != DmaDirection.FromDevice);

    /// <inheritdoc/>
    public void SyncScatterListForCpu(ReadOnlySpan<ScatterEntry> list, DmaDirection direction) => Sync(list, forCpu: true, direction != DmaDirection.ToDevice);

    /// <inheritdoc/>
    public void SyncScatterListForDevice(ReadOnlySpan<ScatterEntry> list, DmaDirection direction) => Sync(list, forCpu: false, direction != DmaDirection.FromDevice);

    void Sync(ReadOnlySpan<ScatterEntry> list, bool forCpu, bool copies)
    {
        var address = list[0].DmaAddress.Value;
        var outer = meter.Ledger.Enter(DmaOperation.Sync);
        if (list.Length == 1 || copies && single.Owns(address))
        {
            foreach (ref readonly var entry in list)
            {
                Sync(entry.DmaAddress, entry.Length, forCpu, copies);
            }
        }
        else if (copies && pool.Owns(address))
        {
            pool.Sync(address, list, forCpu);
        }
        else if (copies && arenas.Owns(address))
        {
            arenas.Sync(address, list, forCpu);
        }

        meter.Ledger.Leave(outer);
    }

    void Sync(Iova address, int length, bool forCpu, bool copies)
    {
        var outer = meter.Ledger.Enter(DmaOperation.Sync);
        if (!copies)
        {
            // The other side did not write.
        }
        else if (pool.Owns(address.Value))
        {
            pool.Sync(address.Value, length, forCpu);
        }
        else if (arenas.Owns(address.Value))
        {
            arenas.Sync(address.Value, length, forCpu);
        }
        else if (single.Owns(address.Value))
        {
            single.Sync(address.Value, length, forCpu);
        }

        meter.Ledger.Leave(outer);
    }
}
