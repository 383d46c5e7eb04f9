using Vmm.GuestDma.Bounce;
using Vmm.GuestDma.Swiotlb;

namespace Vmm.GuestDma;

/// <summary>How a device's mappings are made.</summary>
public enum DmaPolicy
{
    /// <summary>No unit is in use: addresses are guest-physical, nothing is protected.</summary>
    Off,

    /// <summary>No unit: what the device does not reach is copied through a reserve of memory that it does.</summary>
    Swiotlb,

    /// <summary>As <see cref="Swiotlb"/>, with a reserve that starts small, grows on demand and shrinks.</summary>
    DynamicSwiotlb,

    /// <summary>The unit lets the device pass: as <see cref="Off"/>, decided for one device.</summary>
    Bypass,

    /// <summary>All RAM is mapped 1:1 once: the device reaches RAM and nothing else.</summary>
    Identity,

    /// <summary>A translation for each mapping, invalidated before unmap returns.</summary>
    Strict,

    /// <summary>As strict, invalidated later: a window in which the device reaches pages that are used anew.</summary>
    Lazy,

    /// <summary>As lazy, with neighbouring ranges joined.</summary>
    Batched,

    /// <summary>As lazy, but pages are not used anew before the invalidation.</summary>
    Referenced,

    /// <summary>Copies through pooled bounce buffers whose mappings stay.</summary>
    Pool,

    /// <summary>Pools that grow, buffers that keep their mapping while they come back, and a choice by measured cost.</summary>
    Adaptive,
}

/// <summary>Where IO virtual addresses come from.</summary>
public enum IovaSource
{
    /// <summary>One tree with one lock.</summary>
    Tree,

    /// <summary>Four arenas, each a tree with a lock.</summary>
    Arenas,

    /// <summary>Magazines of freed ranges for each processor before one tree.</summary>
    Magazines,
}

/// <summary>What the DMA layer knows of a device.</summary>
public sealed record DmaDeviceOptions
{
    /// <summary>Highest address that the device can issue.</summary>
    public ulong Mask { get; init; } = ulong.MaxValue;

    /// <summary>The device may be malicious: what shares a page with a buffer must not be reachable.</summary>
    public bool Untrusted { get; init; }

    /// <summary>Largest buffer that the pool policy copies, in bytes; larger ones are mapped directly.</summary>
    public int AlwaysBounceLimit { get; init; } = int.MaxValue;

    /// <summary>Longest DMA segment, in bytes.</summary>
    public int SegmentLimit { get; init; } = int.MaxValue;

    /// <summary>Pools of <see cref="DmaPolicy.Pool"/>, and of untrusted devices in all policies.</summary>
    public BounceOptions Pool { get; init; } = new();

    /// <summary>Pools of <see cref="DmaPolicy.Adaptive"/>.</summary>
    public BounceOptions Arenas { get; init; } = new()
    {
        Classes = 11, Slots = 16384, MemoryLimit = 1 << 30, GrowthBytes = 64 << 10, Converts = true,
    };

    /// <summary>The software IO TLB of <see cref="DmaPolicy.Swiotlb"/> and <see cref="DmaPolicy.DynamicSwiotlb"/>.</summary>
    public SwiotlbOptions Swiotlb { get; init; } = new();

    /// <summary>Where IO virtual addresses come from.</summary>
    public IovaSource Addresses { get; init; } = IovaSource.Magazines;

    /// <summary>Buffers that may be adopted.</summary>
    public int AdoptedBuffers { get; init; } = 16384;

    /// <summary>Pages of adopted buffers.</summary>
    public int AdoptedPages { get; init; } = 1 << 24;

    /// <summary>Address space above the normal one in which all RAM may be mapped for <see cref="DmaAttributes.BypassIommu"/>; 0 refuses the attribute.</summary>
    public ulong BypassWindow { get; init; }

    /// <summary>RAM that the bypass window and the identity map cover, in bytes from address 0 on.</summary>
    public ulong RamEnd { get; init; }
}
