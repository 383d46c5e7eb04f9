using System.Buffers.Binary;
using Vmm.GuestDma.Cost;
using Vmm.GuestDma.Domains;
using Vmm.GuestDma.Faults;
using Vmm.GuestDma.Guest;
using Vmm.Platform.Dma;
using Vmm.Platform.Memory;
using Vmm.Specs.Virtio;
using L = Vmm.Specs.Virtio.VirtioIommuLayout;

namespace Vmm.GuestDma.Drivers.VirtioIommu;

/// <summary>The driver of a virtio-iommu (virtio 1.2 §5.13): requests over its queue, domains by number.</summary>
public sealed class ViommuDriver : IIommuDriver
{
    const ulong Wanted = VirtioFeature.Version1 | (ulong)(
        VirtioIommuFeatures.MapUnmap | VirtioIommuFeatures.InputRange | VirtioIommuFeatures.DomainRange | VirtioIommuFeatures.BypassConfig);

    /// <summary>Ends of ranges are computed with, so the last addresses are not used.</summary>
    const ulong LargestAddress = (1ul << 57) - 1;

    readonly ulong features;
    readonly uint lastDomain;
    readonly EventRing events;
    readonly Dictionary<Bdf, ViommuDomain> attached = [];
    uint nextDomain;

    /// <summary>Starts the device.</summary>
    /// <param name="view">The machine.</param>
    /// <param name="meter">Prices.</param>
    /// <param name="pages">Memory for the ring.</param>
    /// <param name="faults">Which allocations fail on purpose.</param>
    /// <param name="function">Where the device is plugged in.</param>
    /// <param name="batchesMaps">Mappings of a list are notified of together; false waits for each, as Linux did before 6.7.</param>
    /// <exception cref="InvalidOperationException">The device does not start, or memory is missing.</exception>
    public ViommuDriver(IGuestView view, CostMeter meter, GuestPages pages, AllocationFaults faults, Bdf function, bool batchesMaps)
    {
        View = view;
        Meter = meter;
        Allocations = faults;
        BatchesMaps = batchesMaps;
        var transport = new VirtioTransport(view, function);
        features = transport.Negotiate(Wanted);
        if ((features & (ulong)VirtioIommuFeatures.MapUnmap) == 0)
        {
            throw new InvalidOperationException("virtio-iommu: MAP and UNMAP are not offered");
        }

        if (!pages.TryAllocate(3, AllocationSite.Table, out var memory))
        {
            throw new InvalidOperationException("virtio-iommu: no memory for the queue");
        }

        view.Memory(memory, 8 * 4096).Clear();
        Ring = new(view, meter, memory, memory + 4096, memory + 2 * 4096, memory + 4 * 4096);
        Ring.Doorbell = transport.EnableQueue(L.RequestQueue, RequestRing.Entries, memory.Value, memory.Value + 4096, memory.Value + 2 * 4096);
        events = new(view, memory + 3 * 4096, memory + 6 * 4096);
        events.Fill();
        events.Doorbell = transport.EnableQueue(L.EventQueue, EventRing.Entries, events.Descriptors.Value, events.Available.Value, events.Used.Value);
        Limit = Math.Min(LargestAddress, (features & (ulong)VirtioIommuFeatures.InputRange) != 0 ? view.ReadRegister(transport.Device + L.InputEnd, 8) : ulong.MaxValue);
        nextDomain = (uint)view.ReadRegister(transport.Device + L.DomainStart, 4) + 1;
        lastDomain = (features & (ulong)VirtioIommuFeatures.DomainRange) != 0 ? (uint)view.ReadRegister(transport.Device + L.DomainEnd, 4) : uint.MaxValue;
        BypassDomain = nextDomain++;
        transport.Start();
    }

    /// <summary>Domain of bypassing devices.</summary>
    public uint BypassDomain { get; }

    /// <summary>Requests so far.</summary>
    public ulong Requests => Ring.Requests;

    /// <summary>Notifications so far.</summary>
    public ulong Kicks => Ring.Kicks;

    /// <inheritdoc/>
    public ulong Invalidations => Ring.Kicks;

    /// <inheritdoc/>
    public FaultReports Faults => events.Reports;

    /// <inheritdoc/>
    public bool HasFaults => events.IsPending;

    /// <inheritdoc/>
    public int HandleFaults() => events.Handle();

    /// <summary>True when the end of a device's mapping of an address was asked for and not waited for.</summary>
    public bool IsLeaving(Bdf device, ulong address) =>
        Ring.Pending > 0 && attached.TryGetValue(device, out var domain) && Ring.HoldsUnmap(domain.Id, address);

    internal IGuestView View { get; }

    internal CostMeter Meter { get; }

    internal AllocationFaults Allocations { get; }

    internal RequestRing Ring { get; }

    internal bool BatchesMaps { get; }

    internal ulong Limit { get; }

    /// <inheritdoc/>
    public bool TryCreateDomain(out IIommuDomain domain)
    {
        domain = new ViommuDomain(this, nextDomain);
        return nextDomain++ <= lastDomain;
    }

    /// <inheritdoc/>
    public bool TryAttach(Bdf device, IIommuDomain domain) => domain is ViommuDomain own && TryMove(device, own, own.Id, 0);

    /// <inheritdoc/>
    public bool TryBypass(Bdf device) => (features & (ulong)VirtioIommuFeatures.BypassConfig) != 0 && TryMove(device, null, BypassDomain, L.AttachBypass);

    /// <summary>Takes a device out of its domain and puts it into another; the first one in has the mappings told to the device.</summary>
    bool TryMove(Bdf device, ViommuDomain? domain, uint id, uint flags)
    {
        if (domain != null && attached.GetValueOrDefault(device) == domain)
        {
            return true;
        }

        if (!TryAttach(device, id, flags))
        {
            return false;
        }

        if (attached.Remove(device, out var old))
        {
            old.Endpoints--;
        }

        if (domain == null)
        {
            return true;
        }

        attached.Add(device, domain);
        return ++domain.Endpoints > 1 || domain.TryReplay();
    }

    bool TryAttach(Bdf device, uint domain, uint flags)
    {
        Span<byte> request = stackalloc byte[L.AttachSize];
        request.Clear();
        request[0] = (byte)VirtioIommuRequest.Attach;
        BinaryPrimitives.WriteUInt32LittleEndian(request[4..], domain);
        BinaryPrimitives.WriteUInt32LittleEndian(request[8..], device.Value);
        BinaryPrimitives.WriteUInt32LittleEndian(request[12..], flags);
        Ring.Sync();
        Ring.Add(request);
        return Ring.Sync();
    }

    /// <summary>Looks for a virtio-iommu on bus 0.</summary>
    public static bool TryFind(IGuestView view, out Bdf function)
    {
        for (var device = 0; device < 32; device++)
        {
            function = new(0, device, 0);
            if (view.ReadConfig(function, 0, 4) == ((uint)(VirtioPciCap.FirstDeviceId + L.DeviceId) << 16 | VirtioPciCap.VendorId))
            {
                return true;
            }
        }

        function = default;
        return false;
    }
}
