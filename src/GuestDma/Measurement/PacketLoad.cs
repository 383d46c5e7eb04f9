using Vmm.GuestDma.Cost;
using Vmm.GuestDma.Guest;
using Vmm.Platform.Memory;

namespace Vmm.GuestDma.Measurement;

/// <summary>
/// A network card: a ring of receive buffers that stay mapped and are synchronised for each packet, and transmit buffers,
/// a small header and a payload each, that are mapped for one packet. Every operation receives one packet and sends one.
/// </summary>
public sealed class PacketLoad : ILoad
{
    const int RingSize = 256, HeaderBytes = 128, PacketBytes = 1500;
    const ulong WireLatency = 4000;

    readonly MeasuredMachine machine;
    readonly ulong application;
    readonly Gpa[] receive = new Gpa[RingSize], transmit = new Gpa[RingSize];
    readonly Iova[] receiveAddress = new Iova[RingSize], header = new Iova[RingSize], payload = new Iova[RingSize];
    readonly ulong[] started = new ulong[RingSize];
    readonly byte[] packet = new byte[PacketBytes];
    ulong next;

    /// <param name="machine">What it runs on.</param>
    /// <param name="application">Cycles of everything of a packet pair that is not mapping.</param>
    /// <exception cref="LoadException">Not enough memory, or the ring cannot be mapped.</exception>
    public PacketLoad(MeasuredMachine machine, ulong application)
    {
        this.machine = machine;
        this.application = application;
        for (var i = 0; i < RingSize; i++)
        {
            if (!machine.Pages.TryAllocate(0, AllocationSite.Buffer, out receive[i]) || !machine.Pages.TryAllocate(0, AllocationSite.Buffer, out transmit[i]))
            {
                throw new LoadException("load: not enough memory for the rings");
            }

            receiveAddress[i] = Dma.MapPage(receive[i], 4096, DmaDirection.FromDevice, DmaAttributes.PersistentStreaming);
            if (receiveAddress[i] == IDmaMapper.MappingError)
            {
                throw new LoadException("load: a receive buffer cannot be mapped");
            }
        }
    }

    IDmaMapper Dma => machine.Device.Mapper;

    /// <inheritdoc/>
    public long Bytes => 2 * PacketBytes;

    /// <inheritdoc/>
    public int Bad { get; private set; }

    /// <inheritdoc/>
    public LatencyTable Latency { get; private set; } = new();

    /// <inheritdoc/>
    public void Run(int operations)
    {
        for (var i = 0; i < operations; i++)
        {
            machine.Meter.Ledger.Charge(CycleCause.Application, application);
            var at = (int)(next++ % RingSize);
            if (header[at] != default)
            {
                Reclaim(at);
            }

            Receive(at);
            Send(at);
            machine.Poll();
        }
    }

    /// <inheritdoc/>
    public void Restart() => Latency = new();

    /// <inheritdoc/>
    public void Free()
    {
        for (var i = 0; i < RingSize; i++)
        {
            if (header[i] != default)
            {
                Reclaim(i);
            }

            Dma.UnmapPage(receiveAddress[i], 4096, DmaDirection.FromDevice, DmaAttributes.PersistentStreaming);
            machine.Pages.Free(receive[i], 0);
            machine.Pages.Free(transmit[i], 0);
        }
    }

    void Receive(int at)
    {
        Device(receiveAddress[at], write: true);
        Dma.SyncForCpu(receiveAddress[at], PacketBytes, DmaDirection.FromDevice);
        Dma.SyncForDevice(receiveAddress[at], PacketBytes, DmaDirection.FromDevice);
    }

    void Send(int at)
    {
        started[at] = machine.View.Clock.Now;
        header[at] = Dma.MapPage(transmit[at], HeaderBytes, DmaDirection.ToDevice);
        payload[at] = Dma.MapPage(transmit[at] + 1024, PacketBytes, DmaDirection.ToDevice);
        if (header[at] == IDmaMapper.MappingError || payload[at] == IDmaMapper.MappingError)
        {
            throw new LoadException("load: a packet cannot be mapped");
        }

        Device(payload[at], write: false);
    }

    void Reclaim(int at)
    {
        var clock = machine.View.Clock;
        if (started[at] + WireLatency > clock.Now)
        {
            machine.Meter.Ledger.Charge(CycleCause.Idle, started[at] + WireLatency - clock.Now);
        }

        Dma.UnmapPage(header[at], HeaderBytes, DmaDirection.ToDevice);
        Dma.UnmapPage(payload[at], PacketBytes, DmaDirection.ToDevice);
        header[at] = default;
        Latency.Add(clock.Now - started[at]);
    }

    /// <summary>The card works beside the processor.</summary>
    void Device(Iova address, bool write)
    {
        var now = machine.View.Clock.Now;
        Bad += (write ? machine.Port.TryWrite(address, packet) : machine.Port.TryRead(address, packet)) ? 0 : 1;
        machine.View.Clock.SwitchTo(now);
    }
}
