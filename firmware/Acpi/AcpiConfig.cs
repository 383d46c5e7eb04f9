using Vmm.Firmware.Boot;

namespace Vmm.Firmware.Acpi;

/// <summary>A route of a PCI interrupt pin to a global system interrupt.</summary>
/// <param name="Device">Device number on bus 0.</param>
/// <param name="Pin">0 INTA# to 3 INTD#.</param>
/// <param name="Gsi">The interrupt.</param>
public readonly record struct AcpiPciRoute(int Device, int Pin, int Gsi);

/// <summary>A window of addresses that the PCI host bridge decodes.</summary>
/// <param name="Start">First address.</param>
/// <param name="Length">Length in bytes.</param>
public readonly record struct AcpiWindow(ulong Start, ulong Length);

/// <summary>A 16550 serial port.</summary>
/// <param name="Port">First I/O port.</param>
/// <param name="Irq">Interrupt.</param>
public readonly record struct AcpiSerialPort(ushort Port, byte Irq);

/// <summary>The machine as its ACPI tables describe it. Defaults are the machine's own address map.</summary>
public sealed record AcpiConfig
{
    /// <summary>APIC ids of the processors, the boot processor first.</summary>
    public IReadOnlyList<uint> ApicIds { get; init; } = [0];

    /// <summary>Physical address of the local APICs.</summary>
    public uint LocalApicAddress { get; init; } = 0xFEE0_0000;

    /// <summary>Id of the I/O APIC.</summary>
    public byte IoApicId { get; init; }

    /// <summary>Physical address of the I/O APIC.</summary>
    public uint IoApicAddress { get; init; } = 0xFEC0_0000;

    /// <summary>True when there are two 8259 and a PIT, whose IRQ 0 reaches input 2.</summary>
    public bool LegacyDevices { get; init; } = true;

    /// <summary>System control interrupt: active high, level triggered.</summary>
    public byte SciInterrupt { get; init; } = 9;

    /// <summary>First port of the fixed hardware: PM1a event block; control follows at +4, the timer at +8.</summary>
    public ushort PowerPort { get; init; } = 0x600;

    /// <summary>
    /// True for a hardware-reduced platform: no fixed hardware, no SCI and no FACS. Sleep control and status are then the
    /// upper bytes of PM1a control and status, which have the layout that ACPI 6.4 §4.8.3.7 asks for.
    /// </summary>
    public bool HardwareReduced { get; init; }

    /// <summary>SLP_TYP for soft off.</summary>
    public byte SoftOffType { get; init; }

    /// <summary>True when the power button is the fixed one of PM1.</summary>
    public bool FixedPowerButton { get; init; } = true;

    /// <summary>True when there is an RTC at port 0x70.</summary>
    public bool Rtc { get; init; } = true;

    /// <summary>Serial ports.</summary>
    public IReadOnlyList<AcpiSerialPort> SerialPorts { get; init; } = [new(0x3F8, 4)];

    /// <summary>Address of the HPET, or 0 for none. Linux measures it for a virtual millisecond when it is there.</summary>
    public uint HpetAddress { get; init; }

    /// <summary>First address of ECAM.</summary>
    public ulong EcamBase { get; init; } = 0xE000_0000;

    /// <summary>Last PCI bus. With more than are really there Linux searches them all.</summary>
    public byte LastBus { get; init; }

    /// <summary>Windows for BARs below 4 GiB.</summary>
    public IReadOnlyList<AcpiWindow> Memory32 { get; init; } = [new(0xC000_0000, 0x2000_0000), new(0xF000_0000, 0x0EC0_0000)];

    /// <summary>Window for BARs above 4 GiB; length 0 for none.</summary>
    public AcpiWindow Memory64 { get; init; } = new(0x80_0000_0000, 0x80_0000_0000);

    /// <summary>Interrupt routes of bus 0.</summary>
    public IReadOnlyList<AcpiPciRoute> PciRoutes { get; init; } = [];

    /// <summary>VT-d units, or null for none.</summary>
    public DmarConfig? Dmar { get; init; }

    /// <summary>virtio-iommu, or null for none.</summary>
    public ViotConfig? Viot { get; init; }

    /// <summary>Whole tables to add as they are, header and checksum included.</summary>
    public IReadOnlyList<ReadOnlyMemory<byte>> ExtraTables { get; init; } = [];

    /// <summary>Further ranges of the memory map that belong to the platform.</summary>
    public IReadOnlyList<MemoryRange> ReservedRanges { get; init; } = [];

    /// <summary>OEM id, 6 characters.</summary>
    public string OemId { get; init; } = "VMM";

    /// <summary>OEM table id, 8 characters.</summary>
    public string OemTableId { get; init; } = "MACHINE";
}
