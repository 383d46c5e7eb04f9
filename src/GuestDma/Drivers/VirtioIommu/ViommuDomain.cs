using System.Buffers.Binary;
using Vmm.GuestDma.Domains;
using Vmm.GuestDma.Guest;
using Vmm.Platform.Memory;
using Vmm.Specs.Virtio;
using L = Vmm.Specs.Virtio.VirtioIommuLayout;

namespace Vmm.GuestDma.Drivers.VirtioIommu;

/// <summary>
/// An address space of a virtio-iommu. The device keeps the mappings; the driver remembers them to know what an address
/// means. An UNMAP request that waits in the ring has not happened yet: that is what strict callers synchronise.
/// </summary>
public sealed class ViommuDomain : IIommuDomain
{
    readonly ViommuDriver driver;
    readonly Dictionary<ulong, (ulong Target, ulong Bytes, DmaProtection Protection)> mappings = [];
    int syncs;

    internal ViommuDomain(ViommuDriver driver, uint id)
    {
        this.driver = driver;
        Id = id;
    }

    /// <summary>Domain number.</summary>
    public uint Id { get; }

    /// <summary>Devices in the domain. The device knows a domain, and its mappings, only while there is one (virtio 1.2 §5.13.6.1).</summary>
    internal int Endpoints { get; set; }

    /// <summary>Leaves out every n-th synchronisation; to show that a missing one is found. 0 for never.</summary>
    public int LeaveOut { get; set; }

    /// <inheritdoc/>
    public ulong Limit => driver.Limit;

    /// <inheritdoc/>
    public ulong MappedBytes { get; private set; }

    /// <inheritdoc/>
    public bool TryMap(ulong address, Gpa target, ulong bytes, DmaProtection protection)
    {
        if (driver.Allocations.Fails(AllocationSite.Request))
        {
            return false;
        }

        driver.Meter.IovaNodes(Depth);
        if (Endpoints > 0)
        {
            Request(address, target.Value, bytes, protection);
            if (!driver.BatchesMaps && !driver.Ring.Sync())
            {
                return false;
            }
        }

        mappings.Add(address, (target.Value, bytes, protection));
        MappedBytes += bytes;
        return true;
    }

    /// <summary>Tells the device of all mappings, after the first endpoint came.</summary>
    internal bool TryReplay()
    {
        foreach (var (address, mapping) in mappings)
        {
            Request(address, mapping.Target, mapping.Bytes, mapping.Protection);
        }

        return driver.Ring.Sync();
    }

    void Request(ulong address, ulong target, ulong bytes, DmaProtection protection)
    {
        Span<byte> request = stackalloc byte[L.MapSize];
        Head(request, VirtioIommuRequest.Map, address, bytes);
        BinaryPrimitives.WriteUInt64LittleEndian(request[24..], target);
        BinaryPrimitives.WriteUInt32LittleEndian(request[32..], (uint)Flags(protection));
        driver.Ring.Add(request);
    }

    static VirtioIommuMapFlags Flags(DmaProtection protection) =>
        ((protection & DmaProtection.Read) != 0 ? VirtioIommuMapFlags.Read : 0) | ((protection & DmaProtection.Write) != 0 ? VirtioIommuMapFlags.Write : 0);

    /// <inheritdoc/>
    public bool TrySyncMap(ulong address, ulong bytes) => driver.Ring.Sync();

    /// <inheritdoc/>
    public void Unmap(ulong address, ulong bytes, ref InvalidationGather gather, PageRuns? runs)
    {
        for (var at = address; at < address + bytes;)
        {
            driver.Meter.IovaNodes(Depth);
            if (!mappings.Remove(at, out var mapping))
            {
                throw new InvalidOperationException($"virtio-iommu: 0x{at:x} is not mapped");
            }

            runs?.Add(mapping.Target, mapping.Bytes);
            at += mapping.Bytes;
        }

        if (Endpoints > 0)
        {
            Span<byte> request = stackalloc byte[L.UnmapSize];
            Head(request, VirtioIommuRequest.Unmap, address, bytes);
            driver.Ring.Add(request);
        }

        MappedBytes -= bytes;
        gather.Add(address, bytes);
    }

    /// <inheritdoc/>
    public void Sync(ref InvalidationGather gather)
    {
        if (LeaveOut == 0 || ++syncs % LeaveOut != 0)
        {
            driver.Ring.Sync();
        }

        gather = default;
    }

    /// <inheritdoc/>
    public void Invalidate(ReadOnlySpan<InvalidationGather> ranges) => driver.Ring.Sync();

    /// <inheritdoc/>
    public void FlushAll() => driver.Ring.Sync();

    /// <inheritdoc/>
    public void Trim() => driver.Ring.Sync();

    /// <summary>Steps in the ordered tree of mappings that Linux' driver keeps.</summary>
    int Depth => System.Numerics.BitOperations.Log2((uint)mappings.Count + 1) + 1;

    void Head(Span<byte> request, VirtioIommuRequest type, ulong address, ulong bytes)
    {
        request.Clear();
        request[0] = (byte)type;
        BinaryPrimitives.WriteUInt32LittleEndian(request[4..], Id);
        BinaryPrimitives.WriteUInt64LittleEndian(request[8..], address);
        BinaryPrimitives.WriteUInt64LittleEndian(request[16..], address + bytes - 1);
    }
}
