using Vmm.Platform.Bus;

namespace Vmm.Platform.Pci;

/// <summary>The device behind a <see cref="PciFunction"/>.</summary>
public interface IPciDevice
{
    /// <summary>Reads from a BAR; the parts that MSI-X occupies are not seen here.</summary>
    IoResult ReadBar(int bar, ulong offset, Span<byte> data);

    /// <summary>Writes to a BAR.</summary>
    IoResult WriteBar(int bar, ulong offset, ReadOnlySpan<byte> data);

    /// <summary>Function-level or platform reset: the device forgets everything; config space is reset already.</summary>
    void FunctionReset();

    /// <summary>The guest wrote a config register that the function itself gives no meaning to.</summary>
    /// <param name="register">Offset of the register.</param>
    void ConfigWritten(int register)
    {
    }

    /// <summary>The guest is about to read config space: the device may set registers whose value is made when read.</summary>
    /// <param name="offset">First byte.</param>
    /// <param name="length">Bytes.</param>
    void ConfigReading(int offset, int length)
    {
    }
}

/// <summary>What a function says of itself.</summary>
/// <param name="Name">Instance name in reports and snapshots ("nvme0").</param>
/// <param name="VendorId">Vendor ID.</param>
/// <param name="DeviceId">Device ID.</param>
/// <param name="ClassCode">Class, subclass and programming interface as 0xCCSSPP.</param>
/// <param name="Revision">Revision ID.</param>
/// <param name="SubsystemVendorId">Subsystem Vendor ID.</param>
/// <param name="SubsystemId">Subsystem ID.</param>
public readonly record struct PciIdentity(
    string Name,
    ushort VendorId,
    ushort DeviceId,
    uint ClassCode,
    byte Revision = 0,
    ushort SubsystemVendorId = 0x1AF4,
    ushort SubsystemId = 0x1100);
