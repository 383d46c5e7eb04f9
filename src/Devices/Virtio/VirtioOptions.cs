using Vmm.Specs.Virtio;

namespace Vmm.Virtio;

/// <summary>What the transport offers to the driver.</summary>
public sealed record VirtioOptions
{
    /// <summary>Indirect descriptor tables.</summary>
    public bool Indirect { get; init; } = true;

    /// <summary>Suppression of notifications and interrupts by index.</summary>
    public bool EventIndex { get; init; } = true;

    /// <summary>Packed queues; drivers that know them then use them.</summary>
    public bool Packed { get; init; }

    /// <summary>Reset of single queues.</summary>
    public bool RingReset { get; init; } = true;

    /// <summary>Notifications that carry the ring position.</summary>
    public bool NotificationData { get; init; }

    /// <summary>Memory ordering as the platform's devices have it.</summary>
    public bool OrderPlatform { get; init; }

    /// <summary>
    /// VIRTIO_F_ACCESS_PLATFORM: null offers it exactly when an IOMMU is in front of the device. Offered, it must be
    /// accepted. False is for a device that bypasses the IOMMU without telling, as QEMU's do by default.
    /// </summary>
    public bool? AccessPlatform { get; init; }

    /// <summary>MSI-X vectors, 1 to 256; 0 means one for each queue and one for configuration changes.</summary>
    public int Vectors { get; init; }

    internal ulong Features(bool translated) =>
        VirtioFeature.Version1 |
        (Indirect ? VirtioFeature.RingIndirectDesc : 0) |
        (EventIndex ? VirtioFeature.RingEventIdx : 0) |
        (Packed ? VirtioFeature.RingPacked : 0) |
        (RingReset ? VirtioFeature.RingReset : 0) |
        (NotificationData ? VirtioFeature.NotificationData : 0) |
        (OrderPlatform ? VirtioFeature.OrderPlatform : 0) |
        (AccessPlatform ?? translated ? VirtioFeature.AccessPlatform : 0);
}
