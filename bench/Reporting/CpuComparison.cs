using Vmm.Bench.Engines;
using Vmm.Bench.Image;

namespace Vmm.Bench.Reporting;

/// <summary>What an engine's rounds came to.</summary>
/// <param name="Engine">Which.</param>
/// <param name="Measured">The median round of each loop, or empty.</param>
/// <param name="Problem">Why there are none.</param>
internal sealed record EngineResult(IEngine Engine, IReadOnlyList<Measurement> Measured, string? Problem);

/// <summary>The loops on every engine, taken in turns, so that a busy host slows them all.</summary>
internal static class CpuComparison
{
    const int QuickDivisor = 20;

    /// <summary>Runs it, prints the tables and writes the file. 1 when engines disagree on what a loop computes.</summary>
    public static int Run(Options options)
    {
        var quick = options.Has("--quick");
        var divisor = quick ? QuickDivisor : 1;
        var names = options.Words("--loops", [.. Loops.All.Select(l => l.Name)]);
        var loops = Loops.All.Where(l => names.Contains(l.Name)).ToArray();
        var engines = Engines(options);
        var image = LoopImage.Build(loops, divisor);
        var rounds = options.Number("--rounds", 1, 1, 99);
        var results = engines.Select(e => new List<IReadOnlyList<Measurement>>()).ToArray();
        var problems = engines.Select(e => e.Version == null ? "not installed" : null).ToArray();
        for (var round = 0; round < rounds; round++)
        {
            for (var i = 0; i < engines.Count; i++)
            {
                if (problems[i] == null)
                {
                    Console.Error.WriteLine($"round {round + 1} of {rounds}: {engines[i].Name}");
                    RunOne(engines[i], image, loops, results[i], ref problems[i]);
                }
            }
        }

        var report = new CpuReport(loops, divisor, [.. engines.Select((e, i) => new EngineResult(e, Median(results[i], loops.Length), problems[i]))]);
        var text = report.Text(rounds);
        Console.Write(text);
        if (options.Text("--output") is { } file)
        {
            File.WriteAllText(file, text);
        }

        return report.Agree ? 0 : 1;
    }

    static List<IEngine> Engines(Options options)
    {
        Dictionary<string, Func<IEngine>> all = new()
        {
            ["vmm"] = () => new OwnEngine(), ["qemu"] = () => new QemuEngine(false), ["icount"] = () => new QemuEngine(true), ["bochs"] = () => new BochsEngine(),
        };
        return [.. options.Words("--engines", [.. all.Keys]).Select(n => all[n]())];
    }

    static void RunOne(IEngine engine, byte[] image, Loop[] loops, List<IReadOnlyList<Measurement>> results, ref string? problem)
    {
        try
        {
            results.Add(engine.Run(image, loops));
        }
        catch (EngineException bad)
        {
            problem = bad.Message;
        }
    }

    /// <summary>For each loop the round whose CPU time is in the middle.</summary>
    static Measurement[] Median(List<IReadOnlyList<Measurement>> rounds, int loops) => rounds.Count == 0 ? []
        : [.. Enumerable.Range(0, loops).Select(i => rounds.Select(r => r[i]).OrderBy(m => m.Time.Cpu).ElementAt(rounds.Count / 2))];
}
