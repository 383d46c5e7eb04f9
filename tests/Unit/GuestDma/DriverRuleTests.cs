using Vmm.Beds;
using Xunit;

namespace Vmm.Unit.GuestDma;

/// <summary>The rules that explain how Linux' drivers differ from the layer.</summary>
public sealed class DriverRuleTests
{
    const ulong Millisecond = 2_112_000, Tick = 4 * Millisecond;

    static readonly DmaBuffer Buffer = new(false, 0x1000, 4096, [0x5000]);

    static IEnumerable<DmaStep> Unmaps(int count, ulong start, ulong apart, int queue = 1) =>
        Enumerable.Range(0, count).Select(i => new DmaStep(start + (ulong)i * apart, Buffer, queue, false));

    /// <summary>One unmap a third into a tick: 10 ms for the layer, the fourth tick for Linux, a later one for a processor that does not count ticks.</summary>
    [Fact]
    public void A_single_unmap_is_flushed_by_the_timer()
    {
        var steps = Unmaps(1, 5 * Tick + Tick / 3, 0).ToList();
        Assert.Equal([5 * Tick + Tick / 3 + 10 * Millisecond], FlushRule.Layer.Exits(steps, 100 * Tick, 0, false));
        Assert.Equal([9 * Tick], FlushRule.Linux(250).Exits(steps, 100 * Tick, 0, false));
        Assert.Equal([9 * Tick], (FlushRule.Linux(250) with { Timekeeper = 1 }).Exits(steps, 100 * Tick, 0, false));
        Assert.Equal([10 * Tick], (FlushRule.Linux(250) with { Timekeeper = 2 }).Exits(steps, 100 * Tick, 0, false));
    }

    [Theory]
    [InlineData(100, 2)]
    [InlineData(300, 4)]
    [InlineData(1000, 11)]
    public void Ten_milliseconds_are_whole_ticks_and_one_more(int hertz, int ticks)
    {
        var tick = 2_112_000_000ul / (ulong)hertz;
        Assert.Equal([(ulong)ticks * tick], FlushRule.Linux(hertz).Exits(Unmaps(1, 1, 0), 100 * Tick, 0, false));
    }

    /// <summary>600 unmaps 10 us apart, from a tick on: the layer flushes with the 250th and 500th and 10 ms after the 501st, Linux with the 256th and 511th and at the fourth tick.</summary>
    [Fact]
    public void A_full_queue_is_flushed_and_leaves_linux_timer_alone()
    {
        const ulong Apart = Millisecond / 100;
        var steps = Unmaps(600, Tick, Apart).ToList();
        Assert.Equal([Tick + 249 * Apart, Tick + 499 * Apart, Tick + 500 * Apart + 10 * Millisecond], FlushRule.Layer.Exits(steps, 100 * Tick, 0, false));
        Assert.Equal([Tick + 255 * Apart, Tick + 510 * Apart, 5 * Tick], FlushRule.Linux(250).Exits(steps, 100 * Tick, 0, false));
    }

    [Fact]
    public void Each_processor_fills_a_queue_of_its_own_and_a_flush_empties_all()
    {
        const ulong Apart = Millisecond / 100;
        var steps = Unmaps(300, Tick, Apart).Concat(Unmaps(200, Tick + 1, Apart, queue: 2)).OrderBy(static s => s.Time).ToList();
        Assert.Equal([Tick + 255 * Apart, 5 * Tick], FlushRule.Linux(250).Exits(steps, 100 * Tick, 0, false));
        Assert.Equal(2, (FlushRule.Linux(250) with { PerQueue = false }).Exits(steps, 100 * Tick, 0, false).Count);
        Assert.Equal(Tick + 127 * Apart + 1, (FlushRule.Linux(250) with { PerQueue = false }).Exits(steps, 100 * Tick, 0, false)[0]);
    }

    [Fact]
    public void Requests_that_a_map_took_along_need_no_exit()
    {
        DmaStep[] steps = [.. Unmaps(3, Tick, 1), new(Tick + 10, Buffer, 1, true)];
        Assert.Empty(FlushRule.Layer.Exits(steps, 100 * Tick, 0, true));
        Assert.Single(FlushRule.Layer.Exits(steps, 100 * Tick, 0, false));
        Assert.Single(FlushRule.Layer.Exits([.. steps, .. Unmaps(1, Tick + 20, 0)], 100 * Tick, 0, true));
    }

    [Theory]
    [InlineData(0x10000, 0x40000, 0x10000, 1)]
    [InlineData(0x10000, 0x41000, 0x10000, 1)]
    [InlineData(0x11000, 0x41000, 0x7000, 3)]
    [InlineData(0x10000, 0x40000, 0x7000, 3)]
    [InlineData(0x10000, 0x48000, 0x10000, 1)]
    [InlineData(0x8000, 0x8000, 0x18000, 2)]
    public void A_run_is_mapped_in_the_largest_pages_that_alignment_allows(ulong iova, ulong target, ulong bytes, int calls)
    {
        var mappings = LinuxPageSizes.Map(iova, target, bytes).ToList();
        Assert.Equal(calls, mappings.Count);
        Assert.Equal(iova, mappings[0].Start);
        Assert.Equal(iova + bytes, mappings[^1].End);
        Assert.All(mappings.Zip(mappings.Skip(1)), static p => Assert.Equal(p.First.End, p.Second.Start));
    }

    [Fact]
    public void An_unmap_is_cut_by_its_own_alignment_but_takes_mappings_whole()
    {
        (ulong, ulong)[] pages = [.. Enumerable.Range(0, 7).Select(static i => (0x10000 + (ulong)i * 4096, 0x11000 + (ulong)i * 4096))];
        Assert.Equal(3, LinuxPageSizes.UnmapCalls(0x10000, 0x7000, pages));
        Assert.Equal(1, LinuxPageSizes.UnmapCalls(0x10000, 0x7000, [(0x10000, 0x17000)]));
        Assert.Equal(1, LinuxPageSizes.UnmapCalls(0x10000, 0x8000, [(0x10000, 0x14000), (0x14000, 0x18000)]));
    }
}
