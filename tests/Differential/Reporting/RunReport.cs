using Vmm.Differential.Generation;

namespace Vmm.Differential.Reporting;

/// <summary>Prints the final tables of a run.</summary>
internal static class RunReport
{
    const int Enough = 10_000;

    public static void Write(TextWriter to, RunTotals totals, bool everyCode)
    {
        to.WriteLine("\ngroup            forms      cases  mismatches");
        foreach (var group in Enum.GetValues<EncodingGroup>())
        {
            var cases = totals.GroupCases[(int)group];
            if (cases != 0)
            {
                to.WriteLine($"{group,-15}{CodeCatalog.Of(group).Length,7}{cases,11}{totals.GroupMismatches[(int)group],12}");
            }
        }

        if (everyCode)
        {
            Codes(to, totals);
        }

        Exclusions(to);
        Bad(to, totals);
        var supported = CodeCatalog.Supported.Count;
        var enough = totals.Cases.Count(n => n >= Enough);
        to.WriteLine($"\nexceptions: {string.Join(", ", totals.Traps.Select((n, i) => (n, i)).Where(t => t.n != 0).Select(t => $"#{t.i} {t.n}"))}");
        to.WriteLine($"forms supported {supported}, with at least {Enough} cases {enough} ({100.0 * enough / supported:f1} %), never run {totals.Cases.Count(n => n == 0)}");
        to.WriteLine($"cases {totals.TotalCases}, mismatches {totals.TotalMismatches}");
    }

    static void Codes(TextWriter to, RunTotals totals)
    {
        to.WriteLine("\nform                                        cases  mismatches");
        foreach (var entry in CodeCatalog.Supported)
        {
            to.WriteLine($"{entry,-40}{totals.Cases[entry.Ordinal],9}{totals.Mismatches[entry.Ordinal],12}");
        }
    }

    static void Exclusions(TextWriter to)
    {
        to.WriteLine("\nexcluded forms");
        foreach (var reason in CodeCatalog.Excluded.GroupBy(e => e.Reason).OrderBy(g => g.Key, StringComparer.Ordinal))
        {
            to.WriteLine($"{reason.Key}: {string.Join(' ', reason.Select(e => e.Code))}");
        }
    }

    static void Bad(TextWriter to, RunTotals totals)
    {
        var bad = CodeCatalog.Supported.Where(e => totals.Mismatches[e.Ordinal] != 0).OrderByDescending(e => totals.Mismatches[e.Ordinal]).ToList();
        if (bad.Count == 0)
        {
            return;
        }

        to.WriteLine("\nforms with mismatches");
        foreach (var entry in bad)
        {
            to.WriteLine($"{entry,-40}{entry.Group,-15}{totals.Mismatches[entry.Ordinal],9} of {totals.Cases[entry.Ordinal]}");
        }

        foreach (var finding in totals.Findings)
        {
            to.WriteLine(finding);
        }
    }
}
