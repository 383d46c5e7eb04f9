using Vmm.Platform.Dma;
using Vmm.Specs.Virtio;

namespace Vmm.VirtioIommu;

/// <summary>What the device would do with one access.</summary>
/// <param name="Endpoint">Who makes it; null when the function is not behind the device.</param>
/// <param name="Domain">The endpoint's domain, or null.</param>
/// <param name="Mapping">The mapping of the address, whatever its rights, or null.</param>
/// <param name="IsCached">The translation cache holds that mapping for this address.</param>
/// <param name="Fault">Why it would be blocked, or null.</param>
/// <param name="Window">Where it would lead; meaningful without <paramref name="Fault"/>.</param>
public sealed record ViommuExplanation(
    ViommuEndpoint? Endpoint, ViommuDomain? Domain, Mapping? Mapping, bool IsCached, VirtioIommuFault? Fault, DmaWindow Window)
{
    /// <summary>The address is used as it is.</summary>
    public bool IsBypass => Fault == null && Mapping == null;
}

/// <content>Inspection: nothing here changes what the guest can observe, or a counter.</content>
public sealed partial class ViommuDevice
{
    /// <summary>Told of each request of an endpoint that is blocked, when it is, on the machine's thread.</summary>
    public Action<BlockedRequest>? Blocked { get; set; }

    /// <summary>Features that the driver accepted.</summary>
    public VirtioIommuFeatures Negotiated => requests.Negotiated;

    /// <summary>The configuration field bypass.</summary>
    public bool IsBypass => translator.Bypass;

    /// <summary>Endpoints in order of their ids.</summary>
    public IEnumerable<ViommuEndpoint> Endpoints => domains.Endpoints;

    /// <summary>Domains in order of their ids.</summary>
    public IEnumerable<ViommuDomain> Domains => domains.Domains;

    /// <summary>Counters by domain id, also of domains that are gone; at most 1024 ids have their own.</summary>
    public IEnumerable<(uint Id, ViommuCounters Counters)> DomainCounters => domains.DomainCounters;

    /// <summary>Fault reports written into event buffers.</summary>
    public ulong ReportedEvents { get; private set; }

    /// <summary>Faults that no event buffer could take.</summary>
    public ulong DroppedEvents { get; private set; }

    /// <summary>Requests returned unwritten.</summary>
    public ulong UnparsedRequests => requests.Unparsed;

    /// <summary>Accesses of functions that are not behind the device.</summary>
    public ulong StrangerAccesses => translator.Strangers;

    /// <summary>Mappings of all domains.</summary>
    public int MappingCount => domains.Pool.Count;

    /// <summary>Valid entries of the translation cache.</summary>
    public int CacheCount => domains.Cache.Count;

    /// <summary>Cache entries replaced by others, and removed with their mapping, since the machine was built.</summary>
    public (ulong Evictions, ulong Invalidations) CacheLosses => (domains.Cache.Evictions, domains.Cache.Invalidations);

    /// <summary>Requests of a type that were answered with a status.</summary>
    public ulong Requests(VirtioIommuRequest type, VirtioIommuStatus status) => requests.Count(type, status);

    /// <summary>Mappings of a domain in order of address.</summary>
    public IEnumerable<Mapping> Mappings(ViommuDomain domain) => domains.Pool.All(domain.Root);

    /// <summary>The first mapping of a domain that ends at or after an address, or null.</summary>
    public Mapping? MappingFrom(ViommuDomain domain, ulong address) =>
        domains.Pool.FirstEndingAt(domain.Root, address) is not 0 and var node ? domains.Pool[node] : null;

    /// <summary>Mappings that outlive their UNMAP because a fault rule kept them.</summary>
    public int StaleCount => domains.Stale.Count;

    /// <summary>
    /// Empties the translation cache, as if each entry had been replaced; nobody can tell, unless a fault rule had kept
    /// stale mappings, which end with it.
    /// </summary>
    public void EvictAll()
    {
        domains.Cache.Evict();
        if (domains.Stale.Count != 0)
        {
            domains.Stale.Clear();
            domains.Generation++;
        }
    }

    /// <summary>Explains one access.</summary>
    public ViommuExplanation Explain(in DmaRequest request)
    {
        if (domains.FindEndpoint(request.Requester.Value) is not { } endpoint)
        {
            return new(null, null, null, false, VirtioIommuFault.Unknown, default);
        }

        var ok = translator.TryResolve(endpoint, request, false, out var window, out var reason);
        var domain = endpoint.Domain;
        var node = domain == null ? 0 : domains.Pool.Find(domain.Root, request.Address.Value);
        return new(
            endpoint, domain, node == 0 ? null : domains.Pool[node],
            domain != null && domains.IsCached(domain, request.Address.Value), ok ? null : reason, window);
    }
}
