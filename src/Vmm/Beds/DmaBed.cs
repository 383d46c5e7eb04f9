using System.Buffers.Binary;
using Vmm.Chipset;
using Vmm.Firmware.Acpi;
using Vmm.GuestDma;
using Vmm.GuestDma.Cost;
using Vmm.GuestDma.Domains;
using Vmm.GuestDma.Drivers.Nvme;
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

namespace Vmm.Beds;

/// <summary>
/// A machine without processors whose guest is the DMA layer: RAM, ACPI tables, a remapping unit, a disk. The layer finds
/// the unit in the DMAR table and the disk in configuration space, as a guest does.
/// </summary>
internal sealed class DmaBed : IDisposable
{
    /// <summary>Blocks of 4 KiB on the disk; each starts with its number plus one.</summary>
    public const ulong DiskBlocks = 16384;

    /// <summary>The device of the loads.</summary>
    public static readonly Bdf Device = new(0, 4, 0);

    const ulong VtdBase = 0xFED9_0000, KernelStart = 2 << 20;

    readonly SystemBus bus = new();

    /// <exception cref="InvalidOperationException">The layer cannot start on this machine.</exception>
    public DmaBed(DmaBedOptions options)
    {
        Memory = new(options.MemoryBytes);
        Clock = new();
        Ledger = new(Clock);
        var sink = new Interrupts();
        var fabric = new DmaFabric(Memory, bus.Mmio, sink);
        var host = new PciHost(bus, fabric);
        Vtd = options.Vtd == null ? null : new VtdUnit(options.Vtd, Memory, sink);
        if (Vtd != null)
        {
            bus.Mmio.Map(Vtd.Name, VtdBase, VtdUnit.WindowSize, Vtd);
        }

        var view = new GuestView(Memory, bus, Clock, Ledger, options.Cost) { Cpu = 0 };
        Port = new(fabric, Device) { Translator = Vtd };
        if (options.HasDisk)
        {
            Disk = AddDisk(options, fabric, host);
            Disk.Function.Dma.Translator = Vtd;
        }

        host.AssignResources(PciWindows.Default);
        if (Disk != null)
        {
            view.Assigned = new(Disk.Function.Bars[0].Address, Disk.Function.Bars[0].Size);
        }

        var meter = new CostMeter(Ledger, options.Cost);
        var faults = new AllocationFaults();
        var tables = WriteAcpi(options);
        var top = Math.Min(tables, Memory.LowRamBytes) & ~0xFFFul;
        var pages = new GuestPages(new(KernelStart), (int)(top - KernelStart >> 12), faults);
        var unit = Vtd == null ? null : DmarTable.Read(view, AcpiTables.BiosRsdp).Single(static u => u.IncludesAll);
        var driver = unit == null ? null : new VtdDriver(view, meter, pages, unit.Registers);
        var device = new DmaDevice(view, meter, pages, faults, driver, Device, options.Device with { RamEnd = options.MemoryBytes }, options.Cpus);
        View = view;
        Machine = new()
        {
            View = view, Meter = meter, Pages = pages, Faults = faults, Iommu = driver, Device = device, Port = Port, Nvme = null,
        };
        if (!device.TrySwitch(options.Policy))
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
    public VtdUnit? Vtd { get; }

    /// <summary>The disk, or null.</summary>
    public NvmeController? Disk { get; }

    /// <summary>The bus as a plain device at the disk's place sees it.</summary>
    public DmaPort Port { get; }

    /// <summary>The machine as its guest sees it.</summary>
    public GuestView View { get; }

    /// <summary>What loads run on.</summary>
    public MeasuredMachine Machine { get; }

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
            ReadNanoseconds = options.DiskNanoseconds, WriteNanoseconds = options.DiskNanoseconds,
            BytesPerSecond = options.DiskBandwidth, Parallelism = options.DiskParallelism,
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
        public void Deliver(MsiMessage message)
        {
        }
    }
}
