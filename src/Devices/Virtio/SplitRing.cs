using Vmm.Platform.Dma;
using Vmm.Platform.Memory;
using Vmm.Platform.Snapshots;
using Vmm.Specs.Virtio;

namespace Vmm.Virtio;

/// <summary>Positions in a split queue (virtio 1.2 §2.7).</summary>
sealed class SplitRing(Virtqueue queue)
{
    DmaCursor descriptors;
    DmaCursor driver;
    DmaCursor device;
    ushort nextAvailable;
    ushort usedIndex;
    ushort signalled;

    /// <summary>Buffers were used since the driver was last told or chose not to be.</summary>
    public bool HasNews => usedIndex != signalled;

    public void Reset() => nextAvailable = usedIndex = signalled = 0;

    public bool TryTake(out VirtioBuffer buffer)
    {
        buffer = default;
        if (!TryReadDriver(SplitLayout.Index, out var index))
        {
            return queue.Fail(VirtioFault.RingUnreachable);
        }

        var waiting = (ushort)(index - nextAvailable);
        if (waiting == 0)
        {
            return AskForNotification();
        }

        if (waiting > queue.Size)
        {
            return queue.Fail(VirtioFault.AvailableIndex);
        }

        if (!TryReadDriver(SplitLayout.Ring + SplitLayout.AvailableEntry * (nextAvailable & queue.Size - 1), out var head))
        {
            return queue.Fail(VirtioFault.RingUnreachable);
        }

        if (head >= queue.Size)
        {
            return queue.Fail(VirtioFault.HeadOutOfRange);
        }

        buffer = new(head, 0, 0);
        var fault = Capture(ref buffer);
        if (fault != VirtioFault.None)
        {
            return queue.Fail(fault);
        }

        nextAvailable++;
        return true;
    }

    public bool Push(in VirtioBuffer buffer, uint written)
    {
        var entry = queue.DeviceArea + SplitLayout.Ring + SplitLayout.UsedEntry * (ulong)(usedIndex & queue.Size - 1);
        usedIndex++;
        return queue.Dma.TryWrite(ref device, new Iova(entry), (ulong)written << 32 | buffer.Id) &&
            queue.Dma.TryWrite(ref device, new Iova(queue.DeviceArea + SplitLayout.Index), usedIndex);
    }

    /// <summary>§2.7.7.2 and §2.7.10. False when the ring cannot be read.</summary>
    public bool TryWantsInterrupt(out bool wanted)
    {
        var (before, now) = (signalled, usedIndex);
        signalled = usedIndex;
        if (!queue.HasEventIndex)
        {
            var readable = TryReadDriver(SplitLayout.Flags, out var flags);
            wanted = (flags & SplitLayout.Suppress) == 0;
            return readable;
        }

        if (!TryReadDriver(SplitLayout.Ring + SplitLayout.AvailableEntry * queue.Size, out var usedEvent))
        {
            wanted = false;
            return false;
        }

        wanted = (ushort)(now - usedEvent - 1) < (ushort)(now - before);
        return true;
    }

    /// <summary>Follows a chain of the descriptor table and keeps its descriptors.</summary>
    VirtioFault Capture(ref VirtioBuffer buffer)
    {
        ushort last = 0;
        var index = buffer.Id;
        for (var length = 1; length <= queue.Size; length++)
        {
            if (!queue.Dma.TryRead(ref descriptors, new Iova(queue.DescriptorArea + index * (ulong)SplitDescriptor.Size), out SplitDescriptor entry))
            {
                return VirtioFault.DescriptorUnreachable;
            }

            if (!queue.Slots.TryAdd(ref buffer, ref last, entry.Address, entry.Length, entry.Flags))
            {
                return VirtioFault.TooManyInFlight;
            }

            // An indirect descriptor that goes on is refused when the buffer is opened.
            if ((entry.Flags & DescriptorFlags.Next) == 0 || (entry.Flags & DescriptorFlags.Indirect) != 0)
            {
                return VirtioFault.None;
            }

            index = entry.Next;
            if (index >= queue.Size)
            {
                return VirtioFault.NextOutOfRange;
            }
        }

        return VirtioFault.ChainTooLong;
    }

    /// <summary>Everything is taken: avail_event asks for a notification at the next buffer. False, as there is none.</summary>
    bool AskForNotification()
    {
        if (queue.HasEventIndex)
        {
            var at = queue.DeviceArea + SplitLayout.Ring + SplitLayout.UsedEntry * (ulong)queue.Size;
            if (!queue.Dma.TryWrite(ref device, new Iova(at), nextAvailable))
            {
                return queue.Fail(VirtioFault.RingUnreachable);
            }
        }

        return false;
    }

    bool TryReadDriver(int offset, out ushort value) =>
        queue.Dma.TryRead(ref driver, new Iova(queue.DriverArea + (ulong)offset), out value);

    public void Save(SnapshotWriter writer)
    {
        writer.U16(nextAvailable);
        writer.U16(usedIndex);
        writer.U16(signalled);
    }

    public void Load(SnapshotReader reader) =>
        (nextAvailable, usedIndex, signalled) = (reader.U16(), reader.U16(), reader.U16());
}
