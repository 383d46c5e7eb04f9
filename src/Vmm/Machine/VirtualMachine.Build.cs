using Vmm.Chipset;
using Vmm.Cpu.Vcpus;
using Vmm.Machine.MachineChecks;
using Vmm.Nvme;
using Vmm.Platform.Block;
using Vmm.Platform.Bus;
using Vmm.Platform.Dma;
using Vmm.Platform.Faults;
using Vmm.Platform.Interrupts;
using Vmm.Platform.Pci;
using Vmm.Platform.Snapshots;
using Vmm.Virtio;
using Vmm.VirtioBlk;

namespace Vmm.Machine;

/// <content>Wiring: which device sits at which address and on which line.</content>
public sealed partial class VirtualMachine
{
    const ulong IoApicBase = 0xFEC0_0000, VtdBase = 0xFED9_0000;
    const int EduSlot = 2, FirstDiskSlot = 3;

    readonly List<ISnapshotPart> parts = [];
    readonly List<Action> resets = [];
    readonly LocalApic[] apics;
    readonly ApicBus apicBus = new();
    readonly IoApic ioApic;
    readonly DmaFabric dma;
    readonly Pic pic;
    ulong apicAccesses;

    /// <summary>Builds a machine that has not booted anything.</summary>
    /// <param name="config">What it is made of.</param>
    /// <param name="console">Takes what the guest writes to COM1.</param>
    /// <exception cref="ConfigException">A field of the configuration is out of range.</exception>
    public VirtualMachine(MachineConfig config, IConsoleOutput console)
    {
        config.Validate();
        Config = config;
        Model = new CpuModel { VcpuCount = config.Vcpus, MachineCheck = config.MachineCheck };
        Clock = new(Model.TscHertz, config.Cost, config.Vcpus, config.Ledger);
        parts.Add(Clock.Ledger);
        booked = new ulong[config.Vcpus];
        asleep = new bool[config.Vcpus];
        lapicAccount = Clock.Ledger.Account("lapic");
        unclaimedAccount = Clock.Ledger.Account("unclaimed");
        Memory = new(config.MemoryBytes);
        Code = new(Memory);
        pic = Add(new Pic(apicBus.Lint0), p => p.Reset());
        vcpus = new Vcpu[config.Vcpus];
        apics = new LocalApic[config.Vcpus];
        for (var i = 0; i < config.Vcpus; i++)
        {
            var cpu = vcpus[i] = Add(new Vcpu(i, Model, Memory, Code, Clock, config.Vmx), c => c.Reset());
            var apic = apics[i] = Add(
                new LocalApic((uint)i, i == 0, Clock, apicBus, cpu, pic, new() { TimerHertz = Model.CrystalHertz, PhysicalAddressBits = 40, HasX2Apic = Model.X2Apic }),
                a => a.Reset());
            cpu.Apic = apic;
            cpu.Handler = this;
            Add(cpu.Vmx, _ => { });
        }

        ioApic = Add(new IoApic(apicBus), i => i.Reset());
        apicBus.Attach(ioApic);
        Irq = Add(new IrqRouter(pic, ioApic), _ => { });
        dma = Add(new DmaFabric(Memory, Bus.Mmio, apicBus, Clock), d => d.Reset());
        Faults = new(Clock, dma) { Instructions = InstructionsNow, Removal = PullOut };
        Bus.Mmio.Map("ioapic", IoApicBase, 0x1000, ioApic);
        Pci = Add(new PciHost(Bus, dma), p => p.Reset());
        AddLegacyDevices(console);
        AddPciDevices();
        for (var gsi = 16; gsi < 24; gsi++)
        {
            Pci.Interrupts.ConnectLine(gsi, Irq.Connect(gsi));
        }

        MachineChecks = Add(new MachineCheckInjector(vcpus, config.MachineCheck, Memory, Clock) { Woke = YieldIfNeeded }, _ => { });

        // Last: a restored rule may take a device out that has been restored before.
        Add(Faults, f => f.Reset());
    }

    /// <summary>The processor that guests see.</summary>
    public CpuModel Model { get; }

    /// <summary>Fault rules.</summary>
    public FaultPlan Faults { get; }

    /// <summary>Interrupt wires.</summary>
    public IrqRouter Irq { get; }

    /// <summary>The PCI host bridge and its functions.</summary>
    public PciHost Pci { get; }

    /// <summary>COM1.</summary>
    public Uart16550 Serial { get; private set; } = null!;

    /// <summary>Everything with state, in the order of the snapshot.</summary>
    public IReadOnlyList<ISnapshotPart> Parts => parts;

    T Add<T>(T part, Action<T> reset)
        where T : ISnapshotPart
    {
        parts.Add(part);
        resets.Add(() => reset(part));
        return part;
    }

    /// <summary>NVMe controllers in the order of the configuration.</summary>
    public IReadOnlyList<NvmeController> Nvme => nvme;

    /// <summary>The edu test device, or null.</summary>
    public Edu? Edu { get; private set; }

    /// <summary>virtio-blk devices in the order of the configuration.</summary>
    public IReadOnlyList<BlockDevice> VirtioBlk => virtioBlk;

    readonly List<NvmeController> nvme = [];
    readonly List<BlockDevice> virtioBlk = [];
    readonly List<IBlockBackend> backends = [];

    void AddPciDevices()
    {
        if (Config.Vtd is { } vtd)
        {
            AddVtd(vtd);
        }

        foreach (var function in Pci.Pci.Functions)
        {
            Add(function, _ => { });
        }

        if (Config.VirtioIommu is { } viommu)
        {
            AddViommu(viommu);
        }

        if (Config.Edu is { } edu)
        {
            Edu = Add(new Edu("edu", new Bdf(0, EduSlot, 0), dma, Clock, edu), _ => { });
            Plug(Edu.Function, true);
        }

        for (var i = 0; i < Config.Disks.Count; i++)
        {
            AddDisk(i, Config.Disks[i]);
        }
    }

    void AddDisk(int index, DiskConfig disk)
    {
        var backend = disk.Open();
        backends.Add(backend);
        var address = new Bdf(0, FirstDiskSlot + index, 0);
        if (disk.Virtio is { } transport)
        {
            var device = new BlockDevice($"virtio-blk{index}", address, dma, Clock, new()
            {
                Backend = backend, BlockSize = disk.BlockSize, Serial = disk.Serial, Queues = Config.Vcpus,
                Transport = disk.BehindIommu ? transport : transport with { AccessPlatform = false },
            });
            virtioBlk.Add(device);
            Add(device.Transport, _ => { });
            PlugVirtio(device.Transport);
            return;
        }

        var controller = new NvmeController(
            $"nvme{index}", address, dma, Clock,
            new() { Namespaces = [new(backend, disk.BlockSize)], IoQueues = Math.Min(Config.Vcpus, 8), Serial = disk.Serial });
        nvme.Add(Add(controller, _ => { }));
        Plug(controller.Function, disk.BehindIommu);
    }

    ulong InstructionsNow()
    {
        var sum = 0ul;
        foreach (var cpu in vcpus)
        {
            sum += cpu.InstructionsNow;
        }

        return sum;
    }

    void PullOut(Bdf device)
    {
        if (Pci.Pci.Find(device.DevFn) is { } function)
        {
            Pci.Pci.Remove(function);
        }
    }

    void AddLegacyDevices(IConsoleOutput console)
    {
        var pio = Bus.Pio;
        pio.Map("pic", 0x20, 2, pic.MasterPorts);
        pio.Map("pic", 0xA0, 2, pic.SlavePorts);
        pio.Map("pic", 0x4D0, 2, pic.ElcrPorts);
        var pit = Add(new Pit(Clock, Irq.Connect(0)), p => p.Reset());
        pio.Map("pit", 0x40, 4, pit.Ports);
        pio.Map("pit", 0x61, 1, pit.SystemControlPortB);
        var keyboard = Add(new KeyboardController(this), k => k.Reset());
        pio.Map("i8042", 0x60, 1, keyboard.DataPort);
        pio.Map("i8042", 0x64, 1, keyboard.CommandPort);
        var rtc = Add(
            new Rtc(Clock, Irq.Connect(8), new()
            {
                Epoch = Config.StartTime, MemoryBelow4G = Memory.LowRamBytes, MemoryAbove4G = Memory.HighRamBytes, Processors = Config.Vcpus,
            }),
            r => r.Reset());
        pio.Map("rtc", 0x70, 2, rtc.Ports);
        var portA = Add(new SystemControlPortA(this), p => p.Reset());
        pio.Map("port92", 0x92, 1, portA.Ports);
        Serial = Add(new Uart16550("uart0", Clock, Irq.Connect(4), console), u => u.Reset());
        pio.Map("uart0", 0x3F8, 8, Serial.Ports);
        var pm = Add(new AcpiPm(Clock, Irq.Connect(9), this, new()), p => p.Reset());
        pio.Map("acpi-pm", 0x600, AcpiPm.PortCount, pm.Ports);
        var resetControl = Add(new ResetControl(this), r => r.Reset());
        Pci.OtherPorts = resetControl;
        AddTestDevices(console);
    }

    void AddTestDevices(IConsoleOutput console)
    {
        var pio = Bus.Pio;
        var lines = new IInterruptLine[PcTestDevice.LineCount];
        for (var i = 0; i < lines.Length; i++)
        {
            lines[i] = Irq.Connect(i);
        }

        var test = Add(new PcTestDevice(lines, new DebugConsole(console)), t => t.Reset());
        pio.Map("testdev", 0xE0, 4, test.DataPorts);
        pio.Map("testdev", 0xE4, 4, test.FlushPorts);
        pio.Map("testdev", 0xE8, 4, test.BytePorts);
        pio.Map("testdev", 0x2000, PcTestDevice.LineCount, test.IrqPorts);
        Bus.Mmio.Map("testdev", 0xFF00_0000, PcTestDevice.MemorySize, test.Memory);
        pio.Map("debug-exit", 0xF4, Chipset.DebugExit.PortCount, new Chipset.DebugExit(this));
        var fwCfg = Add(new FwCfg(Memory.RamBytes, Config.Vcpus), f => f.Reset());
        pio.Map("fw-cfg", 0x510, 2, fwCfg);
        var silent = new SilentPorts();
        pio.Map("post", 0x80, 1, silent);
        pio.Map("fpu-busy", 0xF0, 2, silent);
    }

    /// <summary>Puts every device and processor into its power-on state. RAM is left as it is.</summary>
    public void PowerOn()
    {
        dead = null;
        foreach (var reset in resets)
        {
            reset();
        }
    }
}
