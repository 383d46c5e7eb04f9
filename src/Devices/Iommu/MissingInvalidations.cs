using Vmm.Platform.Dma;

namespace Vmm.Iommu;

/// <summary>Cache that held an entry which the tables no longer back.</summary>
public enum VtdCache
{
    /// <summary>IOTLB.</summary>
    Iotlb,

    /// <summary>Paging-structure caches.</summary>
    PagingStructures,

    /// <summary>Context cache.</summary>
    Context,

    /// <summary>PASID cache.</summary>
    Pasid,

    /// <summary>Interrupt entry cache.</summary>
    InterruptEntry,
}

/// <summary>A cache hit that differed from the tables: software changed them and used the old entry before it invalidated it.</summary>
/// <param name="Cache">Cache that was hit.</param>
/// <param name="Requester">Source of the request.</param>
/// <param name="Pasid">PASID of the translation, or 0.</param>
/// <param name="Domain">Domain id, or 0.</param>
/// <param name="Address">Input address; the index for interrupt entries.</param>
/// <param name="Cached">What the cache held: output page or lowest 64 bits of the entry; 0 for an absence.</param>
/// <param name="Current">What the tables say: the same, 0 for a fault.</param>
public readonly record struct StaleHit(VtdCache Cache, Bdf Requester, uint Pasid, ushort Domain, ulong Address, ulong Cached, ulong Current);

/// <summary>Counts stale hits and keeps the last ones.</summary>
public sealed class MissingInvalidations
{
    /// <summary>Findings kept.</summary>
    public const int Kept = 64;

    readonly StaleHit[] last = new StaleHit[Kept];
    readonly ulong[] counts = new ulong[5];
    ulong total;

    /// <summary>Stale hits of one cache.</summary>
    public ulong Count(VtdCache cache) => counts[(int)cache];

    /// <summary>Stale hits of all caches.</summary>
    public ulong Total => total;

    /// <summary>The last findings, oldest first.</summary>
    public IEnumerable<StaleHit> Last
    {
        get
        {
            for (var i = total > Kept ? total - Kept : 0; i < total; i++)
            {
                yield return last[i % Kept];
            }
        }
    }

    internal void Add(in StaleHit hit)
    {
        counts[(int)hit.Cache]++;
        last[total++ % Kept] = hit;
    }
}
