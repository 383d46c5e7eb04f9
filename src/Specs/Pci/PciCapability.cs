namespace Vmm.Specs.Pci;

/// <summary>Capability ids (PCI Code and ID Assignment §2).</summary>
public static class PciCapabilityId
{
    /// <summary>Power Management.</summary>
    public const byte PowerManagement = 0x01;

    /// <summary>MSI.</summary>
    public const byte Msi = 0x05;

    /// <summary>Vendor specific.</summary>
    public const byte Vendor = 0x09;

    /// <summary>PCI Express.</summary>
    public const byte Express = 0x10;

    /// <summary>MSI-X.</summary>
    public const byte Msix = 0x11;
}

/// <summary>MSI capability with 64-bit address (PCI 3.0 §6.8.1); offsets from its start.</summary>
public static class MsiLayout
{
    /// <summary>Message Control, 2 bytes: enable (0), multiple message capable (3:1) and enable (6:4), 64-bit (7), per-vector masking (8).</summary>
    public const int Control = 2;

    /// <summary>Message Address, 4 bytes.</summary>
    public const int AddressLow = 4;

    /// <summary>Message Upper Address, 4 bytes.</summary>
    public const int AddressHigh = 8;

    /// <summary>Message Data, 2 bytes.</summary>
    public const int Data = 0x0C;

    /// <summary>Mask Bits, 4 bytes; with per-vector masking only.</summary>
    public const int Mask = 0x10;

    /// <summary>Pending Bits, 4 bytes; with per-vector masking only.</summary>
    public const int Pending = 0x14;

    /// <summary>Enable bit of Message Control.</summary>
    public const ushort Enable = 1;

    /// <summary>64-bit capable.</summary>
    public const ushort Address64 = 1 << 7;

    /// <summary>Per-vector masking capable.</summary>
    public const ushort PerVectorMask = 1 << 8;
}

/// <summary>MSI-X capability, 12 bytes (PCI 3.0 §6.8.2); offsets from its start.</summary>
public static class MsixLayout
{
    /// <summary>Message Control, 2 bytes: table size - 1 (10:0), function mask (14), enable (15).</summary>
    public const int Control = 2;

    /// <summary>Table offset (31:3) and BAR (2:0), 4 bytes.</summary>
    public const int Table = 4;

    /// <summary>Pending bit array offset (31:3) and BAR (2:0), 4 bytes.</summary>
    public const int Pba = 8;

    /// <summary>MSI-X Enable.</summary>
    public const ushort Enable = 1 << 15;

    /// <summary>Function Mask.</summary>
    public const ushort FunctionMask = 1 << 14;

    /// <summary>Bytes of one table entry: address, upper address, data, vector control (bit 0: mask).</summary>
    public const int EntrySize = 16;
}

/// <summary>Power management capability, 8 bytes (PCI PM 1.2 §3.2); offsets from its start.</summary>
public static class PowerLayout
{
    /// <summary>PMC, 2 bytes: version in bits 2:0.</summary>
    public const int Capabilities = 2;

    /// <summary>PMCSR, 2 bytes: power state in bits 1:0, No_Soft_Reset bit 3.</summary>
    public const int ControlStatus = 4;

    /// <summary>No_Soft_Reset: D3hot to D0 keeps the function's state.</summary>
    public const ushort NoSoftReset = 1 << 3;
}

/// <summary>PCI Express capability version 2 (PCIe 4.0 §7.5.3); offsets from its start.</summary>
public static class ExpressLayout
{
    /// <summary>Length in bytes.</summary>
    public const int Length = 0x3C;

    /// <summary>PCI Express Capabilities, 2 bytes: version (3:0), device/port type (7:4).</summary>
    public const int Capabilities = 0x02;

    /// <summary>Device Capabilities, 4 bytes.</summary>
    public const int DeviceCapabilities = 0x04;

    /// <summary>Device Control, 2 bytes.</summary>
    public const int DeviceControl = 0x08;

    /// <summary>Device Status, 2 bytes.</summary>
    public const int DeviceStatus = 0x0A;

    /// <summary>Device Capabilities 2, 4 bytes.</summary>
    public const int DeviceCapabilities2 = 0x24;

    /// <summary>Device Control 2, 2 bytes.</summary>
    public const int DeviceControl2 = 0x28;

    /// <summary>Device/port type: root complex integrated endpoint.</summary>
    public const int RootComplexIntegratedEndpoint = 9;

    /// <summary>Device Control bit 15: Initiate Function Level Reset; reads 0.</summary>
    public const ushort InitiateReset = 1 << 15;
}
