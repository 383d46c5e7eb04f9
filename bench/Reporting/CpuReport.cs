using System.Globalization;
using System.Text;
using Vmm.Bench.Image;

namespace Vmm.Bench.Reporting;

/// <summary>The tables of one comparison, as Markdown. The first engine is the one the ratios are of.</summary>
internal sealed class CpuReport(IReadOnlyList<Loop> loops, int divisor, IReadOnlyList<EngineResult> engines)
{
    /// <summary>Every engine computed the same in every loop.</summary>
    public bool Agree => Enumerable.Range(0, loops.Count).All(i => engines.Where(e => e.Measured.Count != 0).Select(e => e.Measured[i].Checksum).Distinct().Count() <= 1);

    /// <summary>The whole report.</summary>
    public string Text(int rounds)
    {
        var text = new StringBuilder();
        text.AppendLine("# Loops beside other engines\n");
        text.AppendLine($"Written by `dotnet run -c Release --project bench -- cpu`: the same image on every engine, one after the other, {Rounds(rounds)}.");
        text.AppendLine("Only the ratios mean something, and only those of one run: absolute figures are of the host that ran it.\n");
        text.AppendLine(Calibration.Line() + "\n");
        text.AppendLine("| engine | version |\n| --- | --- |");
        foreach (var engine in engines)
        {
            text.AppendLine($"| {engine.Engine.Name} | {engine.Engine.Version ?? "not installed"}{(engine.Engine.Version != null && engine.Problem != null ? $": {engine.Problem}" : "")} |");
        }

        text.AppendLine("\n| loop | iteration | iterations | checksum |\n| --- | --- | --- | --- |");
        for (var i = 0; i < loops.Count; i++)
        {
            text.AppendLine(CultureInfo.InvariantCulture, $"| {loops[i].Name} | {loops[i].Text} | {loops[i].Iterations / divisor:N0} | {Checksum(i)} |");
        }

        Table(text, "By CPU time of the engine's process", m => m.Cpu);
        Table(text, "By wall time", m => m.Wall);
        Goals(text);
        return text.ToString();
    }

    static string Rounds(int rounds) => rounds == 1 ? "one round" : $"the median of {rounds} rounds";

    string Checksum(int loop) => string.Join(" ≠ ", engines.Where(e => e.Measured.Count != 0).Select(e => $"{e.Measured[loop].Checksum:x16}").Distinct());

    double? Speed(int engine, int loop, Func<Engines.Moment, TimeSpan> time) => engines[engine].Measured.Count == 0 ? null
        : loops[loop].Speed(loops[loop].Iterations / divisor, time(engines[engine].Measured[loop].Time));

    double? Ratio(int engine, int loop, Func<Engines.Moment, TimeSpan> time) =>
        Speed(0, loop, time) is { } own && Speed(engine, loop, time) is { } other ? loops[loop].Ratio(own, other) : null;

    void Table(StringBuilder text, string title, Func<Engines.Moment, TimeSpan> time)
    {
        text.AppendLine($"\n## {title}\n");
        text.AppendLine($"| loop | unit | {string.Join(" | ", engines.Select(e => e.Engine.Name))} | {string.Join(" | ", engines.Skip(1).Select(e => $"{engines[0].Engine.Name} / {e.Engine.Name}"))} |");
        text.AppendLine($"| --- | --- |{string.Concat(Enumerable.Repeat(" ---: |", engines.Count * 2 - 1))}");
        for (var i = 0; i < loops.Count; i++)
        {
            var speeds = engines.Select((_, e) => Number(Speed(e, i, time)));
            var ratios = engines.Skip(1).Select((_, e) => Ratio(e + 1, i, time) is { } ratio ? $"{Number(ratio)}×" : "");
            text.AppendLine($"| {loops[i].Name} | {UnitName(loops[i].Unit)} | {string.Join(" | ", speeds)} | {string.Join(" | ", ratios)} |");
        }
    }

    static string UnitName(Unit unit) => unit switch { Unit.Mips => "MIPS", Unit.GigabytesPerSecond => "GB/s", _ => "ns" };

    static string Number(double? value) => value is not { } v ? ""
        : v.ToString(v >= 100 ? "F0" : v >= 10 ? "F1" : v >= 1 ? "F2" : "F3", CultureInfo.InvariantCulture);

    void Goals(StringBuilder text)
    {
        text.AppendLine("\n## Goals, by CPU time\n");
        for (var e = 1; e < engines.Count; e++)
        {
            foreach (var (loop, least) in engines[e].Engine.Name switch
            {
                "Bochs" => loops.Select(l => (l.Name, 1.0)),
                "QEMU TCG" => [("rep", 10.0), ("cr3", 5.0)],
                _ => [],
            })
            {
                var index = loops.ToList().FindIndex(l => l.Name == loop);
                if (index >= 0 && Ratio(e, index, m => m.Cpu) is { } ratio)
                {
                    text.AppendLine($"* {loop}: at least {least}× {engines[e].Engine.Name}: {(ratio >= least ? "met" : "missed")} ({Number(ratio)}×)");
                }
            }
        }
    }
}
