using System.Buffers.Binary;
using Vmm.Chipset;
using Vmm.Firmware.Acpi;
using Vmm.GuestDma;
using Vmm.GuestDma.Cost;
using Vmm.GuestDma.Domains;
using Vmm.GuestDma.Drivers.Nvme;
using Vmm.GuestDma.Drivers.VirtioIommu;
using Vmm.GuestDma.Drivers.VtD;
using Vmm.GuestDma.Guest;
using Vmm.GuestDma.Measurement;
using Vmm.Iommu;
using Vmm.Nvme;
using Vmm.Platform.Block;
using Vmm.Platform.Bus;
using Vmm.Platform.Dma;
using Vmm.Platform.Interrupts;
using Vmm.Platform.Memory;
using Vmm.Platform.Time;
using Vmm.VirtioIommu;

namespace Vmm.Beds;

/// <summary>
/// A machine without processors whose guest is the DMA layer: RAM, ACPI tables, a remapping unit, a disk. The layer finds
/// the unit in the DMAR table and the disk in configuration space, as a guest does.
/// </summary>
internal sealed class DmaBed : IDisposable
{
    /// <summary>Blocks of 4 KiB on the disk; each starts with its number plus one.</summary>
    public const ulong DiskBlocks = 4096;

    /// <summary>The device of the loads.</summary>
    public static readonly Bdf Device = new(0, 4, 0);

    static readonly Bdf SecondDevice = new(0, 5, 0);

    static readonly Bdf ViommuAddress = new(0, 1, 0);

    /// <summary>Registers of the remapping unit.</summary>
    public const ulong VtdBase = 0xFED9_0000;

    readonly SystemBus bus = new();

    /// <exception cref="InvalidOperationException">The layer cannot start on this machine.</exception>
    public DmaBed(DmaBedOptions options)
    {
        Memory = new(options.MemoryBytes);
        Clock = new(options.Hertz, options.Cost);
        Ledger = new(Clock);
        var sink = new Interrupts();
        var fabric = new DmaFabric(Memory, bus.Mmio, sink);
        var host = new PciHost(bus, fabric);
        var view = new GuestView(Memory, bus, Clock, Ledger);
        sink.View = view;
        Port = new(fabric, Device);
        SecondPort = new(fabric, SecondDevice);
        AddIommu(options, fabric, host, view, sink);
        if (options.HasDisk)
        {
            Disk = AddDisk(options, fabric, host);
            Disk.Function.Dma.Translator = Port.Translator;
        }

        host.AssignResources(PciWindows.Default);
        if (Viommu != null)
        {
            var bar = Viommu.Transport.Function.Bars[0];
            view.Price(new(bar.Address, bar.Size), CycleCause.Request, options.Cost[CostKind.MmioUser], options.Cost[CostKind.MmioEventfd]);
        }

        var meter = new CostMeter(Ledger, options.Software ?? DmaCost.From(options.Cost));
        var faults = new AllocationFaults();
        var top = Math.Min(WriteAcpi(options), Memory.LowRamBytes) & ~0xFFFul;
        var pages = new GuestPages(new(options.KernelStart), (int)(top - options.KernelStart >> 12), faults);
        IIommuDriver? driver = null;
        if (Vtd != null)
        {
            driver = new VtdDriver(view, meter, pages, DmarTable.Read(view, AcpiTables.BiosRsdp).Single(static u => u.IncludesAll).Registers)
            {
                LargestLeaf = options.LargestLeaf,
            };
        }
        else if (Viommu != null && ViommuDriver.TryFind(view, out var function))
        {
            var paravirtual = new ViommuDriver(view, meter, pages, faults, function, options.BatchesMaps);
            driver = paravirtual;
            if (options.WatchesSync)
            {
                Watch = new(Viommu, paravirtual.IsLeaving);
                Port.Translator = SecondPort.Translator = Watch;
                if (Disk != null)
                {
                    Disk.Function.Dma.Translator = Watch;
                }
            }
        }

        var reachable = options.ReachableBytes == 0 ? null : new GuestPages(new(2 << 20), (int)(options.ReachableBytes >> 12), faults);
        var device = new DmaDevice(view, meter, pages, faults, driver, Device, options.Device with { RamEnd = options.MemoryBytes }, options.Cpus, reachable);
        View = view;
        Machine = new()
        {
            View = view, Meter = meter, Pages = pages, Faults = faults, Iommu = driver, Device = device, Port = Port, Nvme = null,
        };
        if (options.Second != null)
        {
            Second = new(view, meter, pages, faults, driver, SecondDevice, options.Second with { RamEnd = options.MemoryBytes }, options.Cpus);
        }

        if (!device.TrySwitch(options.Policy) || Second?.TrySwitch(options.Policy) == false)
        {
            throw new InvalidOperationException($"dma: policy {options.Policy} is not possible here");
        }

        if (Disk != null)
        {
            var nvme = new NvmeDriver(view, device.Mapper, Device, options.DiskQueues.Count, options.DiskQueues.Entries, Machine.Wait);
            Machine = new()
            {
                View = view, Meter = meter, Pages = pages, Faults = faults, Iommu = driver, Device = device, Port = Port, Nvme = nvme,
            };
        }
    }

    /// <summary>RAM.</summary>
    public GuestMemory Memory { get; }

    /// <summary>Virtual time.</summary>
    public VirtualClock Clock { get; }

    /// <summary>Cycles by operation and cause.</summary>
    public CycleLedger Ledger { get; }

    /// <summary>The remapping unit, or null.</summary>
    public VtdUnit? Vtd { get; private set; }

    /// <summary>The virtio-iommu, or null.</summary>
    public ViommuDevice? Viommu { get; private set; }

    /// <summary>Finds synchronisations that the driver of the virtio-iommu left out, or null.</summary>
    public SyncWatch? Watch { get; }

    /// <summary>The disk, or null.</summary>
    public NvmeController? Disk { get; }

    /// <summary>The bus as a plain device at the disk's place sees it.</summary>
    public DmaPort Port { get; }

    /// <summary>The second device, or null.</summary>
    public DmaDevice? Second { get; }

    /// <summary>The bus as that device has it.</summary>
    public DmaPort SecondPort { get; }

    /// <summary>The machine as its guest sees it.</summary>
    public GuestView View { get; }

    /// <summary>What loads run on.</summary>
    public MeasuredMachine Machine { get; }

    void AddIommu(DmaBedOptions options, DmaFabric fabric, PciHost host, GuestView view, Interrupts sink)
    {
        if (options.Vtd != null)
        {
            Vtd = new(options.Vtd, Memory, sink, Clock);
            bus.Mmio.Map(Vtd.Name, VtdBase, VtdUnit.WindowSize, Vtd);
            var price = options.RegistersExit ? options.Cost[CostKind.MmioUser] : 0;
            view.Price(new(VtdBase, VtdUnit.WindowSize), CycleCause.Invalidation, price, price);
            Port.Translator = SecondPort.Translator = Vtd;
        }
        else if (options.Viommu != null)
        {
            Viommu = new(options.Viommu, ViommuAddress, fabric, Clock);
            host.Add(Viommu.Transport.Function);
            Viommu.AddEndpoint(Device);
            Viommu.AddEndpoint(SecondDevice);
            Port.Translator = SecondPort.Translator = Viommu;
        }
    }

    NvmeController AddDisk(DmaBedOptions options, DmaFabric fabric, PciHost host)
    {
        var backend = new MemoryBlockBackend("disk", DiskBlocks * 4096);
        Span<byte> number = stackalloc byte[8];
        for (var i = 0ul; i < DiskBlocks; i++)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(number, i + 1);
            backend.Write(i * 4096, number);
        }

        var disk = new NvmeController("nvme0", Device, fabric, Clock, new()
        {
            Namespaces = [new(backend, 4096)], IoQueues = options.DiskQueues.Count, QueueEntries = options.DiskQueues.Entries, MaxTransferPages = 8,
            Media = new()
            {
                ReadNanoseconds = options.DiskNanoseconds, WriteNanoseconds = options.DiskNanoseconds,
                BytesPerSecond = options.DiskBandwidth, Parallelism = options.DiskParallelism,
            },
        });
        host.Add(disk.Function);
        return disk;
    }

    /// <summary>Writes the tables where firmware does; returns where they start.</summary>
    ulong WriteAcpi(DmaBedOptions options)
    {
        var tables = AcpiBuilder.Build(
            new()
            {
                Dmar = options.Vtd == null ? null : new()
                {
                    HostAddressWidth = (byte)options.Vtd.HostAddressWidth,
                    InterruptRemapping = options.Vtd.InterruptRemapping != false,
                    Units = [new() { RegisterBase = VtdBase, Scopes = [DmarScope.IoApic(0, options.Vtd.IoapicRequester)] }],
                },
            },
            options.MemoryBytes);
        foreach (var write in tables.Writes)
        {
            Memory.TryWrite(write.Address, write.Bytes.Span);
        }

        return tables.Tables.Min(static t => t.Address.Value);
    }

    /// <inheritdoc/>
    public void Dispose() => Memory.Dispose();

    sealed class Interrupts : IInterruptSink
    {
        public GuestView? View { get; set; }

        public void Deliver(MsiMessage message) => View?.Raise((byte)message.Data);
    }
}
