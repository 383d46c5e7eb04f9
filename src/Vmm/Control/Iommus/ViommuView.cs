using Vmm.Api.V1;
using Vmm.Machine;
using Vmm.Platform.Dma;
using Vmm.Specs.Virtio;
using Vmm.VirtioIommu;

namespace Vmm.Control.Iommus;

/// <summary>virtio-iommu in the words of the API (virtio 1.2 §5.13).</summary>
internal sealed class ViommuView(VirtualMachine machine, ViommuDevice device) : IIommuView
{
    /// <inheritdoc/>
    public bool HasPasids => false;

    /// <summary>Domains that live, and those that are gone with what they counted.</summary>
    public IEnumerable<IommuDomain> Domains(uint from)
    {
        var live = device.Domains.ToDictionary(d => d.Id);
        var counters = device.DomainCounters.ToDictionary(c => c.Id, c => c.Counters);
        return live.Keys.Union(counters.Keys).Where(id => id >= from).Order().Select(id =>
        {
            var counts = counters.GetValueOrDefault(id);
            return live.TryGetValue(id, out var domain) ? Describe(domain, counts) : new IommuDomain { Id = id, Counts = Describe(counts) };
        });
    }

    IommuDomain Describe(ViommuDomain domain, in ViommuCounters counters) => new()
    {
        Id = domain.Id, Counts = Describe(counters), Bypass = domain.IsBypass, Mappings = (ulong)domain.Mappings,
        Devices = { device.Endpoints.Where(e => e.Domain == domain).Select(e => e.Requester.ToString()) },
    };

    static TranslationCounts Describe(in ViommuCounters counters) => new()
    {
        Hits = counters.Hits, Misses = counters.Misses, PassedThrough = counters.Bypassed, Faults = counters.Faults, Interrupts = counters.Interrupts,
        Maps = counters.Maps, Unmaps = counters.Unmaps, Removed = counters.Removed,
    };

    static IommuMapping Describe(in Mapping mapping) => new()
    {
        Iova = mapping.Start, Address = mapping.Physical, Length = Length(mapping.Start, mapping.End),
        Readable = (mapping.Flags & VirtioIommuMapFlags.Read) != 0, Writable = (mapping.Flags & VirtioIommuMapFlags.Write) != 0,
    };

    /// <summary>What of a mapping lies at or after an address.</summary>
    static Mapping From(in Mapping mapping, ulong at) =>
        at <= mapping.Start ? mapping : mapping with { Start = at, Physical = mapping.Physical + (at - mapping.Start) };

    static ulong Length(ulong start, ulong end) => end - start is ulong.MaxValue and var all ? all : end - start + 1;

    /// <inheritdoc/>
    public TranslateResponse Translate(in DmaRequest request)
    {
        var found = device.Explain(request);
        var response = new TranslateResponse
        {
            Blocked = found.Fault != null, FaultReason = (uint)(found.Fault ?? 0), FaultName = found.Fault?.ToString() ?? "",
            Address = found.Window.Address.Value, Length = found.Window.Length, Readable = found.Window.Readable, Writable = found.Window.Writable,
            PassThrough = found.IsBypass, Cached = found.IsCached, CachedAddress = found.IsCached ? found.Window.Address.Value : 0,
            VirtioIommu = new() { Bypass = device.IsBypass, BypassDomain = found.Domain?.IsBypass == true, Mapping = found.Mapping is { } mapping ? Describe(mapping) : null },
        };
        if (found.Endpoint is { } endpoint)
        {
            response.VirtioIommu.Endpoint = endpoint.Id;
        }

        if (found.Domain is { } domain)
        {
            response.Domain = domain.Id;
        }

        return response;
    }

    /// <summary>The next mapping of the endpoint's domain; where addresses pass as they are, up to the next reserved region.</summary>
    public DumpStep Step(in DmaRequest request)
    {
        var at = request.Address.Value;
        var found = device.Explain(request);
        if (found.IsBypass)
        {
            return new(new() { Iova = at, Address = at, Length = found.Window.Length, Readable = true, Writable = true }, at + found.Window.Length);
        }

        if (found.Domain is { IsBypass: false } domain)
        {
            return device.MappingFrom(domain, at) is { } mapping ? new(Describe(From(mapping, at)), mapping.End + 1) : default;
        }

        foreach (var region in machine.Config.VirtioIommu!.Reserved)
        {
            if (found.Endpoint != null && region.Overlaps(at, at))
            {
                return new(null, region.End + 1);
            }
        }

        return default;
    }

    /// <inheritdoc/>
    public GetCachesResponse Caches() => new()
    {
        Translations = (uint)device.CacheCount, Evictions = device.CacheLosses.Evictions, Invalidated = device.CacheLosses.Invalidations,
    };

    /// <inheritdoc/>
    public ListIommuFaultsResponse Faults()
    {
        var response = new ListIommuFaultsResponse { Recorded = device.ReportedEvents, Overflowed = device.DroppedEvents, Strangers = device.StrangerAccesses };
        foreach (var endpoint in device.Endpoints)
        {
            foreach (var (reason, count) in new[]
            {
                (VirtioIommuFault.Unknown, endpoint.Counters.UnknownFaults), (VirtioIommuFault.Domain, endpoint.Counters.DomainFaults), (VirtioIommuFault.Mapping, endpoint.Counters.MappingFaults),
            })
            {
                if (count != 0)
                {
                    response.Counts.Add(new IommuFaultCount { Bdf = endpoint.Requester.ToString(), Reason = (uint)reason, Name = reason.ToString(), Count = count });
                }
            }
        }

        return response;
    }

    /// <inheritdoc/>
    public TranslationCounts Device(Bdf requester) => Describe(device.Endpoints.FirstOrDefault(e => e.Requester == requester)?.Counters ?? default);

    /// <inheritdoc/>
    public GetIommuCountersResponse Counters()
    {
        var response = new GetIommuCountersResponse
        {
            Name = device.Name, Model = "virtio", Translating = device.Endpoints.Any(e => e.Domain is { IsBypass: false }), Mappings = (ulong)device.MappingCount,
            Registers = { { "features", (ulong)device.Negotiated } },
        };
        foreach (var endpoint in device.Endpoints)
        {
            response.Devices.Add(endpoint.Requester.ToString(), Describe(endpoint.Counters));
        }

        foreach (var register in device.Config.Inspect())
        {
            response.Registers[register.Name] = (ulong)register.Value;
        }

        foreach (var type in Enum.GetValues<VirtioIommuRequest>())
        {
            foreach (var status in Enum.GetValues<VirtioIommuStatus>().Where(s => device.Requests(type, s) != 0))
            {
                response.Requests.Add($"{type}.{status}", device.Requests(type, status));
            }
        }

        if (device.UnparsedRequests != 0)
        {
            response.Requests.Add("Unparsed", device.UnparsedRequests);
        }

        return response;
    }

    /// <inheritdoc/>
    public Action<BlockedRequest>? Blocked
    {
        set => device.Blocked = value;
    }

    /// <inheritdoc/>
    public string NameOf(uint reason) => ((VirtioIommuFault)reason).ToString();

    /// <inheritdoc/>
    public void Flush() => device.EvictAll();
}
