using Vmm.Platform.Dma;
using Vmm.Platform.Memory;
using Vmm.Platform.Snapshots;
using Vmm.Specs.Virtio;

namespace Vmm.Virtio;

/// <content>Indirect tables (§2.7.5.3, §2.8.7) and the state of a queue.</content>
public sealed partial class Virtqueue
{
    DmaCursor table;

    VirtioFault AddTable(DescriptorChain chain, in SplitDescriptor descriptor)
    {
        if (!HasIndirect)
        {
            return VirtioFault.IndirectNotNegotiated;
        }

        if ((descriptor.Flags & DescriptorFlags.Next) != 0)
        {
            return VirtioFault.IndirectWithNext;
        }

        if (descriptor.Length == 0 || descriptor.Length % SplitDescriptor.Size != 0)
        {
            return VirtioFault.IndirectLength;
        }

        if (descriptor.Address > ulong.MaxValue - descriptor.Length)
        {
            return VirtioFault.AddressWrap;
        }

        var entries = descriptor.Length / SplitDescriptor.Size;
        return IsPacked ? AddPackedTable(chain, descriptor.Address, entries) : AddSplitTable(chain, descriptor.Address, entries);
    }

    /// <summary>Entries are chained by index; a loop ends at the chain's capacity.</summary>
    VirtioFault AddSplitTable(DescriptorChain chain, ulong address, uint entries)
    {
        uint at = 0;
        while (true)
        {
            if (!Dma.TryRead(ref table, new Iova(address + at * SplitDescriptor.Size), out SplitDescriptor entry))
            {
                return VirtioFault.DescriptorUnreachable;
            }

            if ((entry.Flags & DescriptorFlags.Indirect) != 0)
            {
                return VirtioFault.IndirectNested;
            }

            var fault = chain.Add(entry.Address, entry.Length, (entry.Flags & DescriptorFlags.Write) != 0);
            if (fault != VirtioFault.None || (entry.Flags & DescriptorFlags.Next) == 0)
            {
                return fault;
            }

            at = entry.Next;
            if (at >= entries)
            {
                return VirtioFault.NextOutOfRange;
            }
        }
    }

    /// <summary>All entries in order; of the flags only WRITE means anything (§2.8.7).</summary>
    VirtioFault AddPackedTable(DescriptorChain chain, ulong address, uint entries)
    {
        for (uint at = 0; at < entries; at++)
        {
            if (!Dma.TryRead(ref table, new Iova(address + at * PackedDescriptor.Size), out PackedDescriptor entry))
            {
                return VirtioFault.DescriptorUnreachable;
            }

            var fault = chain.Add(entry.Address, entry.Length, (entry.Flags & DescriptorFlags.Write) != 0);
            if (fault != VirtioFault.None)
            {
                return fault;
            }
        }

        return VirtioFault.None;
    }

    /// <summary>Writes a buffer in flight with its descriptors into the device's state.</summary>
    public void Save(SnapshotWriter writer, in VirtioBuffer buffer)
    {
        writer.U16(buffer.Id);
        writer.U16(buffer.Count);
        var at = buffer.First;
        for (var i = 0; i < buffer.Count; i++)
        {
            ref readonly var descriptor = ref slots.Next(ref at);
            writer.U64(descriptor.Address);
            writer.U32(descriptor.Length);
            writer.U16(descriptor.Flags);
        }
    }

    /// <summary>Reads back what <see cref="Save(SnapshotWriter, in VirtioBuffer)"/> wrote.</summary>
    /// <exception cref="SnapshotException">More descriptors than the queue has.</exception>
    public VirtioBuffer Load(SnapshotReader reader)
    {
        var buffer = new VirtioBuffer(reader.U16(), 0, 0);
        var count = reader.U16();
        ushort last = 0;
        for (var i = 0; i < count; i++)
        {
            if (!slots.TryAdd(ref buffer, ref last, reader.U64(), reader.U32(), reader.U16()))
            {
                throw reader.Bad($"queue {Index} has more descriptors in flight than entries");
            }
        }

        return count == 0 ? throw reader.Bad($"a buffer of queue {Index} has no descriptors") : buffer;
    }

    internal void Save(SnapshotWriter writer)
    {
        writer.U16((ushort)Size);
        writer.U64(DescriptorArea);
        writer.U64(DriverArea);
        writer.U64(DeviceArea);
        writer.U16(Vector);
        writer.Flag(IsEnabled);
        writer.Flag(IsPacked);
        writer.Flag(IsWaiting);
        writer.Flag(WasReset);
        split.Save(writer);
        packed.Save(writer);
    }

    /// <summary>Buffers in flight are added by the device.</summary>
    internal void LoadState(SnapshotReader reader)
    {
        Reset();
        Size = reader.U16();
        (DescriptorArea, DriverArea, DeviceArea, Vector) = (reader.U64(), reader.U64(), reader.U64(), reader.U16());
        var enabled = reader.Flag();
        var isPacked = reader.Flag();
        var (waiting, wasReset) = (reader.Flag(), reader.Flag());
        if (enabled && !Enable(isPacked))
        {
            throw reader.Bad($"queue {Index} cannot be as it says");
        }

        (IsWaiting, WasReset) = (waiting, wasReset);
        split.Load(reader);
        packed.Load(reader, Size);
    }
}
