using System.Globalization;

namespace Vmm.Beds;

/// <summary>
/// What the publication itself says of its limits. With A cycles of an I/O besides mapping, M and U in map and unmap without
/// pools and a share r of U left with them, a processor that is the limit in both cases gains g = (A + M + U) / (A + rU + m),
/// with m at most a hundredth of M. So M (1 - g/100) is at most (g - 1) A - (1 - gr) U, and M is at least (g - 1) A - (1 - gr) U.
/// A larger buffer takes no less time in map and in unmap than a smaller one: that ties two sizes together.
/// </summary>
internal static class PoolLimit
{
    const double MapLeft = 0.01;

    /// <summary>Unmap of both sizes, in units of A: what is needed at least and possible at most if the processor were the limit at both.</summary>
    /// <param name="small">Gain and share of unmap that is left, smaller size.</param>
    /// <param name="large">The same, larger size.</param>
    public static (double Needed, double Possible) Unmap((double Gain, double Left) small, (double Gain, double Left) large)
    {
        var room = 1 - MapLeft * large.Gain;
        // (small.Gain - 1) - (1 - small.Gain small.Left) U  <=  ((large.Gain - 1) - (1 - large.Gain large.Left) U) / room
        var slope = 1 - small.Gain * small.Left - (1 - large.Gain * large.Left) / room;
        var offset = small.Gain - 1 - (large.Gain - 1) / room;
        return (offset <= 0 ? 0 : slope <= 0 ? double.PositiveInfinity : offset / slope, (large.Gain - 1) / (1 - large.Gain * large.Left));
    }

    /// <summary>Error of both gains, in the direction that helps, up to which the processor cannot be the limit at both sizes.</summary>
    public static double Margin((double Gain, double Left) small, (double Gain, double Left) large)
    {
        var error = 0.0;
        while (error < 0.5)
        {
            var (needed, possible) = Unmap((small.Gain * (1 - error), small.Left), (large.Gain * (1 + error), large.Left));
            if (needed <= possible)
            {
                break;
            }

            error += 0.001;
        }

        return error;
    }

    /// <summary>Writes the argument with the published figures.</summary>
    public static void Report(TextWriter text)
    {
        text.WriteLine("""
            ## What limits the published gain at 64 and 128 KiB

            If the processor were the limit with and without pools, the gain would be g = (A + M + U) / (A + rU + m): A is the work of
            an I/O besides mapping, which direct I/O has at every size, M and U the time in map and unmap without pools, r the published
            share of U that is left, and m at most a hundredth of M. Neither M nor U is smaller for a larger buffer. For 16 KiB, whose gain
            is the highest, M is at least (g - 1) A - (1 - gr) U; for the larger size it is at most that over 1 - g / 100. Together:

            | sizes | unmap must be at least | and can be at most | so the processor | holds while the gains are off by less than |
            | --- | ---: | ---: | --- | ---: |
            """);
        var small = Of(16 << 10);
        foreach (var bytes in new[] { 64 << 10, 128 << 10 })
        {
            var (needed, possible) = Unmap(small, Of(bytes));
            text.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"| 16 and {bytes >> 10} KiB | {needed:F1} A | {possible:F1} A | {(needed > possible ? "is not the limit with pools" : "may be the limit")} | {Margin(small, Of(bytes)):0.0 %} |"));
        }

        text.WriteLine("""

            What does limit them then costs the processor nothing: the disk. A policy that maps for nothing at all reads no faster there; it
            only leaves more of the processor to others. The fit says the same by itself: the processor is idle with pools at these sizes.
            """);
    }

    static (double Gain, double Left) Of(int bytes)
    {
        var (_, gain, fall) = PoolPaper.Published.Single(p => p.Bytes == bytes);
        return (gain, 1 - fall);
    }
}
