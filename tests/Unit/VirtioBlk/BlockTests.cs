using Vmm.Platform.Block;
using Vmm.Specs.Virtio;
using Vmm.Unit.Virtio;
using Vmm.Virtio;
using Vmm.VirtioBlk;
using Xunit;

namespace Vmm.Unit.VirtioBlk;

/// <summary>The block device as an honest driver uses it (virtio 1.2 §5.2).</summary>
public sealed class BlockTests
{
    const ulong Data = BlockBench.Data;
    const VirtioBlkStatus Ok = VirtioBlkStatus.Ok, IoError = VirtioBlkStatus.IoError, Unsupported = VirtioBlkStatus.Unsupported;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Written_sectors_read_back(bool isPacked)
    {
        using var disk = BlockBench.Create(isPacked).Start();
        var bytes = BlockBench.Pattern(64 * 512);
        disk.Bench.Put(Data, bytes);
        Assert.Equal(Ok, disk.Write(100, 64));
        Assert.Equal(bytes, disk.Backend.Bytes(100 * 512, bytes.Length));
        Assert.Equal(Ok, disk.Do(VirtioBlkRequest.In, 100, out var written, new Piece(Data + 0x2_0000, 64 * 512, true)));
        Assert.Equal(64u * 512 + 1, written);
        Assert.Equal(bytes, disk.Bench.Bytes(Data + 0x2_0000, bytes.Length));
        Assert.Equal((1ul, 64ul * 512, 1ul, 64ul * 512, 0ul), (disk.Device.Counters.Reads, disk.Device.Counters.BytesRead, disk.Device.Counters.Writes, disk.Device.Counters.BytesWritten, disk.Device.Counters.Errors));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Header_data_and_status_may_be_cut_anyhow(bool isPacked)
    {
        using var disk = BlockBench.Create(isPacked).Start();
        var bytes = BlockBench.Pattern(1024);
        disk.PutHeader(VirtioBlkRequest.Out, 9);
        disk.Bench.Put(BlockBench.Header + 16, bytes);
        disk.Ring.Add(
            new Piece(BlockBench.Header, 3), new Piece(BlockBench.Header + 3, 14), new Piece(BlockBench.Header + 17, 1022), new Piece(BlockBench.Header + 1039, 1),
            new Piece(BlockBench.Status, 1, true));
        disk.Bench.Notify();
        disk.Bench.Pass();
        Assert.Equal(1u, disk.Ring.TryPop()!.Value.Length);
        Assert.Equal(bytes, disk.Backend.Bytes(9 * 512, 1024));

        // Status and the last byte of data share a piece.
        disk.PutHeader(VirtioBlkRequest.In, 9);
        disk.Ring.Add(new Piece(BlockBench.Header, 16), new Piece(Data, 1000, true), new Piece(Data + 1000, 25, true));
        disk.Bench.Put(Data + 1024, [0xEE]);
        disk.Bench.Notify();
        disk.Bench.Pass();
        Assert.Equal(1025u, disk.Ring.TryPop()!.Value.Length);
        Assert.Equal([.. bytes, (byte)Ok], disk.Bench.Bytes(Data, 1025));
    }

    [Fact]
    public void A_request_takes_its_virtual_time()
    {
        using var disk = new BlockBench(o => o with { Media = new() { ReadNanoseconds = 5_000, FlushNanoseconds = 50_000, NanosecondsPerKibibyte = 100 } }).Start();
        disk.PutHeader(VirtioBlkRequest.In, 0);
        disk.Ring.Add(new Piece(BlockBench.Header, 16), new Piece(Data, 10240, true), new Piece(BlockBench.Status, 1, true));
        disk.Bench.Notify();
        disk.Bench.Pass(5_900);
        Assert.Null(disk.Ring.TryPop());
        disk.Bench.Pass(200);
        Assert.NotNull(disk.Ring.TryPop());
        disk.PutHeader(VirtioBlkRequest.Flush, 0);
        disk.Ring.Add(new Piece(BlockBench.Header, 16), new Piece(BlockBench.Status, 1, true));
        disk.Bench.Notify();
        disk.Bench.Pass(49_000);
        Assert.Null(disk.Ring.TryPop());
        disk.Bench.Pass(1_100);
        Assert.NotNull(disk.Ring.TryPop());
    }

    [Fact]
    public void Requests_wait_for_each_other_where_the_media_do_one_at_a_time()
    {
        using var disk = new BlockBench(o => o with { Media = new() { ReadNanoseconds = 5_000, Parallelism = 1 } }).Start();
        for (var i = 0u; i < 3; i++)
        {
            disk.PutHeader(VirtioBlkRequest.In, i, BlockBench.Header + i * 32);
            disk.Ring.Add(new Piece(BlockBench.Header + i * 32, 16), new Piece(Data, 512, true), new Piece(BlockBench.Status + i, 1, true));
        }

        disk.Bench.Notify();
        for (var i = 0; i < 3; i++)
        {
            disk.Bench.Pass(4_800);
            Assert.Null(disk.Ring.TryPop());
            disk.Bench.Pass(210);
            Assert.NotNull(disk.Ring.TryPop());
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_fast_request_overtakes_a_slow_one(bool isPacked)
    {
        using var disk = BlockBench.Create(isPacked).Start();
        disk.PutHeader(VirtioBlkRequest.Flush, 0);
        disk.PutHeader(VirtioBlkRequest.In, 0, BlockBench.Header + 32);
        var slow = disk.Ring.Add(new Piece(BlockBench.Header, 16), new Piece(BlockBench.Status, 1, true));
        var fast = disk.Ring.Add(new Piece(BlockBench.Header + 32, 16), new Piece(Data, 512, true), new Piece(BlockBench.Status + 1, 1, true));
        disk.Bench.Notify();
        disk.Bench.Pass();
        Assert.Equal((uint)fast, disk.Ring.TryPop()!.Value.Id);
        Assert.Equal((uint)slow, disk.Ring.TryPop()!.Value.Id);
    }

    [Fact]
    public void Requests_of_one_instant_share_an_interrupt()
    {
        using var disk = new BlockBench();
        disk.Bench.EnableMsix();
        disk.Bench.Negotiate(~VirtioFeature.RingEventIdx);
        var ring = disk.Bench.Enable(0, 64, 1);
        disk.Bench.AddStatus(VirtioStatus.DriverOk);
        disk.PutHeader(VirtioBlkRequest.In, 0);
        for (var i = 0; i < 10; i++)
        {
            ring.Add(new Piece(BlockBench.Header, 16), new Piece(Data, 512, true), new Piece(BlockBench.Status, 1, true));
        }

        disk.Bench.Notify();
        disk.Bench.Pass();
        Assert.Single(disk.Bench.Sink.Messages);
        Assert.Equal(10, Enumerable.Range(0, 10).Count(_ => ring.TryPop() != null));
    }

    [Fact]
    public void Flush_reaches_the_backend()
    {
        using var disk = new BlockBench().Start();
        Assert.Equal(Ok, disk.Do(VirtioBlkRequest.Flush, 0));
        Assert.Equal(1, disk.Backend.Flushes);
        disk.Backend.FlushResult = BlockResult.WriteFailed;
        Assert.Equal(IoError, disk.Do(VirtioBlkRequest.Flush, 0));
        Assert.Equal(1ul, disk.Device.Counters.Errors);
    }

    [Theory]
    [InlineData("serial-number")]
    [InlineData("12345678901234567890")]
    public void GET_ID_gives_the_serial_number_padded_with_0(string serial)
    {
        using var disk = new BlockBench(o => o with { Serial = serial }).Start();
        Assert.Equal(Ok, disk.Do(VirtioBlkRequest.GetId, 0, out var written, new Piece(Data, 20, true)));
        Assert.Equal(21u, written);
        Assert.Equal(serial.PadRight(20, '\0'), System.Text.Encoding.ASCII.GetString(disk.Bench.Bytes(Data, 20)));
        Assert.Equal(Ok, disk.Do(VirtioBlkRequest.GetId, 0, new Piece(Data, 4, true)));
    }

    [Fact]
    public void Discard_and_write_zeroes_reach_the_backend()
    {
        using var disk = new BlockBench().Start();
        Assert.Equal(Ok, disk.Ranges(VirtioBlkRequest.Discard, new Extent(8, 16, 0), new Extent(100, 1, 0)));
        Assert.Equal([(8ul * 512, 16ul * 512), (100ul * 512, 512ul)], disk.Backend.Discards);
        disk.Bench.Put(Data, BlockBench.Pattern(4096));
        Assert.Equal(Ok, disk.Write(40, 8));
        Assert.Equal(Ok, disk.Ranges(VirtioBlkRequest.WriteZeroes, new Extent(40, 4, 1)));
        Assert.Equal(Ok, disk.Ranges(VirtioBlkRequest.WriteZeroes, new Extent(44, 4, 0)));
        Assert.Equal(new byte[4096], disk.Backend.Bytes(40 * 512, 4096));
    }

    [Fact]
    public void Unknown_flags_of_a_range_and_unmap_of_a_discard_are_unsupported()
    {
        using var disk = new BlockBench().Start();
        Assert.Equal(Unsupported, disk.Ranges(VirtioBlkRequest.Discard, new Extent(0, 1, 1)));
        Assert.Equal(Unsupported, disk.Ranges(VirtioBlkRequest.Discard, new Extent(0, 1, 2)));
        Assert.Equal(Unsupported, disk.Ranges(VirtioBlkRequest.Discard, new Extent(0, 1, 0), new Extent(0, 1, 0x8000_0000)));
        Assert.Equal(Unsupported, disk.Ranges(VirtioBlkRequest.WriteZeroes, new Extent(0, 1, 2)));
        Assert.Empty(disk.Backend.Discards);
        Assert.Empty(disk.Backend.Zeroed);
    }

    [Fact]
    public void Ranges_past_the_limits_are_errors_and_change_nothing()
    {
        using var disk = new BlockBench().Start();
        var sectors = disk.Config(VirtioBlkConfig.Capacity, 8);
        var most = (uint)disk.Config(VirtioBlkConfig.MaxWriteZeroesSectors, 4);
        Assert.Equal(IoError, disk.Ranges(VirtioBlkRequest.Discard, new Extent(0, 1, 0), new Extent(sectors, 1, 0)));
        Assert.Equal(IoError, disk.Ranges(VirtioBlkRequest.Discard, new Extent(ulong.MaxValue, 2, 0)));
        Assert.Equal(IoError, disk.Ranges(VirtioBlkRequest.WriteZeroes, new Extent(0, most + 1, 0)));
        Assert.Equal(IoError, disk.Ranges(VirtioBlkRequest.WriteZeroes, new Extent(0, 1, 0), new Extent(1, 1, 0)));
        Assert.Equal(IoError, disk.Ranges(VirtioBlkRequest.Discard, new Extent[17]));
        Assert.Equal(IoError, disk.Do(VirtioBlkRequest.Discard, 0, new Piece(Data, 15)));
        Assert.Equal(IoError, disk.Do(VirtioBlkRequest.Discard, 0));
        Assert.Empty(disk.Backend.Discards);
        Assert.Empty(disk.Backend.Zeroed);
    }

    [Fact]
    public void Discard_and_write_zeroes_without_their_features_are_unsupported()
    {
        using var disk = new BlockBench().Start(~(VirtioBlkFeature.Discard | VirtioBlkFeature.WriteZeroes));
        Assert.Equal(Unsupported, disk.Ranges(VirtioBlkRequest.Discard, new Extent(0, 1, 0)));
        Assert.Equal(Unsupported, disk.Ranges(VirtioBlkRequest.WriteZeroes, new Extent(0, 1, 0)));
    }

    [Theory]
    [InlineData(2u)]
    [InlineData(10u)]
    [InlineData(14u)]
    [InlineData(0x8000_0001u)]
    [InlineData(uint.MaxValue - 1)]
    public void An_unknown_request_is_unsupported(uint type)
    {
        using var disk = new BlockBench().Start();
        Assert.Equal(Unsupported, disk.Do(type, 0, new Piece(Data, 512, true)));
        Assert.Equal(1ul, disk.Device.Counters.Errors);
    }

    [Fact]
    public void A_read_only_disk_says_so_and_refuses_writes()
    {
        using var disk = new BlockBench(isReadOnly: true).Start();
        Assert.True(disk.Device.Transport.HasFeature(VirtioBlkFeature.ReadOnly));
        disk.Bench.Put(Data, BlockBench.Pattern(512));
        Assert.Equal(IoError, disk.Write(0, 1));
        Assert.Equal(new byte[512], disk.Backend.Bytes(0, 512));
        Assert.Equal(Unsupported, disk.Ranges(VirtioBlkRequest.WriteZeroes, new Extent(0, 1, 0)));
        Assert.Equal(Ok, disk.Read(0, 1));
        Assert.Equal(Ok, disk.Do(VirtioBlkRequest.Flush, 0));

        // RO counts also when the driver did not accept it.
        disk.Start(~VirtioBlkFeature.ReadOnly);
        Assert.Equal(IoError, disk.Write(0, 1));
    }

    [Fact]
    public void The_configuration_describes_the_disk()
    {
        using var disk = new BlockBench(o => o with { BlockSize = 4096, Queues = 3, SizeMax = 8192 }, (4 << 20) + 5000);
        Assert.Equal(8200ul, disk.Config(VirtioBlkConfig.Capacity, 8));
        Assert.Equal(8192ul, disk.Config(VirtioBlkConfig.SizeMax, 4));
        Assert.Equal(62ul, disk.Config(VirtioBlkConfig.SegMax, 4));
        Assert.Equal(4096ul, disk.Config(VirtioBlkConfig.BlockSize, 4));
        Assert.Equal(3ul, disk.Config(VirtioBlkConfig.NumQueues, 2));
        Assert.Equal(8ul, disk.Config(VirtioBlkConfig.DiscardAlignment, 4));
        Assert.Equal(0ul, disk.Config(0x21, 1));
        Assert.Equal(0ul, disk.Config(0x39, 2));
        Assert.Equal(3ul, disk.Bench.Load(VirtioCommon.NumQueues, 2));
        Assert.Equal(0ul, disk.Bench.Offered & VirtioBlkFeature.ReadOnly);
        var always = VirtioBlkFeature.Flush | VirtioBlkFeature.ConfigWce | VirtioBlkFeature.SegMax | VirtioBlkFeature.SizeMax | VirtioBlkFeature.MultiQueue;
        Assert.Equal(always, disk.Bench.Offered & always);
        Assert.Equal(0x1042, disk.Device.Transport.Function.Config.Get16(2));
    }

    [Fact]
    public void Each_queue_works_by_itself()
    {
        using var disk = new BlockBench(o => o with { Queues = 3 });
        disk.Bench.EnableMsix();
        disk.Bench.Negotiate();
        GuestRing[] rings = [.. Enumerable.Range(0, 3).Select(q => disk.Bench.Enable(q, 16, (ushort)(q + 1)))];
        disk.Bench.AddStatus(VirtioStatus.DriverOk);
        disk.PutHeader(VirtioBlkRequest.In, 0);
        for (var q = 0; q < 3; q++)
        {
            rings[q].Add(new Piece(BlockBench.Header, 16), new Piece(Data, 512, true), new Piece(BlockBench.Status, 1, true));
            disk.Bench.Notify(q);
        }

        disk.Bench.Pass();
        Assert.All(rings, static r => Assert.NotNull(r.TryPop()));
        Assert.Equal([0x41u, 0x42, 0x43], disk.Bench.Sink.Messages.Select(static m => m.Data));
    }

    [Fact]
    public void Resetting_one_queue_leaves_the_requests_of_the_others()
    {
        using var disk = new BlockBench(o => o with { Queues = 2 });
        disk.Bench.Negotiate();
        GuestRing[] rings = [disk.Bench.Enable(0, 16), disk.Bench.Enable(1, 16)];
        disk.Bench.AddStatus(VirtioStatus.DriverOk);
        disk.PutHeader(VirtioBlkRequest.In, 0);
        for (var q = 0; q < 2; q++)
        {
            rings[q].Add(new Piece(BlockBench.Header, 16), new Piece(Data, 512, true), new Piece(BlockBench.Status, 1, true));
            disk.Bench.Notify(q);
        }

        disk.Bench.Store(VirtioCommon.QueueSelect, 0, 2);
        disk.Bench.Store(VirtioCommon.QueueReset, 1, 2);
        disk.Bench.Pass();
        Assert.Null(rings[0].TryPop());
        Assert.NotNull(rings[1].TryPop());
    }

    [Theory]
    [InlineData(VirtioBlkFeature.Flush | VirtioBlkFeature.ConfigWce, 1, 0)]
    [InlineData(VirtioBlkFeature.Flush, 1, 0)]
    [InlineData(VirtioBlkFeature.ConfigWce, 0, 1)]
    [InlineData(0ul, 0, 1)]
    public void Writes_are_durable_when_they_complete_unless_the_driver_can_flush(ulong cache, int writeback, int flushes)
    {
        using var disk = new BlockBench();
        disk.Start(~(VirtioBlkFeature.Flush | VirtioBlkFeature.ConfigWce) | cache);
        Assert.Equal((ulong)writeback, disk.Config(VirtioBlkConfig.Writeback, 1));
        Assert.Equal(Ok, disk.Write(0, 1));
        Assert.Equal(flushes, disk.Backend.Flushes);
    }

    [Fact]
    public void The_driver_switches_the_cache_with_writeback()
    {
        using var disk = new BlockBench().Start();
        disk.Bench.Store(VirtioBench.DeviceConfig + VirtioBlkConfig.Writeback, 0, 1);
        Assert.Equal(Ok, disk.Write(0, 1));
        Assert.Equal(1, disk.Backend.Flushes);
        disk.Bench.Store(VirtioBench.DeviceConfig + VirtioBlkConfig.Writeback, 0xFF, 1);
        Assert.Equal(1ul, disk.Config(VirtioBlkConfig.Writeback, 1));
        Assert.Equal(Ok, disk.Write(0, 1));
        Assert.Equal(1, disk.Backend.Flushes);
        disk.Backend.FlushResult = BlockResult.WriteFailed;
        disk.Bench.Store(VirtioBench.DeviceConfig + VirtioBlkConfig.Writeback, 0, 1);
        Assert.Equal(IoError, disk.Write(0, 1));
    }

    [Fact]
    public void Without_CONFIG_WCE_writeback_is_read_only()
    {
        using var disk = new BlockBench().Start(~VirtioBlkFeature.ConfigWce);
        disk.Bench.Store(VirtioBench.DeviceConfig + VirtioBlkConfig.Writeback, 0, 1);
        Assert.Equal(1ul, disk.Config(VirtioBlkConfig.Writeback, 1));
    }

    [Fact]
    public void Failures_of_the_host_are_IOERR_and_claim_only_what_was_written()
    {
        using var disk = new BlockBench().Start();
        disk.Backend.ReadResult = BlockResult.ReadFailed;
        Assert.Equal(IoError, disk.Do(VirtioBlkRequest.In, 0, out var written, new Piece(Data, 512, true)));
        Assert.Equal(0u, written);
        disk.Backend.WriteResult = BlockResult.NoSpace;
        Assert.Equal(IoError, disk.Write(0, 1));
        Assert.Equal(IoError, disk.Ranges(VirtioBlkRequest.WriteZeroes, new Extent(0, 1, 0)));
        Assert.Equal(VirtioFault.None, disk.Device.Transport.Fault);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_large_request_is_done_in_slices(bool isPacked)
    {
        using var disk = BlockBench.Create(isPacked).Start();
        var bytes = BlockBench.Pattern(3 << 20);
        disk.Bench.Put(0x40_0000, bytes);
        disk.PutHeader(VirtioBlkRequest.Out, 0);
        disk.Ring.Add(new Piece(BlockBench.Header, 16), new Piece(0x40_0000, 3 << 20), new Piece(BlockBench.Status, 1, true));
        disk.Bench.Notify();
        disk.Bench.Pass(10_500);
        Assert.Equal(bytes[(1 << 20) - 1], disk.Backend.Bytes((1 << 20) - 1, 1)[0]);
        Assert.Equal(0, disk.Backend.Bytes(1 << 20, 64).Count(static b => b != 0));
        Assert.Null(disk.Ring.TryPop());
        disk.Bench.Pass(2_000);
        disk.Bench.Pass(2_000);
        Assert.NotNull(disk.Ring.TryPop());
        Assert.Equal(bytes, disk.Backend.Bytes(0, bytes.Length));
        Assert.Equal(Ok, disk.Do(VirtioBlkRequest.In, 0, out var written, new Piece(0x80_0000, 3 << 20, true)) ?? Late(disk, out written));
        Assert.Equal(bytes, disk.Bench.Bytes(0x80_0000, bytes.Length));
    }

    [Fact]
    public void A_damaged_snapshot_loads_or_is_refused_and_does_no_more()
    {
        using var disk = new BlockBench().Start();
        disk.PutHeader(VirtioBlkRequest.In, 0);
        disk.Ring.Add(new Piece(BlockBench.Header, 16), new Piece(Data, 512, true), new Piece(BlockBench.Status, 1, true));
        disk.Bench.Notify();
        var saved = disk.Bench.Save();
        var random = new Random(3);
        for (var round = 0; round < 1000; round++)
        {
            var damaged = (byte[])saved.Device.Clone();
            damaged[random.Next(damaged.Length)] = (byte)random.Next(256);
            damaged[random.Next(damaged.Length)] ^= (byte)(1 << random.Next(8));
            using var other = new BlockBench();
            try
            {
                other.Bench.Device.Load(new Platform.Snapshots.SnapshotReader("d", 1, damaged));
            }
            catch (Platform.Snapshots.SnapshotException)
            {
                Assert.Equal(VirtioStatus.None, other.Bench.Device.Status);
            }

            other.Bench.Pass();
            other.Bench.Notify();
            other.Bench.Pass();
            other.AssertWorks();
        }
    }

    static VirtioBlkStatus Late(BlockBench disk, out uint written)
    {
        disk.Bench.Pass();
        disk.Bench.Pass();
        written = disk.Ring.TryPop()!.Value.Length;
        return (VirtioBlkStatus)disk.Bench.Bytes(BlockBench.Status, 1)[0];
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_snapshot_between_taking_and_completing_loses_nothing(bool isPacked)
    {
        using var disk = BlockBench.Create(isPacked).Start();
        disk.PutHeader(VirtioBlkRequest.Flush, 0);
        disk.Ring.Add(new Piece(BlockBench.Header, 16), new Piece(BlockBench.Status, 1, true));
        disk.PutHeader(VirtioBlkRequest.In, 0, BlockBench.Header + 32);
        disk.Ring.Add(new Piece(BlockBench.Header + 32, 16), new Piece(Data, 512, true), new Piece(BlockBench.Status, 1, true));
        disk.Bench.Notify();
        var saved = disk.Bench.Save();
        disk.Bench.Pass();
        Assert.NotNull(disk.Ring.TryPop());
        Assert.NotNull(disk.Ring.TryPop());

        using var other = BlockBench.Create(isPacked);
        for (ulong page = 0; page < 16 << 20; page += 4096)
        {
            other.Bench.Put(page, disk.Bench.Bytes(page, 4096));
        }

        other.Bench.Load(saved);
        Assert.Equal(saved.Device, other.Bench.Save().Device);
        other.Bench.Pass();
        Assert.Equal(0, other.Device.Transport.Queues[0].InFlight);
        Assert.Equal(1, other.Backend.Flushes);
        Assert.Equal(1ul, other.Device.Counters.Reads);
    }
}
