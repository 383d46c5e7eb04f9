using System.Text;
using Vmm.Platform.Block;
using Vmm.Platform.Dma;
using Vmm.Platform.Registers;
using Vmm.Platform.Time;
using Vmm.Specs.Virtio;
using Vmm.Virtio;

namespace Vmm.VirtioBlk;

/// <summary>
/// A virtio block device (virtio 1.2 §5.2). A notification makes it take requests at once; each then takes its virtual
/// time, and moves data, completes and interrupts when that is over.
/// </summary>
public sealed partial class BlockDevice : IVirtioDevice, ITimerTarget
{
    /// <summary>Device type.</summary>
    public const ushort DeviceId = 2;

    const uint MassStorage = 0x01_00_00;
    const int SectorSize = 512;

    /// <summary>Requests taken in one call.</summary>
    const int TakeLimit = 64;

    readonly VirtioBlkOptions options;
    readonly IBlockBackend backend;
    readonly VirtualClock clock;
    readonly ClockTimer timer;
    readonly DescriptorChain chain;
    readonly byte[] id = new byte[VirtioBlkRequest.IdSize];
    readonly ulong sectors;
    ulong features;

    /// <param name="name">Instance name ("virtio-blk0").</param>
    /// <param name="address">Where the device is plugged in.</param>
    /// <param name="fabric">The machine's DMA fabric.</param>
    /// <param name="clock">The machine's clock.</param>
    /// <param name="options">Settings.</param>
    /// <exception cref="ArgumentException">A setting is out of range; the message names it.</exception>
    public BlockDevice(string name, Bdf address, DmaFabric fabric, VirtualClock clock, VirtioBlkOptions options)
    {
        options.Validate();
        this.options = options;
        this.clock = clock;
        backend = options.Backend;
        sectors = backend.Length / (ulong)options.BlockSize * (ulong)(options.BlockSize / SectorSize);
        chain = new(options.QueueEntries);
        media = new(clock, options.Media);
        pending = new(options.Queues * options.QueueEntries);
        Encoding.ASCII.GetBytes(options.Serial).CopyTo(id, 0);
        Config = CreateConfig();
        timer = clock.CreateTimer(name + ".request", this);
        Transport = new(
            new(name, DeviceId, MassStorage, Features, [.. Enumerable.Repeat(options.QueueEntries, options.Queues)]),
            address, fabric, clock, this, options.Transport);
    }

    /// <summary>The device on its bus.</summary>
    public VirtioPci Transport { get; }

    /// <inheritdoc/>
    public RegisterFile Config { get; }

    /// <summary>What the device did so far.</summary>
    public ref readonly BlockCounters Counters => ref counters;

    ulong Features =>
        VirtioBlkFeature.SizeMax | VirtioBlkFeature.SegMax | VirtioBlkFeature.BlockSize | VirtioBlkFeature.Flush |
        VirtioBlkFeature.Topology | VirtioBlkFeature.ConfigWce |
        (options.Queues > 1 ? VirtioBlkFeature.MultiQueue : 0) |
        (backend.IsReadOnly ? VirtioBlkFeature.ReadOnly : VirtioBlkFeature.Discard | VirtioBlkFeature.WriteZeroes);

    /// <summary>A write must be durable when it completes (§5.2.6.2).</summary>
    bool WritesThrough =>
        (features & VirtioBlkFeature.ConfigWce) != 0
            ? Config.Get8(VirtioBlkConfig.Writeback) == 0
            : (features & VirtioBlkFeature.Flush) == 0;

    /// <inheritdoc/>
    public bool Accept(ulong features)
    {
        this.features = features;
        // §5.2.5.2: without FLUSH the cache is off at first, as the driver could not empty it.
        Config.Set8(VirtioBlkConfig.Writeback, (features & VirtioBlkFeature.Flush) != 0 ? (byte)1 : (byte)0);
        Config.SetWriteMask(VirtioBlkConfig.Writeback, (features & VirtioBlkFeature.ConfigWce) != 0 ? 1u : 0u);
        return true;
    }

    /// <inheritdoc/>
    public bool Process(Virtqueue queue)
    {
        for (var i = 0; i < TakeLimit; i++)
        {
            if (!queue.TryTake(out var buffer))
            {
                return false;
            }

            Start(queue, buffer);
        }

        return true;
    }

    /// <inheritdoc/>
    public void QueueReset(Virtqueue queue)
    {
        pending.RemoveAll(r => r.Queue == queue.Index);
        ArmTimer();
    }

    /// <inheritdoc/>
    public void Reset()
    {
        timer.Disarm();
        pending.Clear();
        media.Reset();
        features = 0;
        Config.Reset();
        Config.SetWriteMask(VirtioBlkConfig.Writeback, 0);
    }

    RegisterFile CreateConfig()
    {
        var block = (uint)options.BlockSize;
        var writable = !backend.IsReadOnly;
        return new(
            VirtioBlkConfig.Size,
            new("capacity", VirtioBlkConfig.Capacity, 8, Reset: sectors),
            new("size_max", VirtioBlkConfig.SizeMax, 4, Reset: options.SizeMax),
            // Header and status take two descriptors of a queue that has no indirect tables.
            new("seg_max", VirtioBlkConfig.SegMax, 4, Reset: (uint)Math.Min(options.QueueEntries - 2, 126)),
            new("geometry", VirtioBlkConfig.Geometry, 4),
            new("blk_size", VirtioBlkConfig.BlockSize, 4, Reset: block),
            new("physical_block_exp", VirtioBlkConfig.PhysicalBlockExponent, 1),
            new("alignment_offset", VirtioBlkConfig.AlignmentOffset, 1),
            new("min_io_size", VirtioBlkConfig.MinIoSize, 2, Reset: 1),
            new("opt_io_size", VirtioBlkConfig.OptIoSize, 4),
            new("writeback", VirtioBlkConfig.Writeback, 1, Reset: 1),
            new("num_queues", VirtioBlkConfig.NumQueues, 2, Reset: (uint)options.Queues),
            new("max_discard_sectors", VirtioBlkConfig.MaxDiscardSectors, 4, Reset: writable ? MaxDiscardSectors : 0),
            new("max_discard_seg", VirtioBlkConfig.MaxDiscardSegments, 4, Reset: writable ? MaxDiscardSegments : 0u),
            new("discard_sector_alignment", VirtioBlkConfig.DiscardAlignment, 4, Reset: writable ? block / SectorSize : 0),
            new("max_write_zeroes_sectors", VirtioBlkConfig.MaxWriteZeroesSectors, 4, Reset: writable ? MaxWriteZeroesSectors : 0),
            new("max_write_zeroes_seg", VirtioBlkConfig.MaxWriteZeroesSegments, 4, Reset: writable ? MaxWriteZeroesSegments : 0u),
            new("write_zeroes_may_unmap", VirtioBlkConfig.WriteZeroesMayUnmap, 1, Reset: writable ? 1u : 0));
    }
}
