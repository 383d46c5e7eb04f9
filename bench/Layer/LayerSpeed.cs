using BenchmarkDotNet.Columns;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Exporters;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Loggers;
using BenchmarkDotNet.Reports;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using Perfolizer.Horology;

namespace Vmm.Bench.Layer;

/// <summary>How fast the DMA layer itself runs on this host, by BenchmarkDotNet.</summary>
internal static class LayerSpeed
{
    const string Heading = """
        # Map and unmap of 4 KiB by the DMA layer, on the host

        Written by `dotnet run -c Release --project bench -- layer`. Each thread does the same work alone or beside another one, on a domain and a machine of its own: equal times are perfect scaling. Absolute figures are of the host that ran it, and of what else it did.


        """;

    /// <summary>Runs the benchmarks; 1 when one failed.</summary>
    public static int Run(Options options)
    {
        var folder = Directory.CreateTempSubdirectory("vmm-bench");
        try
        {
            var job = Job.Default.WithToolchain(InProcessEmitToolchain.Instance).WithWarmupCount(2).WithIterationTime(TimeInterval.FromMilliseconds(100)).WithIterationCount(options.Number("--rounds", options.Has("--quick") ? 3 : 15, 1, 1000));
            var config = ManualConfig.CreateEmpty().AddJob(job).AddLogger(ConsoleLogger.Default).AddColumnProvider(DefaultColumnProviders.Instance)
                .AddExporter(MarkdownExporter.GitHub).WithArtifactsPath(folder.FullName).WithOptions(ConfigOptions.JoinSummary);
            var summaries = BenchmarkRunner.Run([typeof(MapAndUnmap), typeof(Floor)], config);
            if (options.Text("--output") is { } output)
            {
                File.WriteAllText(output, Heading + string.Concat(Directory.EnumerateFiles(folder.FullName, "*.md", SearchOption.AllDirectories).Order(StringComparer.Ordinal).Select(File.ReadAllText)));
            }

            return summaries.Any(static (Summary s) => s.HasCriticalValidationErrors || s.Reports.Any(static r => !r.Success)) ? 1 : 0;
        }
        finally
        {
            folder.Delete(true);
        }
    }
}
