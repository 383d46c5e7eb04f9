using Vmm.Api.V1;
using Vmm.Control.Hosting;
using Vmm.Grpc;
using Vmm.Iommu;
using Vmm.Machine;
using Vmm.Platform.Dma;
using Vmm.Platform.Memory;
using Vmm.Specs.VtD;

namespace Vmm.Control.Services;

/// <summary>vmm.v1.IommuService.</summary>
internal sealed class IommuService(MachineRegistry machines)
{
    const int MappingsPerMessage = 4096;

    /// <summary>The methods.</summary>
    public MethodTable Methods => new MethodTable(IommuReflection.Descriptor.Services[0])
        .Unary<ListDomainsRequest, ListDomainsResponse>("ListDomains", (r, c) => Look(r.Machine, Domains, c))
        .Unary<TranslateRequest, TranslateResponse>("Translate", (r, c) =>
        {
            var request = Request(r.Bdf, r.Iova, r.Write ? DmaAccess.Write : DmaAccess.Read, r.HasPasid ? r.Pasid : null);
            return Look(r.Machine, (_, unit) => Describe(unit.Explain(request)), c);
        })
        .ServerStreaming<DumpTablesRequest, DumpTablesResponse>("DumpTables", DumpAsync)
        .Unary<GetCachesRequest, GetCachesResponse>("GetCaches", (r, c) => Look(r.Machine, Caches, c))
        .Unary<ListIommuFaultsRequest, ListIommuFaultsResponse>("ListIommuFaults", (r, c) => Look(r.Machine, Faults, c))
        .Unary<GetIommuCountersRequest, GetIommuCountersResponse>("GetIommuCounters", (r, c) => Look(r.Machine, Counters, c))
        .Unary<FlushIommuRequest, FlushIommuResponse>("FlushIommu", (r, c) => Look(
            r.Machine,
            (_, unit) =>
            {
                unit.EvictAll();
                return new FlushIommuResponse();
            },
            c));

    Task<T> Look<T>(string machine, Func<VirtualMachine, VtdUnit, T> look, ServerCallContext context)
    {
        var host = machines.Get(machine);
        return host.InvokeAsync(m => look(m, host.RequireIommu()), context.CancellationToken);
    }

    static DmaRequest Request(string bdf, ulong iova, DmaAccess access, uint? pasid)
    {
        var violations = new Violations();
        violations.Require(Requesters.TryParse(bdf, out var requester), "bdf", Requesters.Form);
        violations.Require(pasid is null or < 1 << 20, "pasid", "more than 20 bits");
        violations.Throw();
        return new(requester, new Iova(iova), access, pasid ?? 0, pasid != null);
    }

    static ListDomainsResponse Domains(VirtualMachine machine, VtdUnit unit)
    {
        var bound = machine.Pci.Pci.Functions.Where(f => f.Dma.Translator == unit)
            .Select(f => (f.Address, unit.Explain(new(f.Address, new Iova(0), DmaAccess.Read)).Domain)).ToLookup(f => f.Domain, f => f.Address.ToString());
        var response = new ListDomainsResponse();
        for (var id = 0; id < 65536; id++)
        {
            var counts = Describe(unit.Counters.Domain((ushort)id));
            if (counts.CalculateSize() != 0 || bound.Contains((ushort)id))
            {
                response.Domains.Add(new IommuDomain { Id = (uint)id, Counts = counts, Devices = { bound[(ushort)id] } });
            }
        }

        return response;
    }

    static TranslationCounts Describe(TranslationCounters counters) => new()
    {
        Hits = counters.Hits, Misses = counters.Misses, Walks = counters.Walks, PassedThrough = counters.PassedThrough,
        Faults = counters.Faults, Interrupts = counters.Interrupts, Invalidations = counters.Invalidations,
    };

    static TranslateResponse Describe(WalkReport report)
    {
        var response = new TranslateResponse
        {
            FaultReason = (uint)report.Fault, FaultName = report.Fault == FaultReason.None ? "" : report.Fault.ToString(), FaultSuppressed = report.IsFaultSuppressed,
            Address = report.Window.Address.Value, Length = report.Window.Length, Readable = report.Window.Readable, Writable = report.Window.Writable,
            PassThrough = report.IsPassThrough, Cached = report.IsCached, Stale = report.IsStale,
            CachedAddress = report.CachedWindow.Address.Value, CachedFaultReason = (uint)report.CachedFault,
        };
        if (report.Domain is { } domain)
        {
            response.Domain = domain;
        }

        response.Steps.Add(report.Steps.Select(s => new Api.V1.WalkStep
        {
            Table = s.Table.ToString(), Level = (uint)s.Level, Address = s.Address.Value, Value = s.Value, HighValue = s.HighValue, Cached = s.IsCached, FaultReason = (uint)s.Fault,
        }));
        return response;
    }

    async Task DumpAsync(DumpTablesRequest request, IServerStreamWriter<DumpTablesResponse> responses, ServerCallContext context)
    {
        if (request.Limit > 1_000_000)
        {
            throw Errors.Invalid("limit", "1 to 1000000");
        }

        var first = Request(request.Bdf, request.FromIova, DmaAccess.Read, request.HasPasid ? request.Pasid : null);
        var dump = new TableDump(first, request.Limit == 0 ? 100_000 : request.Limit);
        do
        {
            var part = await Look(request.Machine, (_, unit) => dump.Next(unit, MappingsPerMessage), context).ConfigureAwait(false);
            if (part.Mappings.Count != 0 || part.HasNextIova)
            {
                await responses.WriteAsync(part, context.CancellationToken).ConfigureAwait(false);
            }
        }
        while (!dump.IsDone);
    }

    static GetCachesResponse Caches(VirtualMachine machine, VtdUnit unit)
    {
        var full = unit.Occupancy;
        var response = new GetCachesResponse
        {
            SmallPages = (uint)full.SmallPages, LargePages = (uint)full.LargePages, HugePages = (uint)full.HugePages, Structures = (uint)full.Structures,
            Contexts = (uint)full.Contexts, Pasids = (uint)full.Pasids, Interrupts = (uint)full.Interrupts, Evictions = full.Evictions,
        };
        foreach (var cache in Enum.GetValues<VtdCache>().Where(c => unit.MissingInvalidations.Count(c) != 0))
        {
            response.MissingInvalidations.Add(cache.ToString(), unit.MissingInvalidations.Count(cache));
        }

        return response;
    }

    static ListIommuFaultsResponse Faults(VirtualMachine machine, VtdUnit unit)
    {
        var counters = unit.Counters;
        var response = new ListIommuFaultsResponse
        {
            Recorded = counters.RecordedFaults, Compressed = counters.CompressedFaults, Overflowed = counters.OverflowedFaults, Suppressed = counters.SuppressedFaults,
        };
        foreach (var (index, record) in unit.PendingFaults())
        {
            var pending = new IommuFaultRecord
            {
                Index = (uint)index, Bdf = new Bdf(record.SID).ToString(), Reason = (uint)record.FR, Name = record.FR.ToString(),
                Address = record.FR is >= FaultReason.InterruptReserved and <= FaultReason.PostedDescriptorReserved ? record.InterruptIndex : record.Page,
                Access = record.Type.ToString().ToLowerInvariant(),
            };
            if (record.PP)
            {
                pending.Pasid = record.PV;
            }

            response.Pending.Add(pending);
        }

        foreach (var function in machine.Pci.Pci.Functions)
        {
            response.Counts.Add(Enum.GetValues<FaultReason>().Where(r => counters.Faults(function.Address, r) != 0).Select(r => new IommuFaultCount
            {
                Bdf = function.Address.ToString(), Reason = (uint)r, Name = r.ToString(), Count = counters.Faults(function.Address, r),
            }));
        }

        return response;
    }

    static GetIommuCountersResponse Counters(VirtualMachine machine, VtdUnit unit)
    {
        var counters = unit.Counters;
        var response = new GetIommuCountersResponse
        {
            Name = unit.Name, Translating = unit.IsTranslating, Remapping = unit.IsRemapping, Waits = counters.Waits,
            InterruptHits = counters.InterruptHits, InterruptMisses = counters.InterruptMisses,
        };
        foreach (var function in machine.Pci.Pci.Functions)
        {
            response.Devices.Add(function.Address.ToString(), Describe(counters.Device(function.Address)));
        }

        foreach (var table in Enum.GetValues<VtdTable>())
        {
            for (var level = 0; level < 6; level++)
            {
                if (counters.Reads(table, level) is not 0 and var count)
                {
                    response.Reads.Add(level == 0 ? $"{table}" : $"{table}.{level}", count);
                }
            }
        }

        foreach (var type in Enum.GetValues<InvalidationType>().Where(t => counters.Invalidations(t) != 0))
        {
            response.Invalidations.Add(type.ToString(), counters.Invalidations(type));
        }

        foreach (var register in unit.Registers.Where(r => r.Size <= 8))
        {
            response.Registers[register.Name] = (ulong)register.Value;
        }

        return response;
    }
}
