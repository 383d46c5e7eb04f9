using Vmm.Platform.Time;

namespace Vmm.VirtioIommu;

/// <summary>What requests made a back end do, as running totals.</summary>
/// <param name="MappedPages">4 KiB pages mapped, a started one counts.</param>
/// <param name="UnmappedPages">4 KiB pages unmapped.</param>
/// <param name="Invalidations">Requests that took mappings away.</param>
readonly record struct BackendWork(ulong MappedPages, ulong UnmappedPages, ulong Invalidations)
{
    public BackendWork Since(in BackendWork before) =>
        new(MappedPages - before.MappedPages, UnmappedPages - before.UnmappedPages, Invalidations - before.Invalidations);
}

/// <summary>
/// Time that requests take: each as a request of a paravirtual queue, and with a VFIO back end what pinning, mapping and
/// unmapping pages in the host's IOMMU costs.
/// </summary>
sealed class BackendCosts
{
    readonly ExitLedger ledger;
    readonly LedgerAccount account;
    readonly bool vfio;
    readonly ulong ramPages;

    public BackendCosts(VirtioIommuOptions options, ExitLedger ledger, ulong ramBytes)
    {
        this.ledger = ledger;
        account = ledger.Account(options.Name);
        vfio = options.Backend == ViommuBackend.Vfio;
        ramPages = ramBytes >> 12;
    }

    public void ChargeRequest() => ledger.Charge(account, CostKind.VirtioRequest);

    public void ChargeBackend(in BackendWork work)
    {
        if (vfio)
        {
            Charge(CostKind.VfioMap, work.MappedPages);
            Charge(CostKind.VfioUnmap, work.UnmappedPages);
            Charge(CostKind.IotlbInvalidation, work.Invalidations);
        }
    }

    /// <summary>VFIO pins RAM and nothing else, so a request never costs more than all of it.</summary>
    void Charge(CostKind kind, ulong units)
    {
        if (units != 0)
        {
            ledger.Charge(account, kind, Math.Min(units, ramPages));
        }
    }
}
