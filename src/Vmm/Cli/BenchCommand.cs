using System.CommandLine;
using Vmm.Beds;
using Vmm.GuestDma.Measurement;

namespace Vmm.Cli;

/// <summary><c>vmm bench dma</c>: what DMA mapping costs, in virtual time.</summary>
internal static class BenchCommand
{
    /// <summary>Builds the command.</summary>
    public static Command Create()
    {
        var experiment = new Option<string>("--experiment") { Description = "table, paper (pools beside their publication), beyond (past the pools' limits), static (1:1 tables with small and large leaves), network (a packet stream), cores (1 to 16 processors) or swiotlb (a device limited to 1 GiB)", DefaultValueFactory = _ => "table" };
        var load = new Option<string?>("--load") { Description = "only this load: " + string.Join(", ", Enum.GetNames<DmaLoad>()).ToLowerInvariant() };
        var policy = new Option<string?>("--policy") { Description = "only this policy" };
        var iommu = new Option<string?>("--iommu") { Description = "only this IOMMU: " + string.Join(", ", DmaPoint.Iommus) };
        var profile = new Option<string?>("--profile") { Description = "only these prices: " + string.Join(", ", DmaProfiles.Names) };
        var report = new Option<string?>("--report") { Description = "write a page with plots (HTML)" };
        var json = new Option<string?>("--json") { Description = "write the results as JSON" };
        var csv = new Option<string?>("--csv") { Description = "write the results as comma-separated values" };
        var bytes = new Option<int?>("--bytes") { Description = "with --depth: one measurement of a load of this size instead of the table" };
        var depth = new Option<int?>("--depth") { Description = "operations in flight" };
        var quick = new Option<bool>("--quick") { Description = "fewer points" };
        var dma = new Command("dma", "What DMA mapping costs: load x policy x IOMMU x prices, in virtual time")
        {
            experiment, load, policy, iommu, profile, report, json, csv, bytes, depth, quick,
        };
        dma.SetAction(result =>
        {
            using var interrupt = new Interrupt();
            var name = result.GetValue(experiment)!;
            if (Experiment(name, result.GetValue(quick), () => interrupt.Requested))
            {
                if (interrupt.Requested)
                {
                    Console.Error.WriteLine("vmm: interrupted; the report ends early");
                }

                return ExitCode.Pass;
            }

            if (name != "table")
            {
                throw new UsageException($"--experiment: '{name}' is not table, paper, beyond, static, network, cores or swiotlb");
            }

            var points = Points(result.GetValue(bytes), result.GetValue(depth))
                .Where(p => Matches(result.GetValue(load), p.Load.ToString()) && Matches(result.GetValue(policy), p.Policy.ToString()) &&
                    Matches(result.GetValue(iommu), p.Iommu) && Matches(result.GetValue(profile), p.Profile))
                .Where((_, i) => !result.GetValue(quick) || i % 8 == 0)
                .ToList();
            if (points.Count == 0)
            {
                throw new UsageException("bench dma: no measurement matches");
            }

            var rows = Run(points, interrupt);
            Write(result.GetValue(csv), "--csv", file => File.WriteAllText(file, DmaTable.Csv(rows)));
            Write(result.GetValue(report), "--report", file => File.WriteAllText(file, DmaPage.Create(rows)));
            Write(result.GetValue(json), "--json", file =>
            {
                using var stream = File.Create(file);
                DmaTable.WriteJson(stream, rows);
            });
            return rows.Any(static r => r.Bad != 0) ? ExitCode.GuestFailed : ExitCode.Pass;
        });
        return new("bench", "Measure") { dma };
    }

    /// <summary>Runs one of the experiments that write a report; false: it is none of them.</summary>
    static bool Experiment(string name, bool quick, Func<bool> stop)
    {
        switch (name)
        {
            case "paper":
                PoolPaper.Report(Console.Out, stop);
                return true;
            case "beyond":
                BeyondPools.Report(Console.Out, quick, stop);
                return true;
            case "static":
                StaticTables.Report(Console.Out, stop);
                return true;
            case "network":
                NetworkCost.Report(Console.Out, stop);
                return true;
            case "cores":
                CoreScaling.Report(Console.Out, stop);
                return true;
            case "swiotlb":
                SwiotlbCost.Report(Console.Out, stop);
                return true;
            default:
                return false;
        }
    }

    static IEnumerable<DmaPoint> Points(int? bytes, int? depth)
    {
        try
        {
            return DmaPlans.At(bytes, depth);
        }
        catch (ArgumentException bad)
        {
            throw new UsageException(bad.Message);
        }
    }

    static List<MeasurementRow> Run(List<DmaPoint> points, Interrupt interrupt)
    {
        var rows = new List<MeasurementRow>();
        string? failure = null;
        Console.WriteLine(DmaTable.Heading);
        foreach (var point in points)
        {
            if (interrupt.Requested)
            {
                Console.Error.WriteLine($"vmm: interrupted after {rows.Count} of {points.Count} measurements");
                break;
            }

            if (!Console.IsErrorRedirected)
            {
                Console.Error.Write($"\r{rows.Count + 1}/{points.Count} \r");
            }

            try
            {
                rows.Add(point.Run());
                Console.WriteLine(DmaTable.Line(rows[^1]));
            }
            catch (LoadException bad)
            {
                failure = $"--bytes {point.Bytes}, --depth {point.Depth}, --policy {point.Policy.ToString().ToLowerInvariant()}: {bad.Message}";
                Console.Error.WriteLine($"vmm: left out: {failure}");
            }
        }

        return rows.Count > 0 || failure == null ? rows : throw new UsageException(failure);
    }

    static bool Matches(string? wanted, string found) => wanted == null || string.Equals(wanted, found, StringComparison.OrdinalIgnoreCase);

    static void Write(string? file, string option, Action<string> write)
    {
        try
        {
            if (file != null)
            {
                write(file);
            }
        }
        catch (Exception bad) when (bad is IOException or UnauthorizedAccessException)
        {
            throw new UsageException($"{option}: {bad.Message}");
        }
    }

    /// <summary>Ctrl-C ends the run after the measurement that is under way.</summary>
    sealed class Interrupt : IDisposable
    {
        volatile bool requested;

        public Interrupt() => Console.CancelKeyPress += Note;

        public bool Requested => requested;

        public void Dispose() => Console.CancelKeyPress -= Note;

        void Note(object? sender, ConsoleCancelEventArgs pressed)
        {
            requested = true;
            pressed.Cancel = true;
        }
    }
}
