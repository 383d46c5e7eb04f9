using System.Globalization;
using System.Text;
using Vmm.Bench.Engines;
using Vmm.Bench.Reporting;

namespace Vmm.Bench.Fio;

/// <summary>The same fio jobs in the same guest, on an NVMe disk behind the same IOMMU, here and in QEMU.</summary>
internal static class FioComparison
{
    const int DiskBytes = 64 << 20;

    /// <summary>Runs it, prints the report and writes the file. 1 when a job failed or an engine did not get to its end.</summary>
    public static int Run(Options options)
    {
        var iommu = options.Words("--iommu", ["virtio", "vtd", "none"]) is [var only] ? only : "virtio";
        var policies = options.Words("--policies", ["strict", "lazy"]);
        var engines = options.Words("--engines", ["vmm", "qemu"]);
        var rounds = options.Number("--rounds", 1, 1, 99);
        var guest = FioGuest.Build(
            options.Text("--kernel-package") ?? throw new FormatException("--kernel-package is needed"),
            options.Text("--busybox") ?? throw new FormatException("--busybox is needed"));
        using var disk = new TemporaryFile(".img", new byte[DiskBytes]);
        var report = new StringBuilder();
        report.AppendLine(CultureInfo.InvariantCulture, $"# fio on NVMe behind {Names[iommu]}\n\n{Calibration.Line()}\n");
        report.AppendLine(CultureInfo.InvariantCulture, $"{guest.Description}; {Child.FirstLine(QemuEngine.Program, "--version", l => l.Contains("version", StringComparison.Ordinal)) ?? "QEMU is not installed"}. Each job moves {FioGuest.JobMiB} MiB; medians of {rounds} rounds, in which the engines take turns. Times are the host's, from the line before the job to the line after it.\n");
        report.AppendLine("| policy | job | engine | wall s | CPU s | CPU µs a command | guest's own MB/s |\n| --- | --- | --- | ---: | ---: | ---: | ---: |");
        var good = true;
        foreach (var policy in policies)
        {
            var append = $"console=ttyS0 cryptomgr.notests quiet panic=-1 iommu.strict={(policy == "strict" ? 1 : 0)}{(iommu == "vtd" ? " intel_iommu=on" : "")}";
            var runs = new List<(string Engine, FioLog Log)>();
            for (var round = 0; round < rounds; round++)
            {
                runs.AddRange(engines.Select(e => (e, e == "vmm" ? FioEngines.Own(guest, append, iommu, disk.Path) : FioEngines.Qemu(guest, append, iommu, disk.Path))));
            }

            good &= Rows(report, policy, engines, runs);
        }

        Console.Write(report);
        if (options.Text("--output") is { } file)
        {
            File.WriteAllText(file, report.ToString());
        }

        return good ? 0 : 1;
    }

    static readonly Dictionary<string, string> Names = new() { ["virtio"] = "virtio-iommu", ["vtd"] = "VT-d", ["none"] = "no IOMMU" };

    static bool Rows(StringBuilder report, string policy, IReadOnlyList<string> engines, List<(string Engine, FioLog Log)> runs)
    {
        var good = true;
        foreach (var job in FioGuest.Jobs)
        {
            foreach (var engine in engines)
            {
                var results = runs.Where(r => r.Engine == engine).Select(r => r.Log.Find(job.Name)).ToArray();
                if (results.Any(r => r is not { Error: 0 }))
                {
                    report.AppendLine(CultureInfo.InvariantCulture, $"| {policy} | {job.Name} | {engine} | failed: {runs.First(r => r.Engine == engine).Log.Last} | | | |");
                    good = false;
                    continue;
                }

                var cpu = Median(results.Select(r => r!.Time.Cpu.TotalSeconds));
                report.AppendLine(CultureInfo.InvariantCulture, $"| {policy} | {job.Name} | {engine} | {Median(results.Select(r => r!.Time.Wall.TotalSeconds)):F3} | {cpu:F3} | {cpu * 1e6 / job.Commands:F1} | {Median(results.Select(r => r!.KiloBytes / 1000.0)):F1} |");
            }
        }

        return good;
    }

    static double Median(IEnumerable<double> values)
    {
        var sorted = values.Order().ToArray();
        return sorted[sorted.Length / 2];
    }
}
