using System.Buffers.Binary;
using Vmm.GuestDma.Faults;
using Vmm.GuestDma.Guest;
using Vmm.Platform.Dma;
using Vmm.Platform.Memory;
using Vmm.Specs.Virtio;

namespace Vmm.GuestDma.Drivers.VirtioIommu;

/// <summary>
/// The event queue of a virtio-iommu (virtio 1.2 §5.13.6.9): buffers that the device fills with fault reports and that are
/// given back after reading. Without a buffer the device drops a report, and nobody learns of it.
/// </summary>
sealed class EventRing(IGuestView view, Gpa rings, Gpa buffers)
{
    /// <summary>Buffers.</summary>
    public const int Entries = 64;

    const int AvailableAt = Entries * SplitDescriptor.Size, UsedAt = AvailableAt + 256;

    ushort index, seen;

    public FaultReports Reports { get; } = new();

    /// <summary>Where the device is notified.</summary>
    public ulong Doorbell { get; set; }

    public Gpa Descriptors => rings;

    public Gpa Available => rings + AvailableAt;

    public Gpa Used => rings + UsedAt;

    /// <summary>Reports that were not read yet.</summary>
    public bool IsPending => BinaryPrimitives.ReadUInt16LittleEndian(view.Memory(Used + SplitLayout.Index, 2)) != seen;

    /// <summary>Gives the device all buffers.</summary>
    public void Fill()
    {
        for (var i = 0; i < Entries; i++)
        {
            var slot = rings + (ulong)(i * SplitDescriptor.Size);
            view.Store(slot, (buffers + (ulong)(i * VirtioIommuLayout.FaultSize)).Value);
            view.Store(slot + 8, VirtioIommuLayout.FaultSize | (ulong)DescriptorFlags.Write << 32);
            Give((ushort)i);
        }

        Publish();
    }

    /// <summary>Reads all reports; returns how many there were. The device cannot have used more buffers than it was given.</summary>
    public int Handle()
    {
        var count = 0;
        for (; count < Entries && IsPending; count++)
        {
            var entry = view.Memory(Used + (ulong)(SplitLayout.Ring + seen % Entries * SplitLayout.UsedEntry), SplitLayout.UsedEntry);
            var buffer = BinaryPrimitives.ReadInt32LittleEndian(entry) & Entries - 1;
            if (BinaryPrimitives.ReadInt32LittleEndian(entry[4..]) >= VirtioIommuLayout.FaultSize)
            {
                Report(view.Memory(buffers + (ulong)(buffer * VirtioIommuLayout.FaultSize), VirtioIommuLayout.FaultSize));
            }

            Give((ushort)buffer);
            seen++;
        }

        if (count > 0)
        {
            Publish();
        }

        if (count == Entries)
        {
            // All buffers were used: there may have been more faults than buffers.
            Reports.AddOverflow();
        }

        return count;
    }

    void Report(ReadOnlySpan<byte> report)
    {
        var flags = (VirtioIommuFaultFlags)BinaryPrimitives.ReadUInt32LittleEndian(report[4..]);
        var reason = (VirtioIommuFault)report[0];
        Reports.Add(new(
            new Bdf((ushort)BinaryPrimitives.ReadUInt32LittleEndian(report[8..])),
            (flags & VirtioIommuFaultFlags.Address) != 0 ? BinaryPrimitives.ReadUInt64LittleEndian(report[16..]) : 0,
            (flags & VirtioIommuFaultFlags.Write) != 0,
            reason switch { VirtioIommuFault.Mapping => BlockCause.Mapping, VirtioIommuFault.Domain => BlockCause.Device, _ => BlockCause.Other },
            (byte)reason));
    }

    void Give(ushort buffer) =>
        BinaryPrimitives.WriteUInt16LittleEndian(view.Memory(Available + (ulong)(SplitLayout.Ring + index++ % Entries * SplitLayout.AvailableEntry), 2), buffer);

    void Publish()
    {
        BinaryPrimitives.WriteUInt16LittleEndian(view.Memory(Available + SplitLayout.Index, 2), index);
        if (Doorbell != 0)
        {
            view.WriteRegister(Doorbell, 2, VirtioIommuLayout.EventQueue);
        }
    }
}
