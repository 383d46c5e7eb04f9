using Vmm.Firmware.Boot;
using Vmm.Platform.Memory;

namespace Vmm.Firmware.Acpi;

/// <summary>One table and where it is.</summary>
/// <param name="Signature">Its signature; "RSD PTR " for the RSDP.</param>
/// <param name="Address">Its first byte.</param>
/// <param name="Bytes">The whole table.</param>
public sealed record PlacedTable(string Signature, Gpa Address, ReadOnlyMemory<byte> Bytes);

/// <summary>The ACPI tables of a machine, placed in memory.</summary>
public sealed record AcpiTables
{
    /// <summary>Where bare-metal guests find a copy of the RSDP: the BIOS area, which they scan.</summary>
    public static Gpa BiosRsdp { get; } = new(0xF0000);

    /// <summary>Where the RSDP is.</summary>
    public required Gpa Rsdp { get; init; }

    /// <summary>The tables, in the order of their addresses.</summary>
    public required IReadOnlyList<PlacedTable> Tables { get; init; }

    /// <summary>Ranges for the memory map: the tables themselves, and the devices they describe.</summary>
    public required IReadOnlyList<MemoryRange> Regions { get; init; }

    /// <summary>What to write to guest memory.</summary>
    public IReadOnlyList<BootWrite> Writes =>
    [
        .. Tables.Select(table => new BootWrite($"ACPI {table.Signature.Trim()}", table.Address, table.Bytes)),
        new("ACPI RSDP for scanning", BiosRsdp, Tables.First(table => table.Address == Rsdp).Bytes),
    ];
}
