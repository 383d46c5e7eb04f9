namespace Vmm.GuestDma.Bounce;

/// <summary>Shape of the pools.</summary>
public sealed record BounceOptions
{
    /// <summary>Size classes: 1, 2, 4 ... pages.</summary>
    public int Classes { get; init; } = 8;

    /// <summary>Slots of each class.</summary>
    public int Slots { get; init; } = 1024;

    /// <summary>Memory that all slots together may have, in bytes.</summary>
    public ulong MemoryLimit { get; init; } = ulong.MaxValue;

    /// <summary>Bytes that are mapped at once when a class needs slots; a slot that is larger is mapped alone.</summary>
    public int GrowthBytes { get; init; } = 4096;

    /// <summary>A class that has no slot of a permission takes one of another permission, by remapping it.</summary>
    public bool Converts { get; init; }

    /// <summary>Time between two passes of the evictor, in nanoseconds.</summary>
    public ulong EvictionNanoseconds { get; init; } = 5_000_000_000;
}
