using Vmm.Beds;
using Vmm.GuestDma;
using Vmm.Specs.Virtio;
using Xunit;

namespace Vmm.Guests.Fidelity;

/// <summary>A way in which Linux' drivers differ from the layer, and by how much that changes the counts of one load.</summary>
/// <param name="Name">A name of <see cref="Differences"/>.</param>
/// <param name="Effect">Linux minus layer.</param>
internal sealed record Difference(string Name, DmaTally Effect);

/// <summary>What Linux' driver and the layer did for one sequence of buffers.</summary>
/// <param name="Mode">Mode asked for.</param>
/// <param name="Load">Direction, KiB of a transfer, transfers.</param>
/// <param name="Kernel">Counts of Linux.</param>
/// <param name="Layer">Counts of the layer.</param>
/// <param name="Differences">What explains the rest; only those with an effect.</param>
internal sealed record Comparison(string Mode, string Load, DmaTally Kernel, DmaTally Layer, IReadOnlyList<Difference> Differences)
{
    const ulong Slack = 2112 * 30;

    /// <summary>Replays a window through the layer and explains what remains.</summary>
    /// <param name="run">The kernel's run.</param>
    /// <param name="window">One of its windows.</param>
    /// <param name="mode">Name of the mode.</param>
    /// <param name="policy">The layer's policy.</param>
    public static Comparison Of(KernelRun run, KernelRun.Window window, string mode, DmaPolicy policy)
    {
        var steps = window.Recorder.Steps;
        var layer = DmaReplay.Run(run.Vtd, run.Viommu, policy, KernelRun.MemoryBytes, steps, window.End);
        Assert.Equal(0, layer.Idle);
        var differences = new List<Difference>();
        var isDeferred = window.Type == KernelRun.DeferredType;
        if (run.Viommu != null)
        {
            AddRequests(differences, steps, window.Recorder.Carried);
        }

        if (isDeferred)
        {
            AddFlushes(differences, window, layer, run.Viommu != null);
        }
        else if (policy == DmaPolicy.Lazy)
        {
            var strict = DmaReplay.Run(run.Vtd, run.Viommu, DmaPolicy.Strict, KernelRun.MemoryBytes, steps, window.End);
            differences.Add(new(Fidelity.Differences.Refused, strict.Tally - layer.Tally));
        }

        return new(mode, window.Load, window.Recorder.Tally, layer.Tally, [.. differences.Where(static d => d.Effect != default)]);
    }

    /// <summary>What the differences do not explain; must be nothing.</summary>
    public DmaTally Rest => Kernel - Differences.Aggregate(Layer, static (sum, d) => sum + d.Effect);

    static void AddRequests(List<Difference> differences, IReadOnlyList<DmaStep> steps, int carried)
    {
        var buffers = steps.Where(static s => s.IsMap).Select(static s => s.Buffer).ToList();
        differences.Add(new(Fidelity.Differences.MapPages, new(Maps: buffers.Sum(MapCalls) - buffers.Sum(static b => b.Runs().Count()))));
        var ended = steps.Where(static s => !s.IsMap).Select(static s => s.Buffer).ToList();
        differences.Add(new(Fidelity.Differences.UnmapPages, new(Unmaps: ended.Sum(static b => LinuxPageSizes.Calls(b.Address, b.Address, (ulong)b.Bytes)) - ended.Count)));
        differences.Add(new(Fidelity.Differences.Interrupted, new(MapExits: -carried)));
    }

    static int MapCalls(DmaBuffer buffer)
    {
        var (at, calls) = (buffer.Address, 0);
        foreach (var (start, bytes) in buffer.Runs())
        {
            calls += LinuxPageSizes.Calls(at, start, (ulong)bytes);
            at += (ulong)bytes;
        }

        return calls;
    }

    /// <summary>From the layer's rule to Linux' in steps of one property; both ends are checked against what was seen.</summary>
    static void AddFlushes(List<Difference> differences, KernelRun.Window window, DmaRecorder layer, bool isViommu)
    {
        var seen = Ends(window.Recorder);
        FlushRule[] rules =
        [
            FlushRule.Layer, FlushRule.Layer with { Capacity = FlushRule.Linux.Capacity, FlushesBefore = true },
            FlushRule.Layer with { Capacity = FlushRule.Linux.Capacity, FlushesBefore = true, RunsOn = true }, FlushRule.Linux,
        ];
        var flushes = rules.Select(r => r.Exits(window.Recorder.Steps, window.End, seen[^1], isViommu)).ToList();
        AssertNear(flushes[0], Ends(layer));
        AssertNear(flushes[^1], seen);
        string[] names = [Fidelity.Differences.QueueSize, Fidelity.Differences.TimerRunsOn, Fidelity.Differences.TimerTicks];
        for (var i = 0; i < names.Length; i++)
        {
            var more = flushes[i + 1].Count - flushes[i].Count;
            differences.Add(new(names[i], isViommu ? new(UnmapExits: more) : new(UnmapExits: more, Domains: more, Drained: more, Waits: more)));
        }
    }

    static List<ulong> Ends(DmaRecorder recorder) => [.. recorder.Exits.Where(static e => !e.IsForMap).Select(static e => e.Time)];

    static void AssertNear(List<ulong> expected, List<ulong> seen)
    {
        Assert.True(
            expected.Count == seen.Count && expected.Zip(seen).All(static p => Math.Max(p.First, p.Second) - Math.Min(p.First, p.Second) < Slack),
            $"flushes expected at {string.Join(' ', expected)}, seen at {string.Join(' ', seen)}");
    }
}
