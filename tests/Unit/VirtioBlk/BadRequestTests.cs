using Vmm.Specs.Virtio;
using Vmm.Unit.Virtio;
using Vmm.Virtio;
using Xunit;

namespace Vmm.Unit.VirtioBlk;

/// <summary>Requests that no honest driver makes.</summary>
public sealed class BadRequestTests
{
    const ulong Data = BlockBench.Data, Outside = 0x4000_0000;
    const VirtioBlkStatus IoError = VirtioBlkStatus.IoError;

    static void Send(BlockBench disk, params ReadOnlySpan<Piece> pieces)
    {
        disk.Ring.Add(pieces);
        disk.Bench.Notify();
        disk.Bench.Pass();
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(1u)]
    [InlineData(15u)]
    public void A_header_that_is_too_short_is_an_error(uint length)
    {
        using var disk = new BlockBench().Start();
        Send(disk, new Piece(BlockBench.Header, length), new Piece(BlockBench.Status, 1, true));
        Assert.NotNull(disk.Ring.TryPop());
        Assert.Equal([(byte)IoError], disk.Bench.Bytes(BlockBench.Status, 1));
    }

    [Fact]
    public void A_header_that_cannot_be_read_is_an_error()
    {
        using var disk = new BlockBench().Start();
        Send(disk, new Piece(Outside, 16), new Piece(BlockBench.Status, 1, true));
        Assert.NotNull(disk.Ring.TryPop());
        Assert.Equal([(byte)IoError], disk.Bench.Bytes(BlockBench.Status, 1));
    }

    [Fact]
    public void No_place_for_the_status_needs_a_reset()
    {
        using var disk = new BlockBench().Start();
        disk.PutHeader(VirtioBlkRequest.Flush, 0);
        Send(disk, new Piece(BlockBench.Header, 16));
        Assert.Equal(VirtioFault.Request, disk.Device.Transport.Fault);
        Assert.Equal(0, disk.Backend.Flushes);
        disk.AssertWorks();
    }

    [Fact]
    public void A_status_without_length_needs_a_reset()
    {
        using var disk = new BlockBench().Start();
        Send(disk, new Piece(BlockBench.Header, 16), new Piece(BlockBench.Status, 0, true));
        Assert.Equal(VirtioFault.Request, disk.Device.Transport.Fault);
    }

    [Fact]
    public void A_status_that_cannot_be_written_needs_a_reset()
    {
        using var disk = new BlockBench().Start();
        disk.PutHeader(VirtioBlkRequest.Flush, 0);
        Send(disk, new Piece(BlockBench.Header, 16), new Piece(Outside, 1, true));
        Assert.Equal(VirtioFault.Request, disk.Device.Transport.Fault);
        Assert.Null(disk.Ring.TryPop());
        disk.AssertWorks();
    }

    [Theory]
    [InlineData(VirtioBlkRequest.In)]
    [InlineData(VirtioBlkRequest.Out)]
    public void Data_that_DMA_cannot_reach_is_an_error(uint type)
    {
        using var disk = new BlockBench().Start();
        Assert.Equal(IoError, disk.Do(type, 0, out var written, new Piece(Outside, 512, type == VirtioBlkRequest.In)));
        Assert.Equal(type == VirtioBlkRequest.In ? 0u : 1, written);
        Assert.Equal(VirtioFault.None, disk.Device.Transport.Fault);
    }

    [Theory]
    [InlineData(1u)]
    [InlineData(511u)]
    [InlineData(513u)]
    public void Data_that_is_no_whole_number_of_sectors_is_an_error(uint length)
    {
        using var disk = new BlockBench().Start();
        Assert.Equal(IoError, disk.Do(VirtioBlkRequest.In, 0, new Piece(Data, length, true)));
        Assert.Equal(IoError, disk.Do(VirtioBlkRequest.Out, 0, new Piece(Data, length)));
    }

    [Theory]
    [InlineData(8192ul, 1u)]
    [InlineData(8191ul, 2u)]
    [InlineData(ulong.MaxValue, 1u)]
    [InlineData(ulong.MaxValue / 512, 2u)]
    [InlineData(1ul << 55, 8u)]
    public void Sectors_past_the_end_are_an_error(ulong sector, uint count)
    {
        using var disk = new BlockBench().Start();
        Assert.Equal(IoError, disk.Read(sector, count));
        Assert.Equal(IoError, disk.Write(sector, count));
        Assert.Equal(VirtioBlkStatus.Ok, disk.Read(8191, 1));
    }

    [Fact]
    public void A_transfer_larger_than_the_disk_is_an_error_at_once()
    {
        using var disk = new BlockBench().Start();
        var before = disk.Device.Transport.Function.Dma.Counters.Reads;
        Assert.Equal(IoError, disk.Do(VirtioBlkRequest.Out, 0, new Piece(0, 0xF000_0000), new Piece(0, 0x0FFF_FE00)));
        Assert.InRange(disk.Device.Transport.Function.Dma.Counters.Reads - before, 1ul, 40ul);
    }

    [Fact]
    public void A_read_without_data_reads_nothing()
    {
        using var disk = new BlockBench().Start();
        Assert.Equal(VirtioBlkStatus.Ok, disk.Do(VirtioBlkRequest.In, 0, out var written));
        Assert.Equal(1u, written);
    }

    [Fact]
    public void An_indirect_table_that_changes_between_taking_and_running_is_judged_again()
    {
        using var disk = new BlockBench().Start();
        disk.PutHeader(VirtioBlkRequest.In, 0);
        disk.Ring.AddIndirect(BlockBench.Table, new(BlockBench.Header, 16), new(Data, 512, true), new(BlockBench.Status, 1, true));
        disk.Bench.Notify();
        disk.Ring.PutTable(BlockBench.Table, new Piece(BlockBench.Header, 16));
        disk.Bench.Pass();
        Assert.Equal(VirtioFault.Request, disk.Device.Transport.Fault);
        disk.AssertWorks();
    }

    [Fact]
    public void Reset_while_requests_are_in_flight_drops_them()
    {
        using var disk = new BlockBench().Start();
        disk.PutHeader(VirtioBlkRequest.Out, 0);
        disk.Ring.Add(new Piece(BlockBench.Header, 16), new Piece(Data, 512), new Piece(BlockBench.Status, 1, true));
        disk.Bench.Notify();
        disk.Bench.SetStatus(VirtioStatus.None);
        disk.Bench.Pass();
        Assert.Equal(0ul, disk.Device.Counters.Writes);
        disk.AssertWorks();
    }
}
