using System.Diagnostics;
using Vmm.Differential.Cases;
using Vmm.Differential.Generation;
using Vmm.Differential.Native;
using Vmm.Differential.Reporting;

namespace Vmm.Differential;

/// <summary>Long runs by hand: <c>dotnet run -c Release --project tests/Differential -- --cases 100000000 --seed 1</c>.</summary>
internal static class Program
{
    const int Slice = 64 * Sandbox.Slots;

    static int Main(string[] args)
    {
        if (!NativeHost.IsSupported)
        {
            Console.Error.WriteLine(NativeHost.Reason);
            return 2;
        }

        var options = Options.Parse(args);
        using var oracle = new NativeRunner();
        using var subject = Subjects.Create(options.Subject);
        using var run = new DifferentialRun(oracle, subject, options.Seed, options.Pure);
        if (options.Batch >= 0)
        {
            run.Run(options.Groups[0], Sandbox.Slots, options.Batch);
            Console.WriteLine(string.Join('\n', run.Totals.Findings.Where(f => options.Case < 0 || f.Reproducer.Contains($"--case {options.Case} ", StringComparison.Ordinal) || f.Reproducer.EndsWith($" {options.Case}", StringComparison.Ordinal))));
            return run.Totals.TotalMismatches == 0 ? 0 : 1;
        }

        RunAll(run, options);
        RunReport.Write(Console.Out, run.Totals, options.EveryCode);
        return run.Totals.TotalMismatches == 0 ? 0 : 1;
    }

    /// <summary>Shares the cases among the groups by their number of forms, and goes round in slices.</summary>
    static void RunAll(DifferentialRun run, Options options)
    {
        var watch = Stopwatch.StartNew();
        var forms = options.Groups.Sum(g => CodeCatalog.Of(g).Length);
        var left = options.Groups.Select(g => options.Cases * CodeCatalog.Of(g).Length / forms).ToArray();
        var batches = new int[left.Length];
        var shown = TimeSpan.Zero;
        while (left.Any(n => n > 0))
        {
            for (var i = 0; i < left.Length; i++)
            {
                var part = Math.Min(left[i], Slice);
                run.Run(options.Groups[i], part, batches[i]);
                batches[i] += (int)((part + Sandbox.Slots - 1) / Sandbox.Slots);
                left[i] -= part;
            }

            if (watch.Elapsed - shown > TimeSpan.FromSeconds(10))
            {
                shown = watch.Elapsed;
                Progress(run.Totals, watch.Elapsed);
            }
        }

        Progress(run.Totals, watch.Elapsed);
    }

    static void Progress(RunTotals totals, TimeSpan elapsed) =>
        Console.WriteLine($"{elapsed:hh\\:mm\\:ss} {totals.TotalCases} cases, {totals.TotalCases / Math.Max(elapsed.TotalSeconds, 0.001):f0}/s, {totals.TotalMismatches} mismatches");
}
