using System.Globalization;
using Vmm.GuestDma;
using Vmm.GuestDma.Measurement;
using Vmm.Platform.Time;

namespace Vmm.Beds;

/// <summary>The adaptive policy at the published points: with faster disks, by processor cycles, and for the untrusted disk.</summary>
internal static class PoolCompared
{
    /// <summary>Bandwidth of the fitted disk times this; 0 is a disk without a limit.</summary>
    static readonly int[] Disks = [1, 2, 4, 0];

    /// <summary>Published: load of all processors without and with pools.</summary>
    public static (double Without, double With) PublishedLoad { get; } = (0.0228, 0.0217);

    /// <summary>Threads of the published processor.</summary>
    const int Threads = 8;

    /// <summary>One published size on one disk: adaptive over the better of the others.</summary>
    /// <param name="Bytes">Bytes of an I/O.</param>
    /// <param name="Disk">Bandwidth, in that of the fit; 0 for no limit.</param>
    /// <param name="Throughput">Ratio of throughput.</param>
    /// <param name="Cycles">Ratio of busy cycles of an I/O.</param>
    /// <param name="Busy">Share of the processor that is busy: no pool, pool, adaptive.</param>
    public sealed record Line(int Bytes, int Disk, double Throughput, double Cycles, (double Strict, double Pool, double Adaptive) Busy);

    /// <summary>Load of all processors for reads of an untrusted disk: pages mapped one by one, pools, adaptive.</summary>
    public sealed record Load(double Without, double Pool, double Adaptive);

    /// <summary>Measures one point.</summary>
    public static Line Run(int bytes, int disk)
    {
        MeasurementRow Measure(DmaPolicy policy) =>
            new DmaPoint(DmaLoad.Read, bytes, 64, policy, "viommu-2021", DmaProfiles.Chromebook) { Bandwidth = DmaProfiles.ChromebookBandwidth * (ulong)disk }.Run();
        MeasurementRow strict = Measure(DmaPolicy.Strict), pool = Measure(DmaPolicy.Pool), adaptive = Measure(DmaPolicy.Adaptive);
        return new(
            bytes, disk, adaptive.Throughput / Math.Max(strict.Throughput, pool.Throughput),
            adaptive.CyclesPerOperation / Math.Min(strict.CyclesPerOperation, pool.CyclesPerOperation),
            (strict.Utilisation, pool.Utilisation, adaptive.Utilisation));
    }

    /// <summary>
    /// Reads of 64 KiB from an untrusted disk on the machine itself. Before pools every page was mapped, unmapped and
    /// invalidated by itself. Two numbers are fitted: the wait for an invalidation, and the bandwidth of the disk.
    /// </summary>
    public static Load Untrusted()
    {
        double Measure(DmaPolicy policy, bool piecewise) => new DmaPoint(DmaLoad.Read, 64 << 10, 64, policy, "vtd-metal", "comet-lake")
        {
            Untrusted = true, Piecewise = piecewise, Bandwidth = DmaProfiles.InternalBandwidth, Reprice = DmaProfiles.OnTheMachine,
            Hertz = DmaProfiles.TurboHertz, Application = DmaProfiles.InternalApplication,
        }.Run().Utilisation / Threads;
        return new(Measure(DmaPolicy.Strict, piecewise: true), Measure(DmaPolicy.Pool, piecewise: false), Measure(DmaPolicy.Adaptive, piecewise: false));
    }

    /// <summary>Writes the three tables.</summary>
    public static void Report(TextWriter text, Func<bool> stop)
    {
        var load = Untrusted();
        Summary(text, load);
        text.WriteLine("\n## Adaptive over the better of pool and no pool, with faster disks\n");
        text.WriteLine("| block | disk | throughput | cycles of an I/O | processor busy: none, pool, adaptive |\n| --- | --- | ---: | ---: | ---: |");
        foreach (var bytes in DmaPlans.PaperSizes)
        {
            foreach (var line in Disks.TakeWhile(_ => !stop()).Select(d => Run(bytes, d)))
            {
                text.WriteLine(string.Create(CultureInfo.InvariantCulture,
                    $"| {line.Bytes >> 10} KiB | {(line.Disk == 0 ? "no limit" : $"x{line.Disk}")} | x{line.Throughput:F3} | x{line.Cycles:F3} | {line.Busy.Strict:0 %}, {line.Busy.Pool:0 %}, {line.Busy.Adaptive:0 %} |"));
            }
        }

        if (stop())
        {
            return;
        }

        text.WriteLine(string.Create(CultureInfo.InvariantCulture, $"""

            ## The untrusted disk of the same publication: load of {Threads} threads, reads of 64 KiB

            On the machine itself (`vtd-metal`), `comet-lake` prices at the processor's highest clock, 4.2 GHz, copying 8 GB/s as in the fit, work
            of an I/O 4 us. Fitted: an invalidation takes {DmaProfiles.OnTheMachine(CostModel.Default)[CostKind.IotlbInvalidation] * 1e6 / DmaProfiles.TurboHertz:F2} us, the disk reads {DmaProfiles.InternalBandwidth / 1e9:F2} GB/s. Untrusted buffers are never adopted: adaptive maps whole pages once for the list and invalidates later, with the pages
            referred to meanwhile.

            | | every page mapped by itself | pools | adaptive |
            | --- | ---: | ---: | ---: |
            | published | {PublishedLoad.Without:0.00 %} | {PublishedLoad.With:0.00 %} | |
            | measured | {load.Without:0.00 %} | {load.Pool:0.00 %} | {load.Adaptive:0.00 %} |
            """));
    }

    /// <summary>All that was published of pools, and where adaptive is ahead of both.</summary>
    static void Summary(TextWriter text, Load load)
    {
        text.WriteLine("\n## Adaptive at every published point\n");
        text.WriteLine("| point | measure | no pool | pool | adaptive | ahead of both |\n| --- | --- | ---: | ---: | ---: | --- |");
        foreach (var bytes in DmaPlans.PaperSizes)
        {
            MeasurementRow[] rows = [.. new[] { DmaPolicy.Strict, DmaPolicy.Pool, DmaPolicy.Adaptive }.Select(p => new DmaPoint(DmaLoad.Read, bytes, 64, p, "viommu-2021", DmaProfiles.Chromebook).Run())];
            Row(text, $"reads of {bytes >> 10} KiB", "MB/s", rows.Select(static r => r.Throughput / 1e6), higher: true);
            Row(text, $"reads of {bytes >> 10} KiB", "cycles of an I/O", rows.Select(static r => r.CyclesPerOperation), higher: false);
        }

        Row(text, "untrusted disk, reads of 64 KiB", "load in hundredths of a percent", new[] { load.Without, load.Pool, load.Adaptive }.Select(static l => l * 1e4), higher: false);
    }

    static void Row(TextWriter text, string point, string measure, IEnumerable<double> values, bool higher)
    {
        var v = values.ToArray();
        var ahead = higher ? v[2] > Math.Max(v[0], v[1]) * 1.005 : v[2] < Math.Min(v[0], v[1]) * 0.995;
        text.WriteLine(string.Create(CultureInfo.InvariantCulture, $"| {point} | {measure} | {v[0]:F0} | {v[1]:F0} | {v[2]:F0} | {(ahead ? "yes" : "no: the disk is the limit")} |"));
    }
}
