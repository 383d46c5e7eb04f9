using System.Collections.Concurrent;
using System.Globalization;
using System.Text;
using Vmm.Control.Hosting;
using Vmm.Control.Iommus;
using Vmm.Grpc;
using Vmm.Grpc.Hosting;
using Vmm.Grpc.Serving;
using Vmm.Machine;

namespace Vmm.Control;

/// <summary>The page <c>/metrics</c> (OpenMetrics 1.0). Label values are bounded: methods of this server and machines that exist.</summary>
internal sealed class Metrics(MachineRegistry machines, WatcherSlots slots) : ICallObserver
{
    const string MediaType = "application/openmetrics-text; version=1.0.0; charset=utf-8";

    static readonly double[] Bounds = [0.001, 0.01, 0.1, 1, 10];

    readonly ConcurrentDictionary<(string Method, StatusCode Code), long> calls = new();
    readonly long[] buckets = new long[Bounds.Length + 1];
    long microseconds;

    /// <inheritdoc/>
    public void Ended(string method, StatusCode status, TimeSpan elapsed)
    {
        calls.AddOrUpdate((method, status), 1, static (_, n) => n + 1);
        var bucket = Array.FindIndex(Bounds, b => elapsed.TotalSeconds <= b);
        Interlocked.Increment(ref buckets[bucket < 0 ? Bounds.Length : bucket]);
        Interlocked.Add(ref microseconds, (long)elapsed.TotalMicroseconds);
    }

    /// <summary>Writes the page.</summary>
    public async ValueTask<Page> WriteAsync(CancellationToken cancellation)
    {
        var text = new StringBuilder();
        var (count, memory) = machines.Use;
        Gauge(text, "vmm_machines", "Machines that exist.", count);
        Gauge(text, "vmm_memory_bytes", "RAM of all machines.", memory, "bytes");
        Gauge(text, "vmm_watchers", "Open event and console streams.", slots.Taken);
        Counter(text, "vmm_events", "Events of all machines.", [("", machines.Events.Last)]);
        Counter(text, "vmm_grpc_calls", "Calls that ended.", calls.OrderBy(c => c.Key.Method, StringComparer.Ordinal).ThenBy(c => c.Key.Code)
            .Select(c => ($"{{method=\"{c.Key.Method}\",code=\"{c.Key.Code}\"}}", (ulong)c.Value)));
        Durations(text);
        await MachinesAsync(text, cancellation).ConfigureAwait(false);
        text.Append("# EOF\n");
        return new(MediaType, Encoding.UTF8.GetBytes(text.ToString()));
    }

    void Durations(StringBuilder text)
    {
        Head(text, "vmm_grpc_call_seconds", "histogram", "Time of calls.", "seconds");
        long sum = 0;
        for (var i = 0; i < Bounds.Length; i++)
        {
            sum += Interlocked.Read(ref buckets[i]);
            text.Append(CultureInfo.InvariantCulture, $"vmm_grpc_call_seconds_bucket{{le=\"{Bounds[i]:0.0##}\"}} {sum}\n");
        }

        sum += Interlocked.Read(ref buckets[^1]);
        text.Append(CultureInfo.InvariantCulture, $"vmm_grpc_call_seconds_bucket{{le=\"+Inf\"}} {sum}\n");
        text.Append(CultureInfo.InvariantCulture, $"vmm_grpc_call_seconds_sum {Interlocked.Read(ref microseconds) / 1e6}\nvmm_grpc_call_seconds_count {sum}\n");
    }

    async Task MachinesAsync(StringBuilder text, CancellationToken cancellation)
    {
        var samples = new List<MachineSample>();
        foreach (var host in machines.After("", int.MaxValue))
        {
            try
            {
                samples.Add(await host.InvokeAsync(m => MachineSample.Of(host.Name, m), cancellation).WaitAsync(TimeSpan.FromSeconds(2), cancellation).ConfigureAwait(false));
            }
            catch (Exception gone) when (gone is RpcException or TimeoutException)
            {
                // Deleted, or busy for longer than a page may take: it has no samples this time.
            }
        }

        Counter(text, "vmm_instructions", "Instructions retired.", samples.Select(s => ($"{{machine=\"{s.Name}\"}}", s.Instructions)));
        Head(text, "vmm_virtual_seconds", "counter", "Virtual time.", "seconds");
        foreach (var s in samples)
        {
            text.Append(CultureInfo.InvariantCulture, $"vmm_virtual_seconds_total{{machine=\"{s.Name}\"}} {s.VirtualNanoseconds / 1e9}\n");
        }

        Counter(text, "vmm_exits", "Exits by reason.", samples.SelectMany(s => s.Exits.Select(e => ($"{{machine=\"{s.Name}\",reason=\"{e.Reason}\"}}", e.Count))));
        Counter(text, "vmm_iotlb_lookups", "Lookups in the IOTLB.", samples.SelectMany(s => new[]
        {
            ($"{{machine=\"{s.Name}\",result=\"hit\"}}", s.Hits), ($"{{machine=\"{s.Name}\",result=\"miss\"}}", s.Misses),
        }));
        Counter(text, "vmm_iommu_faults", "Fault conditions met.", samples.Select(s => ($"{{machine=\"{s.Name}\"}}", s.Faults)));
    }

    static void Gauge(StringBuilder text, string name, string help, double value, string? unit = null)
    {
        Head(text, name, "gauge", help, unit);
        text.Append(CultureInfo.InvariantCulture, $"{name} {value}\n");
    }

    static void Counter(StringBuilder text, string name, string help, IEnumerable<(string Labels, ulong Value)> samples)
    {
        Head(text, name, "counter", help, null);
        foreach (var (labels, value) in samples)
        {
            text.Append(CultureInfo.InvariantCulture, $"{name}_total{labels} {value}\n");
        }
    }

    static void Head(StringBuilder text, string name, string type, string help, string? unit)
    {
        text.Append(CultureInfo.InvariantCulture, $"# TYPE {name} {type}\n");
        if (unit != null)
        {
            text.Append(CultureInfo.InvariantCulture, $"# UNIT {name} {unit}\n");
        }

        text.Append(CultureInfo.InvariantCulture, $"# HELP {name} {help}\n");
    }

    /// <summary>What one machine counts.</summary>
    sealed record MachineSample(
        string Name, ulong Instructions, ulong VirtualNanoseconds, IReadOnlyList<(string Reason, ulong Count)> Exits, ulong Hits, ulong Misses, ulong Faults)
    {
        public static MachineSample Of(string name, VirtualMachine machine)
        {
            var exits = machine.TakeLedger().Total.Rows.Where(r => r.Handler != null && r.Count != 0)
                .GroupBy(r => r.Name, StringComparer.Ordinal).Select(g => (g.Key, g.Aggregate(0ul, (sum, r) => sum + r.Count))).ToList();
            ulong hits = 0, misses = 0, faults = 0;
            if (IIommuView.Of(machine) is { } unit)
            {
                foreach (var function in machine.Pci.Pci.Functions)
                {
                    var device = unit.Device(function.Address);
                    hits += device.Hits;
                    misses += device.Misses;
                    faults += device.Faults;
                }
            }

            return new(name, machine.Instructions, machine.Clock.CyclesToNanoseconds(machine.Now), exits, hits, misses, faults);
        }
    }
}
