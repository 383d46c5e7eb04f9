using Vmm.Platform.Dma;
using Vmm.Specs;
using Vmm.Specs.VtD;

namespace Vmm.Iommu;

/// <summary>Valid entries of each cache.</summary>
/// <param name="SmallPages">IOTLB, 4 KiB pages and cached absences.</param>
/// <param name="LargePages">IOTLB, 2 MiB pages.</param>
/// <param name="HugePages">IOTLB, 1 GiB pages.</param>
/// <param name="Structures">Paging-structure caches.</param>
/// <param name="Contexts">Context cache.</param>
/// <param name="Pasids">PASID cache.</param>
/// <param name="Interrupts">Interrupt entry cache.</param>
/// <param name="Evictions">Valid IOTLB entries dropped to make room, since the machine was built.</param>
public readonly record struct CacheOccupancy(
    int SmallPages, int LargePages, int HugePages, int Structures, int Contexts, int Pasids, int Interrupts, ulong Evictions);

/// <summary>Inspection: nothing here changes what the guest can observe.</summary>
public sealed partial class VtdUnit
{
    /// <summary>Translation is on.</summary>
    public bool IsTranslating => core.Gsts.TES;

    /// <summary>Interrupt remapping is on.</summary>
    public bool IsRemapping => core.Gsts.IRES;

    /// <summary>Told of each request that is blocked, when it is, on the machine's thread.</summary>
    public Action<BlockedRequest>? Blocked
    {
        get => core.Blocked;
        set => core.Blocked = value;
    }

    /// <summary>How full the caches are.</summary>
    public CacheOccupancy Occupancy => new(
        core.Iotlb.Count(0), core.Iotlb.Count(1), core.Iotlb.Count(2), core.Iotlb.Structures.Count(),
        core.Contexts.Count(), core.Pasids.Count(), core.InterruptEntries.Count(), core.Iotlb.Evictions);

    /// <summary>The fault records that software has not cleared, by register index.</summary>
    public IEnumerable<(int Index, FaultRecord Record)> PendingFaults()
    {
        for (var i = 0; i <= core.Capabilities.Cap.NFR; i++)
        {
            var offset = VtdRegister.FRCD + 16 * i;
            var record = new FaultRecord(core.Registers.Get64(offset + 8), core.Registers.Get64(offset));
            if (record.F)
            {
                yield return (i, record);
            }
        }
    }

    /// <summary>Explains a DMA translation level by level, from the tables as they are now and beside what the caches hold.</summary>
    public WalkReport Explain(in DmaRequest request)
    {
        var report = new WalkReport { Request = request };
        if (!core.Gsts.TES)
        {
            report.IsPassThrough = true;
            report.Window = Identity(request);
            return report;
        }

        if (contexts.TryFindCached(request, out var context, out var privileged) && context.Kind != StageKind.PassThrough)
        {
            remapper.ExplainCache(request, context, DmaRemapper.NeedOf(request, privileged), report);
        }

        report.Fault = ExplainTables(request, report);
        return report;
    }

    /// <summary>
    /// Empties every translation and interrupt entry cache, as if each entry had been evicted: hardware may do that at any
    /// time (VT-d §6.2), so only software that relies on stale entries can tell.
    /// </summary>
    public void EvictAll()
    {
        caches.InvalidateTranslations();
        core.InterruptEntries.InvalidateAll();
    }

    static DmaWindow Identity(in DmaRequest request) => new(new(request.Address.Value), 4096 - (ulong)request.Address.PageOffset, true, true);

    FaultReason ExplainTables(in DmaRequest request, WalkReport report)
    {
        var reason = remapper.CheckMode(core.RootTable.TTM);
        if (reason != FaultReason.None)
        {
            return reason;
        }

        if (!request.HasPasid && (request.Access & DmaAccess.Translated) == 0 && DmaPort.IsInterruptAddress(request.Address.Value))
        {
            return FaultReason.InvalidInterruptRequest;
        }

        reason = contexts.Explain(request, report, out var context, out var suppressed);
        report.IsFaultSuppressed = suppressed;
        if (reason != FaultReason.None)
        {
            return reason;
        }

        report.Domain = context.Domain;
        var need = DmaRemapper.NeedOf(request, contexts.ExplainedPrivilege);
        if (context.Kind == StageKind.PassThrough || (request.Access & DmaAccess.Translated) != 0)
        {
            report.IsPassThrough = true;
            report.Window = Identity(request);
            return DmaRemapper.Name(remapper.CheckPassThrough(request.Address.Value, context), context, need);
        }

        reason = walker.Walk(context, request.Address.Value, need, false, report, out var leaf);
        if (reason == FaultReason.None)
        {
            reason = need.Check(leaf.Rights, context);
            report.Window = DmaRemapper.WindowOf(
                request.Address.Value, leaf.Shift, leaf.Address & ~Bits.Mask(leaf.Shift), leaf.Rights, need, context);
        }

        return DmaRemapper.Name(reason, context, need);
    }
}
