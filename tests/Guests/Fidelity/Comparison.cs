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
    const ulong Microsecond = 2112;

    /// <summary>How far a flush may be from where its rule puts it.</summary>
    const ulong Slack = 100 * Microsecond;

    /// <summary>
    /// How long after the completion Linux unmaps, and how long before its flush a tick comes. Neither is seen from outside,
    /// and both together decide whether an unmap that meets a tick comes before its flush or after.
    /// </summary>
    static readonly (ulong Lag, ulong Early)[] Lags =
        [.. Enumerable.Range(0, 13).SelectMany(static early => Enumerable.Range(0, 17).Select(lag => ((ulong)lag * Microsecond, (ulong)early * Microsecond)))];

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

        if (run.IsScalable)
        {
            var sum = differences.Aggregate(layer.Tally, static (sum, d) => sum + d.Effect);
            differences.Add(new(Fidelity.Differences.FirstStage, new(
                UnmapPages: -sum.UnmapPages, Covered: -sum.Covered, Domains: -sum.Domains, Drained: -sum.Drained, Pasids: sum.UnmapPages + sum.Domains)));
        }

        return new(mode, window.Load, window.Recorder.Tally, layer.Tally, [.. differences.Where(static d => d.Effect != default)]);
    }

    /// <summary>What the differences do not explain; must be nothing.</summary>
    public DmaTally Rest => Kernel - Differences.Aggregate(Layer, static (sum, d) => sum + d.Effect);

    static void AddRequests(List<Difference> differences, IReadOnlyList<DmaStep> steps, int carried)
    {
        var buffers = steps.Where(static s => s.IsMap).Select(static s => s.Buffer).ToList();
        var (maps, unmaps) = (0, 0);
        foreach (var buffer in buffers)
        {
            var mappings = Mappings(buffer);
            maps += mappings.Count - buffer.Runs().Count();
            unmaps += LinuxPageSizes.UnmapCalls(buffer.Address & ~0xFFFul, (ulong)buffer.Pages.Length << 12, mappings) - 1;
        }

        differences.Add(new(Fidelity.Differences.MapPages, new(Maps: maps)));
        differences.Add(new(Fidelity.Differences.UnmapPages, new(Unmaps: unmaps)));
        differences.Add(new(Fidelity.Differences.Interrupted, new(MapExits: -carried)));
    }

    static List<(ulong Start, ulong End)> Mappings(DmaBuffer buffer)
    {
        var mappings = new List<(ulong Start, ulong End)>();
        var at = buffer.Address & ~0xFFFul;
        foreach (var (start, bytes) in buffer.Runs())
        {
            mappings.AddRange(LinuxPageSizes.Map(at, start & ~0xFFFul, (start & 0xFFF) + (ulong)bytes + 0xFFF & ~0xFFFul));
            at = mappings[^1].End;
        }

        return mappings;
    }

    /// <summary>From the layer's rule to Linux' in steps of one property; both ends are checked against what was seen.</summary>
    static void AddFlushes(List<Difference> differences, KernelRun.Window window, DmaRecorder layer, bool isViommu)
    {
        var seen = Ends(window.Recorder);
        FlushRule[] rules =
        [
            FlushRule.Layer, FlushRule.Layer with { Capacity = FlushRule.Linux.Capacity, FlushesBefore = true },
            FlushRule.Layer with { Capacity = FlushRule.Linux.Capacity, FlushesBefore = true, RunsOn = true },
            FlushRule.Linux with { PerQueue = false }, FlushRule.Linux,
        ];
        List<List<ulong>> Flushes((ulong Lag, ulong Early) at) =>
            [.. rules.Select((r, i) => r.Exits(window.Recorder.Steps, window.End, seen[^1] - at.Early, isViommu, i == 0 ? 0 : at.Lag))];
        var best = Lags.Select(Flushes).FirstOrDefault(f => IsNear(f[^1], seen)) ?? Flushes(Lags[0]);
        AssertNear(best[0], Ends(layer));
        AssertNear(best[^1], seen);
        string[] names = [Fidelity.Differences.QueueSize, Fidelity.Differences.TimerRunsOn, Fidelity.Differences.TimerTicks, Fidelity.Differences.QueuePerProcessor];
        for (var i = 0; i < names.Length; i++)
        {
            var more = best[i + 1].Count - best[i].Count;
            differences.Add(new(names[i], isViommu ? new(UnmapExits: more) : new(UnmapExits: more, Domains: more, Drained: more, Waits: more)));
        }
    }

    static List<ulong> Ends(DmaRecorder recorder) => [.. recorder.Exits.Where(static e => !e.IsForMap).Select(static e => e.Time)];

    static bool IsNear(List<ulong> expected, List<ulong> seen) =>
        expected.Count == seen.Count && expected.Zip(seen).All(static p => Math.Max(p.First, p.Second) - Math.Min(p.First, p.Second) < Slack);

    static void AssertNear(List<ulong> expected, List<ulong> seen) =>
        Assert.True(IsNear(expected, seen), $"flushes expected at {string.Join(' ', expected)}, seen at {string.Join(' ', seen)}");
}
