namespace Vmm.Specs.Virtio;

/// <summary>Device status field (virtio 1.2 §2.1).</summary>
[Flags]
public enum VirtioStatus : byte
{
    /// <summary>The device is reset.</summary>
    None = 0,

    /// <summary>The guest has found the device.</summary>
    Acknowledge = 1,

    /// <summary>The guest knows how to drive it.</summary>
    Driver = 2,

    /// <summary>The driver is ready; the device works.</summary>
    DriverOk = 4,

    /// <summary>Feature negotiation is complete.</summary>
    FeaturesOk = 8,

    /// <summary>The device found an error that only a reset mends. The driver cannot set it.</summary>
    NeedsReset = 64,

    /// <summary>The guest gave up on the device.</summary>
    Failed = 128,
}
