namespace Vmm.Specs.Virtio;

/// <summary>Vendor-specific PCI capabilities that locate the structures of a virtio device (virtio 1.2 §4.1.4).</summary>
public static class VirtioPciCap
{
    /// <summary>Vendor ID of every virtio device.</summary>
    public const ushort VendorId = 0x1AF4;

    /// <summary>Device ID of device type 0 in the modern range; the type is added.</summary>
    public const ushort FirstDeviceId = 0x1040;

    /// <summary>cap_len, 1 byte.</summary>
    public const int Length = 2;

    /// <summary>cfg_type, 1 byte.</summary>
    public const int Type = 3;

    /// <summary>bar, 1 byte.</summary>
    public const int Bar = 4;

    /// <summary>id, 1 byte: tells several capabilities of one type apart.</summary>
    public const int Id = 5;

    /// <summary>offset in the BAR, 4 bytes.</summary>
    public const int Offset = 8;

    /// <summary>length of the structure, 4 bytes.</summary>
    public const int StructureLength = 12;

    /// <summary>Bytes of struct virtio_pci_cap.</summary>
    public const int Size = 16;

    /// <summary>notify_off_multiplier (notification) or pci_cfg_data (PCI configuration access), 4 bytes.</summary>
    public const int Extra = 16;

    /// <summary>Bytes of a capability with <see cref="Extra"/>.</summary>
    public const int SizeWithExtra = 20;

    /// <summary>cfg_type: common configuration.</summary>
    public const byte Common = 1;

    /// <summary>cfg_type: notifications.</summary>
    public const byte Notify = 2;

    /// <summary>cfg_type: ISR status.</summary>
    public const byte Isr = 3;

    /// <summary>cfg_type: device-specific configuration.</summary>
    public const byte Device = 4;

    /// <summary>cfg_type: PCI configuration access.</summary>
    public const byte PciConfig = 5;
}

/// <summary>struct virtio_pci_common_cfg (virtio 1.2 §4.1.4.3): offsets.</summary>
public static class VirtioCommon
{
    /// <summary>Select: which 32 feature bits the next register shows, 4 bytes.</summary>
    public const int DeviceFeatureSelect = 0x00;

    /// <summary>Features offered, 4 bytes, read-only.</summary>
    public const int DeviceFeature = 0x04;

    /// <summary>Select for <see cref="DriverFeature"/>, 4 bytes.</summary>
    public const int DriverFeatureSelect = 0x08;

    /// <summary>Features accepted, 4 bytes.</summary>
    public const int DriverFeature = 0x0C;

    /// <summary>MSI-X vector of configuration changes, 2 bytes.</summary>
    public const int ConfigMsixVector = 0x10;

    /// <summary>Number of queues, 2 bytes, read-only.</summary>
    public const int NumQueues = 0x12;

    /// <summary>Device status, 1 byte; 0 resets.</summary>
    public const int DeviceStatus = 0x14;

    /// <summary>Changes with every change of the device configuration, 1 byte, read-only.</summary>
    public const int ConfigGeneration = 0x15;

    /// <summary>Queue that the following registers are of, 2 bytes.</summary>
    public const int QueueSelect = 0x16;

    /// <summary>Entries of the queue, 2 bytes; at first the most it can have.</summary>
    public const int QueueSize = 0x18;

    /// <summary>MSI-X vector of the queue, 2 bytes.</summary>
    public const int QueueMsixVector = 0x1A;

    /// <summary>1 while the queue is enabled, 2 bytes.</summary>
    public const int QueueEnable = 0x1C;

    /// <summary>Where the queue's notifications go, times the multiplier, 2 bytes, read-only.</summary>
    public const int QueueNotifyOff = 0x1E;

    /// <summary>Descriptor area, 8 bytes.</summary>
    public const int QueueDesc = 0x20;

    /// <summary>Driver area (available ring), 8 bytes.</summary>
    public const int QueueDriver = 0x28;

    /// <summary>Device area (used ring), 8 bytes.</summary>
    public const int QueueDevice = 0x30;

    /// <summary>queue_notify_data, 2 bytes, read-only; meaningful with VIRTIO_F_NOTIF_CONFIG_DATA.</summary>
    public const int QueueNotifyData = 0x38;

    /// <summary>queue_reset, 2 bytes; meaningful with VIRTIO_F_RING_RESET.</summary>
    public const int QueueReset = 0x3A;

    /// <summary>Bytes of the structure.</summary>
    public const int Size = 0x3C;

    /// <summary>VIRTIO_MSI_NO_VECTOR.</summary>
    public const ushort NoVector = 0xFFFF;
}

/// <summary>ISR status bits (virtio 1.2 §4.1.4.5).</summary>
public static class VirtioIsr
{
    /// <summary>A queue has used buffers.</summary>
    public const byte Queue = 1;

    /// <summary>The device configuration changed.</summary>
    public const byte Config = 2;
}
