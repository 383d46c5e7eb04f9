using Vmm.Beds;
using Vmm.GuestDma;
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
    public void The_publication_itself_leaves_the_processor_no_room_to_be_the_limit_of_large_blocks()
    {
        var published = PoolPaper.Published.ToDictionary(static p => p.Bytes, static p => (p.Gain, 1 - p.UnmapFall));
        foreach (var bytes in new[] { 64 << 10, 128 << 10 })
        {
            var (needed, possible) = PoolLimit.Unmap(published[16 << 10], published[bytes]);
            Assert.True(needed > possible);
            Assert.InRange(PoolLimit.Margin(published[16 << 10], published[bytes]), 0.01, 0.1);
        }

        // A consistent pair, made from A = 1, M = 1 and 4, U = 2 and 4 with an eighth left, is not refused.
        var (need, can) = PoolLimit.Unmap((4 / 1.25, 0.125), (9 / 1.5, 0.125));
        Assert.True(need <= can);
    }

    [Fact]
    public void Where_the_processor_is_the_limit_adaptive_reads_faster_and_elsewhere_it_leaves_more_of_it()
    {
        foreach (var (bytes, disk, least) in new[] { (4 << 10, 1, 1.03), (16 << 10, 1, 1.1), (64 << 10, 1, 1.0), (64 << 10, 0, 1.5), (128 << 10, 0, 2.0) })
        {
            var line = PoolCompared.Run(bytes, disk);
            Assert.True(line.Throughput >= least, $"{line}");
            Assert.True(line.Cycles < 0.97, $"{line}");
        }
    }

    [Fact]
    public void The_published_load_of_the_untrusted_disk_is_reproduced_and_adaptive_halves_it()
    {
        var load = PoolCompared.Untrusted();
        Assert.InRange(load.Without / PoolCompared.PublishedLoad.Without, 0.95, 1.05);
        Assert.InRange(load.Pool / PoolCompared.PublishedLoad.With, 0.95, 1.05);
        Assert.True(load.Pool < load.Without && load.Adaptive < load.Pool / 2);
    }

    [Theory]
    [InlineData(1, 0.9, 1.0, 0.05, 0.2)]
    [InlineData(2, 0.4, 0.6, 0, 0.01)]
    [InlineData(3, 0, 0.001, 0, 0.01)]
    public void Static_tables_with_large_leaves_cost_a_random_device_nothing_and_small_ones_something(int leaf, double leastMisses, double mostMisses, double leastLoss, double mostLoss)
    {
        StaticTables.Line none = StaticTables.Run(0, 4), line = StaticTables.Run(leaf, 4);
        Assert.InRange(line.Misses, leastMisses, mostMisses);
        Assert.InRange(1 - line.BytesPerSecond / none.BytesPerSecond, leastLoss, mostLoss);
    }

    [Fact]
    public void A_stream_costs_what_was_published_for_a_unit_that_waits_for_each_packet_and_for_one_that_does_not()
    {
        Assert.InRange(NetworkCost.Extra(NetworkCost.Driver.Packets, DmaPolicy.Strict), 0.15, 0.30);
        Assert.InRange(NetworkCost.Extra(NetworkCost.Driver.Pages, DmaPolicy.Lazy), 0.02, 0.04);
        Assert.True(NetworkCost.Extra(NetworkCost.Driver.Packets, DmaPolicy.Adaptive) < 0.03);
    }

    [Fact]
    public void Magazines_scale_with_processors_one_tree_does_not_and_a_unit_that_is_waited_for_even_less()
    {
        double SpeedUp(DmaPolicy policy, IovaSource source) => CoreScaling.Run(policy, source, 16, operations: 500) / CoreScaling.Run(policy, source, 1, operations: 500);
        Assert.InRange(SpeedUp(DmaPolicy.Lazy, IovaSource.Magazines), 14, 16);
        Assert.InRange(SpeedUp(DmaPolicy.Lazy, IovaSource.Tree), 6, 12);
        Assert.InRange(SpeedUp(DmaPolicy.Lazy, IovaSource.Arenas), 12, 16);
        Assert.InRange(SpeedUp(DmaPolicy.Strict, IovaSource.Magazines), 2, 3);
        Assert.InRange(SpeedUp(DmaPolicy.Identity, IovaSource.Magazines), 15.9, 16);
    }

    [Fact]
    public void Past_the_limits_of_the_pools_the_adaptive_policy_keeps_up_with_the_better_way()
    {
        foreach (var load in new[] { DmaLoad.Stream, DmaLoad.Fresh })
        {
            foreach (var line in BeyondPools.Run(load, [4 << 10, 128 << 10], [10, 1100]))
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
