using Vmm.Firmware.Boot;
using Vmm.Platform.Memory;

namespace Vmm.Firmware.Acpi;

/// <summary>The ACPI tables of a machine, placed in memory.</summary>
public sealed record AcpiTables
{
    /// <summary>Where the RSDP is.</summary>
    public required Gpa Rsdp { get; init; }

    /// <summary>What to write to guest memory.</summary>
    public required IReadOnlyList<BootWrite> Writes { get; init; }

    /// <summary>Ranges for the memory map.</summary>
    public required IReadOnlyList<MemoryRange> Regions { get; init; }
}
