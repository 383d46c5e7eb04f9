namespace Vmm.Virtio;

/// <summary>What a queue did since it was built. Not part of a snapshot.</summary>
public struct VirtqueueCounters
{
    /// <summary>Notifications by the driver: each was an exit.</summary>
    public ulong Notifications;

    /// <summary>Buffers taken.</summary>
    public ulong Taken;

    /// <summary>Buffers given back.</summary>
    public ulong Used;

    /// <summary>Interrupts asked for.</summary>
    public ulong Interrupts;

    /// <summary>Interrupts that the driver did not want.</summary>
    public ulong SuppressedInterrupts;
}
