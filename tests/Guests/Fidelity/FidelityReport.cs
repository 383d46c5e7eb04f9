using System.Globalization;
using System.Text;
using Vmm.Beds;

namespace Vmm.Guests.Fidelity;

/// <summary>One load in one mode.</summary>
/// <param name="Mode">Mode asked for.</param>
/// <param name="Load">Direction, KiB of a transfer, transfers.</param>
/// <param name="Counts">What came of it.</param>
internal sealed record FidelityRow(string Mode, string Load, DriverComparison Counts);

/// <summary>The comparison as Markdown.</summary>
internal static class FidelityReport
{
    /// <summary>One unit.</summary>
    public static string Unit(string title, IEnumerable<FidelityRow> rows, bool isViommu)
    {
        var text = new StringBuilder();
        foreach (var mode in rows.GroupBy(static c => c.Mode))
        {
            text.Append(CultureInfo.InvariantCulture, $"### {title}: {mode.Key}\n\n");
            text.Append("| load | buffers | exits per map | exits per unmap | ");
            text.Append(isViommu ? "MAP | UNMAP | " : "page-selective for maps | for unmaps | pages covered | domain-selective | PASID-based | waits | ");
            text.Append("differences |\n| --- | ---: | ---: | ---: | ").Append(isViommu ? "---: | ---: | " : "---: | ---: | ---: | ---: | ---: | ---: | ").Append("--- |\n");
            foreach (var row in mode)
            {
                Row(text, row, isViommu);
            }

            text.Append('\n');
        }

        return text.ToString();
    }

    static void Row(StringBuilder text, FidelityRow row, bool isViommu)
    {
        var (k, l) = (row.Counts.Driver, row.Counts.Layer);
        var words = row.Load.Split(' ');
        text.Append(CultureInfo.InvariantCulture, $"| {words[0]}{(words[1] == "0" ? "" : $" {words[1]} KiB")} x {words[2]} | {k.Buffers} | ");
        text.Append(CultureInfo.InvariantCulture, $"{Each(k.MapExits, l.MapExits, k.Buffers)} | {Each(k.UnmapExits, l.UnmapExits, k.Buffers)} | ");
        text.Append(isViommu
            ? $"{Both(k.Maps, l.Maps)} | {Both(k.Unmaps, l.Unmaps)} | "
            : $"{Both(k.MapPages, l.MapPages)} | {Both(k.UnmapPages, l.UnmapPages)} | {Both(k.Covered, l.Covered)} | {Both(k.Domains, l.Domains)} | {Both(k.Pasids, l.Pasids)} | {Both(k.Waits, l.Waits)} | ");
        text.Append(string.Join("; ", row.Counts.Differences.Select(static d => $"{d.Name} ({d.Effect.Parts})"))).Append(" |\n");
    }

    static string Both(long kernel, long layer) => kernel == layer ? $"{kernel}" : $"{kernel} / {layer}";

    static string Each(int kernel, int layer, int buffers)
    {
        string Ratio(int count) => ((double)count / buffers).ToString("0.####", CultureInfo.InvariantCulture);
        return kernel == layer ? Ratio(kernel) : $"{Ratio(kernel)} / {Ratio(layer)}";
    }

    /// <summary>The page around the units' tables.</summary>
    public static string Page(IEnumerable<string> kernels, IEnumerable<string> units)
    {
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $"""
            # Debian's drivers and the DMA layer, count for count

            Written by `VMM_FIDELITY=$PWD/docs/results/dma-fidelity.md dotnet test tests/Guests --filter FullyQualifiedName~Fidelity`; kernels: {string.Join(" and ", kernels.Select(static k => $"`{k}`"))}.

            The kernel works on an NVMe disk: `read` and `write` are `dd` with direct I/O, `cached-` without (and with an fsync), `mixed` is a reader and a writer at once for each of 4, 20, 64 and 1024 KiB, `pinned` one reader on each processor. Buffers of more than 128 KiB are several commands in flight together. It boots strict, does all loads, changes the disk's domain to `DMA-FQ` (lazy) and does them again; with caching mode it is booted with `iommu.strict=0`, which it refuses. Over exactly that time a recorder takes from the machine's trace every exit to the IOMMU's registers, every invalidation or request, and every buffer that the disk is given: direction, length, pages, when it got the command and when it completed it. The same sequence then goes through the layer, on the same model of the unit, and the same recorder counts. The machine's own ledger and the unit's counters must agree with the recorder.

            A cell is one number where both agree, and `Linux / layer` where not. The differences are computed from the sequence by the rule that each name stands for, and the test asserts, for every number of every row, that Linux = layer + differences; for flushes also when each one comes. Three things about Linux are not seen from outside and are chosen so that the flushes fit, the same for a whole load: how long after its completion a buffer is unmapped (0 to 16 us), how long before its flush a tick comes (0 to 12 us), and which of several processors counts the ticks. Nearly every load fits with the first choice.


            `vmm run --compare-dma` does the same for any guest (see [dma-layer.md](../dma-layer.md)).


            """);
        foreach (var unit in units)
        {
            text.Append(unit);
        }

        text.Append("## The differences\n\n| name | Linux | layer |\n| --- | --- | --- |\n");
        foreach (var (name, linux, layer) in DriverDifferences.All)
        {
            text.Append(CultureInfo.InvariantCulture, $"| {name} | {linux} | {layer} |\n");
        }

        return text.ToString();
    }
}
