using Vmm.Nvme;
using Vmm.Platform.Snapshots;
using Xunit;

namespace Vmm.Unit.Nvme;

public class BlockRangesTests
{
    [Fact]
    public void It_equals_a_set_of_single_blocks()
    {
        var random = new Random(1);
        for (var round = 0; round < 200; round++)
        {
            var ranges = new BlockRanges();
            var model = new bool[200];
            for (var step = 0; step < 60; step++)
            {
                var start = random.Next(180);
                var length = random.Next(20);
                var add = random.Next(2) == 0;
                Assert.True(add ? ranges.TryAdd((ulong)start, (ulong)length) : ranges.TryRemove((ulong)start, (ulong)length));
                model.AsSpan(start, length).Fill(add);
                var wrong = -1;
                for (var block = 0; block < model.Length; block++)
                {
                    wrong = model[block] == ranges.Intersects((ulong)block, 1) ? wrong : block;
                }

                Assert.Equal(-1, wrong);
                Assert.Equal(model.AsSpan(start, length).Contains(true), ranges.Intersects((ulong)start, (ulong)length));
                Assert.Equal(Enumerable.Range(0, 200).Count(i => model[i] && (i == 0 || !model[i - 1])), ranges.Count);
            }
        }
    }

    [Fact]
    public void It_refuses_more_ranges_than_its_limit_and_stays_as_it_was()
    {
        var ranges = new BlockRanges();
        for (var i = 0ul; i < BlockRanges.Limit; i++)
        {
            Assert.True(ranges.TryAdd(i * 10, 4));
        }

        Assert.False(ranges.TryAdd(7, 1));
        Assert.False(ranges.TryRemove(1, 1));
        Assert.True(ranges.Intersects(1, 1));
        Assert.True(ranges.TryAdd(4, 6));
        Assert.Equal(BlockRanges.Limit - 1, ranges.Count);
        Assert.True(ranges.TryRemove(101, 1));
    }

    [Fact]
    public void Ranges_out_of_order_are_refused_from_a_snapshot()
    {
        foreach (var words in new[] { new ulong[] { 5, 5 }, [5, 9, 9, 12], [5, 9, 3, 4] })
        {
            var writer = new SnapshotWriter();
            writer.U16((ushort)(words.Length / 2));
            foreach (var word in words)
            {
                writer.U64(word);
            }

            Assert.Throws<SnapshotException>(() => new BlockRanges().Load(new("x", 1, writer.Written.ToArray())));
        }
    }
}
