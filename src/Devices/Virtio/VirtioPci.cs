using Vmm.Platform.Bus;
using Vmm.Platform.Dma;
using Vmm.Platform.Pci;
using Vmm.Platform.Registers;
using Vmm.Platform.Snapshots;
using Vmm.Platform.Time;
using Vmm.Specs.Virtio;

namespace Vmm.Virtio;

/// <summary>
/// A virtio device on PCI, modern interface only (virtio 1.2 §4.1): registers, status, feature negotiation, queues and
/// interrupts. The <see cref="IVirtioDevice"/> behind it sees buffers and nothing else.
/// </summary>
public sealed partial class VirtioPci : IPciDevice, ITimerTarget, ISnapshotPart
{
    const ulong IsrOffset = 0x1000, DeviceOffset = 0x2000, NotifyOffset = 0x3000, MsixTable = 0x4000, MsixPending = 0x5000, BarLength = 0x8000;
    const int NotifyMultiplier = 4;

    /// <summary>Until a device that had more to do is called again.</summary>
    const ulong ResumeNanoseconds = 1000;

    readonly VirtioIdentity identity;
    readonly VirtioOptions options;
    readonly IVirtioDevice device;
    readonly VirtualClock clock;
    readonly ClockTimer resume;
    readonly Virtqueue[] queues;

    /// <param name="identity">What the device is.</param>
    /// <param name="address">Where it is plugged in.</param>
    /// <param name="fabric">The machine's DMA fabric.</param>
    /// <param name="clock">The machine's clock.</param>
    /// <param name="device">The device behind; it is not called before the driver is.</param>
    /// <param name="options">What is offered.</param>
    /// <exception cref="ArgumentException">A setting is out of range; the message names it.</exception>
    public VirtioPci(VirtioIdentity identity, Bdf address, DmaFabric fabric, VirtualClock clock, IVirtioDevice device, VirtioOptions options)
    {
        Check(identity, options);
        this.identity = identity;
        this.options = options;
        this.device = device;
        this.clock = clock;
        VectorCount = options.Vectors == 0 ? identity.QueueSizes.Count + 1 : options.Vectors;
        // Revision 1 and a subsystem id from 0x40 on: not transitional (§4.1.2.1).
        Function = new(
            new(identity.Name, VirtioPciCap.VendorId, (ushort)(VirtioPciCap.FirstDeviceId + identity.DeviceId), identity.ClassCode, 1),
            address, fabric, this);
        Function.AddMemoryBar(0, BarLength, doorbells: (int)NotifyOffset..(int)MsixTable);
        Function.AddPowerManagement();
        Function.AddMsix(VectorCount, 0, MsixTable, MsixPending);
        Function.AddExpress();
        Function.SetInterruptPin(1);
        AddCapabilities();
        queues = [.. identity.QueueSizes.Select((size, i) => new Virtqueue(this, i, size))];
        resume = clock.CreateTimer(identity.Name + ".resume", this);
        ResetTransport();
    }

    /// <summary>The PCI function.</summary>
    public PciFunction Function { get; }

    /// <summary>The queues by number.</summary>
    public IReadOnlyList<Virtqueue> Queues => queues;

    /// <summary>MSI-X vectors.</summary>
    public int VectorCount { get; }

    /// <summary>The driver is ready and no reset is needed: buffers may be taken and used.</summary>
    public bool IsRunning => (Status & (VirtioStatus.DriverOk | VirtioStatus.NeedsReset)) == VirtioStatus.DriverOk;

    /// <summary>All features that the driver may accept now.</summary>
    public ulong Offered => identity.Features | options.Features(Function.Dma.Translator != null);

    /// <summary>Why <see cref="VirtioStatus.NeedsReset"/> is set.</summary>
    public VirtioFault Fault { get; private set; }

    /// <summary>Queue in which the fault was found, or -1.</summary>
    public int FaultQueue { get; private set; } = -1;

    /// <summary>How often the device needed a reset since it was built. Not part of a snapshot.</summary>
    public ulong FaultCount { get; private set; }

    /// <summary>The device never offers VIRTIO_F_ACCESS_PLATFORM: its addresses are guest-physical (§6).</summary>
    public bool BypassesIommu => options.AccessPlatform == false;

    /// <summary>True when the feature was accepted.</summary>
    public bool HasFeature(ulong mask) => (Negotiated & mask) != 0;

    /// <summary>The device changed its configuration: the driver is told (§4.1.4.5, §4.1.5.3).</summary>
    public void ConfigChanged()
    {
        configIsNew = true;
        if ((Status & VirtioStatus.DriverOk) != 0)
        {
            InterruptConfig();
        }
    }

    /// <summary>The device, which had stopped taking buffers of a queue, goes on.</summary>
    public void Resume(Virtqueue queue) => Process(queue);

    /// <inheritdoc/>
    public IoResult ReadBar(int bar, ulong offset, Span<byte> data)
    {
        data.Clear();
        switch (offset & ~0xFFFul)
        {
            case 0:
                common.Read(offset, data);
                break;
            case IsrOffset when offset == IsrOffset:
                data[0] = TakeIsr();
                break;
            case DeviceOffset:
                ReadDeviceConfig(offset - DeviceOffset, data);
                break;
        }

        return IoResult.Ok;
    }

    /// <summary>The generation changes with the first read after a change, so that it cannot wrap unseen (§4.1.4.3.1).</summary>
    void ReadDeviceConfig(ulong offset, Span<byte> data)
    {
        device.Config.Read(offset, data);
        if (configIsNew)
        {
            configIsNew = false;
            common.Set8(VirtioCommon.ConfigGeneration, ++generation);
        }
    }

    /// <inheritdoc/>
    public IoResult WriteBar(int bar, ulong offset, ReadOnlySpan<byte> data)
    {
        switch (offset & ~0xFFFul)
        {
            case 0:
                WriteCommon(offset, data);
                break;
            case DeviceOffset:
                foreach (var register in device.Config.Write(offset - DeviceOffset, data))
                {
                    device.ConfigWritten(register);
                }

                break;
            case NotifyOffset:
                Notify((int)(offset - NotifyOffset) / NotifyMultiplier);
                break;
        }

        return IoResult.Ok;
    }

    /// <inheritdoc/>
    public void FunctionReset() => ResetDevice();

    /// <inheritdoc/>
    public void Expired(ClockTimer timer, ulong due)
    {
        foreach (var queue in queues)
        {
            if (queue.IsWaiting)
            {
                queue.IsWaiting = false;
                Process(queue);
            }
        }
    }

    /// <summary>Something that only a reset mends (§2.1.2).</summary>
    internal void NeedReset(VirtioFault fault, int queue)
    {
        if ((Status & VirtioStatus.NeedsReset) != 0)
        {
            return;
        }

        (Fault, FaultQueue) = (fault, queue);
        FaultCount++;
        Status |= VirtioStatus.NeedsReset;
        ShowCommon();
        resume.Disarm();
        if ((Status & VirtioStatus.DriverOk) != 0)
        {
            InterruptConfig();
        }
    }

    /// <summary>The notification names its queue by its address; what else it says is of no use here (§4.1.5.2).</summary>
    void Notify(int index)
    {
        if (index < queues.Length && queues[index].IsLive)
        {
            queues[index].Counters.Notifications++;
            Process(queues[index]);
        }
    }

    void Process(Virtqueue queue)
    {
        if (!queue.IsLive || !device.Process(queue) || !queue.IsLive)
        {
            return;
        }

        queue.IsWaiting = true;
        if (!resume.IsArmed)
        {
            resume.Arm(clock.Now + clock.ToCycles(ResumeNanoseconds, 1_000_000_000));
        }
    }

    static void Check(VirtioIdentity identity, VirtioOptions options)
    {
        if (options.Vectors is < 0 or > 256)
        {
            throw new ArgumentException($"{identity.Name}: {options.Vectors} vectors are not possible", nameof(options));
        }

        if (identity.QueueSizes.Count is < 1 or > 255 ||
            identity.QueueSizes.Any(static s => s is < 1 or > 32768 || (s & s - 1) != 0) ||
            (identity.Features & ~VirtioFeature.DeviceTypeBits) != 0)
        {
            throw new ArgumentException($"{identity.Name}: queues or features are not possible", nameof(identity));
        }
    }
}
