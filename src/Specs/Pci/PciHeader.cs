namespace Vmm.Specs.Pci;

/// <summary>Offsets in the type 0 configuration header (PCI Local Bus 3.0 §6.1; PCIe 4.0 §7.5.1).</summary>
public static class PciHeader
{
    /// <summary>Vendor ID, 2 bytes.</summary>
    public const int VendorId = 0x00;

    /// <summary>Device ID, 2 bytes.</summary>
    public const int DeviceId = 0x02;

    /// <summary>Command, 2 bytes: <see cref="PciCommand"/>.</summary>
    public const int Command = 0x04;

    /// <summary>Status, 2 bytes: <see cref="PciStatus"/>.</summary>
    public const int Status = 0x06;

    /// <summary>Revision ID (7:0) and Class Code (31:8), 4 bytes.</summary>
    public const int RevisionClass = 0x08;

    /// <summary>Cache Line Size, 1 byte.</summary>
    public const int CacheLineSize = 0x0C;

    /// <summary>Header Type, 1 byte; bit 7 marks a device with several functions.</summary>
    public const int HeaderType = 0x0E;

    /// <summary>Base Address Register 0; six of 4 bytes.</summary>
    public const int Bar0 = 0x10;

    /// <summary>Subsystem Vendor ID, 2 bytes.</summary>
    public const int SubsystemVendorId = 0x2C;

    /// <summary>Subsystem ID, 2 bytes.</summary>
    public const int SubsystemId = 0x2E;

    /// <summary>Capabilities Pointer, 1 byte.</summary>
    public const int CapabilitiesPointer = 0x34;

    /// <summary>Interrupt Line, 1 byte, written by firmware.</summary>
    public const int InterruptLine = 0x3C;

    /// <summary>Interrupt Pin, 1 byte: 0 none, 1 INTA# to 4 INTD#.</summary>
    public const int InterruptPin = 0x3D;

    /// <summary>First byte that capabilities may use.</summary>
    public const int FirstCapability = 0x40;

    /// <summary>First extended capability (PCIe 4.0 §7.6).</summary>
    public const int FirstExtendedCapability = 0x100;

    /// <summary>Size of one function's configuration space in ECAM.</summary>
    public const int EcamSize = 0x1000;

    /// <summary>Multi-function bit of <see cref="HeaderType"/>.</summary>
    public const byte MultiFunction = 0x80;

    /// <summary>BAR bit 0: I/O space.</summary>
    public const uint BarIo = 1;

    /// <summary>BAR bits 2:1 = 10b: 64-bit memory.</summary>
    public const uint BarMemory64 = 4;

    /// <summary>BAR bit 3: prefetchable memory.</summary>
    public const uint BarPrefetchable = 8;
}

/// <summary>Command register (PCI 3.0 §6.2.2).</summary>
public readonly record struct PciCommand(ushort Raw)
{
    /// <summary>Bits that this register implements.</summary>
    public const ushort Implemented = 0x0547;

    /// <summary>I/O Space Enable, bit 0.</summary>
    public bool IoSpace { get => Bits.Get(Raw, 0); init => Raw = (ushort)Bits.Set(Raw, 0, value); }

    /// <summary>Memory Space Enable, bit 1.</summary>
    public bool MemorySpace { get => Bits.Get(Raw, 1); init => Raw = (ushort)Bits.Set(Raw, 1, value); }

    /// <summary>Bus Master Enable, bit 2.</summary>
    public bool BusMaster { get => Bits.Get(Raw, 2); init => Raw = (ushort)Bits.Set(Raw, 2, value); }

    /// <summary>Interrupt Disable, bit 10.</summary>
    public bool InterruptDisable { get => Bits.Get(Raw, 10); init => Raw = (ushort)Bits.Set(Raw, 10, value); }
}

/// <summary>Status register bits (PCI 3.0 §6.2.3).</summary>
public static class PciStatus
{
    /// <summary>Interrupt Status: INTx is wanted, whether or not it is disabled.</summary>
    public const ushort InterruptStatus = 1 << 3;

    /// <summary>Capabilities List present.</summary>
    public const ushort CapabilitiesList = 1 << 4;

    /// <summary>Error bits cleared by writing 1.</summary>
    public const ushort ClearOnOne = 0xF900;
}
