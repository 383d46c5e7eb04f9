using Vmm.Platform.Dma;
using Vmm.Specs;
using Vmm.Specs.VtD;

namespace Vmm.Iommu;

/// <summary>Invalidates the translation caches with exactly the granularity asked for (VT-d §6.5). Every call is bounded by the size of the caches.</summary>
sealed class Invalidator(VtdCore core)
{
    /// <summary>Everything: SRTP with CAP.ESRTPS.</summary>
    public void InvalidateTranslations()
    {
        core.Contexts.InvalidateAll();
        core.Pasids.InvalidateAll();
        core.Clock.InvalidateAll();
    }

    /// <summary>Context cache. Returns what was carried out; None for a reserved request.</summary>
    public InvalidationGranularity InvalidateContexts(InvalidationGranularity granularity, ushort domain, ushort source, int functionMask)
    {
        core.Counters.CountInvalidation(InvalidationType.ContextCache);
        switch (granularity)
        {
            case InvalidationGranularity.Global:
                core.Contexts.InvalidateAll();
                break;
            case InvalidationGranularity.Domain:
                core.Counters.ForDomain(domain).Invalidations++;
                InvalidateContextsOf(domain);
                break;
            case InvalidationGranularity.Selective:
                core.Counters.ForDevice(new(source)).Invalidations++;
                InvalidateContextsOf(source, functionMask);
                break;
            default:
                return InvalidationGranularity.None;
        }

        core.Clock.Changes++;
        return granularity;
    }

    /// <summary>Scalable-mode context entries name no domain, so a domain request drops them all.</summary>
    void InvalidateContextsOf(ushort domain)
    {
        var all = core.RootTable.TTM == TranslationTableMode.Scalable;
        for (var i = 0; i < core.Contexts.Size; i++)
        {
            if (all || core.Contexts[i].Domain == domain)
            {
                core.Contexts.Remove(i);
            }
        }
    }

    void InvalidateContextsOf(ushort source, int functionMask)
    {
        var mask = ~MaskOf(functionMask);
        for (var i = 0; i < core.Contexts.Size; i++)
        {
            if (((core.Contexts[i].Source ^ source) & mask) == 0)
            {
                core.Contexts.Remove(i);
            }
        }
    }

    /// <summary>Function bits that a mask of 0 to 3 ignores (VT-d §6.5.2.1, FM; §9.9, SQ).</summary>
    public static int MaskOf(int functionMask) => functionMask switch { 0 => 0, 1 => 0b100, 2 => 0b110, _ => 0b111 };

    /// <summary>IOTLB and paging-structure caches. Returns what was carried out; None for a reserved request.</summary>
    public InvalidationGranularity InvalidateIotlb(InvalidationGranularity granularity, ushort domain, Iva target)
    {
        core.Counters.CountInvalidation(InvalidationType.Iotlb);
        if (granularity == InvalidationGranularity.Selective && target.AM > core.Capabilities.Cap.MAMV)
        {
            return InvalidationGranularity.None;
        }

        switch (granularity)
        {
            case InvalidationGranularity.Global:
                core.Clock.InvalidateAll();
                return granularity;
            case InvalidationGranularity.Domain:
                core.Counters.ForDomain(domain).Invalidations++;
                core.Clock.InvalidateDomain(domain);
                return granularity;
            case InvalidationGranularity.Selective:
                core.Counters.ForDomain(domain).Invalidations++;
                core.Iotlb.InvalidatePages(domain, target);
                return granularity;
            default:
                return InvalidationGranularity.None;
        }
    }

    /// <summary>First-stage and nested translations of a PASID, or pages of it. False for a reserved request.</summary>
    public bool InvalidatePasidIotlb(int granularity, ushort domain, uint pasid, Iva target)
    {
        core.Counters.CountInvalidation(InvalidationType.PasidIotlb);
        core.Counters.ForDomain(domain).Invalidations++;
        if (granularity == 2)
        {
            core.Iotlb.InvalidatePasid(domain, pasid);
            return true;
        }

        if (granularity != 3 || target.AM > core.Capabilities.Cap.MAMV)
        {
            return false;
        }

        core.Iotlb.InvalidatePages(domain, pasid, target);
        return true;
    }

    /// <summary>PASID cache: 0 by domain, 1 by domain and PASID, 3 everything. False for a reserved request.</summary>
    public bool InvalidatePasids(int granularity, ushort domain, uint pasid)
    {
        core.Counters.CountInvalidation(InvalidationType.PasidCache);
        if (granularity == 2)
        {
            return false;
        }

        for (var i = 0; i < core.Pasids.Size; i++)
        {
            ref readonly var entry = ref core.Pasids[i];
            if (granularity == 3 || entry.Domain == domain && (granularity == 0 || entry.Pasid == pasid))
            {
                core.Pasids.Remove(i);
            }
        }

        core.Clock.Changes++;
        return true;
    }

    /// <summary>Interrupt entry cache: everything, or 2^mask entries. False for a mask beyond ECAP.MHMV.</summary>
    public bool InvalidateInterrupts(bool selective, int index, int mask)
    {
        core.Counters.CountInvalidation(InvalidationType.InterruptEntryCache);
        if (!selective)
        {
            core.InterruptEntries.InvalidateAll();
            return true;
        }

        if (mask > core.Capabilities.Ecap.MHMV)
        {
            return false;
        }

        var compared = ~(int)Bits.Mask(mask);
        for (var i = 0; i < core.InterruptEntries.Size; i++)
        {
            if (((core.InterruptEntries[i].Index ^ index) & compared) == 0)
            {
                core.InterruptEntries.Remove(i);
            }
        }

        return true;
    }
}
