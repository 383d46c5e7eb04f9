using System.Buffers.Binary;
using System.Text;
using Vmm.Firmware.Boot;
using Vmm.Platform.Memory;
using Vmm.Specs.Acpi;

namespace Vmm.Firmware.Acpi;

/// <summary>Builds the tables of a machine and places them at the top of RAM below 4 GiB.</summary>
public static class AcpiBuilder
{
    const ulong PageSize = 4096;
    const ulong SmallestRam = 2 << 20;
    const int MostProcessors = 4096, MostSerialPorts = 4;
    const int LargestExtraTables = 1 << 20;
    const int TableAlignment = 16;

    /// <summary>Ports of the fixed hardware that the motherboard device reserves.</summary>
    internal const byte PowerPorts = 0x80;

    /// <summary>Builds and places all tables. Free memory between them and the end of their page is not used otherwise.</summary>
    /// <param name="config">The machine.</param>
    /// <param name="ramBytes">Its RAM in bytes.</param>
    /// <exception cref="ImageException">The configuration contradicts itself or there is too little RAM.</exception>
    public static AcpiTables Build(AcpiConfig config, ulong ramBytes)
    {
        Check(config, ramBytes);
        var top = Math.Min(ramBytes, GuestMemory.LowRamLimit) / PageSize * PageSize;
        // FACS belongs to memory that the system must keep, so it has a page of its own.
        var facs = config.HardwareReduced ? 0 : top - PageSize;
        var end = facs != 0 ? facs : top;
        // Addresses do not change sizes, so a first round at address 0 tells how much room there must be.
        var size = AlignUp(Layout(config, 0, 1).Last() is var last ? last.Address.Value + (ulong)last.Bytes.Length : 0, PageSize);
        if (size > end / 2)
        {
            throw new ImageException("acpi tables", -1, $"{size} bytes do not fit in {ramBytes} bytes of RAM");
        }

        var tables = Layout(config, end - size, facs);
        if (facs != 0)
        {
            tables.Add(new("FACS", new(facs), FixedTables.Facs()));
        }

        return new()
        {
            Rsdp = tables.First(table => table.Signature == "RSD PTR ").Address,
            Tables = tables,
            Regions = Regions(config, end - size, size, facs),
        };
    }

    /// <summary>Length of ECAM in bytes.</summary>
    internal static uint EcamLength(AcpiConfig config) => (config.LastBus + 1u) << 20;

    static List<PlacedTable> Layout(AcpiConfig config, ulong start, ulong facs)
    {
        var tables = new List<PlacedTable>();
        var next = start;
        ulong Add(string signature, byte[] bytes)
        {
            var address = next;
            tables.Add(new(signature, new(address), bytes));
            next = AlignUp(address + (ulong)bytes.Length, TableAlignment);
            return address;
        }

        var dsdt = Add("DSDT", Dsdt.Build(config));
        List<ulong> listed =
        [
            Add("FACP", FixedTables.Fadt(config, dsdt, facs)),
            Add("APIC", FixedTables.Madt(config)),
            Add("MCFG", FixedTables.Mcfg(config)),
        ];
        if (config.HpetAddress != 0)
        {
            listed.Add(Add("HPET", FixedTables.Hpet(config)));
        }

        if (config.Dmar != null)
        {
            listed.Add(Add("DMAR", RemappingTables.Dmar(config, config.Dmar)));
        }

        if (config.Viot != null)
        {
            listed.Add(Add("VIOT", RemappingTables.Viot(config, config.Viot)));
        }

        foreach (var extra in config.ExtraTables)
        {
            listed.Add(Add(Encoding.ASCII.GetString(extra.Span[..4]), extra.ToArray()));
        }

        var xsdt = Add("XSDT", FixedTables.Xsdt(config, listed));
        var rsdt = Add("RSDT", FixedTables.Rsdt(config, listed));
        Add("RSD PTR ", FixedTables.Rsdp(config, rsdt, xsdt));
        return tables;
    }

    static MemoryRange[] Regions(AcpiConfig config, ulong start, ulong size, ulong facs) =>
    [
        new(new(start), size, MemoryKind.AcpiReclaim),
        .. facs != 0 ? [new(new(facs), PageSize, MemoryKind.AcpiNvs)] : Array.Empty<MemoryRange>(),
        new(new(config.EcamBase), EcamLength(config), MemoryKind.Reserved),
        new(new(config.IoApicAddress), PageSize, MemoryKind.Reserved),
        new(new(config.LocalApicAddress), PageSize, MemoryKind.Reserved),
        .. (config.Dmar?.Units ?? []).Select(unit => new MemoryRange(new(unit.RegisterBase), PageSize, MemoryKind.Reserved)),
        // Linux calls the BIOS broken when such a region is not reserved.
        .. (config.Dmar?.ReservedRegions ?? []).Select(region => new MemoryRange(new(region.Base), region.Limit - region.Base + 1, MemoryKind.Reserved)),
        .. config.ReservedRanges,
    ];

    static void Check(AcpiConfig config, ulong ramBytes)
    {
        Require(ramBytes >= SmallestRam, "acpi tables", $"{ramBytes} bytes of RAM are less than 2 MiB");
        Require(config.ApicIds.Count is > 0 and <= MostProcessors, "acpi apic ids", $"{config.ApicIds.Count} processors are not 1 to {MostProcessors}");
        Require(config.ApicIds.Distinct().Count() == config.ApicIds.Count && !config.ApicIds.Contains(uint.MaxValue), "acpi apic ids", "one is there twice or means all");
        Require(config.SerialPorts.Count <= MostSerialPorts, "acpi serial ports", $"more than {MostSerialPorts}");
        Require(config.SoftOffType < 8, "acpi soft off type", $"{config.SoftOffType} has more than 3 bits");
        Require(config.EcamBase % (1 << 20) == 0 && config.EcamBase + EcamLength(config) <= 1UL << 32, "acpi ECAM base", $"0x{config.EcamBase:x} is not aligned or not below 4 GiB");
        Require(config.PciRoutes.All(route => route is { Device: >= 0 and < 32, Pin: >= 0 and < 4, Gsi: >= 0 }), "acpi PCI routes", "a device is above 31, a pin above 3 or an interrupt negative");
        Require(config.PciRoutes.Select(route => (route.Device, route.Pin)).Distinct().Count() == config.PciRoutes.Count, "acpi PCI routes", "a pin is routed twice");
        foreach (var window in config.Memory32)
        {
            Require(window.Length > 0 && window.Start < 1UL << 32 && window.Length <= (1UL << 32) - window.Start, "acpi memory window", $"0x{window.Length:x} bytes at 0x{window.Start:x} are not below 4 GiB");
        }

        Require(config.Memory64.Length == 0 || config.Memory64.Start + config.Memory64.Length > config.Memory64.Start, "acpi memory window", $"the one at 0x{config.Memory64.Start:x} wraps around");
        Require(config.Dmar == null || config.Viot == null, "acpi viot", "a machine has either VT-d or virtio-iommu");
        CheckExtra(config);
    }

    static void CheckExtra(AcpiConfig config)
    {
        Require(config.ExtraTables.Sum(table => (long)table.Length) <= LargestExtraTables, "acpi extra tables", $"more than {LargestExtraTables} bytes");
        foreach (var table in config.ExtraTables)
        {
            var bytes = table.Span;
            Require(bytes.Length >= AcpiTable.HeaderSize, "acpi extra table", $"{bytes.Length} bytes are less than a header");
            var signature = Encoding.ASCII.GetString(bytes[..4]);
            var length = BinaryPrimitives.ReadUInt32LittleEndian(bytes[AcpiTable.Length..]);
            Require(length == bytes.Length, $"acpi extra table {signature}", $"its length field says {length}, it has {bytes.Length} bytes");
            Require(TableWriter.Checksum(bytes) == 0, $"acpi extra table {signature}", "its checksum is wrong");
            Require(signature is not ("XSDT" or "RSDT" or "DSDT" or "FACP" or "FACS" or "APIC" or "MCFG" or "DMAR" or "VIOT" or "HPET"), $"acpi extra table {signature}", "it is one of the machine's own");
        }
    }

    static ulong AlignUp(ulong value, ulong alignment) => (value + alignment - 1) / alignment * alignment;

    static void Require(bool holds, string field, string problem)
    {
        if (!holds)
        {
            throw new ImageException(field, -1, problem);
        }
    }
}
