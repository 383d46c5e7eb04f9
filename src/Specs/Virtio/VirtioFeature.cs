namespace Vmm.Specs.Virtio;

/// <summary>Feature bits that belong to no device type (virtio 1.2 §6), as masks.</summary>
public static class VirtioFeature
{
    /// <summary>VIRTIO_F_INDIRECT_DESC, bit 28.</summary>
    public const ulong RingIndirectDesc = 1ul << 28;

    /// <summary>VIRTIO_F_EVENT_IDX, bit 29.</summary>
    public const ulong RingEventIdx = 1ul << 29;

    /// <summary>VIRTIO_F_VERSION_1, bit 32.</summary>
    public const ulong Version1 = 1ul << 32;

    /// <summary>VIRTIO_F_ACCESS_PLATFORM, bit 33: addresses in rings are what the platform's IOMMU makes of them.</summary>
    public const ulong AccessPlatform = 1ul << 33;

    /// <summary>VIRTIO_F_RING_PACKED, bit 34.</summary>
    public const ulong RingPacked = 1ul << 34;

    /// <summary>VIRTIO_F_IN_ORDER, bit 35.</summary>
    public const ulong InOrder = 1ul << 35;

    /// <summary>VIRTIO_F_ORDER_PLATFORM, bit 36.</summary>
    public const ulong OrderPlatform = 1ul << 36;

    /// <summary>VIRTIO_F_NOTIFICATION_DATA, bit 38.</summary>
    public const ulong NotificationData = 1ul << 38;

    /// <summary>VIRTIO_F_RING_RESET, bit 40.</summary>
    public const ulong RingReset = 1ul << 40;

    /// <summary>Bits that a device type defines: 0 to 23 and 50 to 63 (§2.2).</summary>
    public const ulong DeviceTypeBits = 0xFFFC_0000_00FF_FFFF;
}
