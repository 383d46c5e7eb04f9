using Vmm.Nvme;
using Vmm.Platform.Block;
using Vmm.Platform.Memory;
using Vmm.Specs.Nvme;
using Xunit;
using static Vmm.Unit.Nvme.NvmeTestBench;

namespace Vmm.Unit.Nvme;

public sealed class NvmeIoTests : IDisposable
{
    readonly NvmeTestBench bench = new NvmeTestBench().Started();

    public void Dispose() => bench.Dispose();

    byte[] Disk(ulong offset, int length)
    {
        var bytes = new byte[length];
        bench.Backends[0].Read(offset, bytes);
        return bytes;
    }

    [Fact]
    public void What_is_written_is_read_back()
    {
        var pattern = Pattern(4096);
        bench.Put(Data, pattern);
        AssertOk(bench.Io(Transfer(1, 80, 8)));
        Assert.Equal(pattern, Disk(80 * 512, 4096));
        bench.Put(Data, new byte[4096]);
        AssertOk(bench.Io(Transfer(2, 80, 8)));
        Assert.Equal(pattern, bench.Bytes(Data, 4096));
    }

    [Fact]
    public void A_completion_takes_its_virtual_time_and_interrupts_its_vector()
    {
        bench.Queue(1, Transfer(2, 0, 8));
        bench.Ring(1);
        bench.Pass(9_999);
        Assert.Null(bench.TryPop(1));
        Assert.Empty(bench.Sink.Messages);
        bench.Pass(2);
        var completed = bench.TryPop(1);
        Assert.Equal(1, completed!.Value.Queue);
        Assert.Equal(1u, completed.Value.Head);
        Assert.Equal(0x41u, Assert.Single(bench.Sink.Messages).Data);
    }

    [Fact]
    public void Commands_of_one_instant_complete_in_order_with_one_interrupt()
    {
        var cids = Enumerable.Range(0, 5).Select(i => bench.Queue(1, Transfer(2, (ulong)i, 1))).ToArray();
        bench.Ring(1);
        bench.Pass();
        Assert.Equal(cids, bench.PopAll(1).Select(static c => c.Cid));
        Assert.Single(bench.Sink.Messages);
    }

    [Theory]
    [InlineData(0ul, 4096)]
    [InlineData(4ul, 4096)]
    [InlineData(0xFFCul, 8192)]
    [InlineData(0ul, 12288)]
    [InlineData(0x200ul, 131072)]
    [InlineData(0ul, 524288)]
    public void Prps_of_every_shape_reach_the_right_pages(ulong offset, int length)
    {
        var pattern = Pattern(length);
        bench.Backends[0].Write(0, pattern);
        // Pages in reverse order, so that contiguity cannot hide a mistake.
        var pages = (int)((offset + (ulong)length + 4095) / 4096);
        ulong Page(int i) => 0x100_000 + (ulong)(pages - 1 - i) * 4096;
        var entries = Enumerable.Range(1, pages - 1).Select(Page).ToArray();
        bench.Put(List, entries);
        var prp2 = entries.Length == 0 ? 0 : entries.Length == 1 ? entries[0] : List;
        AssertOk(bench.Io(Transfer(2, 0, (uint)length / 512, Page(0) + offset, prp2)));
        var found = bench.Bytes(Page(0) + offset, (int)Math.Min((ulong)length, 4096 - offset)).AsEnumerable();
        for (var i = 1; i < pages; i++)
        {
            found = found.Concat(bench.Bytes(Page(i), 4096));
        }

        Assert.Equal(pattern, found.Take(length));
    }

    [Fact]
    public void A_prp_list_goes_on_in_the_page_its_last_entry_names()
    {
        var pattern = Pattern(16 * 4096);
        bench.Backends[0].Write(0, pattern);
        // 15 pages remain; the first list page holds 5 entries, then the pointer.
        const ulong first = List + 0xFD0, second = List + 0x2000;
        for (var i = 0; i < 15; i++)
        {
            bench.Put(i < 5 ? first + (ulong)i * 8 : second + (ulong)(i - 5) * 8, 0x100_000ul + (ulong)(i + 1) * 8192);
        }

        bench.Put(first + 40, second);
        AssertOk(bench.Io(Transfer(2, 0, 128, 0x100_000, first)));
        for (var i = 0; i < 16; i++)
        {
            Assert.Equal(pattern[(i * 4096)..((i + 1) * 4096)], bench.Bytes(0x100_000 + (ulong)i * 8192, 4096));
        }
    }

    [Fact]
    public void An_sgl_scatters_at_any_alignment()
    {
        var pattern = Pattern(1024);
        bench.Backends[0].Write(0, pattern);
        bench.Put(List, 0x50_001ul, 100ul, 0x60_FFFul, 900ul, 0x70_000ul, 0ul, 0x70_003ul, 24ul);
        var command = Transfer(2, 0, 2, List, 3ul << 60 | 64);
        command.Cdw0 |= 1 << 14;
        AssertOk(bench.Io(command));
        Assert.Equal(pattern, bench.Bytes(0x50_001, 100).Concat(bench.Bytes(0x60_FFF, 900)).Concat(bench.Bytes(0x70_003, 24)));
    }

    [Fact]
    public void An_sgl_in_the_command_itself_may_be_the_data()
    {
        bench.Put(Data + 3, Pattern(512));
        var command = Transfer(1, 7, 1, Data + 3, 512);
        command.Cdw0 |= 1 << 14;
        AssertOk(bench.Io(command));
        Assert.Equal(Pattern(512), Disk(7 * 512, 512));
    }

    [Fact]
    public void An_sgl_segment_may_lead_to_the_next()
    {
        bench.Backends[0].Write(0, Pattern(512));
        bench.Put(List, Data, 256ul, List + 0x100, 3ul << 60 | 16);
        bench.Put(List + 0x100, Data + 0x1000, 256ul);
        var command = Transfer(2, 0, 1, List, 2ul << 60 | 32);
        command.Cdw0 |= 1 << 14;
        AssertOk(bench.Io(command));
        Assert.Equal(Pattern(512), bench.Bytes(Data, 256).Concat(bench.Bytes(Data + 0x1000, 256)));
    }

    [Fact]
    public void Write_zeroes_clears_without_data()
    {
        bench.Backends[0].Write(0, Pattern(8192));
        AssertOk(bench.Io(Transfer(8, 1, 2)));
        Assert.Equal(Pattern(8192)[..512], Disk(0, 512));
        Assert.Equal(new byte[1024], Disk(512, 1024));
        Assert.Equal(Pattern(8192)[1536..], Disk(1536, 8192 - 1536));
    }

    [Fact]
    public void Compare_tells_equal_from_unequal()
    {
        bench.Backends[0].Write(4096, Pattern(4096));
        bench.Put(Data, Pattern(4096));
        AssertOk(bench.Io(Transfer(5, 8, 8)));
        bench.Put(Data + 4095, [(byte)(Pattern(4096)[4095] ^ 1)]);
        Assert.Equal(NvmeStatus.CompareFailure, bench.Io(Transfer(5, 8, 8)).Code);
    }

    [Fact]
    public void Uncorrectable_blocks_cannot_be_read_until_they_are_written()
    {
        AssertOk(bench.Io(Transfer(4, 100, 4)));
        AssertOk(bench.Io(Transfer(2, 99, 1)));
        var failed = bench.Io(Transfer(2, 99, 2));
        Assert.Equal(NvmeStatus.UnrecoveredRead, failed.Code);
        Assert.NotEqual((NvmeStatus)0, failed.Status & NvmeStatus.More);
        Assert.Equal(NvmeStatus.UnrecoveredRead, bench.Io(Transfer(0x0C, 0, 200)).Code);
        Assert.Equal(NvmeStatus.UnrecoveredRead, bench.Io(Transfer(5, 100, 1)).Code);
        AssertOk(bench.Io(Transfer(1, 100, 2)));
        AssertOk(bench.Io(Transfer(2, 100, 2)));
        Assert.Equal(NvmeStatus.UnrecoveredRead, bench.Io(Transfer(2, 102, 1)).Code);
        AssertOk(bench.Io(Transfer(8, 100, 8)));
        AssertOk(bench.Io(Transfer(0x0C, 0, 200)));
    }

    [Fact]
    public void Deallocate_takes_256_ranges_and_refuses_all_when_one_is_outside()
    {
        bench.Backends[0].Write(0, Pattern(65536));
        for (var i = 0ul; i < 256; i++)
        {
            bench.Put(Data + i * 16, 1ul << 32, i % 64 * 2);
        }

        bench.Put(Data + 255 * 16, 1ul << 32, 16384ul);
        Assert.Equal(NvmeStatus.LbaOutOfRange, bench.Io(new() { Cdw0 = 9, NSID = 1, PRP1 = Data, Cdw10 = 255, Cdw11 = 4 }).Code);
        Assert.Equal(Pattern(65536), Disk(0, 65536));
        bench.Put(Data + 255 * 16, uint.MaxValue * (1ul << 32), ulong.MaxValue);
        Assert.Equal(NvmeStatus.LbaOutOfRange, bench.Io(new() { Cdw0 = 9, NSID = 1, PRP1 = Data, Cdw10 = 255, Cdw11 = 4 }).Code);
        bench.Put(Data + 255 * 16, 1ul << 32, 16383ul);
        AssertOk(bench.Io(new() { Cdw0 = 9, NSID = 1, PRP1 = Data, Cdw10 = 255, Cdw11 = 4 }));
        Assert.Equal(new byte[512], Disk(0, 512));
        Assert.Equal(Pattern(65536)[512..1024], Disk(512, 512));
    }

    [Fact]
    public void Deallocate_of_no_attribute_changes_nothing()
    {
        bench.Backends[0].Write(0, Pattern(512));
        bench.Put(Data, 1ul << 32, 0ul);
        AssertOk(bench.Io(new() { Cdw0 = 9, NSID = 1, PRP1 = Data, Cdw11 = 3 }));
        Assert.Equal(Pattern(512), Disk(0, 512));
    }

    [Theory]
    [InlineData(16384ul, 1u)]
    [InlineData(16383ul, 2u)]
    [InlineData(0ul, 65536u)]
    [InlineData(ulong.MaxValue, 1u)]
    [InlineData(ulong.MaxValue - 2, 8u)]
    [InlineData(1ul << 63, 65536u)]
    public void A_range_past_the_end_is_refused_by_every_command(ulong block, uint blocks)
    {
        foreach (var opcode in new byte[] { 4, 8, 0x0C })
        {
            Assert.Equal(NvmeStatus.LbaOutOfRange, bench.Io(Transfer(opcode, block, blocks)).Code);
        }

        var expected = blocks > 1024 ? NvmeStatus.InvalidField : NvmeStatus.LbaOutOfRange;
        foreach (var opcode in new byte[] { 1, 2, 5 })
        {
            Assert.Equal(expected, bench.Io(Transfer(opcode, block, blocks)).Code);
        }
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(2u)]
    [InlineData(uint.MaxValue)]
    [InlineData(uint.MaxValue - 1)]
    public void An_absent_namespace_is_refused(uint nsid)
    {
        Assert.Equal(NvmeStatus.InvalidNamespace | NvmeStatus.DoNotRetry, bench.Io(Transfer(2, 0, 1, nsid: nsid)).Status);
    }

    [Theory]
    [InlineData(0x03)]
    [InlineData(0x0D)]
    [InlineData(0x7F)]
    [InlineData(0xFF)]
    public void An_unknown_opcode_is_refused(byte opcode)
    {
        Assert.Equal(NvmeStatus.InvalidOpcode, bench.Io(Transfer(opcode, 0, 1)).Code);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void A_half_of_a_fused_pair_is_refused(uint fuse)
    {
        var command = Transfer(5, 0, 1);
        command.Cdw0 |= fuse << 8;
        Assert.Equal(NvmeStatus.InvalidField, bench.Io(command).Code);
    }

    [Fact]
    public void A_flush_makes_durable_and_may_name_all_namespaces()
    {
        using var two = new NvmeTestBench(null, new FaultyBackend(1 << 20), new FaultyBackend(1 << 20)).Started();
        AssertOk(two.Io(new() { Cdw0 = 0, NSID = 2 }));
        Assert.Equal([0, 1], two.Backends.Cast<FaultyBackend>().Select(static b => b.Flushes));
        AssertOk(two.Io(new() { Cdw0 = 0, NSID = uint.MaxValue }));
        Assert.Equal([1, 2], two.Backends.Cast<FaultyBackend>().Select(static b => b.Flushes));
        Assert.Equal(NvmeStatus.InvalidNamespace, two.Io(new() { Cdw0 = 0, NSID = 3 }).Code);
    }

    [Fact]
    public void Force_unit_access_and_a_disabled_cache_flush_each_write()
    {
        var disk = new FaultyBackend(1 << 20);
        using var other = new NvmeTestBench(null, disk).Started();
        AssertOk(other.Io(Transfer(1, 0, 1)));
        Assert.Equal(0, disk.Flushes);
        var command = Transfer(1, 0, 1);
        command.Cdw12 |= 1u << 30;
        AssertOk(other.Io(command));
        Assert.Equal(1, disk.Flushes);
        AssertOk(other.Admin(new() { Cdw0 = 9, Cdw10 = 6, Cdw11 = 0 }));
        Assert.Equal(2, disk.Flushes);
        AssertOk(other.Io(Transfer(1, 0, 1)));
        AssertOk(other.Io(Transfer(8, 0, 1)));
        Assert.Equal(4, disk.Flushes);
    }

    [Fact]
    public void Host_failures_become_media_errors()
    {
        var disk = new FaultyBackend(1 << 20) { ReadResult = BlockResult.ReadFailed, WriteResult = BlockResult.WriteFailed };
        using var other = new NvmeTestBench(null, disk).Started();
        Assert.Equal(NvmeStatus.UnrecoveredRead, other.Io(Transfer(2, 0, 1)).Code);
        Assert.Equal(NvmeStatus.WriteFault, other.Io(Transfer(1, 0, 1)).Code);
        Assert.Equal(NvmeStatus.WriteFault, other.Io(new() { Cdw0 = 0, NSID = 1 }).Code);
        disk.WriteResult = BlockResult.NoSpace;
        Assert.Equal(NvmeStatus.CapacityExceeded, other.Io(Transfer(1, 0, 1)).Code);
        disk.WriteResult = BlockResult.Ok;
        AssertOk(other.Io(Transfer(1, 0, 1)));
    }

    [Fact]
    public void A_read_only_namespace_refuses_every_change_and_says_so()
    {
        using var other = new NvmeTestBench(null, new MemoryBlockBackend("ro", Pattern(65536), isReadOnly: true)).Started();
        AssertOk(other.Io(Transfer(2, 0, 8)));
        foreach (var opcode in new byte[] { 1, 4, 8 })
        {
            Assert.Equal(NvmeStatus.WriteProtected, other.Io(Transfer(opcode, 0, 1)).Code);
        }

        other.Put(Data, 1ul << 32, 0ul);
        Assert.Equal(NvmeStatus.WriteProtected, other.Io(new() { Cdw0 = 9, NSID = 1, PRP1 = Data, Cdw11 = 4 }).Code);
        Assert.Equal(NvmeStatus.WriteProtected, other.Admin(new() { Cdw0 = 0x80, NSID = 1, Cdw10 = 0x200 }).Code);
        Assert.Equal(1, other.Identify(0, 1)[99]);
    }

    [Fact]
    public void Larger_memory_pages_change_what_a_prp_covers()
    {
        using var other = new NvmeTestBench();
        other.EnableMsix();
        other.Enable(0x0046_0101);
        other.Store(0x1000, 0);
        Assert.True(other.Csts.RDY);
        other.CreateQueueAligned(0x4000);
        other.Backends[0].Write(0, Pattern(32768));
        AssertOk(other.Io(Transfer(2, 0, 64, 0x100_000, 0x110_000)));
        Assert.Equal(Pattern(32768), other.Bytes(0x100_000, 16384).Concat(other.Bytes(0x110_000, 16384)));
        Assert.Equal(NvmeStatus.InvalidPrpOffset, other.Io(Transfer(2, 0, 64, 0x100_000, 0x111_000)).Code);
    }

    [Fact]
    public void A_4_KiB_read_allocates_nothing()
    {
        long before = 0, after = 0;
        for (var i = 0; i < 300; i++)
        {
            bench.Queue(1, Transfer(2, 8, 8));
            before = GC.GetAllocatedBytesForCurrentThread();
            bench.Ring(1);
            bench.Pass();
            after = GC.GetAllocatedBytesForCurrentThread();
            Assert.NotNull(bench.TryPop(1));
            bench.RingHead(1);
            bench.Sink.Messages.Clear();
        }

        Assert.Equal(before, after);
    }

    [Fact]
    public void Data_is_counted_on_the_port()
    {
        var before = bench.Controller.Function.Dma.Counters;
        AssertOk(bench.Io(Transfer(2, 0, 8)));
        var now = bench.Controller.Function.Dma.Counters;
        Assert.Equal(64ul, now.BytesRead - before.BytesRead);
        Assert.Equal(4096ul + 16, now.BytesWritten - before.BytesWritten);
    }
}
