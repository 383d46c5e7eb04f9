using Vmm.Beds;
using Vmm.Cli;
using Xunit;

namespace Vmm.Unit.GuestDma;

/// <summary>Published results are reproduced, what we add is better where it claims to be, and no number ever changes by itself.</summary>
public sealed class ExperimentTests
{
    [Fact]
    public void The_published_gains_of_pools_are_reproduced_within_a_tenth()
    {
        foreach (var line in PoolPaper.Run(DmaProfiles.Chromebook))
        {
            Assert.InRange(line.Gain / line.PublishedGain, 0.9, 1.1);
            Assert.InRange(line.UnmapFall / line.PublishedUnmapFall, 0.9, 1.1);
            Assert.True(line.MapFall > PoolPaper.MapFall);
            Assert.True(line.Adaptive >= 1, "adaptive is not slower than pools");
            Assert.True(line.AdaptiveCycles.Adaptive < line.AdaptiveCycles.Pool, "and needs fewer cycles");
        }
    }

    [Fact]
    public void Past_the_limits_of_the_pools_the_adaptive_policy_keeps_up_with_the_better_way()
    {
        foreach (var load in new[] { DmaLoad.Stream, DmaLoad.Fresh })
        {
            foreach (var line in BeyondPools.Run(load, [4 << 10, 128 << 10], [1, 100, 1500]))
            {
                Assert.True(line.Ratio >= 0.9, $"{load}: {line}");
            }
        }
    }

    [Fact]
    public void The_table_is_the_committed_one()
    {
        using var stream = typeof(ExperimentTests).Assembly.GetManifestResourceStream("DmaTable.csv")!;
        using var reader = new StreamReader(stream);
        var committed = reader.ReadToEnd().Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(DmaPlans.Table.Count, committed.Length - 1);
        // The short form takes every 31st row: all policies and IOMMUs are among them.
        var step = Environment.GetEnvironmentVariable("VMM_STEPS") == null ? 31 : 1;
        for (var i = 0; i < DmaPlans.Table.Count; i += step)
        {
            var lines = DmaTable.Csv([DmaPlans.Table[i].Run()]).Split('\n', StringSplitOptions.RemoveEmptyEntries);
            Assert.Equal(committed[0], lines[0]);
            Assert.Equal(committed[i + 1], lines[1]);
        }
    }
}
