using System.Buffers.Binary;
using Vmm.Platform.Dma;
using Vmm.Platform.Interrupts;
using Vmm.Platform.Registers;
using Vmm.Platform.Time;
using Vmm.Specs.Virtio;
using Vmm.Virtio;
using L = Vmm.Specs.Virtio.VirtioIommuLayout;

namespace Vmm.VirtioIommu;

/// <summary>
/// The IOMMU device (virtio 1.2 §5.13): requests of the driver on one side, accesses of the endpoints on the other. Its own
/// rings are reached directly, never through itself.
/// </summary>
public sealed partial class ViommuDevice : IVirtioDevice, IDmaTranslator, IFaultSink
{
    /// <summary>PCI class: base system peripheral, IOMMU.</summary>
    const uint ClassCode = 0x08_06_00;

    const int QueueSize = 256;

    /// <summary>Requests of one call; the rest waits for the next, a little later in virtual time.</summary>
    const int Batch = 256;

    readonly VirtioIommuOptions options;
    readonly VirtualClock clock;
    readonly DomainTable domains;
    readonly RequestProcessor requests;
    readonly EndpointTranslator translator;
    readonly DescriptorChain chain = new(QueueSize);
    readonly DescriptorChain events = new(QueueSize);
    readonly byte[] request = new byte[RequestProcessor.LongestRequest];
    readonly byte[] reply;
    readonly BackendCosts costs;

    /// <summary>Builds the device with no endpoint.</summary>
    /// <param name="options">Ranges, limits and features.</param>
    /// <param name="address">Where it is plugged in.</param>
    /// <param name="fabric">The machine's DMA fabric.</param>
    /// <param name="clock">The machine's clock.</param>
    /// <param name="transport">What the transport offers.</param>
    /// <exception cref="ArgumentException">An option is invalid; the message names it.</exception>
    public ViommuDevice(VirtioIommuOptions options, Bdf address, DmaFabric fabric, VirtualClock clock, VirtioOptions? transport = null)
    {
        options.Validate();
        this.options = options;
        this.clock = clock;
        domains = new(options) { Surviving = SurvivorsOf };
        requests = new(options, domains);
        translator = new(domains, this) { Bypass = options is { Bypass: true, OffersBypassConfig: true } };
        reply = new byte[requests.LongestReply];
        costs = new(options, clock.Ledger, fabric.Memory.RamBytes);
        Config = new(
            L.ConfigSize,
            new("page_size_mask", L.PageSizeMask, 8, Reset: options.PageSizeMask),
            new("input_range.start", L.InputStart, 8, Reset: options.InputStart),
            new("input_range.end", L.InputEnd, 8, Reset: options.InputEnd),
            new("domain_range.start", L.DomainStart, 4, Reset: options.DomainStart),
            new("domain_range.end", L.DomainEnd, 4, Reset: options.DomainEnd),
            new("probe_size", L.ProbeSize, 4, Reset: options.OffersProbe ? (uint)options.ProbeSize : 0),
            new("bypass", L.BypassField, 1, Write: 0xFF, Reset: translator.Bypass ? 1u : 0));
        Config.Reset();
        late = clock.CreateTimer(options.Name + ".late", this);
        Transport = new(
            new(options.Name, L.DeviceId, ClassCode, (ulong)options.Features, [QueueSize, QueueSize]), address, fabric, clock, this, transport ?? new());
    }

    /// <summary>The PCI function, registers and queues.</summary>
    public VirtioPci Transport { get; }

    /// <inheritdoc/>
    public RegisterFile Config { get; }

    /// <inheritdoc/>
    public string Name => options.Name;

    /// <inheritdoc/>
    public uint Generation => domains.Generation;

    /// <summary>Puts a function behind the device, before the machine starts.</summary>
    public void AddEndpoint(Bdf requester) => domains.AddEndpoint(requester);

    /// <inheritdoc/>
    public bool TryTranslate(in DmaRequest request, out DmaWindow window) => translator.TryTranslate(request, out window);

    /// <inheritdoc/>
    public bool TryRemap(Bdf requester, MsiMessage message, out MsiMessage remapped) => translator.TryRemap(requester, message, out remapped);

    /// <inheritdoc/>
    public bool Accept(ulong features)
    {
        requests.Negotiated = (VirtioIommuFeatures)features & options.Features;
        return true;
    }

    /// <inheritdoc/>
    public void ConfigWritten(int register)
    {
        // Other values than 0 and 1 must never show (§5.13.4.2), and without the feature the field is not the driver's.
        var value = Config.Get8(L.BypassField);
        if (register == L.BypassField && value <= 1 && (requests.Negotiated & VirtioIommuFeatures.BypassConfig) != 0)
        {
            translator.Bypass = value == 1;
            domains.Generation++;
        }

        Config.Set8(L.BypassField, translator.Bypass ? (byte)1 : (byte)0);
    }

    /// <summary>Device reset: endpoints are attached to nothing, and bypass stays as it is (§5.13.4.2, §5.13.5).</summary>
    public void Reset()
    {
        Release();
        domains.Reset();
        requests.Negotiated = VirtioIommuFeatures.None;
        Config.Reset();
        Config.Set8(L.BypassField, translator.Bypass ? (byte)1 : (byte)0);
    }

    /// <summary>System reset: bypass has its initial value again.</summary>
    public void PowerOn()
    {
        translator.Bypass = options is { Bypass: true, OffersBypassConfig: true };
        Transport.FunctionReset();
    }

    void IFaultSink.Report(in FaultReport fault)
    {
        var isTold = TryReport(fault);
        ReportedEvents += isTold ? 1u : 0;
        DroppedEvents += isTold ? 0 : 1u;
        Blocked?.Invoke(new(new((ushort)fault.Endpoint), (uint)fault.Reason, fault.Address, AccessOf(fault.Flags), null, isTold));
    }

    static DmaAccess AccessOf(VirtioIommuFaultFlags flags) =>
        ((flags & VirtioIommuFaultFlags.Read) != 0 ? DmaAccess.Read : 0) | ((flags & VirtioIommuFaultFlags.Write) != 0 ? DmaAccess.Write : 0);

    /// <summary>Writes a report into the next event buffer; without one, or where it does not fit, the event is dropped.</summary>
    bool TryReport(in FaultReport fault)
    {
        var queue = Transport.Queues[L.EventQueue];
        if (!queue.TryPop(events))
        {
            return false;
        }

        Span<byte> report = stackalloc byte[L.FaultSize];
        report.Clear();
        report[0] = (byte)fault.Reason;
        BinaryPrimitives.WriteUInt32LittleEndian(report[4..], (uint)fault.Flags);
        BinaryPrimitives.WriteUInt32LittleEndian(report[8..], fault.Endpoint);
        BinaryPrimitives.WriteUInt64LittleEndian(report[16..], fault.Address);
        var fits = events.WritableLength >= L.FaultSize;
        if (fits && !events.TryWrite(report))
        {
            queue.Break();
            return false;
        }

        queue.Push(events, fits ? (uint)L.FaultSize : 0);
        queue.Signal();
        return fits;
    }
}
