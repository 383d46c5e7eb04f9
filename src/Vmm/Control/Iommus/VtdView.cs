using Vmm.Api.V1;
using Vmm.Iommu;
using Vmm.Machine;
using Vmm.Platform.Dma;
using Vmm.Platform.Memory;
using Vmm.Specs.VtD;

namespace Vmm.Control.Iommus;

/// <summary>VT-d in the words of the API.</summary>
internal sealed class VtdView(VirtualMachine machine, VtdUnit unit) : IIommuView
{
    /// <inheritdoc/>
    public bool HasPasids => true;

    /// <inheritdoc/>
    public IEnumerable<IommuDomain> Domains(uint from)
    {
        var bound = machine.Pci.Pci.Functions.Where(f => f.Dma.Translator == unit)
            .Select(f => (f.Address, unit.Explain(new(f.Address, new Iova(0), DmaAccess.Read)).Domain)).ToLookup(f => f.Domain, f => f.Address.ToString());
        for (var id = from; id <= ushort.MaxValue; id++)
        {
            var counters = unit.Counters.Domain((ushort)id);
            if ((counters.Hits | counters.Misses | counters.Walks | counters.PassedThrough | counters.Faults | counters.Invalidations) != 0 || bound.Contains((ushort)id))
            {
                yield return new() { Id = id, Counts = Describe(counters), Devices = { bound[(ushort)id] } };
            }
        }
    }

    static TranslationCounts Describe(TranslationCounters counters) => new()
    {
        Hits = counters.Hits, Misses = counters.Misses, Walks = counters.Walks, PassedThrough = counters.PassedThrough,
        Faults = counters.Faults, Interrupts = counters.Interrupts, Invalidations = counters.Invalidations,
    };

    /// <inheritdoc/>
    public TranslateResponse Translate(in DmaRequest request)
    {
        var report = unit.Explain(request);
        var response = new TranslateResponse
        {
            FaultReason = (uint)report.Fault, FaultName = report.Fault == FaultReason.None ? "" : report.Fault.ToString(), FaultSuppressed = report.IsFaultSuppressed,
            Blocked = report.Fault != FaultReason.None,
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

    /// <summary>Explains one address; what an absent entry spans is skipped.</summary>
    public DumpStep Step(in DmaRequest request)
    {
        var at = request.Address.Value;
        var report = unit.Explain(request);
        if (report.Fault is FaultReason.NoReadPermission or FaultReason.SmNoReadPermission)
        {
            report = unit.Explain(request with { Access = DmaAccess.Write });
        }

        if (report.Fault == FaultReason.None)
        {
            var window = report.Window;
            return new(
                new() { Iova = at, Address = window.Address.Value, Length = window.Length, Readable = window.Readable, Writable = window.Writable },
                report.IsPassThrough ? 0 : at + window.Length);
        }

        // Level 0: no page tables at all, the end of the address width, or the interrupt range.
        var level = report.Steps.Count == 0 ? 0 : report.Steps[^1].Level;
        return new(null, level != 0 ? After(at, 1ul << (12 + 9 * (level - 1))) : DmaPort.IsInterruptAddress(at) ? After(at, 1 << 20) : 0);
    }

    /// <summary>The next multiple of what an entry spans.</summary>
    static ulong After(ulong at, ulong span) => (at | (span - 1)) + 1;

    /// <inheritdoc/>
    public GetCachesResponse Caches()
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

    /// <inheritdoc/>
    public ListIommuFaultsResponse Faults()
    {
        var counters = unit.Counters;
        var response = new ListIommuFaultsResponse
        {
            Recorded = counters.RecordedFaults, Compressed = counters.CompressedFaults, Overflowed = counters.OverflowedFaults, Suppressed = counters.SuppressedFaults,
            Pending = { unit.PendingFaults().Select(p => Describe(p.Index, p.Record)) },
        };
        foreach (var function in machine.Pci.Pci.Functions)
        {
            response.Counts.Add(Enum.GetValues<FaultReason>().Where(r => counters.Faults(function.Address, r) != 0).Select(r => new IommuFaultCount
            {
                Bdf = function.Address.ToString(), Reason = (uint)r, Name = r.ToString(), Count = counters.Faults(function.Address, r),
            }));
        }

        return response;
    }

    static IommuFaultRecord Describe(int index, FaultRecord record)
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

        return pending;
    }

    /// <inheritdoc/>
    public TranslationCounts Device(Bdf requester) => Describe(unit.Counters.Device(requester));

    /// <inheritdoc/>
    public GetIommuCountersResponse Counters()
    {
        var counters = unit.Counters;
        var response = new GetIommuCountersResponse
        {
            Name = unit.Name, Model = "vtd", Translating = unit.IsTranslating, Remapping = unit.IsRemapping, Waits = counters.Waits,
            InterruptHits = counters.InterruptHits, InterruptMisses = counters.InterruptMisses,
        };
        foreach (var function in machine.Pci.Pci.Functions)
        {
            response.Devices.Add(function.Address.ToString(), Device(function.Address));
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

    /// <inheritdoc/>
    public Action<BlockedRequest>? Blocked
    {
        set => unit.Blocked = value;
    }

    /// <inheritdoc/>
    public string NameOf(uint reason) => ((FaultReason)reason).ToString();

    /// <inheritdoc/>
    public void Flush() => unit.EvictAll();
}
