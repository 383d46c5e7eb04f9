using System.Globalization;
using System.Net;
using System.Text;
using Vmm.GuestDma.Cost;
using Vmm.GuestDma.Measurement;

namespace Vmm.Beds;

/// <summary>Results as one self-contained HTML page: plots for each IOMMU and profile, and the table.</summary>
internal static class DmaPage
{
    const int Width = 720, Height = 260, Left = 70, Bottom = 40, Top = 10;

    static readonly string[] Colours =
        ["#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb", "#000000", "#999933", "#882255", "#44aa99", "#dddddd"];

    static readonly CycleCause[] Causes = [.. Enum.GetValues<CycleCause>().Where(static c => c != CycleCause.Idle)];

    /// <summary>The page.</summary>
    public static string Create(IReadOnlyList<MeasurementRow> rows)
    {
        var page = new StringBuilder();
        page.Append("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>DMA mapping</title><style>body{font:14px sans-serif;margin:2em;max-width:1100px}table{border-collapse:collapse}td,th{padding:2px 8px;text-align:right;border-bottom:1px solid #ddd}td:nth-child(-n+6),th:nth-child(-n+6){text-align:left}svg{display:block;margin:4px 0 16px}text{font:11px sans-serif}</style></head><body>\n");
        page.Append("<h1>What DMA mapping costs</h1>\n<p>Virtual time: every run gives the same numbers.</p>\n");
        foreach (var group in rows.GroupBy(static r => (r.Iommu, r.Profile)))
        {
            page.Append(CultureInfo.InvariantCulture, $"<h2>{Text(group.Key.Iommu)}, {Text(group.Key.Profile)}</h2>\n");
            var reads = group.Where(static r => r.Load == "read" && r.Depth == 64).ToList();
            Throughput(page, reads);
            foreach (var bytes in reads.Select(static r => r.Bytes).Distinct().Order())
            {
                Stacked(page, $"Cycles of a read of {bytes >> 10} KiB by cause", [.. reads.Where(r => r.Bytes == bytes)]);
            }

            foreach (var load in group.Where(static r => r.Load != "read" || r.Depth != 64).GroupBy(static r => (r.Load, r.Bytes, r.Depth)))
            {
                Stacked(page, $"Cycles by cause: {load.Key.Load}, {load.Key.Bytes} bytes, {load.Key.Depth} in flight", [.. load]);
            }

            Latency(page, [.. reads.Where(static r => r.Bytes == 4096)]);
        }

        Table(page, rows);
        return page.Append("</body></html>\n").ToString();
    }

    static void Throughput(StringBuilder page, List<MeasurementRow> rows)
    {
        var sizes = rows.Select(static r => r.Bytes).Distinct().Order().ToList();
        if (sizes.Count < 2)
        {
            return;
        }

        var most = rows.Max(static r => r.Throughput);
        page.Append("<h3>Read throughput by block size, 64 in flight</h3>\n");
        Begin(page, most / 1e6, "MB/s");
        for (var i = 0; i < sizes.Count; i++)
        {
            Label(page, X(i, sizes.Count - 1), Height - Bottom + 15, $"{sizes[i] >> 10} KiB", "middle");
        }

        var colour = 0;
        foreach (var policy in rows.GroupBy(static r => r.Policy))
        {
            var points = string.Join(' ', policy.OrderBy(static r => r.Bytes).Select(r => Number($"{X(sizes.IndexOf(r.Bytes), sizes.Count - 1):F1},{Y(r.Throughput / most):F1}")));
            page.Append(CultureInfo.InvariantCulture, $"<polyline fill=\"none\" stroke-width=\"2\" stroke=\"{Colours[colour]}\" points=\"{points}\"/>\n");
            Legend(page, colour++, policy.Key.ToString().ToLowerInvariant());
        }

        page.Append("</svg>\n");
    }

    static void Stacked(StringBuilder page, string title, IReadOnlyList<MeasurementRow> rows)
    {
        var most = Math.Max(1, rows.Max(static r => r.CyclesPerOperation));
        page.Append(CultureInfo.InvariantCulture, $"<h3>{Text(title)}</h3>\n");
        Begin(page, most, "cycles");
        var step = (double)(Width - Left - 150) / rows.Count;
        for (var i = 0; i < rows.Count; i++)
        {
            var sum = 0.0;
            var x = Left + i * step;
            for (var c = 0; c < Causes.Length; c++)
            {
                var part = (double)rows[i].Causes[(int)Causes[c]] / rows[i].Operations / most;
                page.Append(CultureInfo.InvariantCulture, $"<rect x=\"{x + 4:F1}\" width=\"{step - 8:F1}\" y=\"{Y(sum + part):F1}\" height=\"{Y(sum) - Y(sum + part):F1}\" fill=\"{Colours[c]}\"><title>{Causes[c]}: {part * most:F0}</title></rect>\n");
                sum += part;
            }

            Label(page, x + step / 2, Height - Bottom + 15, rows[i].Policy.ToString().ToLowerInvariant(), "middle");
        }

        for (var c = 0; c < Causes.Length; c++)
        {
            Legend(page, c, Causes[c].ToString());
        }

        page.Append("</svg>\n");
    }

    static void Latency(StringBuilder page, IReadOnlyList<MeasurementRow> rows)
    {
        if (rows.Count == 0)
        {
            return;
        }

        var most = rows.Max(static r => (double)r.Slowest / r.Hertz) * 1e6;
        page.Append("<h3>Latency of a read of 4 KiB: median, 99th percentile, largest</h3>\n");
        Begin(page, most, "us");
        var step = (double)(Width - Left - 150) / rows.Count;
        for (var i = 0; i < rows.Count; i++)
        {
            ulong[] values = [rows[i].Median, rows[i].Slow, rows[i].Slowest];
            for (var v = 0; v < 3; v++)
            {
                var us = values[v] * 1e6 / rows[i].Hertz;
                page.Append(CultureInfo.InvariantCulture, $"<rect x=\"{Left + i * step + 4 + v * (step - 8) / 3:F1}\" width=\"{(step - 8) / 3 - 1:F1}\" y=\"{Y(us / most):F1}\" height=\"{Y(0) - Y(us / most):F1}\" fill=\"{Colours[v]}\"><title>{us:F1} us</title></rect>\n");
            }

            Label(page, Left + i * step + step / 2, Height - Bottom + 15, rows[i].Policy.ToString().ToLowerInvariant(), "middle");
        }

        Legend(page, 0, "median");
        Legend(page, 1, "99 %");
        Legend(page, 2, "largest");
        page.Append("</svg>\n");
    }

    static void Table(StringBuilder page, IReadOnlyList<MeasurementRow> rows)
    {
        page.Append("<h2>Table</h2>\n<table><tr><th>load</th><th>bytes</th><th>in flight</th><th>IOMMU</th><th>profile</th><th>policy</th><th>MB/s</th><th>busy cycles/op</th><th>map</th><th>unmap</th><th>invalidations/op</th><th>p50 us</th><th>p99 us</th></tr>\n");
        foreach (var r in rows)
        {
            page.Append(CultureInfo.InvariantCulture, $"<tr><td>{Text(r.Load)}</td><td>{r.Bytes}</td><td>{r.Depth}</td><td>{Text(r.Iommu)}</td><td>{Text(r.Profile)}</td><td>{r.Policy.ToString().ToLowerInvariant()}</td><td>{r.Throughput / 1e6:F0}</td><td>{r.CyclesPerOperation:F0}</td><td>{(double)r.MapCycles / r.Operations:F0}</td><td>{(double)r.UnmapCycles / r.Operations:F0}</td><td>{(double)r.Invalidations / r.Operations:F3}</td><td>{r.Median * 1e6 / r.Hertz:F1}</td><td>{r.Slow * 1e6 / r.Hertz:F1}</td></tr>\n");
        }

        page.Append("</table>\n");
    }

    static void Begin(StringBuilder page, double most, string unit)
    {
        page.Append(CultureInfo.InvariantCulture, $"<svg width=\"{Width}\" height=\"{Height}\" viewBox=\"0 0 {Width} {Height}\">\n");
        for (var i = 0; i <= 4; i++)
        {
            var y = Y(i / 4.0);
            page.Append(CultureInfo.InvariantCulture, $"<line x1=\"{Left}\" x2=\"{Width - 150}\" y1=\"{y:F1}\" y2=\"{y:F1}\" stroke=\"#ddd\"/>\n");
            Label(page, Left - 5, y + 4, Number($"{most * i / 4:N0}"), "end");
        }

        Label(page, Left - 5, Height - 5, unit, "end");
    }

    static void Legend(StringBuilder page, int at, string text)
    {
        page.Append(CultureInfo.InvariantCulture, $"<rect x=\"{Width - 140}\" y=\"{Top + at * 18}\" width=\"12\" height=\"12\" fill=\"{Colours[at]}\"/>\n");
        Label(page, Width - 124, Top + at * 18 + 10, text, "start");
    }

    static void Label(StringBuilder page, double x, double y, string text, string anchor) =>
        page.Append(CultureInfo.InvariantCulture, $"<text x=\"{x:F1}\" y=\"{y:F1}\" text-anchor=\"{anchor}\">{Text(text)}</text>\n");

    static double X(int at, int last) => Left + at * (double)(Width - Left - 170) / Math.Max(1, last);

    static double Y(double share) => Height - Bottom - share * (Height - Bottom - Top);

    static string Number(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);

    static string Text(string text) => WebUtility.HtmlEncode(text);
}
