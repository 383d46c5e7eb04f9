namespace Vmm.Specs.Virtio;

/// <summary>Feature bits of the IOMMU device (virtio 1.2 §5.13.3), as a mask.</summary>
[Flags]
public enum VirtioIommuFeatures : ulong
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>VIRTIO_IOMMU_F_INPUT_RANGE.</summary>
    InputRange = 1 << 0,

    /// <summary>VIRTIO_IOMMU_F_DOMAIN_RANGE.</summary>
    DomainRange = 1 << 1,

    /// <summary>VIRTIO_IOMMU_F_MAP_UNMAP.</summary>
    MapUnmap = 1 << 2,

    /// <summary>VIRTIO_IOMMU_F_BYPASS, superseded by <see cref="BypassConfig"/>.</summary>
    Bypass = 1 << 3,

    /// <summary>VIRTIO_IOMMU_F_PROBE.</summary>
    Probe = 1 << 4,

    /// <summary>VIRTIO_IOMMU_F_MMIO.</summary>
    Mmio = 1 << 5,

    /// <summary>VIRTIO_IOMMU_F_BYPASS_CONFIG.</summary>
    BypassConfig = 1 << 6,
}

/// <summary>Request types (virtio 1.2 §5.13.6).</summary>
public enum VirtioIommuRequest : byte
{
    /// <summary>VIRTIO_IOMMU_T_ATTACH.</summary>
    Attach = 1,

    /// <summary>VIRTIO_IOMMU_T_DETACH.</summary>
    Detach = 2,

    /// <summary>VIRTIO_IOMMU_T_MAP.</summary>
    Map = 3,

    /// <summary>VIRTIO_IOMMU_T_UNMAP.</summary>
    Unmap = 4,

    /// <summary>VIRTIO_IOMMU_T_PROBE.</summary>
    Probe = 5,
}

/// <summary>Status of a request (virtio 1.2 §5.13.6).</summary>
public enum VirtioIommuStatus : byte
{
    /// <summary>Done.</summary>
    Ok = 0,

    /// <summary>Virtio communication error.</summary>
    IoErr = 1,

    /// <summary>Unsupported request.</summary>
    Unsupp = 2,

    /// <summary>Internal device error.</summary>
    DevErr = 3,

    /// <summary>Invalid parameters.</summary>
    Inval = 4,

    /// <summary>Out-of-range parameters.</summary>
    Range = 5,

    /// <summary>Entry not found.</summary>
    NoEnt = 6,

    /// <summary>Bad address.</summary>
    Fault = 7,

    /// <summary>Insufficient resources.</summary>
    NoMem = 8,
}

/// <summary>Flags of a MAP request (virtio 1.2 §5.13.6.5).</summary>
[Flags]
public enum VirtioIommuMapFlags : uint
{
    /// <summary>Neither reads nor writes.</summary>
    None = 0,

    /// <summary>VIRTIO_IOMMU_MAP_F_READ.</summary>
    Read = 1,

    /// <summary>VIRTIO_IOMMU_MAP_F_WRITE.</summary>
    Write = 2,

    /// <summary>VIRTIO_IOMMU_MAP_F_MMIO: a memory type, not a right.</summary>
    Mmio = 4,
}

/// <summary>Reason of a fault report (virtio 1.2 §5.13.6.9).</summary>
public enum VirtioIommuFault : byte
{
    /// <summary>VIRTIO_IOMMU_FAULT_R_UNKNOWN.</summary>
    Unknown = 0,

    /// <summary>VIRTIO_IOMMU_FAULT_R_DOMAIN: the endpoint is attached to no domain.</summary>
    Domain = 1,

    /// <summary>VIRTIO_IOMMU_FAULT_R_MAPPING: not mapped, or without the right.</summary>
    Mapping = 2,
}

/// <summary>Flags of a fault report (virtio 1.2 §5.13.6.9).</summary>
[Flags]
public enum VirtioIommuFaultFlags : uint
{
    /// <summary>Nothing is known.</summary>
    None = 0,

    /// <summary>VIRTIO_IOMMU_FAULT_F_READ.</summary>
    Read = 1,

    /// <summary>VIRTIO_IOMMU_FAULT_F_WRITE.</summary>
    Write = 2,

    /// <summary>VIRTIO_IOMMU_FAULT_F_ADDRESS: the address field is valid.</summary>
    Address = 0x100,
}

/// <summary>Kind of a reserved region (virtio 1.2 §5.13.6.8.1).</summary>
public enum VirtioIommuReservedKind : byte
{
    /// <summary>VIRTIO_IOMMU_RESV_MEM_T_RESERVED: not to be used.</summary>
    Reserved = 0,

    /// <summary>VIRTIO_IOMMU_RESV_MEM_T_MSI: a doorbell for interrupt messages.</summary>
    Msi = 1,
}

/// <summary>Offsets and sizes of the IOMMU device's structures (virtio 1.2 §5.13).</summary>
public static class VirtioIommuLayout
{
    /// <summary>Virtio device id.</summary>
    public const ushort DeviceId = 23;

    /// <summary>Queue numbers.</summary>
    public const int RequestQueue = 0, EventQueue = 1, QueueCount = 2;

    /// <summary>Fields of the device configuration.</summary>
    public const int PageSizeMask = 0, InputStart = 8, InputEnd = 16, DomainStart = 24, DomainEnd = 28, ProbeSize = 32, BypassField = 36;

    /// <summary>Bytes of the device configuration.</summary>
    public const int ConfigSize = 40;

    /// <summary>Bytes of a request's head and tail.</summary>
    public const int HeadSize = 4, TailSize = 4;

    /// <summary>Device-readable bytes of each request, head included.</summary>
    public const int AttachSize = 20, DetachSize = 20, MapSize = 36, UnmapSize = 28, ProbeRequestSize = 72;

    /// <summary>Flag of an ATTACH request: the domain is a bypass domain.</summary>
    public const uint AttachBypass = 1;

    /// <summary>Property type of a reserved region.</summary>
    public const ushort ReservedMemory = 1;

    /// <summary>Bytes of a property's head, and of the value of a reserved region.</summary>
    public const int PropertyHeadSize = 4, ReservedMemorySize = 20;

    /// <summary>Bytes of a fault report.</summary>
    public const int FaultSize = 24;
}
