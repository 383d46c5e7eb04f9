using System.Globalization;
using Vmm.GuestDma.Measurement;

namespace Vmm.Beds;

/// <summary>What becomes of throughput past the limits of the pools: three policies at the same points.</summary>
internal static class BeyondPools
{
    /// <summary>All sizes.</summary>
    public static IReadOnlyList<int> Sizes { get; } = [4 << 10, 16 << 10, 64 << 10, 128 << 10, 256 << 10, 512 << 10, 1 << 20, 4 << 20];

    /// <summary>All numbers of buffers in flight.</summary>
    public static IReadOnlyList<int> Depths { get; } = [1, 10, 100, 1000, 2000, 10_000];

    /// <summary>One point.</summary>
    /// <param name="Bytes">Size of a buffer.</param>
    /// <param name="Depth">Buffers in flight.</param>
    /// <param name="Strict">Without pools, bytes in a second.</param>
    /// <param name="Pool">With pools.</param>
    /// <param name="Adaptive">The adaptive policy.</param>
    public sealed record Line(int Bytes, int Depth, double Strict, double Pool, double Adaptive)
    {
        /// <summary>Adaptive over the better of the others.</summary>
        public double Ratio => Adaptive / Math.Max(Strict, Pool);
    }

    /// <summary>Measures.</summary>
    public static IEnumerable<Line> Run(DmaLoad load, IEnumerable<int> sizes, IEnumerable<int> depths)
    {
        foreach (var point in DmaPlans.Beyond(load, sizes, depths).Chunk(3))
        {
            var rows = point.Select(static p => p.Run()).ToArray();
            if (rows.Any(static r => r.Bad != 0))
            {
                throw new InvalidOperationException($"beyond: {rows.Sum(static r => r.Bad)} operations of {point[0]} failed");
            }

            yield return new(point[0].Bytes, point[0].Depth, rows[0].Throughput, rows[1].Throughput, rows[2].Throughput);
        }
    }

    /// <summary>Writes the tables, as Markdown.</summary>
    public static void Report(TextWriter text, bool quick, Func<bool> stop)
    {
        foreach (var (load, title) in new[] { (DmaLoad.Stream, "Buffers that come back"), (DmaLoad.Fresh, "Buffers that are new every time") })
        {
            if (stop())
            {
                return;
            }

            text.WriteLine($"## {title}: MB/s of no pool, pool, adaptive; adaptive over the better of the two\n");
            text.WriteLine("| buffer | in flight | no pool | pool | adaptive | ratio |\n| --- | ---: | ---: | ---: | ---: | ---: |");
            var worst = double.MaxValue;
            foreach (var line in Run(load, quick ? [4 << 10, 64 << 10, 1 << 20] : Sizes, quick ? [1, 100, 2000] : Depths).TakeWhile(_ => !stop()))
            {
                worst = Math.Min(worst, line.Ratio);
                text.WriteLine(string.Create(CultureInfo.InvariantCulture,
                    $"| {line.Bytes >> 10} KiB | {line.Depth} | {line.Strict / 1e6:F0} | {line.Pool / 1e6:F0} | {line.Adaptive / 1e6:F0} | {line.Ratio:F2} |"));
            }

            text.WriteLine(string.Create(CultureInfo.InvariantCulture, $"\nLowest ratio: {worst:F3}.\n"));
        }
    }
}
