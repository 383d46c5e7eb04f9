using System.Text.Json;
using Vmm.Api.V1;
using Vmm.GuestDma;
using Vmm.GuestDma.Cost;
using Vmm.GuestDma.Measurement;

namespace Vmm.Control.Operations;

/// <summary>Results of measurements as messages, and back, without loss.</summary>
internal static class DmaRowMessages
{
    static readonly CycleCause[] Causes = Enum.GetValues<CycleCause>();

    /// <summary>A point as a message.</summary>
    public static DmaPoint Write(Beds.DmaPoint point) => new()
    {
        Load = NameOf(point.Load), Bytes = (ulong)point.Bytes, Depth = (uint)point.Depth, Iommu = point.Iommu, Profile = point.Profile, Policy = NameOf(point.Policy),
    };

    /// <summary>A row as a message.</summary>
    public static DmaRow Write(MeasurementRow row)
    {
        var message = new DmaRow
        {
            Point = new() { Load = row.Load, Bytes = (ulong)row.Bytes, Depth = (uint)row.Depth, Iommu = row.Iommu, Profile = row.Profile, Policy = NameOf(row.Policy) },
            Operations = (uint)row.Operations, Bad = (uint)row.Bad, Cycles = row.Cycles, Hertz = row.Hertz, MapCycles = row.MapCycles, UnmapCycles = row.UnmapCycles,
            Exits = row.Exits, Invalidations = row.Invalidations, MedianCycles = row.Median, SlowCycles = row.Slow, SlowestCycles = row.Slowest, PeakBounceBytes = row.BounceBytes,
        };
        foreach (var cause in Causes)
        {
            message.CyclesByCause.Add(CauseName(cause), row.Causes[(int)cause]);
        }

        return message;
    }

    /// <summary>The row that a message tells of.</summary>
    public static MeasurementRow Read(DmaRow message) => new()
    {
        Load = message.Point.Load, Bytes = (long)message.Point.Bytes, Depth = (int)message.Point.Depth, Iommu = message.Point.Iommu, Profile = message.Point.Profile,
        Policy = Enum.Parse<DmaPolicy>(message.Point.Policy, ignoreCase: true),
        Operations = (int)message.Operations, Bad = (int)message.Bad, Cycles = message.Cycles, Hertz = message.Hertz, MapCycles = message.MapCycles, UnmapCycles = message.UnmapCycles,
        Causes = [.. Causes.Select(c => message.CyclesByCause.GetValueOrDefault(CauseName(c)))],
        Exits = message.Exits, Invalidations = message.Invalidations, Median = message.MedianCycles, Slow = message.SlowCycles, Slowest = message.SlowestCycles,
        BounceBytes = message.PeakBounceBytes,
    };

    /// <summary>A cause as the command's JSON names it.</summary>
    static string CauseName(CycleCause cause) => JsonNamingPolicy.CamelCase.ConvertName(cause.ToString());

    /// <summary>An enumeration's value as the API and the command line name it.</summary>
    public static string NameOf<T>(T value)
        where T : struct, Enum => value.ToString().ToLowerInvariant();
}
