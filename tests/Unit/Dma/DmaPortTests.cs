using Vmm.Platform.Dma;
using Vmm.Platform.Interrupts;
using Vmm.Platform.Memory;
using Vmm.Platform.Snapshots;
using Xunit;

namespace Vmm.Unit.Dma;

public sealed class DmaPortTests : IDisposable
{
    readonly DmaTestBench bench = new();

    DmaPort Port => bench.Port;

    public void Dispose() => bench.Dispose();

    static byte[] Pattern(int length) => [.. Enumerable.Range(0, length).Select(static i => (byte)(i * 7 + 1))];

    [Fact]
    public void Without_a_translator_addresses_are_physical_and_bytes_count_as_bypassed()
    {
        var data = Pattern(10_000);
        Assert.True(Port.TryWrite(new Iova(0x1234), data));
        var back = new byte[data.Length];
        Assert.True(bench.Memory.TryRead(new Gpa(0x1234), back.AsSpan()));
        Assert.Equal(data, back);
        Assert.True(Port.TryRead(new Iova(0x1234), back.AsSpan()));
        Assert.Equal(20_000ul, Port.Counters.BytesBypassed);
        Assert.Equal(0ul, Port.Counters.BytesTranslated);
        Assert.Equal(3ul, Port.Counters.Writes);
    }

    [Fact]
    public void A_transfer_is_split_at_page_edges_and_scattered_by_the_translator()
    {
        var table = bench.Translate();
        table.Pages[0x100] = (0x20, true, true);
        table.Pages[0x101] = (0x10, true, true);
        var data = Pattern(0x1000);
        Assert.True(Port.TryWrite(new Iova(0x100_800), data));
        var back = new byte[0x800];
        Assert.True(bench.Memory.TryRead(new Gpa(0x20_800), back.AsSpan()));
        Assert.Equal(data[..0x800], back);
        Assert.True(bench.Memory.TryRead(new Gpa(0x10_000), back.AsSpan()));
        Assert.Equal(data[0x800..], back);
        Assert.Equal(2, table.Requests.Count);
        Assert.All(table.Requests, request => Assert.Equal(new Bdf(0, 4, 0), request.Requester));
        Assert.Equal(0x1000ul, Port.Counters.BytesTranslated);
        Assert.Equal(0ul, Port.Counters.BytesBypassed);
    }

    [Fact]
    public void A_blocked_page_ends_the_transfer_and_keeps_what_went_before()
    {
        var table = bench.Translate();
        table.Pages[0x100] = (0x20, true, true);
        Assert.False(Port.TryWrite(new Iova(0x100_FFC), Pattern(8)));
        Assert.True(bench.Memory.TryRead(new Gpa(0x20_FFC), out uint word));
        Assert.Equal(0x160F0801u, word);
        Assert.Equal(1ul, Port.Counters.Blocked);
        Assert.Equal(1ul, Port.Counters.BlockedByTranslator);
        Assert.Equal(4ul, Port.Counters.BytesWritten);
    }

    [Fact]
    public void The_last_translation_is_kept_until_the_generation_changes()
    {
        var table = bench.Translate();
        table.Pages[0x100] = (0x20, true, true);
        var cursor = default(DmaCursor);
        for (var i = 0; i < 10; i++)
        {
            Assert.True(Port.TryWrite(ref cursor, new Iova(0x100_F00 - (ulong)i * 16), i));
        }

        Assert.Single(table.Requests);
        table.Pages.Clear();
        Assert.True(Port.TryWrite(ref cursor, new Iova(0x100_000), 1));
        table.Generation++;
        Assert.False(Port.TryWrite(ref cursor, new Iova(0x100_000), 1));
        Assert.Equal(2, table.Requests.Count);
    }

    [Fact]
    public void A_kept_translation_does_not_lend_permissions_it_lacks()
    {
        var table = bench.Translate();
        table.Pages[0x100] = (0x20, true, false);
        var cursor = default(DmaCursor);
        Assert.True(Port.TryRead(ref cursor, new Iova(0x100_000), out int _));
        Assert.False(Port.TryWrite(ref cursor, new Iova(0x100_000), 1));
        Assert.Equal(DmaAccess.Write, table.Requests[^1].Access);
    }

    [Fact]
    public void A_new_translator_makes_kept_translations_worthless()
    {
        var first = bench.Translate();
        first.Pages[0x100] = (0x20, true, true);
        var cursor = default(DmaCursor);
        Assert.True(Port.TryWrite(ref cursor, new Iova(0x100_000), 1));
        bench.Translate();
        Assert.False(Port.TryWrite(ref cursor, new Iova(0x100_000), 1));
    }

    [Fact]
    public void A_streams_pasid_travels_with_each_request()
    {
        var table = bench.Translate();
        table.Pages[0xFEE00] = (0x20, true, true);
        var cursor = new DmaCursor(0x12345);
        Assert.True(Port.TryWrite(ref cursor, new Iova(0xFEE0_0000), 1));
        Assert.True(table.Requests[0].HasPasid);
        Assert.Equal(0x12345u, table.Requests[0].Pasid);
        Assert.Empty(bench.Sink.Messages);
    }

    [Fact]
    public void Without_bus_mastering_everything_is_refused_even_when_translated_before()
    {
        var table = bench.Translate();
        table.Pages[0x100] = (0x20, true, true);
        Assert.True(Port.TryWrite(new Iova(0x100_000), 1));
        Port.BusMaster = false;
        Assert.False(Port.TryWrite(new Iova(0x100_000), 1));
        Assert.False(Port.TryRead(new Iova(0x100_000), out int _));
        Assert.False(Port.Raise(new(0xFEE0_0000, 0x31)));
        Assert.Equal(3ul, Port.Counters.BlockedByBusMaster);
        Assert.Empty(bench.Sink.Messages);
    }

    [Fact]
    public void A_message_is_remapped_before_it_is_delivered()
    {
        bench.Translate();
        Assert.True(Port.Raise(new(0xFEE0_1000, 0x31)));
        Assert.Equal([new MsiMessage(0xFEE0_1000, 0x131)], bench.Sink.Messages);
    }

    [Fact]
    public void A_message_the_translator_blocks_is_not_delivered()
    {
        bench.Translate().BlocksInterrupts = true;
        Assert.False(Port.Raise(new(0xFEE0_1000, 0x31)));
        Assert.Empty(bench.Sink.Messages);
        Assert.Equal(1ul, Port.Counters.BlockedByTranslator);
    }

    [Fact]
    public void A_plain_write_into_the_interrupt_range_is_a_message_and_never_translated()
    {
        var table = bench.Translate();
        table.Pages[0xFEE00] = (0x20, true, true);
        Assert.True(Port.TryWrite(new Iova(0xFEE0_0010), 0x41u));
        Assert.Equal([new MsiMessage(0xFEE0_0010, 0x141)], bench.Sink.Messages);
        Assert.Empty(table.Requests);
    }

    [Theory]
    [InlineData(0xFEE0_0002ul, 4)]
    [InlineData(0xFEE0_0000ul, 2)]
    [InlineData(0xFEE0_0000ul, 8)]
    [InlineData(0xFEE0_0000ul, 64)]
    public void Other_shapes_of_write_into_the_interrupt_range_are_blocked(ulong address, int length)
    {
        Assert.False(Port.TryWrite(new Iova(address), Pattern(length)));
        Assert.Empty(bench.Sink.Messages);
        Assert.Equal(1ul, Port.Counters.Blocked);
    }

    [Fact]
    public void The_interrupt_range_cannot_be_read_nor_reached_by_translation()
    {
        var target = new RecordingTarget();
        bench.Bus.Mmio.Map("lapic", 0xFEE0_0000, 0x1000, target);
        Assert.False(Port.TryRead(new Iova(0xFEE0_0000), out int _));
        bench.Translate().Pages[0x100] = (0xFEE00, true, true);
        Assert.False(Port.TryWrite(new Iova(0x100_000), 0x41u));
        Assert.False(Port.TryRead(new Iova(0x100_000), out int _));
        Assert.Equal(0, bench.Fabric.PendingPeerWrites);
        Assert.Empty(bench.Sink.Messages);
    }

    [Fact]
    public void A_message_aimed_at_ram_is_an_ordinary_write()
    {
        bench.Translate().Pages[0x100] = (0x20, true, true);
        Assert.True(Port.Raise(new(0x100_010, 0xCAFE)));
        Assert.True(bench.Memory.TryRead(new Gpa(0x20_010), out uint word));
        Assert.Equal(0xCAFEu, word);
        Assert.Empty(bench.Sink.Messages);
    }

    [Fact]
    public void Writes_to_a_peers_mmio_wait_for_the_machine_and_arrive_in_order()
    {
        var peer = new RecordingTarget();
        bench.Bus.Mmio.Map("peer", 0xC000_0000, 0x1000, peer);
        Assert.True(Port.TryWrite(new Iova(0xC000_0004), Pattern(7)));
        Assert.Empty(peer.Writes);
        bench.Fabric.RunPeerWrites();
        Assert.Equal([(4ul, 4), (8ul, 2), (10ul, 1)], peer.Writes.Select(static w => (w.Offset, w.Data.Length)));
        Assert.Equal(Pattern(7), peer.Writes.SelectMany(static w => w.Data));
    }

    [Fact]
    public void A_read_of_a_peers_mmio_is_refused_without_touching_it()
    {
        var peer = new RecordingTarget();
        bench.Bus.Mmio.Map("peer", 0xC000_0000, 0x1000, peer);
        Assert.False(Port.TryRead(new Iova(0xC000_0000), out int _));
        Assert.Equal(0, peer.Reads);
    }

    [Fact]
    public void Devices_that_write_to_each_other_for_ever_make_one_step_a_round()
    {
        var peer = new RecordingTarget { OnWrite = _ => Port.TryWrite(new Iova(0xC000_0000), 1u) };
        bench.Bus.Mmio.Map("peer", 0xC000_0000, 0x1000, peer);
        Assert.True(Port.TryWrite(new Iova(0xC000_0000), 1u));
        for (var round = 1; round <= 5; round++)
        {
            bench.Fabric.RunPeerWrites();
            Assert.Equal(round, peer.Writes.Count);
            Assert.Equal(1, bench.Fabric.PendingPeerWrites);
        }
    }

    [Fact]
    public void The_queue_of_peer_writes_is_bounded_and_takes_a_write_whole_or_not_at_all()
    {
        bench.Bus.Mmio.Map("peer", 0xC000_0000, 0x10_0000, new RecordingTarget());
        Assert.True(Port.TryWrite(new Iova(0xC000_0000), Pattern(8192 - 8)));
        Assert.Equal(1023, bench.Fabric.PendingPeerWrites);
        Assert.False(Port.TryWrite(new Iova(0xC000_8000), Pattern(16)));
        Assert.Equal(1023, bench.Fabric.PendingPeerWrites);
        Assert.True(Port.TryWrite(new Iova(0xC000_8000), Pattern(8)));
        Assert.False(Port.TryWrite(new Iova(0xC000_8000), Pattern(1)));
        Assert.Equal(2ul, bench.Fabric.RefusedPeerWrites);
    }

    [Fact]
    public void Dma_to_the_devices_own_bar_is_refused()
    {
        var self = new RecordingTarget();
        Port.SetOwnRegion(0, bench.Bus.Mmio.Map("self", 0xC000_0000, 0x1000, self));
        Assert.False(Port.TryWrite(new Iova(0xC000_0FFC), 1u));
        Assert.False(Port.TryRead(new Iova(0xC000_0FFC), out int _));
        Assert.Equal(2ul, Port.Counters.BlockedOwnBar);
        bench.Fabric.RunPeerWrites();
        Assert.Empty(self.Writes);
        Port.SetOwnRegion(0, null);
        Assert.True(Port.TryWrite(new Iova(0xC000_0FFC), 1u));
    }

    [Theory]
    [InlineData(0x100_000ul)]
    [InlineData(0xFFFF_FFFF_FFFF_F000ul)]
    [InlineData(0xC000_0000ul)]
    public void Dma_to_nothing_fails(ulong address)
    {
        Assert.False(Port.TryWrite(new Iova(address), Pattern(4096)));
        Assert.False(Port.TryRead(new Iova(address), new byte[4096].AsSpan()));
    }

    [Fact]
    public void A_transfer_may_wrap_the_address_space_without_harm()
    {
        Assert.False(Port.TryWrite(new Iova(ulong.MaxValue - 3), Pattern(64)));
        var cursor = default(DmaCursor);
        var table = bench.Translate();
        table.Pages[0xF_FFFF_FFFF_FFFF] = (0x20, true, true);
        table.Pages[0] = (0x30, true, true);
        Assert.True(Port.TryWrite(ref cursor, new Iova(ulong.MaxValue - 3), Pattern(8)));
        Assert.True(bench.Memory.TryRead(new Gpa(0x30_000), out uint word));
        Assert.Equal(0x322B241Du, word);
    }

    [Fact]
    public void A_window_is_guest_memory_in_place_and_never_leaves_its_page()
    {
        bench.Translate().Pages[0x100] = (0x20, true, true);
        var cursor = default(DmaCursor);
        Assert.True(Port.TryGetWindow(ref cursor, new Iova(0x100_F00), 4096, DmaAccess.Write, out var window));
        Assert.Equal(0x100, window.Length);
        window.Fill(0x5A);
        Assert.True(bench.Memory.TryRead(new Gpa(0x20_F00), out uint word));
        Assert.Equal(0x5A5A_5A5Au, word);
        Assert.Equal(0x100ul, Port.Counters.BytesWritten);
        Assert.False(Port.TryGetWindow(ref cursor, new Iova(0x101_000), 8, DmaAccess.Read, out _));
        Assert.False(Port.TryGetWindow(ref cursor, new Iova(0x100_000), 0, DmaAccess.Read, out _));
        Assert.False(Port.TryGetWindow(ref cursor, new Iova(0xFEE0_0000), 4, DmaAccess.Write, out _));
    }

    [Fact]
    public void Waiting_peer_writes_survive_a_snapshot()
    {
        var peer = new RecordingTarget();
        bench.Bus.Mmio.Map("peer", 0xC000_0000, 0x1000, peer);
        Port.TryWrite(new Iova(0xC000_0000), 0x1234_5678u);
        var writer = new SnapshotWriter();
        bench.Fabric.Save(writer);
        bench.Fabric.Reset();
        bench.Fabric.RunPeerWrites();
        Assert.Empty(peer.Writes);
        bench.Fabric.Load(new SnapshotReader("dma", 1, writer.Written.ToArray()));
        bench.Fabric.RunPeerWrites();
        Assert.Equal([0x78, 0x56, 0x34, 0x12], Assert.Single(peer.Writes).Data);
    }

    [Fact]
    public void Transfers_allocate_nothing()
    {
        var table = bench.Translate();
        table.Pages[0x100] = (0x20, true, true);
        var cursor = default(DmaCursor);
        var buffer = new byte[4096];
        var before = 0L;
        for (var i = 0; i < 100; i++)
        {
            Port.TryWrite(ref cursor, new Iova(0x100_000), buffer);
            Port.TryRead(ref cursor, new Iova(0x100_000), buffer.AsSpan());
            Port.TryRead(ref cursor, new Iova(0x100_008), out ulong _);
            before = i == 10 ? GC.GetAllocatedBytesForCurrentThread() : before;
        }

        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }
}
