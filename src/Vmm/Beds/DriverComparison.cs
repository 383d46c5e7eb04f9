using System.Globalization;
using Vmm.GuestDma;
using Vmm.Machine;

namespace Vmm.Beds;

/// <summary>What a guest's driver and the layer did for one sequence of buffers.</summary>
/// <param name="Driver">Counts of the guest.</param>
/// <param name="Layer">Counts of the layer.</param>
/// <param name="Differences">What explains the rest if the guest is Linux; only those with an effect.</param>
/// <param name="Problems">What is not as the differences say, in words.</param>
internal sealed record DriverComparison(DmaTally Driver, DmaTally Layer, IReadOnlyList<DriverDifference> Differences, IReadOnlyList<string> Problems)
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

    /// <summary>Replays what was recorded through the layer and explains what remains.</summary>
    /// <param name="machine">The guest's machine.</param>
    /// <param name="recorder">What was recorded.</param>
    /// <param name="end">When recording ended, in cycles.</param>
    /// <param name="policy">The layer's policy: strict or lazy.</param>
    /// <param name="hertz">CONFIG_HZ of the guest.</param>
    public static DriverComparison Of(MachineConfig machine, DmaRecorder recorder, ulong end, DmaPolicy policy, int hertz = 250)
    {
        DmaRecorder Replay(DmaPolicy by) => DmaReplay.Run(machine.Vtd, machine.VirtioIommu, by, machine.MemoryBytes, recorder.Steps, end);
        recorder.Finish();
        var layer = Replay(policy);
        var differences = new List<DriverDifference>();
        var problems = new List<string>();
        if (machine.VirtioIommu != null)
        {
            AddRequests(differences, recorder);
        }

        if (recorder.IsDeferred && policy == DmaPolicy.Lazy)
        {
            AddFlushes(differences, problems, recorder, end, layer, machine.VirtioIommu != null, hertz);
        }
        else if (policy == DmaPolicy.Lazy)
        {
            differences.Add(new(DriverDifferences.Refused, Replay(DmaPolicy.Strict).Tally - layer.Tally));
        }

        if (recorder.Tally.Pasids > 0)
        {
            var sum = differences.Aggregate(layer.Tally, static (sum, d) => sum + d.Effect);
            differences.Add(new(DriverDifferences.FirstStage, new(
                UnmapPages: -sum.UnmapPages, Covered: -sum.Covered, Domains: -sum.Domains, Drained: -sum.Drained, Pasids: sum.UnmapPages + sum.Domains)));
        }

        AddProblems(problems, recorder);
        return new(recorder.Tally, layer.Tally, [.. differences.Where(static d => d.Effect != default)], problems);
    }

    static void AddProblems(List<string> problems, DmaRecorder recorder)
    {
        if (recorder.Idle > 0)
        {
            problems.Add($"{recorder.Idle} accesses asked nothing of the unit");
        }

        if (recorder.Unknown > 0)
        {
            problems.Add($"{recorder.Unknown} commands name memory that is not mapped");
        }

        if (recorder.IsFull)
        {
            problems.Add("the recording is full and stopped before its end");
        }
    }

    /// <summary>What the differences do not explain.</summary>
    public DmaTally Rest => Driver - Differences.Aggregate(Layer, static (sum, d) => sum + d.Effect);

    /// <summary>Every number is explained.</summary>
    public bool IsExplained => Rest == default && Problems.Count == 0;

    static void AddRequests(List<DriverDifference> differences, DmaRecorder recorder)
    {
        var buffers = recorder.Steps.Where(static s => s.IsMap).Select(static s => s.Buffer).ToList();
        var (maps, unmaps) = (0, 0);
        foreach (var buffer in buffers)
        {
            var mappings = Mappings(buffer);
            maps += mappings.Count - buffer.Runs().Count();
            unmaps += LinuxPageSizes.UnmapCalls(buffer.Address & ~0xFFFul, (ulong)buffer.Pages.Length << 12, mappings) - 1;
        }

        differences.Add(new(DriverDifferences.MapPages, new(Maps: maps)));
        differences.Add(new(DriverDifferences.UnmapPages, new(Unmaps: unmaps)));
        differences.Add(new(DriverDifferences.Together, new(MapExits: -recorder.CarriedMaps, UnmapExits: -recorder.CarriedUnmaps)));
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
    static void AddFlushes(
        List<DriverDifference> differences, List<string> problems, DmaRecorder recorder, ulong end, DmaRecorder layer, bool isViommu, int hertz)
    {
        var seen = Ends(recorder);
        if (seen.Count == 0)
        {
            problems.Add("nothing was flushed: the recording has to go on for 20 ms after the last transfer");
            return;
        }

        List<ulong> Flushes(FlushRule rule, (ulong Lag, ulong Early) at) => rule.Exits(recorder.Steps, end, seen[^1] - at.Early, isViommu, at.Lag);
        var queues = recorder.Steps.Select(static s => s.Queue).Distinct().Order().ToList();
        var linux = FlushRule.Linux(hertz);
        var candidates =
            from timekeeper in queues.Count > 1 ? queues.Prepend(0) : [0]
            from at in Lags
            select (Rule: linux with { Timekeeper = timekeeper }, At: at);
        var found = candidates.FirstOrDefault(c => IsNear(Flushes(c.Rule, c.At), seen));
        linux = found.Rule ?? linux;
        FlushRule[] rules =
        [
            FlushRule.Layer, FlushRule.Layer with { Capacity = linux.Capacity, FlushesBefore = true },
            FlushRule.Layer with { Capacity = linux.Capacity, FlushesBefore = true, RunsOn = true }, linux with { PerQueue = false }, linux,
        ];
        var best = rules.Select((r, i) => Flushes(r, i == 0 ? default : found.At)).ToList();
        Check(problems, "the layer flushes", best[0], Ends(layer));
        Check(problems, "Linux flushes", best[^1], seen);
        string[] names = [DriverDifferences.QueueSize, DriverDifferences.TimerRunsOn, DriverDifferences.TimerTicks, DriverDifferences.QueuePerProcessor];
        for (var i = 0; i < names.Length; i++)
        {
            var more = best[i + 1].Count - best[i].Count;
            differences.Add(new(names[i], isViommu ? new(UnmapExits: more) : new(UnmapExits: more, Domains: more, Drained: more, Waits: more)));
        }
    }

    static List<ulong> Ends(DmaRecorder recorder) => [.. recorder.Exits.Where(static e => !e.IsForMap).Select(static e => e.Time)];

    static bool IsNear(List<ulong> expected, List<ulong> seen) =>
        expected.Count == seen.Count && expected.Zip(seen).All(static p => Math.Max(p.First, p.Second) - Math.Min(p.First, p.Second) < Slack);

    static void Check(List<string> problems, string what, List<ulong> expected, List<ulong> seen)
    {
        static string At(IEnumerable<ulong> times) =>
            string.Join(", ", times.Take(16).Select(static t => string.Create(CultureInfo.InvariantCulture, $"{t / (1000.0 * Microsecond):F3}")));
        if (!IsNear(expected, seen))
        {
            problems.Add($"{what} at {At(seen)} ms; its rule says {At(expected)}");
        }
    }
}
