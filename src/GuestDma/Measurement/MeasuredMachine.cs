using Vmm.GuestDma.Cost;
using Vmm.GuestDma.Domains;
using Vmm.GuestDma.Drivers.Nvme;
using Vmm.GuestDma.Guest;
using Vmm.Platform.Dma;

namespace Vmm.GuestDma.Measurement;

/// <summary>What a load runs on: a machine as its guest sees it, with the layer on top.</summary>
public sealed class MeasuredMachine
{
    /// <summary>The machine.</summary>
    public required IGuestView View { get; init; }

    /// <summary>Prices.</summary>
    public required CostMeter Meter { get; init; }

    /// <summary>Memory of the guest's kernel.</summary>
    public required GuestPages Pages { get; init; }

    /// <summary>Which allocations fail on purpose.</summary>
    public required AllocationFaults Faults { get; init; }

    /// <summary>Driver of the IOMMU, or null.</summary>
    public required IIommuDriver? Iommu { get; init; }

    /// <summary>The device that loads use.</summary>
    public required DmaDevice Device { get; init; }

    /// <summary>Its driver, or null when loads use <see cref="Port"/>.</summary>
    public required NvmeDriver? Nvme { get; init; }

    /// <summary>The bus as a plain device at the same place has it, for loads that are no disk.</summary>
    public required DmaPort Port { get; init; }

    /// <summary>Lets time pass to the next event; false when there is none.</summary>
    public bool Wait()
    {
        var due = View.Clock.NextDue;
        if (due == ulong.MaxValue)
        {
            return false;
        }

        if (due > View.Clock.Now)
        {
            Meter.Ledger.Charge(CycleCause.Idle, due - View.Clock.Now);
        }

        Poll();
        return true;
    }

    /// <summary>
    /// Runs what is due. A device works beside the processor: the time that its events take is its own, and only what the
    /// layer's timers do is the processor's.
    /// </summary>
    public void Poll()
    {
        if (Iommu is { HasFaults: true })
        {
            Iommu.HandleFaults();
        }

        var clock = View.Clock;
        if (clock.NextDue > clock.Now)
        {
            return;
        }

        var now = clock.Now;
        var charged = Meter.Ledger.Total;
        clock.RunDue();
        clock.SwitchTo(now + (Meter.Ledger.Total - charged));
    }
}
