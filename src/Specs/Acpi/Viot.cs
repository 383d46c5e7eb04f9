namespace Vmm.Specs.Acpi;

/// <summary>Virtual I/O Translation table (ACPI 6.5 §5.2.34).</summary>
public static class Viot
{
    /// <summary>Table: 16-bit node count and offset of the first node.</summary>
    public const int NodeCount = 36, NodeOffset = 38;

    /// <summary>First node.</summary>
    public const int Nodes = 48;

    /// <summary>Node types.</summary>
    public const byte PciRange = 1, MmioEndpoint = 2, VirtioPciIommu = 3, VirtioMmioIommu = 4;

    /// <summary>Node sizes.</summary>
    public const ushort PciRangeSize = 24, MmioEndpointSize = 24, VirtioPciIommuSize = 16, VirtioMmioIommuSize = 16;
}
