using Vmm.Firmware.Acpi;
using Vmm.Platform.Dma;

namespace Vmm.Unit.Firmware.Acpi;

/// <summary>Machines whose tables are looked at.</summary>
internal static class AcpiSamples
{
    public const ulong Ram = 256 << 20;

    public static AcpiConfig Small { get; } = new();

    public static AcpiConfig Full { get; } = new()
    {
        ApicIds = [0, 1, 2, 300],
        IoApicId = 5,
        HpetAddress = 0xFED00000,
        SerialPorts = [new(0x3F8, 4), new(0x2F8, 3)],
        PciRoutes = [.. Enumerable.Range(0, 32).SelectMany(device => Enumerable.Range(0, 4).Select(pin => new AcpiPciRoute(device, pin, 16 + (device + pin) % 8)))],
        Dmar = new()
        {
            HostAddressWidth = 39,
            Units =
            [
                new() { RegisterBase = 0xFED91000, IncludePciAll = false, Scopes = [DmarScope.Endpoint(new Bdf(0, 2, 0)), DmarScope.SubHierarchy(new Bdf(0, 28, 4))] },
                new() { Scopes = [DmarScope.IoApic(5, new Bdf(0xF0, 31, 7)), DmarScope.Hpet(0, new Bdf(0xF0, 15, 0))] },
            ],
            ReservedRegions = [new(0x8000000, 0x8001FFF, [DmarScope.Endpoint(new Bdf(0, 3, 1))])],
            RootPortAts = [new(false, [DmarScope.SubHierarchy(new Bdf(0, 28, 4))]), new(true, [])],
        },
    };

    public static AcpiConfig Reduced { get; } = new()
    {
        HardwareReduced = true,
        LegacyDevices = false,
        Rtc = false,
        SoftOffType = 5,
        Viot = new(new Bdf(0, 3, 0), [new(new Bdf(0, 0, 0), new Bdf(0, 2, 7), 0), new(new Bdf(0, 4, 0), new Bdf(0, 31, 7), 0x20)]),
    };

    public static byte[] Table(AcpiConfig config, string signature) =>
        AcpiBuilder.Build(config, Ram).Tables.Single(table => table.Signature == signature).Bytes.ToArray();
}
