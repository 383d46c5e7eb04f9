using Vmm.Differential.Generation;

namespace Vmm.Differential.Reporting;

/// <summary>Counts of a run, by instruction form and group.</summary>
internal sealed class RunTotals
{
    /// <summary>Cases that each form took part in.</summary>
    public long[] Cases { get; } = new long[CodeCatalog.Supported.Count];

    public long[] Mismatches { get; } = new long[CodeCatalog.Supported.Count];

    public long[] GroupCases { get; } = new long[Enum.GetValues<EncodingGroup>().Length];

    public long[] GroupMismatches { get; } = new long[Enum.GetValues<EncodingGroup>().Length];

    /// <summary>Cases that ended in each exception.</summary>
    public long[] Traps { get; } = new long[32];

    public long TotalCases { get; set; }

    public long TotalMismatches { get; set; }

    public List<Finding> Findings { get; } = [];

    /// <summary>Counts a finding; keeps the text of the first few for each form.</summary>
    public void Add(Finding finding)
    {
        TotalMismatches++;
        GroupMismatches[(int)finding.Group]++;
        if (Mismatches[finding.Entry.Ordinal]++ < 3)
        {
            Findings.Add(finding);
        }
    }
}

/// <summary>One case whose results differ.</summary>
/// <param name="Entry">Instruction form to blame: the only one after shrinking, or the first.</param>
internal sealed record Finding(EncodingGroup Group, CodeEntry Entry, string Reproducer, string Code, string Differences)
{
    public override string ToString() => $"{Entry} | {Reproducer} | {Code} |{Differences}";
}
