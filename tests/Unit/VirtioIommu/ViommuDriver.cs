using Vmm.Platform.Dma;
using Vmm.Platform.Memory;
using Vmm.Specs.Virtio;
using Vmm.Unit.Virtio;
using Vmm.Virtio;
using Vmm.VirtioIommu;
using Xunit;

namespace Vmm.Unit.VirtioIommu;

/// <summary>The whole device on PCI with a driver's rings, and the port of one endpoint.</summary>
sealed class ViommuDriver : IDisposable
{
    public const ulong Request = VirtioBench.Buffers, Reply = VirtioBench.Buffers + 0x1000, Events = VirtioBench.Buffers + 0x4000;

    public ViommuDriver(VirtioIommuOptions? options = null, VirtioOptions? transport = null)
    {
        ViommuDevice? built = null;
        Bench = new((fabric, clock) =>
        {
            built = new(options ?? new() { Bypass = false }, new(0, 1, 0), fabric, clock, transport);
            return built.Transport;
        });
        Device = built!;
        Device.AddEndpoint(ViommuBench.Disk);
        Device.AddEndpoint(ViommuBench.Nic);
        Port = new(Bench.Fabric, ViommuBench.Disk) { Translator = Device };
        Requests = null!;
        EventRing = null!;
    }

    public VirtioBench Bench { get; }

    public ViommuDevice Device { get; }

    public DmaPort Port { get; }

    public GuestRing Requests { get; private set; }

    public GuestRing EventRing { get; private set; }

    /// <summary>Negotiates all that is offered, or a part, and starts both queues; the event queue with MSI-X vector 1.</summary>
    public ViommuDriver Start(ulong mask = ulong.MaxValue, int size = 16)
    {
        Bench.EnableMsix();
        Bench.Negotiate(mask);
        Requests = Bench.Enable(0, size);
        EventRing = Bench.Enable(1, size, 1);
        Bench.AddStatus(VirtioStatus.DriverOk);
        return this;
    }

    /// <summary>Sends one request in two descriptors and takes the answer.</summary>
    public (uint Used, byte[] Reply) Send(byte[] request, int room = 4)
    {
        Bench.Put(Request, request);
        Bench.Put(Reply, Enumerable.Repeat((byte)0xEE, room).ToArray());
        Requests.Add(new Piece(Request, (uint)request.Length), new Piece(Reply, (uint)room, true));
        Bench.Notify();
        var used = Assert.IsType<UsedBuffer>(Requests.TryPop());
        return (used.Length, Bench.Bytes(Reply, room));
    }

    /// <summary>Sends a request that is answered with a status.</summary>
    public VirtioIommuStatus Ask(byte[] request)
    {
        var (used, reply) = Send(request);
        Assert.Equal(4u, used);
        return (VirtioIommuStatus)reply[0];
    }

    /// <summary>Gives the device an event buffer.</summary>
    public void OfferEvent(uint size = 24) => EventRing.Add(new Piece(Events, size, true));

    public bool Read(ulong iova, int length = 8) => Port.TryRead(new Iova(iova), new byte[length]);

    public void Dispose() => Bench.Dispose();
}
