using Vmm.Platform.Dma;
using Vmm.Specs.Virtio;

namespace Vmm.VirtioIommu;

/// <summary>
/// Endpoints, domains and mappings, and the operations of the requests on them with the status that virtio 1.2 §5.13.6
/// gives to each error. A request that is not answered OK changes nothing.
/// </summary>
/// <param name="options">Ranges and limits.</param>
sealed class DomainTable(VirtioIommuOptions options)
{
    /// <summary>Domain ids with counters of their own; a driver that goes through more shares the last.</summary>
    public const int CountedDomains = 1024;

    readonly ViommuEndpoint?[]?[] endpoints = new ViommuEndpoint?[]?[256];
    readonly Dictionary<uint, ViommuDomain> domains = [];
    readonly Dictionary<uint, ViommuDomain.CounterBox> counters = [];
    readonly ViommuDomain.CounterBox others = new();
    readonly ulong granuleMask = options.Granule - 1;
    readonly ulong physicalEnd = options.PhysicalAddressBits == 64 ? ulong.MaxValue : (1ul << options.PhysicalAddressBits) - 1;

    public MappingPool Pool { get; } = new(options.MaxMappings);

    public TranslationCache Cache { get; } = new(options.CacheEntries);

    public StaleMappings Stale { get; } = new();

    /// <summary>Asked before an UNMAP removes the mappings of a range of a domain: the list of those that survive in caches, or null.</summary>
    public Func<ViommuDomain, ulong, ulong, IReadOnlyList<Mapping>?>? Surviving { get; set; }

    /// <summary>Raised when a translation that someone may keep became wrong.</summary>
    public uint Generation { get; set; }

    /// <summary>What MAP, UNMAP and the end of domains did.</summary>
    public BackendWork Work { get; private set; }

    /// <summary>Domains in order of their ids.</summary>
    public IEnumerable<ViommuDomain> Domains => domains.Values.OrderBy(d => d.Id);

    /// <summary>Counters by domain id, also of domains that are gone.</summary>
    public IEnumerable<(uint Id, ViommuCounters Counters)> DomainCounters => counters.OrderBy(c => c.Key).Select(c => (c.Key, c.Value.Value));

    /// <summary>Endpoints in order of their ids.</summary>
    public IEnumerable<ViommuEndpoint> Endpoints => endpoints.Where(b => b != null).SelectMany(b => b!).OfType<ViommuEndpoint>();

    /// <summary>Makes a function known; done while the machine is wired.</summary>
    public void AddEndpoint(Bdf requester) => (endpoints[requester.Bus] ??= new ViommuEndpoint?[256])[requester.DevFn] = new(requester);

    public ViommuEndpoint? FindEndpoint(uint id) => id > 0xFFFF ? null : endpoints[id >> 8]?[id & 0xFF];

    public ViommuDomain? FindDomain(uint id) => domains.GetValueOrDefault(id);

    /// <summary>ATTACH. An endpoint of another domain leaves that one first; rejected requests leave it where it was.</summary>
    public VirtioIommuStatus Attach(uint domain, uint endpoint, bool bypass)
    {
        if (FindEndpoint(endpoint) is not { } found)
        {
            return VirtioIommuStatus.NoEnt;
        }

        if (domain < options.DomainStart || domain > options.DomainEnd)
        {
            return VirtioIommuStatus.Range;
        }

        var target = FindDomain(domain);
        if (target != null && target.IsBypass != bypass)
        {
            return VirtioIommuStatus.Inval;
        }

        if (target != null && found.Domain == target)
        {
            return VirtioIommuStatus.Ok;
        }

        var freed = found.Domain is { Endpoints: 1 } ? 1 : 0;
        if (target == null && domains.Count - freed >= options.MaxDomains)
        {
            return VirtioIommuStatus.NoMem;
        }

        Leave(found);
        target ??= Create(domain, bypass);
        target.Endpoints++;
        found.Domain = target;
        Generation++;
        return VirtioIommuStatus.Ok;
    }

    /// <summary>DETACH.</summary>
    public VirtioIommuStatus Detach(uint domain, uint endpoint)
    {
        if (FindEndpoint(endpoint) is not { } found)
        {
            return VirtioIommuStatus.NoEnt;
        }

        if (found.Domain == null || found.Domain.Id != domain)
        {
            return VirtioIommuStatus.Inval;
        }

        Leave(found);
        return VirtioIommuStatus.Ok;
    }

    /// <summary>MAP: first what is wrong in the request itself, then what is wrong with the domain.</summary>
    public VirtioIommuStatus Map(uint domain, in Mapping mapping, VirtioIommuMapFlags known)
    {
        var status = Check(mapping, known);
        if (status != VirtioIommuStatus.Ok)
        {
            return status;
        }

        if (FindDomain(domain) is not { } target)
        {
            return VirtioIommuStatus.NoEnt;
        }

        if (target.IsBypass || IsReserved(mapping.Start, mapping.End) || Overlaps(target, mapping))
        {
            return VirtioIommuStatus.Inval;
        }

        if (Pool.IsFull)
        {
            return VirtioIommuStatus.NoMem;
        }

        Insert(target, mapping);
        Work = Work with { MappedPages = Work.MappedPages + Pages(mapping) };
        target.Box.Value.Maps++;
        return VirtioIommuStatus.Ok;
    }

    /// <summary>UNMAP: all mappings that the range covers, or none when it would split one.</summary>
    public VirtioIommuStatus Unmap(uint domain, ulong start, ulong end)
    {
        if (end < start)
        {
            return VirtioIommuStatus.Inval;
        }

        if (FindDomain(domain) is not { } target)
        {
            return VirtioIommuStatus.NoEnt;
        }

        if (target.IsBypass)
        {
            return VirtioIommuStatus.Inval;
        }

        var first = Pool.FirstEndingAt(target.Root, start);
        var last = Pool.Find(target.Root, end);
        if (first != 0 && Pool[first].Start < start || last != 0 && Pool[last].End > end)
        {
            return VirtioIommuStatus.Range;
        }

        target.Box.Value.Unmaps++;
        var survivors = Surviving?.Invoke(target, start, end);
        RemoveAll(target, start, end);
        foreach (var mapping in survivors ?? [])
        {
            Stale.Add(target.Id, mapping);
        }

        return VirtioIommuStatus.Ok;
    }

    /// <summary>The mapping of an address, through the cache; counts for endpoint and domain.</summary>
    public bool TryFind(ViommuEndpoint endpoint, ViommuDomain domain, ulong address, out Mapping mapping)
    {
        var found = TryFindKept(endpoint, domain, address, out mapping);
        if (Stale.Count != 0 && found)
        {
            mapping = Stale.Cut(domain.Id, address, mapping);
        }

        return found;
    }

    bool TryFindKept(ViommuEndpoint endpoint, ViommuDomain domain, ulong address, out Mapping mapping)
    {
        mapping = default;
        if (Stale.Count != 0 && Stale.TryFind(domain.Id, address, out mapping) || Cache.TryFind(domain.Id, address, out mapping))
        {
            endpoint.Counted.Hits++;
            domain.Box.Value.Hits++;
            return true;
        }

        endpoint.Counted.Misses++;
        domain.Box.Value.Misses++;
        var node = Pool.Find(domain.Root, address);
        if (node == 0)
        {
            return false;
        }

        mapping = Pool[node];
        Cache.Keep(domain.Id, address, mapping);
        return true;
    }

    /// <summary>True when an address is answered without a search, rightly or not.</summary>
    public bool IsCached(ViommuDomain domain, ulong address) => Stale.TryFind(domain.Id, address, out _) || Cache.TryFind(domain.Id, address, out _);

    /// <summary>Detaches every endpoint, as a device reset does (virtio 1.2 §5.13.5).</summary>
    public void Reset()
    {
        foreach (var endpoint in Endpoints)
        {
            endpoint.Domain = null;
        }

        foreach (var domain in domains.Values)
        {
            Pool.Clear(domain.Root);
        }

        domains.Clear();
        Cache.Clear();
        Stale.Clear();
        Generation++;
    }

    /// <summary>The region that an address lies in.</summary>
    public bool TryFindReserved(ulong address, out ReservedRegion region)
    {
        for (var i = 0; i < options.Reserved.Count; i++)
        {
            region = options.Reserved[i];
            if (region.Overlaps(address, address))
            {
                return true;
            }
        }

        region = default;
        return false;
    }

    /// <summary>Bytes from an address, in no reserved region, to the next one or to the end of the address space.</summary>
    public ulong UnreservedFrom(ulong address)
    {
        var end = ulong.MaxValue;
        for (var i = 0; i < options.Reserved.Count; i++)
        {
            var start = options.Reserved[i].Start;
            end = start > address && start - 1 < end ? start - 1 : end;
        }

        return end == ulong.MaxValue && address == 0 ? ulong.MaxValue : end - address + 1;
    }

    /// <summary>A domain as a snapshot has it; endpoints and mappings follow.</summary>
    public ViommuDomain? Restore(uint id, bool bypass) =>
        domains.ContainsKey(id) || domains.Count >= options.MaxDomains || id < options.DomainStart || id > options.DomainEnd ? null : Create(id, bypass);

    /// <summary>A mapping as a snapshot has it. False: it could not have been made by a request.</summary>
    public bool TryRestore(ViommuDomain domain, in Mapping mapping)
    {
        if (domain.IsBypass || Pool.IsFull || !IsPossible(mapping) || Overlaps(domain, mapping))
        {
            return false;
        }

        Insert(domain, mapping);
        return true;
    }

    /// <summary>True when a request could have made the mapping.</summary>
    public bool IsPossible(in Mapping mapping)
    {
        const VirtioIommuMapFlags All = VirtioIommuMapFlags.Read | VirtioIommuMapFlags.Write | VirtioIommuMapFlags.Mmio;
        return Check(mapping, All) == VirtioIommuStatus.Ok && !IsReserved(mapping.Start, mapping.End);
    }

    VirtioIommuStatus Check(in Mapping mapping, VirtioIommuMapFlags known)
    {
        if ((mapping.Flags & ~known) != 0 || mapping.End < mapping.Start)
        {
            return VirtioIommuStatus.Inval;
        }

        if (((mapping.Start | mapping.Physical | mapping.End + 1) & granuleMask) != 0 || mapping.Start < options.InputStart || mapping.End > options.InputEnd)
        {
            return VirtioIommuStatus.Range;
        }

        return mapping.Physical > physicalEnd || mapping.End - mapping.Start > physicalEnd - mapping.Physical ? VirtioIommuStatus.Fault : VirtioIommuStatus.Ok;
    }

    bool IsReserved(ulong start, ulong end)
    {
        for (var i = 0; i < options.Reserved.Count; i++)
        {
            if (options.Reserved[i].Overlaps(start, end))
            {
                return true;
            }
        }

        return false;
    }

    bool Overlaps(ViommuDomain domain, in Mapping mapping)
    {
        var next = Pool.FirstEndingAt(domain.Root, mapping.Start);
        return next != 0 && Pool[next].Start <= mapping.End;
    }

    void Insert(ViommuDomain domain, in Mapping mapping)
    {
        domain.Root = Pool.Add(domain.Root, mapping);
        domain.Mappings++;
    }

    void RemoveAll(ViommuDomain domain, ulong start, ulong end)
    {
        if (Stale.Count != 0 && Stale.Remove(domain.Id, start, end))
        {
            Generation++;
        }

        var (removed, pages) = (0u, 0ul);
        for (var node = Pool.FirstEndingAt(domain.Root, start); node != 0 && Pool[node].Start <= end; node = Pool.FirstEndingAt(domain.Root, start))
        {
            pages += Pages(Pool[node]);
            domain.Root = Pool.Remove(domain.Root, Pool[node].Start);
            removed++;
        }

        if (removed != 0)
        {
            domain.Mappings -= (int)removed;
            domain.Box.Value.Removed += removed;
            Cache.Remove(domain.Id, start, end);
            Work = Work with { UnmappedPages = Work.UnmappedPages + pages, Invalidations = Work.Invalidations + 1 };
            Generation++;
        }
    }

    static ulong Pages(in Mapping mapping) => (mapping.End - mapping.Start >> 12) + 1;

    ViommuDomain Create(uint id, bool bypass)
    {
        if (!counters.TryGetValue(id, out var box))
        {
            box = others;
            if (counters.Count < CountedDomains)
            {
                counters.Add(id, box = new());
            }
        }

        var domain = new ViommuDomain(id, bypass, box);
        domains.Add(id, domain);
        return domain;
    }

    void Leave(ViommuEndpoint endpoint)
    {
        if (endpoint.Domain is not { } domain)
        {
            return;
        }

        endpoint.Domain = null;
        Generation++;
        if (--domain.Endpoints == 0)
        {
            RemoveAll(domain, 0, ulong.MaxValue);
            domains.Remove(domain.Id);
        }
    }
}
