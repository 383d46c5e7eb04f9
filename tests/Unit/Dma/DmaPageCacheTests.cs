using Vmm.Platform.Dma;
using Vmm.Platform.Memory;
using Xunit;

namespace Vmm.Unit.Dma;

public sealed class DmaPageCacheTests : IDisposable
{
    readonly DmaTestBench bench = new();

    DmaPort Port => bench.Port;

    public void Dispose() => bench.Dispose();

    [Fact]
    public void Pages_used_in_turn_are_translated_once_until_the_generation_changes()
    {
        var table = bench.Translate();
        for (var page = 0ul; page < 8; page++)
        {
            table.Pages[0x100 + page] = (0x20 + page, true, true);
        }

        for (var i = 0u; i < 32; i++)
        {
            var page = i % 8;
            Assert.True(Port.TryWrite(new Iova(0x100_000 + page * 0x1000 + i * 4), i));
            Assert.True(bench.Memory.TryRead(new Gpa(0x20_000 + page * 0x1000 + i * 4), out uint found));
            Assert.Equal(i, found);
        }

        Assert.Equal(8, table.Requests.Count);
        Assert.Equal(8ul, Port.Counters.Translations);
        Assert.Equal(24ul, Port.Counters.KeptTranslations);
        table.Pages[0x101] = (0x40, true, true);
        table.Pages.Remove(0x102);
        table.Generation++;
        Assert.True(Port.TryWrite(new Iova(0x101_000), 77u));
        Assert.True(bench.Memory.TryRead(new Gpa(0x40_000), out uint moved));
        Assert.Equal(77u, moved);
        Assert.False(Port.TryWrite(new Iova(0x102_000), 77u));
    }

    [Fact]
    public void Pages_that_share_a_slot_do_not_answer_for_each_other()
    {
        var table = bench.Translate();
        table.Pages[0x100] = (0x20, true, true);
        table.Pages[0x10_0100] = (0x30, true, true);
        for (var i = 0u; i < 4; i++)
        {
            Assert.True(Port.TryWrite(new Iova(0x100_000), i));
            Assert.True(Port.TryWrite(new Iova(0x1001_00000), i + 100));
        }

        Assert.True(bench.Memory.TryRead(new Gpa(0x20_000), out uint low));
        Assert.True(bench.Memory.TryRead(new Gpa(0x30_000), out uint high));
        Assert.Equal((3u, 103u), (low, high));
        Assert.False(Port.TryRead(new Iova(0x200_000), out uint _));
    }

    [Fact]
    public void A_page_kept_for_reading_is_not_written()
    {
        var table = bench.Translate();
        table.Pages[0x100] = (0x20, true, false);
        table.Pages[0x101] = (0x21, true, true);
        Assert.True(Port.TryRead(new Iova(0x100_000), out uint _));
        Assert.True(Port.TryRead(new Iova(0x101_000), out uint _));
        Assert.False(Port.TryWrite(new Iova(0x100_000), 1u));
        Assert.Equal(1ul, Port.Counters.BlockedByTranslator);
    }

    [Fact]
    public void A_stream_with_a_pasid_neither_fills_nor_uses_it()
    {
        var table = bench.Translate();
        table.Pages[0x100] = (0x20, true, true);
        table.Pages[0x101] = (0x21, true, true);
        var plain = default(DmaCursor);
        var tagged = new DmaCursor(5);
        foreach (var page in new ulong[] { 0x100_000, 0x101_000, 0x100_000 })
        {
            Assert.True(Port.TryWrite(ref tagged, new Iova(page), 1u));
        }

        Assert.True(Port.TryWrite(ref plain, new Iova(0x100_000), 1u));
        Assert.True(Port.TryWrite(ref plain, new Iova(0x101_000), 1u));
        Assert.True(Port.TryWrite(ref tagged, new Iova(0x101_000), 1u));
        Assert.Equal([true, true, true, false, false, true], table.Requests.Select(static r => r.HasPasid));
    }

    [Fact]
    public void A_new_translator_and_bus_mastering_are_looked_at_first()
    {
        var table = bench.Translate();
        table.Pages[0x100] = (0x20, true, true);
        table.Pages[0x101] = (0x21, true, true);
        Assert.True(Port.TryWrite(new Iova(0x100_000), 1u));
        Assert.True(Port.TryWrite(new Iova(0x101_000), 1u));
        Port.BusMaster = false;
        Assert.False(Port.TryWrite(new Iova(0x100_000), 1u));
        Port.BusMaster = true;
        bench.Translate();
        Assert.False(Port.TryWrite(new Iova(0x100_000), 1u));
    }
}
