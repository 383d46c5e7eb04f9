namespace Vmm.Iommu;

/// <summary>
/// Counts invalidations, so that whole domains are invalidated by one store: an entry is valid while nothing that covers
/// it was invalidated after it was filled.
/// </summary>
sealed class CacheClock
{
    readonly ulong[] domains = new ulong[65536];
    readonly ulong[] nested = new ulong[65536];
    ulong all = 1;

    /// <summary>Time of the last invalidation; entries filled now bear it.</summary>
    public ulong Now { get; private set; } = 1;

    /// <summary>Raised whenever a result kept outside the unit may have become wrong, evictions included.</summary>
    public uint Changes { get; set; }

    public void InvalidateAll()
    {
        all = ++Now;
        Changes++;
    }

    public void InvalidateDomain(ushort domain)
    {
        domains[domain] = ++Now;
        Changes++;
    }

    /// <summary>Invalidates the nested translations of a domain, whatever their PASID.</summary>
    public void InvalidateNested(ushort domain)
    {
        nested[domain] = ++Now;
        Changes++;
    }

    /// <summary>True when an entry filled at <paramref name="stamp"/> (0: empty) still holds.</summary>
    public bool Holds(ulong stamp, ulong tag)
    {
        var domain = TranslationContext.DomainOf(tag);
        return stamp >= all && stamp >= domains[domain] &&
            (TranslationContext.KindOf(tag) != StageKind.Nested || stamp >= nested[domain]);
    }

    /// <summary>Forgets the history; every cache must be empty.</summary>
    public void Reset()
    {
        Array.Clear(domains);
        Array.Clear(nested);
        Now = all = 1;
        Changes++;
    }
}
