using System.Globalization;

namespace Vmm.Grpc.Wire;

/// <summary><c>grpc-timeout</c>: one to eight digits and a unit of H, M, S, m, u or n.</summary>
internal static class GrpcTimeout
{
    /// <summary>What a timer can still take: about three years.</summary>
    public static readonly TimeSpan Longest = TimeSpan.FromSeconds(99_999_999);

    /// <summary>Null without a header, and for one that is malformed or comes twice: the call then has no deadline.</summary>
    public static TimeSpan? Parse(string? header)
    {
        if (header is not { Length: >= 2 and <= 9 } || !uint.TryParse(header.AsSpan(0, header.Length - 1), NumberStyles.None, CultureInfo.InvariantCulture, out var value))
        {
            return null;
        }

        var unit = header[^1] switch
        {
            'H' => TimeSpan.TicksPerHour,
            'M' => TimeSpan.TicksPerMinute,
            'S' => TimeSpan.TicksPerSecond,
            'm' => TimeSpan.TicksPerMillisecond,
            'u' => TimeSpan.TicksPerMicrosecond,
            'n' => 0,
            _ => -1,
        };
        if (unit < 0)
        {
            return null;
        }

        var ticks = unit == 0 ? value / TimeSpan.NanosecondsPerTick : value * unit;
        return TimeSpan.FromTicks(Math.Min(ticks, Longest.Ticks));
    }

    /// <summary>The header for a time span, rounded up to a unit that fits eight digits.</summary>
    public static string Format(TimeSpan timeout)
    {
        if (timeout <= TimeSpan.Zero)
        {
            return "0n";
        }

        (long Ticks, char Unit)[] units = [(TimeSpan.TicksPerMicrosecond, 'u'), (TimeSpan.TicksPerMillisecond, 'm'), (TimeSpan.TicksPerSecond, 'S'), (TimeSpan.TicksPerMinute, 'M')];
        foreach (var (ticks, unit) in units)
        {
            var value = (timeout.Ticks + ticks - 1) / ticks;
            if (value < 100_000_000)
            {
                return value.ToString(CultureInfo.InvariantCulture) + unit;
            }
        }

        return "99999999M";
    }
}
