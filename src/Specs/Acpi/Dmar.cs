namespace Vmm.Specs.Acpi;

/// <summary>DMA Remapping Reporting (VT-d 4.1 §8): table flags, structure types and device scopes.</summary>
public static class Dmar
{
    /// <summary>Table: Host Address Width less 1, and flags.</summary>
    public const int HostAddressWidth = 36, Flags = 37;

    /// <summary>First remapping structure.</summary>
    public const int Structures = 48;

    /// <summary>Table flags: INTR_REMAP, X2APIC_OPT_OUT, DMA_CTRL_PLATFORM_OPT_IN_FLAG.</summary>
    public const byte IntrRemap = 1 << 0, X2ApicOptOut = 1 << 1, DmaCtrlPlatformOptIn = 1 << 2;

    /// <summary>Structure types.</summary>
    public const ushort Drhd = 0, Rmrr = 1, Atsr = 2, Rhsa = 3, Andd = 4, Satc = 5;

    /// <summary>DRHD flags: INCLUDE_PCI_ALL.</summary>
    public const byte IncludePciAll = 1;

    /// <summary>ATSR flags: ALL_PORTS.</summary>
    public const byte AllPorts = 1;

    /// <summary>SATC flags: ATC_REQUIRED.</summary>
    public const byte AtcRequired = 1;

    /// <summary>Device scope types.</summary>
    public const byte ScopeEndpoint = 1, ScopeSubHierarchy = 2, ScopeIoApic = 3, ScopeHpet = 4, ScopeNamespace = 5;

    /// <summary>Device scope: type, length, flags, reserved, enumeration id, start bus number, then pairs of device and function.</summary>
    public const int ScopeHeaderSize = 6;
}
