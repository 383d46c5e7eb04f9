using Iced.Intel;
using Vmm.Differential.Cases;
using Vmm.Differential.Generation;
using Vmm.Differential.Native;
using Xunit;

namespace Vmm.Differential.Tests;

/// <summary>The cases: repeatable, complete, and able to find a bug.</summary>
[System.Runtime.Versioning.SupportedOSPlatform("linux")]
public sealed unsafe class GeneratorTests
{
    [Fact]
    public void The_same_seed_gives_the_same_batch()
    {
        using var one = new CaseBatch();
        using var two = new CaseBatch();
        var first = new BatchGenerator(42);
        var second = new BatchGenerator(42);
        first.Fill(one, EncodingGroup.X87, 3, Sandbox.Slots);
        first.Fill(one, EncodingGroup.Alu, 7, Sandbox.Slots);
        second.Fill(two, EncodingGroup.Alu, 7, Sandbox.Slots);
        Assert.Equal(one.Count, two.Count);
        Assert.True(new ReadOnlySpan<byte>(one.States, one.Count * CaseState.Bytes).SequenceEqual(new ReadOnlySpan<byte>(two.States, two.Count * CaseState.Bytes)));
    }

    [Fact]
    public void Every_supported_form_is_generated()
    {
        using var batch = new CaseBatch();
        var generator = new BatchGenerator(5);
        var seen = new bool[CodeCatalog.Supported.Count];
        foreach (var group in Enum.GetValues<EncodingGroup>())
        {
            for (var number = 0; number < 24; number++)
            {
                generator.Fill(batch, group, number, Sandbox.Slots);
                for (var slot = 0; slot < batch.SlotCount; slot++)
                {
                    seen[batch.Sequences[slot].Entries[0].Ordinal] = true;
                }
            }
        }

        Assert.Equal([], CodeCatalog.Supported.Where(e => !seen[e.Ordinal]).Select(e => e.Code));
    }

    [SkippableFact]
    public void Two_runs_on_the_host_agree()
    {
        Skip.IfNot(NativeHost.IsSupported, NativeHost.Reason);
        using var oracle = new NativeRunner();
        using var subject = new NativeRunner();
        using var run = new DifferentialRun(oracle, subject, 11);
        foreach (var group in Enum.GetValues<EncodingGroup>())
        {
            run.Run(group, 4 * Sandbox.Slots);
        }

        Assert.Empty(run.Totals.Findings);
        Assert.Equal(4 * Sandbox.Slots * Enum.GetValues<EncodingGroup>().Length, run.Totals.TotalCases);
    }

    [SkippableFact]
    public void A_wrong_flag_is_found_and_blamed_on_its_instruction()
    {
        Skip.IfNot(NativeHost.IsSupported, NativeHost.Reason);
        using var oracle = new NativeRunner();
        using var subject = new FaultyRunner(new NativeRunner(), Code.Adc_r32_rm32);
        using var run = new DifferentialRun(oracle, subject, 12);
        run.Run(EncodingGroup.Alu, 8 * Sandbox.Slots);
        Assert.NotEmpty(run.Totals.Findings);
        Assert.All(run.Totals.Findings, f => Assert.Equal(Code.Adc_r32_rm32, f.Entry.Code));
    }
}
