using Vmm.Platform.Dma;
using Vmm.Platform.Memory;
using Vmm.Platform.Snapshots;
using Vmm.Specs.Virtio;

namespace Vmm.Virtio;

/// <summary>Positions in a packed queue (virtio 1.2 §2.8).</summary>
sealed class PackedRing(Virtqueue queue)
{
    DmaCursor ring;
    DmaCursor driver;
    DmaCursor device;
    int available;
    int used;
    bool availableWrap;
    bool usedWrap;

    /// <summary>Ring places that used buffers took since the driver was last told or chose not to be.</summary>
    int news;

    /// <summary>Buffers were used since the driver was last told or chose not to be.</summary>
    public bool HasNews => news != 0;

    public void Reset()
    {
        available = used = news = 0;
        availableWrap = usedWrap = true;
    }

    public bool TryTake(out VirtioBuffer buffer)
    {
        buffer = default;
        if (!TryRead(available, out var entry))
        {
            return queue.Fail(VirtioFault.DescriptorUnreachable);
        }

        // §2.8.1: available when AVAIL is the driver's wrap counter and USED is its inverse.
        if (Is(entry.Flags, DescriptorFlags.Available) != availableWrap || Is(entry.Flags, DescriptorFlags.Used) == availableWrap)
        {
            return AskForNotification();
        }

        ushort last = 0;
        for (var length = 1; length <= queue.Size; length++)
        {
            if (!queue.Slots.TryAdd(ref buffer, ref last, entry.Address, entry.Length, entry.Flags))
            {
                return queue.Fail(VirtioFault.TooManyInFlight);
            }

            if ((entry.Flags & DescriptorFlags.Indirect) != 0 && length != 1)
            {
                // §2.8.7: an indirect descriptor stands alone.
                return queue.Fail(VirtioFault.IndirectWithNext);
            }

            if ((entry.Flags & DescriptorFlags.Next) == 0 || (entry.Flags & DescriptorFlags.Indirect) != 0)
            {
                // The last descriptor has the buffer's id (§2.8.6).
                buffer = buffer with { Id = entry.Id };
                Advance(ref available, ref availableWrap, length);
                return true;
            }

            if (!TryRead((available + length) % queue.Size, out entry))
            {
                return queue.Fail(VirtioFault.DescriptorUnreachable);
            }
        }

        return queue.Fail(VirtioFault.ChainTooLong);
    }

    public bool Push(in VirtioBuffer buffer, uint written)
    {
        var flags = (usedWrap ? DescriptorFlags.Available | DescriptorFlags.Used : 0) | (written != 0 ? DescriptorFlags.Write : 0);
        var entry = (ulong)(uint)flags << 48 | (ulong)buffer.Id << 32 | written;
        var address = new Iova(queue.DescriptorArea + (ulong)used * PackedDescriptor.Size + 8);
        Advance(ref used, ref usedWrap, buffer.Count);
        news = Math.Min(news + buffer.Count, queue.Size);
        return queue.Dma.TryWrite(ref ring, address, entry);
    }

    /// <summary>§2.8.10. False when the driver's event structure cannot be read.</summary>
    public bool TryWantsInterrupt(out bool wanted)
    {
        var count = news;
        news = 0;
        if (!queue.Dma.TryRead(ref driver, new Iova(queue.DriverArea), out uint suppression))
        {
            wanted = false;
            return false;
        }

        var mode = (int)(suppression >> 16) & 3;
        var place = (int)suppression & 0x7FFF;
        var lap = (suppression >> 15 & 1) != 0;
        if (mode == PackedEvent.Descriptor && queue.HasEventIndex)
        {
            // Places from the one asked for to where the device is now; it was passed when that is within the news.
            var distance = used - place + (lap != usedWrap ? queue.Size : 0);
            wanted = distance >= 1 && distance <= count;
        }
        else
        {
            wanted = mode != PackedEvent.Disable;
        }

        return true;
    }

    /// <summary>Everything is taken: asks for a notification at the next descriptor. False, as there is none.</summary>
    bool AskForNotification()
    {
        if (queue.HasEventIndex)
        {
            var suppression = (uint)PackedEvent.Descriptor << 16 | (availableWrap ? 1u << 15 : 0) | (uint)available;
            if (!queue.Dma.TryWrite(ref device, new Iova(queue.DeviceArea), suppression))
            {
                return queue.Fail(VirtioFault.RingUnreachable);
            }
        }

        return false;
    }

    bool TryRead(int at, out PackedDescriptor entry) =>
        queue.Dma.TryRead(ref ring, new Iova(queue.DescriptorArea + (ulong)at * PackedDescriptor.Size), out entry);

    void Advance(ref int position, ref bool wrap, int count)
    {
        position += count;
        if (position >= queue.Size)
        {
            position -= queue.Size;
            wrap = !wrap;
        }
    }

    static bool Is(ushort flags, ushort bit) => (flags & bit) != 0;

    public void Save(SnapshotWriter writer)
    {
        writer.U16((ushort)available);
        writer.U16((ushort)used);
        writer.U16((ushort)news);
        writer.Flag(availableWrap);
        writer.Flag(usedWrap);
    }

    public void Load(SnapshotReader reader, int size)
    {
        (available, used, news) = (reader.U16(), reader.U16(), reader.U16());
        (availableWrap, usedWrap) = (reader.Flag(), reader.Flag());
        if (available >= Math.Max(size, 1) || used >= Math.Max(size, 1) || news > size)
        {
            throw reader.Bad($"queue {queue.Index} is past its end");
        }
    }
}
