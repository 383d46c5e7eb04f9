using System.Globalization;
using Vmm.Differential.Emulated;
using Vmm.Differential.Generation;
using Vmm.Differential.Native;
using Xunit;

namespace Vmm.Differential.Tests;

/// <summary>
/// The software processor against the host's, group by group. VMM_DIFF_CASES sets the cases for each group
/// (1,000,000 under CI=true, else 20,000), VMM_DIFF_SEED the seed.
/// </summary>
[System.Runtime.Versioning.SupportedOSPlatform("linux")]
public sealed class InstructionGroupTests
{
    public static TheoryData<string> Names => [.. Enum.GetNames<EncodingGroup>()];

    static long Cases =>
        long.TryParse(Environment.GetEnvironmentVariable("VMM_DIFF_CASES"), CultureInfo.InvariantCulture, out var cases) ? cases
        : Environment.GetEnvironmentVariable("CI") == "true" ? 1_000_000 : 20_000;

    static ulong Seed =>
        ulong.TryParse(Environment.GetEnvironmentVariable("VMM_DIFF_SEED"), CultureInfo.InvariantCulture, out var seed) ? seed : 1;

    [SkippableTheory]
    [MemberData(nameof(Names))]
    public void Results_are_those_of_the_host(string group)
    {
        Skip.IfNot(NativeHost.IsSupported, NativeHost.Reason);
        using var oracle = new NativeRunner();
        using var subject = new InterpreterRunner();
        using var run = new DifferentialRun(oracle, subject, Seed);
        run.Run(Enum.Parse<EncodingGroup>(group), Cases);
        Assert.True(run.Totals.TotalMismatches == 0, $"{run.Totals.TotalMismatches} of {run.Totals.TotalCases} cases differ\n{string.Join('\n', run.Totals.Findings.Take(20))}");
    }
}
