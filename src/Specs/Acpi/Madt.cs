namespace Vmm.Specs.Acpi;

/// <summary>Multiple APIC Description Table (ACPI 6.4 §5.2.12): entry types and flags.</summary>
public static class Madt
{
    /// <summary>Entry types.</summary>
    public const byte LocalApic = 0, IoApic = 1, InterruptSourceOverride = 2, LocalApicNmi = 4, LocalX2Apic = 9, LocalX2ApicNmi = 10;

    /// <summary>MADT flags: two 8259 controllers are there too.</summary>
    public const uint PcAtCompatible = 1;

    /// <summary>Processor flags: enabled.</summary>
    public const uint Enabled = 1;

    /// <summary>Largest APIC id that a <see cref="LocalApic"/> entry may hold; 255 means all processors.</summary>
    public const uint LargestApicId = 254;

    /// <summary>MPS INTI flags: as the bus has it; active high and level triggered.</summary>
    public const ushort Conforming = 0, ActiveHighLevel = 0x000D;
}
