namespace Vmm.Firmware.Acpi;

/// <summary>The DSDT: what a PC's operating system cannot find by itself. It holds names only, no code.</summary>
internal static class Dsdt
{
    const byte Revision = 2;
    const ushort ConfigurationPorts = 0xCF8;

    /// <summary>Builds the table.</summary>
    public static byte[] Build(AcpiConfig config)
    {
        IEnumerable<byte[]> devices =
        [
            .. Processors(config), PciRoot(config), Motherboard(config),
            .. config.SerialPorts.Select(Serial),
            .. config.Rtc ? [Rtc()] : Array.Empty<byte[]>(),
            .. config.HpetAddress != 0 ? [Hpet(config.HpetAddress)] : Array.Empty<byte[]>(),
        ];
        return new TableWriter("DSDT", Revision, config)
            .Append(Aml.Scope("_SB", devices))
            .Append(Aml.Name("_S5", Aml.Package(Aml.Integer(config.SoftOffType), Aml.Integer(0), Aml.Integer(0), Aml.Integer(0))))
            .ToTable();
    }

    /// <summary>The MADT refers to these by _UID.</summary>
    static IEnumerable<byte[]> Processors(AcpiConfig config) => config.ApicIds.Select((_, i) => Aml.Device(
        $"C{i:X3}",
        Aml.Name("_HID", Aml.Text("ACPI0007")),
        Aml.Name("_UID", Aml.Integer((ulong)i))));

    static byte[] PciRoot(AcpiConfig config)
    {
        var resources = new ResourceTemplate()
            .Buses(0, config.LastBus)
            .Io(ConfigurationPorts, 8)
            .Ports(0, ConfigurationPorts - 1)
            .Ports(ConfigurationPorts + 8, ushort.MaxValue);
        foreach (var window in config.Memory32.Append(config.Memory64).Where(window => window.Length > 0))
        {
            resources.Window(window);
        }

        return Aml.Device(
            "PCI0",
            [
                Aml.Name("_HID", Aml.EisaId("PNP0A08")),
                Aml.Name("_CID", Aml.EisaId("PNP0A03")),
                Aml.Name("_UID", Aml.Integer(0)),
                Aml.Name("_SEG", Aml.Integer(0)),
                Aml.Name("_BBN", Aml.Integer(0)),
                Aml.Name("_CRS", resources.ToAml()),
                .. config.PciRoutes.Count > 0 ? [Routes(config)] : Array.Empty<byte[]>(),
            ]);
    }

    /// <summary>_PRT (ACPI 6.4 §6.2.13): a source of 0 makes the index a global system interrupt.</summary>
    static byte[] Routes(AcpiConfig config) => Aml.Name("_PRT", Aml.Package([.. config.PciRoutes.Select(route => Aml.Package(
        Aml.Integer((ulong)route.Device << 16 | 0xFFFF),
        Aml.Integer((ulong)route.Pin),
        Aml.Integer(0),
        Aml.Integer((ulong)route.Gsi)))]));

    /// <summary>Linux uses ECAM only when some device like this reserves it.</summary>
    static byte[] Motherboard(AcpiConfig config) => Aml.Device(
        "MBRD",
        Aml.Name("_HID", Aml.EisaId("PNP0C02")),
        Aml.Name("_UID", Aml.Integer(0)),
        Aml.Name("_CRS", new ResourceTemplate()
            .Memory32Fixed((uint)config.EcamBase, AcpiBuilder.EcamLength(config))
            .Io(config.PowerPort, AcpiBuilder.PowerPorts)
            .ToAml()));

    static byte[] Serial(AcpiSerialPort port, int index) => Aml.Device(
        $"COM{index + 1}",
        Aml.Name("_HID", Aml.EisaId("PNP0501")),
        Aml.Name("_UID", Aml.Integer((ulong)index + 1)),
        Aml.Name("_CRS", new ResourceTemplate().Io(port.Port, 8).Interrupt(port.Irq).ToAml()));

    static byte[] Rtc() => Aml.Device(
        "RTC",
        Aml.Name("_HID", Aml.EisaId("PNP0B00")),
        Aml.Name("_CRS", new ResourceTemplate().Io(0x70, 2).Interrupt(8).ToAml()));

    static byte[] Hpet(uint address) => Aml.Device(
        "HPET",
        Aml.Name("_HID", Aml.EisaId("PNP0103")),
        Aml.Name("_UID", Aml.Integer(0)),
        Aml.Name("_CRS", new ResourceTemplate().Memory32Fixed(address, 0x400).ToAml()));
}
