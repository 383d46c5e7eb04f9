using Vmm.Chipset;
using Vmm.Platform.Bus;
using Vmm.Platform.Snapshots;
using Vmm.Platform.Time;

namespace Vmm.Unit.Chipset;

/// <summary>All of the chipset wired as in a q35-like PC, with cores that only take notes.</summary>
sealed class ChipsetBoard
{
    public ChipsetBoard(int processors = 1)
    {
        Pic = new(ApicBus.Lint0);
        IoApic = new(ApicBus);
        ApicBus.Attach(IoApic);
        Router = new(Pic, IoApic);
        for (var i = 0; i < processors; i++)
        {
            Cores.Add(new());
            Apics.Add(new((uint)i, i == 0, Clock, ApicBus, Cores[i], Pic, new()));
        }

        Hpet = new(Clock, [.. Enumerable.Range(0, 24).Select(Router.Connect)], Router.Connect(0), Router.Connect(8));
        Pit = new(Clock, Hpet.ReplacePit);
        Rtc = new(Clock, Hpet.ReplaceRtc, new() { MemoryBelow4G = 1 << 30, Processors = processors });
        Uart = new("uart0", Clock, Router.Connect(4), Console);
        Pm = new(Clock, Router.Connect(9), Power, new());
        Keyboard = new(Power);
        PortA = new(Power);
        Reset = new(Power);
        FwCfg = new(1 << 30, processors);
        TestDevice = new([.. Enumerable.Range(0, 24).Select(Router.Connect)], new DebugConsole(Console));
        MapPorts(Bus.Pio);
        Bus.Mmio.Map("ioapic", 0xFEC0_0000, 0x1000, IoApic);
        Bus.Mmio.Map("hpet", 0xFED0_0000, Hpet.Size, Hpet);
        Bus.Mmio.Map("lapic0", 0xFEE0_0000, 0x1000, Apics[0]);
        Bus.Mmio.Map("testdev", 0xFF00_0000, PcTestDevice.MemorySize, TestDevice.Memory);
        Pic.EnterFirmwareState();
        Apics[0].EnterVirtualWireMode();
    }

    public VirtualClock Clock { get; } = new();

    public SystemBus Bus { get; } = new();

    public ApicBus ApicBus { get; } = new();

    public TestConsole Console { get; } = new();

    public TestPower Power { get; } = new();

    public List<TestCore> Cores { get; } = [];

    public List<LocalApic> Apics { get; } = [];

    public Pic Pic { get; }

    public IoApic IoApic { get; }

    public IrqRouter Router { get; }

    public Hpet Hpet { get; }

    public Pit Pit { get; }

    public Rtc Rtc { get; }

    public Uart16550 Uart { get; }

    public AcpiPm Pm { get; }

    public KeyboardController Keyboard { get; }

    public SystemControlPortA PortA { get; }

    public ResetControl Reset { get; }

    public FwCfg FwCfg { get; }

    public PcTestDevice TestDevice { get; }

    public IEnumerable<ISnapshotPart> Parts =>
        [.. Apics, Pic, IoApic, Router, Hpet, Pit, Rtc, Uart, Pm, Keyboard, PortA, Reset, FwCfg, TestDevice];

    void MapPorts(AddressSpace pio)
    {
        pio.Map("pic0", 0x20, 2, Pic.MasterPorts);
        pio.Map("pit", 0x40, 4, Pit.Ports);
        pio.Map("i8042.data", 0x60, 1, Keyboard.DataPort);
        pio.Map("port61", 0x61, 1, Pit.SystemControlPortB);
        pio.Map("i8042.command", 0x64, 1, Keyboard.CommandPort);
        pio.Map("rtc", 0x70, 2, Rtc.Ports);
        pio.Map("post", 0x80, 1, new SilentPorts());
        pio.Map("port92", 0x92, 1, PortA.Ports);
        pio.Map("pic1", 0xA0, 2, Pic.SlavePorts);
        pio.Map("testdev.data", 0xE0, 4, TestDevice.DataPorts);
        pio.Map("testdev.flush", 0xE4, 4, TestDevice.FlushPorts);
        pio.Map("testdev.byte", 0xE8, 4, TestDevice.BytePorts);
        pio.Map("fpu", 0xF0, 2, new SilentPorts());
        pio.Map("debug-exit", 0xF4, DebugExit.PortCount, new DebugExit(Power));
        pio.Map("uart0", 0x3F8, 8, Uart.Ports);
        pio.Map("elcr", 0x4D0, 2, Pic.ElcrPorts);
        pio.Map("fw-cfg", 0x510, 2, FwCfg);
        pio.Map("acpi-pm", 0x600, AcpiPm.PortCount, Pm.Ports);
        pio.Map("reset-control", 0xCF8, 4, Reset);
        pio.Map("testdev.irq", 0x2000, PcTestDevice.LineCount, TestDevice.IrqPorts);
    }

    public void Out(ulong port, byte value) => Bus.Pio.Write(port, [value]);

    public byte In(ulong port)
    {
        Span<byte> data = stackalloc byte[1];
        Bus.Pio.Read(port, data);
        return data[0];
    }

    public void Store(ulong address, uint value) => Bus.Mmio.Write(address, BitConverter.GetBytes(value));

    public uint Fetch(ulong address)
    {
        Span<byte> data = stackalloc byte[4];
        Bus.Mmio.Read(address, data);
        return BitConverter.ToUInt32(data);
    }

    public void Route(int pin, uint low)
    {
        Store(0xFEC0_0000, (uint)(0x10 + pin * 2));
        Store(0xFEC0_0010, low);
    }
}
