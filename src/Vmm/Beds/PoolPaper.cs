using System.Globalization;
using Vmm.GuestDma;
using Vmm.GuestDma.Measurement;
using Vmm.Platform.Time;

namespace Vmm.Beds;

/// <summary>
/// The published measurement of pooled bounce buffers (D. Stevens, 2021: fio, 64 reads in flight, virtio-iommu before VFIO)
/// beside the same on this machine.
/// </summary>
internal static class PoolPaper
{
    /// <summary>Published: throughput with pools over without, and what is left of the time in unmap, by size.</summary>
    public static IReadOnlyList<(int Bytes, double Gain, double UnmapFall)> Published { get; } =
        [(4 << 10, 2.8, 0.97), (16 << 10, 4.7, 0.94), (64 << 10, 3.6, 0.90), (128 << 10, 3.6, 0.87)];

    /// <summary>Published: time in map falls by more than this.</summary>
    public const double MapFall = 0.99;

    /// <summary>One size.</summary>
    /// <param name="Bytes">Bytes of an I/O.</param>
    /// <param name="Gain">Measured throughput ratio.</param>
    /// <param name="PublishedGain">Published.</param>
    /// <param name="UnmapFall">Measured fall of the time in unmap.</param>
    /// <param name="PublishedUnmapFall">Published.</param>
    /// <param name="MapFall">Measured fall of the time in map.</param>
    /// <param name="Adaptive">Throughput of the adaptive policy over the pools'.</param>
    /// <param name="AdaptiveCycles">Busy cycles of an I/O: without pool, with, adaptive.</param>
    public sealed record Line(
        int Bytes, double Gain, double PublishedGain, double UnmapFall, double PublishedUnmapFall, double MapFall, double Adaptive,
        (double Strict, double Pool, double Adaptive) AdaptiveCycles);

    /// <summary>A price of the fit, and how to change it by a factor in percent.</summary>
    /// <param name="Name">Name.</param>
    /// <param name="Change">Changes the point.</param>
    public sealed record Parameter(string Name, Func<DmaPoint, int, DmaPoint> Change);

    /// <summary>All prices of the experiment.</summary>
    public static IReadOnlyList<Parameter> Parameters { get; } =
    [
        new("work of an I/O", static (p, percent) => p with { Application = DmaProfiles.ChromebookApplication * (ulong)percent / 100 }),
        new("disk bandwidth", static (p, percent) => p with { Bandwidth = DmaProfiles.ChromebookBandwidth * (ulong)percent / 100 }),
        new("MAP", static (p, percent) => Scale(p, CostKind.VfioMap, percent)),
        new("UNMAP", static (p, percent) => Scale(p, CostKind.IotlbInvalidation, percent)),
        new("UNMAP, each page", static (p, percent) => Scale(p, CostKind.VfioUnmap, percent)),
        new("copying", static (p, percent) => Scale(p, CostKind.CopyLineCold, percent)),
        new("notification", static (p, percent) => Scale(p, CostKind.MmioEventfd, percent)),
        new("request", static (p, percent) => Scale(p, CostKind.VirtioRequest, percent)),
        new("lock", static (p, percent) => Scale(p, CostKind.Lock, percent)),
    ];

    static DmaPoint Scale(DmaPoint point, CostKind kind, int percent) =>
        point with { Reprice = model => model.With(kind, (model[kind] * (ulong)percent + 50) / 100) };

    /// <summary>Measures all sizes.</summary>
    public static IReadOnlyList<Line> Run(string profile, Func<DmaPoint, DmaPoint>? change = null, bool adaptive = true) =>
        [.. Published.Select(p => Run(p, profile, change ?? (static q => q), adaptive))];

    static Line Run((int Bytes, double Gain, double UnmapFall) published, string profile, Func<DmaPoint, DmaPoint> change, bool adaptive)
    {
        MeasurementRow Measure(DmaPolicy policy) => change(new(DmaLoad.Read, published.Bytes, 64, policy, "viommu-2021", profile)).Run();
        MeasurementRow strict = Measure(DmaPolicy.Strict), pool = Measure(DmaPolicy.Pool);
        var best = adaptive ? Measure(DmaPolicy.Adaptive) : pool;
        return new(
            published.Bytes, pool.Throughput / strict.Throughput, published.Gain,
            1 - (double)pool.UnmapCycles / strict.UnmapCycles, published.UnmapFall,
            1 - (double)pool.MapCycles / strict.MapCycles, best.Throughput / pool.Throughput,
            (strict.CyclesPerOperation, pool.CyclesPerOperation, best.CyclesPerOperation));
    }

    /// <summary>Writes the comparison, the other profiles and the sensitivity, as Markdown.</summary>
    public static void Report(TextWriter text, Func<bool> stop)
    {
        text.WriteLine("## Pooled bounce buffers beside the publication\n");
        Table(text, Run(DmaProfiles.Chromebook));
        text.WriteLine();
        if (stop())
        {
            return;
        }

        PoolLimit.Report(text);
        PoolCompared.Report(text, stop);
        text.WriteLine("\n## The same at other prices (throughput with pools over without)\n");
        text.WriteLine("| profile | 4 KiB | 16 KiB | 64 KiB | 128 KiB |\n| --- | ---: | ---: | ---: | ---: |");
        foreach (var profile in CostProfiles.Names.TakeWhile(_ => !stop()))
        {
            text.WriteLine(Row(profile, Run(profile, adaptive: false)));
        }

        if (stop())
        {
            return;
        }

        text.WriteLine("\n## Sensitivity of that ratio to each price\n");
        text.WriteLine("| price | 4 KiB | 16 KiB | 64 KiB | 128 KiB |\n| --- | ---: | ---: | ---: | ---: |");
        foreach (var parameter in Parameters)
        {
            foreach (var percent in new[] { 80, 120 }.TakeWhile(_ => !stop()))
            {
                text.WriteLine(Row($"{parameter.Name} {percent - 100:+0;-0} %", Run(DmaProfiles.Chromebook, p => parameter.Change(p, percent), adaptive: false)));
            }
        }
    }

    static void Table(TextWriter text, IReadOnlyList<Line> lines)
    {
        text.WriteLine("| block | throughput | published | off by | time in unmap | published | time in map | published | adaptive over pool | busy cycles an I/O: none, pool, adaptive |");
        text.WriteLine("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
        foreach (var line in lines)
        {
            text.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"| {line.Bytes >> 10} KiB | x{line.Gain:F2} | x{line.PublishedGain:F1} | {line.Gain / line.PublishedGain - 1:+0.0 %;-0.0 %} | {-line.UnmapFall:0.0 %} | {-line.PublishedUnmapFall:0 %} | {-line.MapFall:0.00 %} | < -99 % | x{line.Adaptive:F3} | {line.AdaptiveCycles.Strict:F0}, {line.AdaptiveCycles.Pool:F0}, {line.AdaptiveCycles.Adaptive:F0} |"));
        }
    }

    static string Row(string name, IReadOnlyList<Line> lines) =>
        $"| {name} | {string.Join(" | ", lines.Select(static l => l.Gain.ToString("F2", CultureInfo.InvariantCulture)))} |";
}
