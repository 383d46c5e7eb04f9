using Vmm.Platform.Dma;
using Vmm.Specs.Acpi;

namespace Vmm.Firmware.Acpi;

/// <summary>Names a device by its place in the PCI hierarchy (VT-d 4.1 §8.3.1).</summary>
/// <param name="Type">Kind of device: a ScopeXxx constant of <see cref="Dmar"/>.</param>
/// <param name="StartBus">Bus that the path starts on.</param>
/// <param name="Path">Device and function numbers: of the bridges on the way, and of the device itself.</param>
/// <param name="EnumerationId">I/O APIC id, HPET number or ACPI device number; 0 for PCI devices.</param>
public sealed record DmarScope(byte Type, byte StartBus, IReadOnlyList<(byte Device, byte Function)> Path, byte EnumerationId = 0)
{
    /// <summary>A PCI endpoint on a root bus.</summary>
    public static DmarScope Endpoint(Bdf device) => OnRoot(Dmar.ScopeEndpoint, device, 0);

    /// <summary>A bridge on a root bus and all that is behind it.</summary>
    public static DmarScope SubHierarchy(Bdf bridge) => OnRoot(Dmar.ScopeSubHierarchy, bridge, 0);

    /// <summary>An I/O APIC, whose interrupts carry <paramref name="requester"/>.</summary>
    public static DmarScope IoApic(byte id, Bdf requester) => OnRoot(Dmar.ScopeIoApic, requester, id);

    /// <summary>An HPET, whose interrupts carry <paramref name="requester"/>.</summary>
    public static DmarScope Hpet(byte number, Bdf requester) => OnRoot(Dmar.ScopeHpet, requester, number);

    static DmarScope OnRoot(byte type, Bdf device, byte id) => new(type, device.Bus, [((byte)device.Device, (byte)device.Function)], id);
}

/// <summary>A remapping unit (DRHD).</summary>
public sealed record DmarUnit
{
    /// <summary>PCI segment.</summary>
    public ushort Segment { get; init; }

    /// <summary>Base of the register set, 4 KiB aligned.</summary>
    public ulong RegisterBase { get; init; } = 0xFED9_0000;

    /// <summary>The unit serves all devices of its segment that no other one names.</summary>
    public bool IncludePciAll { get; init; } = true;

    /// <summary>Devices it serves.</summary>
    public IReadOnlyList<DmarScope> Scopes { get; init; } = [];
}

/// <summary>Memory that devices reach from before the operating system runs (RMRR): mapped one to one, never reused.</summary>
/// <param name="Base">First address, 4 KiB aligned.</param>
/// <param name="Limit">Last address; the one after is 4 KiB aligned.</param>
/// <param name="Scopes">The devices.</param>
/// <param name="Segment">PCI segment.</param>
public sealed record DmarReservedRegion(ulong Base, ulong Limit, IReadOnlyList<DmarScope> Scopes, ushort Segment = 0);

/// <summary>Root ports whose devices may use ATS (ATSR).</summary>
/// <param name="AllPorts">All root ports of the segment; no scope then.</param>
/// <param name="Scopes">The root ports.</param>
/// <param name="Segment">PCI segment.</param>
public sealed record DmarRootPortAts(bool AllPorts, IReadOnlyList<DmarScope> Scopes, ushort Segment = 0);

/// <summary>Integrated devices with an address translation cache (SATC).</summary>
/// <param name="AtcRequired">They work only with ATS on.</param>
/// <param name="Scopes">The devices.</param>
/// <param name="Segment">PCI segment.</param>
public sealed record DmarSocAtc(bool AtcRequired, IReadOnlyList<DmarScope> Scopes, ushort Segment = 0);

/// <summary>The DMAR table.</summary>
public sealed record DmarConfig
{
    /// <summary>Width of DMA addresses in bits.</summary>
    public byte HostAddressWidth { get; init; } = 46;

    /// <summary>Interrupt remapping is supported.</summary>
    public bool InterruptRemapping { get; init; } = true;

    /// <summary>The operating system is asked to leave x2APIC mode off.</summary>
    public bool X2ApicOptOut { get; init; }

    /// <summary>The operating system is asked to protect memory from devices that appear later.</summary>
    public bool DmaProtectionOptIn { get; init; }

    /// <summary>Remapping units. In each segment the one with <see cref="DmarUnit.IncludePciAll"/> comes last.</summary>
    public IReadOnlyList<DmarUnit> Units { get; init; } = [new()];

    /// <summary>Reserved memory regions.</summary>
    public IReadOnlyList<DmarReservedRegion> ReservedRegions { get; init; } = [];

    /// <summary>Root ports with ATS.</summary>
    public IReadOnlyList<DmarRootPortAts> RootPortAts { get; init; } = [];

    /// <summary>Integrated devices with ATS.</summary>
    public IReadOnlyList<DmarSocAtc> SocAtc { get; init; } = [];

    /// <summary>
    /// One unit for everything, the I/O APIC included: without its scope Linux turns interrupt remapping off.
    /// </summary>
    /// <param name="ioApicId">Id of the I/O APIC as the MADT has it.</param>
    /// <param name="ioApicRequester">Requester id of its interrupts.</param>
    public static DmarConfig SingleUnit(byte ioApicId, Bdf ioApicRequester) =>
        new() { Units = [new() { Scopes = [DmarScope.IoApic(ioApicId, ioApicRequester)] }] };
}

/// <summary>The VIOT table: a virtio-iommu on PCI and the functions behind it.</summary>
/// <param name="Iommu">Address of the virtio-iommu.</param>
/// <param name="Ranges">Functions behind it.</param>
/// <param name="Segment">PCI segment of the virtio-iommu.</param>
public sealed record ViotConfig(Bdf Iommu, IReadOnlyList<ViotRange> Ranges, ushort Segment = 0);

/// <summary>A range of PCI functions behind a virtio-iommu. Endpoint ids count up with the requester id.</summary>
/// <param name="First">First function.</param>
/// <param name="Last">Last function.</param>
/// <param name="FirstEndpoint">Endpoint id of the first function.</param>
/// <param name="FirstSegment">First PCI segment.</param>
/// <param name="LastSegment">Last PCI segment.</param>
public sealed record ViotRange(Bdf First, Bdf Last, uint FirstEndpoint, ushort FirstSegment = 0, ushort LastSegment = 0);
