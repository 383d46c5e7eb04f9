using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;

namespace Vmm.Bench.Dma;

/// <summary>The tables, as Markdown.</summary>
internal static class DmaReport
{
    /// <summary>With the IOMMU a 4 KiB transfer that hits may cost this much more.</summary>
    const double Goal = 1.10;

    /// <summary>The whole report.</summary>
    public static string Text(DmaCases cases, int rounds)
    {
        var text = new StringBuilder();
        text.AppendLine("# DMA with and without the IOMMU\n");
        text.AppendLine(Invariant($"Written by `dotnet run -c Release --project bench -- dma`: medians of {rounds} rounds in one run, CPU time of the measuring thread, {RuntimeInformation.FrameworkDescription}."));
        text.AppendLine("Absolute figures are of the host that ran it; the ratios are of samples taken next to each other.\n");
        text.AppendLine(Invariant($"Calibration: a copy of 4 KiB between two arrays takes {cases.Copy.Nanoseconds:F1} ns.\n"));
        Translations(text, cases);
        Transfers(text, cases);
        Sets(text, cases);
        Nvme(text, cases);
        text.AppendLine("\n## Allocation\n");
        text.AppendLine(Invariant($"Bytes allocated on the measuring thread in all samples of all {cases.All.Count} cases: {cases.All.Sum(static c => c.Allocated)}."));
        foreach (var guilty in cases.All.Where(static c => c.Allocated != 0))
        {
            text.AppendLine(Invariant($"* {guilty.Name}: {guilty.Allocated}"));
        }

        return text.ToString();
    }

    static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);

    static void Translations(StringBuilder text, DmaCases cases)
    {
        text.AppendLine("## One translation\n");
        text.AppendLine("Legacy mode, four levels of 4 KiB tables, IOTLB of 4,096 entries, paging-structure cache of 1,024. Misses come from sets larger than the caches, not from invalidations; the entries read are counted by the unit.\n");
        text.AppendLine("| | ns | second-stage entries read |\n| --- | ---: | ---: |");
        foreach (var hit in cases.Hits)
        {
            text.AppendLine(Invariant($"| {hit.Name} | {hit.Nanoseconds:F1} | 0 |"));
        }

        foreach (var (miss, entries) in cases.Misses)
        {
            text.AppendLine(Invariant($"| {miss.Name} | {miss.Nanoseconds:F1} | {entries():F2} |"));
        }
    }

    static void Transfers(StringBuilder text, DmaCases cases)
    {
        text.AppendLine("\n## DMA of 4 KiB\n");
        text.AppendLine("| | without IOMMU, ns | with IOMMU, ns | ratio | goal: at most 1.10 |\n| --- | ---: | ---: | ---: | --- |");
        foreach (var pair in cases.Reads.Concat(cases.Writes))
        {
            text.AppendLine(Invariant($"| {pair.Name} | {pair.Without.Nanoseconds:F1} | {pair.With.Nanoseconds:F1} | {pair.Ratio:F2} | {(pair.Ratio <= Goal ? "met" : "missed")} |"));
        }
    }

    static void Sets(StringBuilder text, DmaCases cases)
    {
        text.AppendLine("\n## DMA reads of 4 KiB over a working set\n");
        text.AppendLine(Invariant($"Pages in scattered order; the data lie on the same {PageStream.TargetPages} pages in every row, so rows differ in translation only.\n"));
        text.AppendLine("| pages | without IOMMU, ns | with IOMMU, ns | ratio | beside 64 pages |\n| ---: | ---: | ---: | ---: | ---: |");
        foreach (var pair in cases.Sets)
        {
            text.AppendLine(Invariant($"| {pair.Name} | {pair.Without.Nanoseconds:F1} | {pair.With.Nanoseconds:F1} | {pair.Ratio:F2} | {pair.With.Over(cases.Sets[0].With):F2} |"));
        }

        var (at, over) = (cases.Sets[2], cases.Sets[3]);
        text.AppendLine(Invariant($"\nFrom 1,024 to 1,025 pages the time changes by a factor of {over.With.Over(at.With):F2}."));
    }

    static void Nvme(StringBuilder text, DmaCases cases)
    {
        text.AppendLine("\n## NVMe reads of 4 KiB\n");
        text.AppendLine("The controller alone: doorbell, fetch, copy from a memory backend, completion, MSI-X message; the driver's part is included. Reads per second of CPU time.\n");
        text.AppendLine("| | without IOMMU | with IOMMU | time ratio |\n| --- | ---: | ---: | ---: |");
        foreach (var pair in cases.Nvme)
        {
            text.AppendLine(Invariant($"| {pair.Name} | {1e9 / pair.Without.Nanoseconds:N0} | {1e9 / pair.With.Nanoseconds:N0} | {pair.Ratio:F2} |"));
        }
    }
}
