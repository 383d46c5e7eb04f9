namespace Vmm.Specs.Acpi;

/// <summary>The header that all ACPI description tables share (ACPI 6.4 §5.2.6), and the RSDP (§5.2.5.3).</summary>
public static class AcpiTable
{
    /// <summary>Header: signature, 4 characters.</summary>
    public const int Signature = 0;

    /// <summary>Header: length of the table, 32 bits.</summary>
    public const int Length = 4;

    /// <summary>Header: revision.</summary>
    public const int Revision = 8;

    /// <summary>Header: checksum; all bytes of the table add up to 0.</summary>
    public const int Checksum = 9;

    /// <summary>Size of the header.</summary>
    public const int HeaderSize = 36;

    /// <summary>RSDP: checksum of the first 20 bytes.</summary>
    public const int RsdpChecksum = 8;

    /// <summary>RSDP: 64-bit address of the XSDT.</summary>
    public const int RsdpXsdtAddress = 24;

    /// <summary>RSDP: checksum of all bytes.</summary>
    public const int RsdpExtendedChecksum = 32;

    /// <summary>Size of the RSDP of revision 2.</summary>
    public const int RsdpSize = 36;
}
