using Vmm.GuestDma.Cost;

namespace Vmm.GuestDma.Measurement;

/// <summary>One line of a table of results: a point and what was measured there. All of it is virtual, so it never varies.</summary>
public sealed record MeasurementRow
{
    /// <summary>Load.</summary>
    public required string Load { get; init; }

    /// <summary>Bytes of an operation.</summary>
    public required long Bytes { get; init; }

    /// <summary>Operations in flight.</summary>
    public required int Depth { get; init; }

    /// <summary>Policy.</summary>
    public required DmaPolicy Policy { get; init; }

    /// <summary>IOMMU.</summary>
    public required string Iommu { get; init; }

    /// <summary>Cost profile.</summary>
    public required string Profile { get; init; }

    /// <summary>Operations that were measured.</summary>
    public required int Operations { get; init; }

    /// <summary>Operations that failed or brought wrong data.</summary>
    public required int Bad { get; init; }

    /// <summary>Cycles that went by.</summary>
    public required ulong Cycles { get; init; }

    /// <summary>Cycles in a virtual second.</summary>
    public required ulong Hertz { get; init; }

    /// <summary>Cycles spent in map.</summary>
    public required ulong MapCycles { get; init; }

    /// <summary>Cycles spent in unmap.</summary>
    public required ulong UnmapCycles { get; init; }

    /// <summary>Cycles by <see cref="CycleCause"/>, idle time included.</summary>
    public required IReadOnlyList<ulong> Causes { get; init; }

    /// <summary>Register accesses that left the guest.</summary>
    public required ulong Exits { get; init; }

    /// <summary>Invalidations, or notifications of a paravirtual IOMMU.</summary>
    public required ulong Invalidations { get; init; }

    /// <summary>Median latency in cycles.</summary>
    public required ulong Median { get; init; }

    /// <summary>99th percentile in cycles.</summary>
    public required ulong Slow { get; init; }

    /// <summary>Largest latency in cycles.</summary>
    public required ulong Slowest { get; init; }

    /// <summary>Most memory of bounce buffers, in bytes.</summary>
    public required ulong BounceBytes { get; init; }

    /// <summary>Bytes in a virtual second.</summary>
    public double Throughput => (double)Bytes * Operations / Cycles * Hertz;

    /// <summary>Cycles of an operation, without idle time.</summary>
    public double CyclesPerOperation => (double)(Cycles - Math.Min(Cycles, Causes[(int)CycleCause.Idle])) / Operations;

    /// <summary>Share of time in which the processor worked.</summary>
    public double Utilisation => 1 - (double)Causes[(int)CycleCause.Idle] / Cycles;

    /// <summary>Runs a load and measures it after a warm-up.</summary>
    public static MeasurementRow Measure(
        MeasuredMachine machine, ILoad load, string name, int depth, string iommu, string profile, int warmUp, int operations)
    {
        load.Run(warmUp);
        load.Restart();
        var ledger = machine.Meter.Ledger;
        ledger.Clear();
        var start = machine.View.Clock.Now;
        var invalidations = machine.Iommu?.Invalidations ?? 0;
        load.Run(operations);
        var causes = new ulong[CycleLedger.Causes];
        for (var i = 0; i < causes.Length; i++)
        {
            causes[i] = ledger.Cycles((CycleCause)i);
        }

        return new()
        {
            Load = name, Bytes = load.Bytes, Depth = depth, Policy = machine.Device.Policy, Iommu = iommu, Profile = profile, Operations = operations, Bad = load.Bad,
            Cycles = machine.View.Clock.Now - start, Hertz = machine.View.Clock.Hertz,
            MapCycles = ledger.Cycles(DmaOperation.Map), UnmapCycles = ledger.Cycles(DmaOperation.Unmap), Causes = causes,
            Exits = ledger.Count(CycleCause.Exit), Invalidations = (machine.Iommu?.Invalidations ?? 0) - invalidations,
            Median = load.Latency.Percentile(500), Slow = load.Latency.Percentile(990), Slowest = load.Latency.Largest,
            BounceBytes = machine.Device.Translated?.PeakBounceBytes ?? machine.Device.Swiotlb?.PeakBytes ?? 0,
        };
    }
}
