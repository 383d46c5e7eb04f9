using System.Buffers.Binary;
using Vmm.GuestDma.Cost;
using Vmm.GuestDma.Guest;
using Vmm.Platform.Memory;
using Vmm.Specs.Virtio;

namespace Vmm.GuestDma.Drivers.VirtioIommu;

/// <summary>
/// The request queue of a virtio-iommu: a split ring (virtio 1.2 §2.7) in which every request is a readable and a writable
/// descriptor. Requests pile up until <see cref="Sync"/> notifies the device once and waits for all of them.
/// </summary>
sealed class RequestRing(IGuestView view, CostMeter meter, Gpa descriptors, Gpa available, Gpa used, Gpa buffers)
{
    /// <summary>Descriptors.</summary>
    public const int Entries = 256;

    /// <summary>Requests that fit.</summary>
    public const int Capacity = Entries / 2;

    const int BufferBytes = 64, PollLimit = 100_000;

    readonly Gate gate = new();
    ushort index, seen;

    /// <summary>Where the device is notified.</summary>
    public ulong Doorbell { get; set; }

    /// <summary>Requests that wait.</summary>
    public int Pending { get; private set; }

    /// <summary>Requests so far.</summary>
    public ulong Requests { get; private set; }

    /// <summary>Notifications so far.</summary>
    public ulong Kicks { get; private set; }

    /// <summary>Adds a request; a full ring is synchronised first, and what failed of it is noted.</summary>
    public void Add(ReadOnlySpan<byte> request)
    {
        if (Pending == Capacity)
        {
            failed |= !SyncAll();
        }

        var slot = (index & Capacity - 1) * 2;
        var buffer = buffers + (ulong)(slot / 2 * BufferBytes);
        var bytes = view.Memory(buffer, BufferBytes);
        request.CopyTo(bytes);
        bytes[request.Length..].Clear();
        bytes[request.Length] = 0xFF;
        Describe(slot, buffer, request.Length, DescriptorFlags.Next, slot + 1);
        Describe(slot + 1, buffer + (ulong)request.Length, VirtioIommuLayout.TailSize, DescriptorFlags.Write, 0);
        BinaryPrimitives.WriteUInt16LittleEndian(view.Memory(available + (ulong)(SplitLayout.Ring + (index & Entries - 1) * SplitLayout.AvailableEntry), 2), (ushort)slot);
        lengths[slot / 2] = request.Length;
        index++;
        Pending++;
        Requests++;
    }

    /// <summary>True when an UNMAP of the address waits.</summary>
    public bool HoldsUnmap(uint domain, ulong address)
    {
        for (var i = 1; i <= Pending; i++)
        {
            var request = view.Memory(buffers + (ulong)((index - i & Capacity - 1) * BufferBytes), VirtioIommuLayout.UnmapSize);
            if (request[0] == (byte)VirtioIommuRequest.Unmap && BinaryPrimitives.ReadUInt32LittleEndian(request[4..]) == domain &&
                address >= BinaryPrimitives.ReadUInt64LittleEndian(request[8..]) && address <= BinaryPrimitives.ReadUInt64LittleEndian(request[16..]))
            {
                return true;
            }
        }

        return false;
    }

    readonly int[] lengths = new int[Capacity];
    bool failed;

    /// <summary>Has everything that waits carried out. False: a request since the last call was not.</summary>
    public bool Sync()
    {
        var good = SyncAll() && !failed;
        failed = false;
        return good;
    }

    bool SyncAll()
    {
        if (Pending == 0)
        {
            return true;
        }

        meter.Wait(gate);
        BinaryPrimitives.WriteUInt16LittleEndian(view.Memory(available + SplitLayout.Index, 2), index);
        view.WriteRegister(Doorbell, 2, VirtioIommuLayout.RequestQueue);
        Kicks++;
        var good = true;
        for (var polls = 0; Pending > 0;)
        {
            if (BinaryPrimitives.ReadUInt16LittleEndian(view.Memory(used + SplitLayout.Index, 2)) == seen)
            {
                if (++polls == PollLimit)
                {
                    throw new InvalidOperationException("virtio-iommu: a request is not answered");
                }

                continue;
            }

            var slot = BinaryPrimitives.ReadInt32LittleEndian(view.Memory(used + (ulong)(SplitLayout.Ring + (seen & Entries - 1) * SplitLayout.UsedEntry), 4)) / 2;
            good &= view.Memory(buffers + (ulong)(slot * BufferBytes + lengths[slot]), 1)[0] == (byte)VirtioIommuStatus.Ok;
            seen++;
            Pending--;
        }

        meter.Unlock(gate);
        return good;
    }

    void Describe(int at, Gpa address, int length, ushort flags, int next)
    {
        var slot = descriptors + (ulong)(at * SplitDescriptor.Size);
        view.Store(slot, address.Value);
        view.Store(slot + 8, (uint)length | (ulong)flags << 32 | (ulong)next << 48);
    }
}
