using System.Globalization;
using System.Text;
using Vmm.Bench.Dma;

namespace Vmm.Bench.Rules;

/// <summary>
/// NVMe reads of 4 KiB with a fault rule that never matches, and without. One controller does both, and the rule is armed and
/// disarmed between samples, so that nothing differs but the rule: not even where objects lie in memory.
/// </summary>
internal static class RuleComparison
{
    const int Commands = 4000, TierPasses = 6;
    const double Goal = 1.02;

    /// <summary>Runs it, prints the report and writes the file. 1 when something allocated.</summary>
    public static int Run(Options options)
    {
        var commands = options.Has("--quick") ? Commands / 4 : Commands;
        var rounds = options.Number("--rounds", options.Has("--quick") ? 5 : 101, 1, 9999);
        using NvmeDriver driver = new(32, true);
        var pairs = RuleForms.All.Where(f => options.Operand is not { } only || $"{f.Point} {f.Why}".Contains(only, StringComparison.Ordinal)).Select(f => (Form: f, Without: new Case($"without: {f.Point}, {f.Why}", commands, driver.Run), With: new Case($"with: {f.Point}, {f.Why}", commands, driver.Run))).ToArray();
        for (var pass = 0; pass < TierPasses; pass++)
        {
            Array.ForEach(pairs, p => Sample(driver, p.Form, p.Without.WarmUp, p.With.WarmUp, false));
            Thread.Sleep(200);
        }

        for (var round = 0; round < rounds; round++)
        {
            Array.ForEach(pairs, p => Sample(driver, p.Form, p.Without.Sample, p.With.Sample, round % 2 != 0));
        }

        var text = Text(pairs, rounds);
        Console.Write(text);
        if (options.Text("--output") is { } file)
        {
            File.WriteAllText(file, text);
        }

        return pairs.Any(static p => p.Without.Allocated + p.With.Allocated != 0) ? 1 : 0;
    }

    /// <summary>Both samples of a form next to each other; which is first changes with the rounds.</summary>
    static void Sample(NvmeDriver driver, RuleForm form, Action without, Action with, bool armedFirst)
    {
        if (!armedFirst)
        {
            without();
        }

        Arm(driver, form);
        with();
        driver.Faults.Clear();
        if (armedFirst)
        {
            without();
        }
    }

    static void Arm(NvmeDriver driver, RuleForm form)
    {
        if (form.Rule == null)
        {
            return;
        }

        var rule = driver.Faults.Arm(form.Rule);
        // A rule that is spent is found out by asking it; the one command that it still concerns may fail.
        driver.Run(1);
        if (rule.Fired != (form.IsUsedUp ? 1u : 0u))
        {
            throw new InvalidOperationException($"{form.Point}, {form.Why}: fired {rule.Fired} times");
        }
    }

    static string Text((RuleForm Form, Case Without, Case With)[] pairs, int rounds)
    {
        var text = new StringBuilder();
        text.AppendLine("# NVMe reads of 4 KiB with a fault rule that never matches\n");
        text.AppendLine($"Written by `dotnet run -c Release --project bench -- rules`: medians of {rounds} rounds, CPU time of the measuring thread.");
        text.AppendLine("The controller alone, queue depth 32 behind the IOMMU; each ratio is the median of the ratios of two samples next to each other, of one controller, with the rule and without. The half widths are 1.96 standard errors of that median (1.2533 of the mean's, from the quartiles). The first row has no rule in either sample: what it differs from 1 by is the measurement's. Rows without a goal have rules whose filters match every time: those are asked, and take the device its bulk windows.\n");
        text.AppendLine("| asked at | out of reach by | reads/s without | armed | time ratio | 95 % | goal: at most 1.02 |\n| --- | --- | ---: | ---: | ---: | ---: | --- |");
        foreach (var (form, without, with) in pairs)
        {
            var ratio = with.Over(without);
            text.AppendLine(string.Create(CultureInfo.InvariantCulture, $"| {form.Point} | {form.Why} | {1e9 / without.Nanoseconds:N0} | {1e9 / with.Nanoseconds:N0} | {ratio:F3} | ±{1.96 * with.ErrorOver(without):F3} | {(form.IsAsked ? "-" : ratio <= Goal ? "met" : "missed")} |"));
        }

        text.AppendLine(CultureInfo.InvariantCulture, $"\nBytes allocated on the measuring thread in all samples: {pairs.Sum(static p => p.Without.Allocated + p.With.Allocated)}.");
        return text.ToString();
    }
}
