using System.Diagnostics;
using System.Globalization;
using System.Text;
using Vmm.Grpc.Client;

namespace Vmm.Bench.Control;

/// <summary>What a call of the control plane costs: latency one by one, calls per second side by side, events per second of a watch stream.</summary>
internal static class ControlComparison
{
    const int Parallel = 32;

    /// <summary>Runs it, prints the report and writes the file.</summary>
    public static int Run(Options options) => RunAsync(options).GetAwaiter().GetResult();

    static async Task<int> RunAsync(Options options)
    {
        var scale = options.Has("--quick") ? 10 : 1;
        var rounds = options.Number("--rounds", options.Has("--quick") ? 3 : 7, 1, 999);
        await using var bed = await ControlBed.StartAsync().ConfigureAwait(false);
        (string Name, GrpcChannel Channel)[] channels = [("Unix socket", bed.Unix), ("TCP with token", bed.Tcp)];
        var latencies = channels.Select(_ => new List<double>()).ToArray();
        var rates = channels.Select(_ => new List<double>()).ToArray();
        var events = channels.Select(_ => new List<double>()).ToArray();
        for (var round = -1; round < rounds; round++)
        {
            for (var i = 0; i < channels.Length; i++)
            {
                var (one, rate, stream) = (await LatenciesAsync(channels[i].Channel, 2000 / scale).ConfigureAwait(false), await RateAsync(channels[i].Channel, 20_000 / scale).ConfigureAwait(false), await EventsAsync(bed, channels[i].Channel, 100_000 / scale).ConfigureAwait(false));
                if (round >= 0)
                {
                    latencies[i].AddRange(one);
                    rates[i].Add(rate);
                    events[i].Add(stream);
                }
            }
        }

        var text = new StringBuilder();
        text.AppendLine("# Calls of the control plane\n");
        text.AppendLine($"Written by `dotnet run -c Release --project bench -- control`: server and client in one process, medians of {rounds} rounds after one to warm up.");
        text.AppendLine($"Unary calls are `grpc.health.v1.Health/Check`; the stream is `vmm.v1.EventService/WatchEvents` catching up with console lines, each event flushed on its own.");
        text.AppendLine("Absolute figures are of the host that ran it, and of what else it did.\n");
        text.AppendLine($"| over | latency, median | 99 % | calls/s, {Parallel} at once | watch stream, events/s |\n| --- | --- | --- | --- | --- |");
        for (var i = 0; i < channels.Length; i++)
        {
            text.AppendLine(CultureInfo.InvariantCulture, $"| {channels[i].Name} | {At(latencies[i], 0.5):F0} us | {At(latencies[i], 0.99):F0} us | {At(rates[i], 0.5):N0} | {At(events[i], 0.5):N0} |");
        }

        Console.Write(text);
        if (options.Text("--output") is { } file)
        {
            await File.WriteAllTextAsync(file, text.ToString()).ConfigureAwait(false);
        }

        return 0;
    }

    /// <summary>Microseconds of each call.</summary>
    static async Task<List<double>> LatenciesAsync(GrpcChannel channel, int calls)
    {
        var all = new List<double>(calls);
        for (var i = 0; i < calls; i++)
        {
            var start = Stopwatch.GetTimestamp();
            await ControlBed.CallAsync(channel).ConfigureAwait(false);
            all.Add(Stopwatch.GetElapsedTime(start).TotalMicroseconds);
        }

        return all;
    }

    /// <summary>Calls per second with many at once.</summary>
    static async Task<double> RateAsync(GrpcChannel channel, int calls)
    {
        var start = Stopwatch.GetTimestamp();
        await Task.WhenAll(Enumerable.Range(0, Parallel).Select(async _ =>
        {
            for (var i = 0; i < calls / Parallel; i++)
            {
                await ControlBed.CallAsync(channel).ConfigureAwait(false);
            }
        })).ConfigureAwait(false);
        return calls / Parallel * Parallel / Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    /// <summary>Events per second of one watcher.</summary>
    static async Task<double> EventsAsync(ControlBed bed, GrpcChannel channel, int count)
    {
        var token = bed.AddLines(count);
        var start = Stopwatch.GetTimestamp();
        await ControlBed.WatchAsync(channel, token, count).ConfigureAwait(false);
        return count / Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    static double At(List<double> values, double part) => values.Order().ElementAt((int)((values.Count - 1) * part));
}
