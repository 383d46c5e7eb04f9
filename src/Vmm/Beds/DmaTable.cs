using System.Globalization;
using System.Text;
using System.Text.Json;
using Vmm.GuestDma.Cost;
using Vmm.GuestDma.Measurement;

namespace Vmm.Beds;

/// <summary>Results as text, comma-separated values and JSON.</summary>
internal static class DmaTable
{
    static readonly CycleCause[] Causes = Enum.GetValues<CycleCause>();

    /// <summary>Heading of <see cref="Line"/>.</summary>
    public static string Heading => $"{"load",-8}{"bytes",8}{"depth",6} {"iommu",-12}{"profile",-13}{"policy",-11}{"MB/s",9}{"cyc/op",9}{"map",8}{"unmap",8}{"busy",6}{"inval/op",9}{"p50 us",9}{"p99 us",9}";

    /// <summary>One row for people.</summary>
    public static string Line(MeasurementRow row) => string.Create(CultureInfo.InvariantCulture,
        $"{row.Load,-8}{row.Bytes,8}{row.Depth,6} {row.Iommu,-12}{row.Profile,-13}{row.Policy.ToString().ToLowerInvariant(),-11}{row.Throughput / 1e6,9:F0}{row.CyclesPerOperation,9:F0}{(double)row.MapCycles / row.Operations,8:F0}{(double)row.UnmapCycles / row.Operations,8:F0}{row.Utilisation,6:P0}{(double)row.Invalidations / row.Operations,9:F3}{row.Median * 1e6 / row.Hertz,9:F1}{row.Slow * 1e6 / row.Hertz,9:F1}{(row.Bad == 0 ? "" : $"  {row.Bad} BAD")}");

    /// <summary>All rows, comma-separated, whole numbers only: what a committed table is compared with.</summary>
    public static string Csv(IEnumerable<MeasurementRow> rows)
    {
        var text = new StringBuilder("load,bytes,depth,iommu,profile,policy,operations,bad,cycles,map,unmap,exits,invalidations,p50,p99,max,bounce");
        foreach (var cause in Causes)
        {
            text.Append(',').Append(cause.ToString().ToLowerInvariant());
        }

        text.Append('\n');
        foreach (var r in rows)
        {
            text.Append(CultureInfo.InvariantCulture, $"{r.Load},{r.Bytes},{r.Depth},{r.Iommu},{r.Profile},{r.Policy.ToString().ToLowerInvariant()},{r.Operations},{r.Bad},{r.Cycles},{r.MapCycles},{r.UnmapCycles},{r.Exits},{r.Invalidations},{r.Median},{r.Slow},{r.Slowest},{r.BounceBytes}");
            foreach (var cycles in r.Causes)
            {
                text.Append(CultureInfo.InvariantCulture, $",{cycles}");
            }

            text.Append('\n');
        }

        return text.ToString();
    }

    /// <summary>All rows as JSON.</summary>
    public static void WriteJson(Stream to, IEnumerable<MeasurementRow> rows)
    {
        using var json = new Utf8JsonWriter(to, new() { Indented = true });
        json.WriteStartArray();
        foreach (var r in rows)
        {
            json.WriteStartObject();
            json.WriteString("load", r.Load);
            json.WriteNumber("bytes", r.Bytes);
            json.WriteNumber("depth", r.Depth);
            json.WriteString("iommu", r.Iommu);
            json.WriteString("profile", r.Profile);
            json.WriteString("policy", r.Policy.ToString().ToLowerInvariant());
            json.WriteNumber("operations", r.Operations);
            json.WriteNumber("bad", r.Bad);
            json.WriteNumber("cycles", r.Cycles);
            json.WriteNumber("hertz", r.Hertz);
            json.WriteNumber("bytesPerSecond", Math.Round(r.Throughput));
            json.WriteNumber("mapCycles", r.MapCycles);
            json.WriteNumber("unmapCycles", r.UnmapCycles);
            json.WriteNumber("exits", r.Exits);
            json.WriteNumber("invalidations", r.Invalidations);
            json.WriteStartObject("latencyCycles");
            json.WriteNumber("p50", r.Median);
            json.WriteNumber("p99", r.Slow);
            json.WriteNumber("max", r.Slowest);
            json.WriteEndObject();
            json.WriteNumber("peakBounceBytes", r.BounceBytes);
            json.WriteStartObject("cyclesByCause");
            foreach (var cause in Causes)
            {
                json.WriteNumber(JsonNamingPolicy.CamelCase.ConvertName(cause.ToString()), r.Causes[(int)cause]);
            }

            json.WriteEndObject();
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }
}
