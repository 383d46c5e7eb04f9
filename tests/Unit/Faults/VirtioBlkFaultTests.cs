using Vmm.Platform.Dma;
using Vmm.Platform.Faults;
using Vmm.Specs.Virtio;
using Vmm.Unit.Virtio;
using Vmm.Unit.VirtioBlk;
using Xunit;
using static Vmm.Unit.VirtioBlk.BlockBench;

namespace Vmm.Unit.Faults;

/// <summary>Requests of a virtio disk that go wrong: each is answered once or never, and the disk changes only by what succeeded.</summary>
public sealed class VirtioBlkFaultTests : IDisposable
{
    static readonly Bdf Disk = new(0, 4, 0);

    readonly BlockBench bench = new BlockBench().Start();
    readonly FaultPlan plan;

    public VirtioBlkFaultTests() => plan = new(bench.Bench.Clock, bench.Bench.Fabric) { Removal = _ => bench.Bench.Host.Pci.Remove(bench.Device.Transport.Function) };

    public void Dispose() => bench.Dispose();

    void Arm(FaultAction action, FaultMatch match) => plan.Arm(new("r", match with { Device = Disk }, action));

    [Fact]
    public void A_request_is_answered_with_the_status_and_without_effect()
    {
        Arm(new CompletionFault(CompletionFaultKind.Status, 2, 0x81), new() { Opcode = VirtioBlkRequest.In, Address = new(80, 8), Count = 1 });
        Assert.Equal(VirtioBlkStatus.Ok, bench.Read(0, 80));
        bench.Bench.Put(Data, Pattern(4096));
        Assert.Equal(VirtioBlkStatus.IoError, bench.Do(VirtioBlkRequest.In, 87, out var written, new Piece(Data, 512, true)));
        Assert.Equal(0u, written);
        Assert.Equal(Pattern(4096), bench.Bench.Bytes(Data, 4096));
        Assert.Equal(VirtioBlkStatus.Ok, bench.Read(80, 8));
        Assert.Null(Assert.Single(plan.Firings).SuppressedBy);
        Assert.Equal(1ul, bench.Device.Counters.Errors);
    }

    [Fact]
    public void A_write_that_fails_leaves_the_disk_as_it_was()
    {
        Arm(new CompletionFault(CompletionFaultKind.Status, 0, 1), new() { Direction = FaultDirection.Read, Count = 1 });
        bench.Bench.Put(Data, Pattern(512));
        Assert.Equal(VirtioBlkStatus.IoError, bench.Write(3, 1));
        Assert.Equal(new byte[512], bench.Backend.Bytes(3 * 512, 512));
        Assert.Equal(VirtioBlkStatus.Ok, bench.Write(3, 1));
        Assert.Equal(Pattern(512), bench.Backend.Bytes(3 * 512, 512));
    }

    [Fact]
    public void A_flush_can_be_unsupported()
    {
        Arm(new CompletionFault(CompletionFaultKind.Status, 0, 2), new() { Opcode = VirtioBlkRequest.Flush });
        Assert.Equal(VirtioBlkStatus.Unsupported, bench.Do(VirtioBlkRequest.Flush, 0));
        Assert.Equal(0, bench.Backend.Flushes);
    }

    [Fact]
    public void A_large_request_that_goes_on_in_slices_is_asked_about_once()
    {
        Arm(new CompletionFault(CompletionFaultKind.Status, 0, 1), new() { Nth = 2 });
        Assert.Null(bench.Read(0, 6144));
        bench.Bench.Pass();
        bench.Bench.Pass();
        Assert.Equal((uint)(6144 * 512) + 1, bench.Ring.TryPop()!.Value.Length);
        Assert.Equal(1ul, plan.Rules[0].Matched);
        Assert.Equal(VirtioBlkStatus.IoError, bench.Read(0, 1));
    }

    [Fact]
    public void A_request_without_an_answer_keeps_its_buffer_until_a_reset_and_others_go_on()
    {
        Arm(new CompletionFault(CompletionFaultKind.Timeout), new() { Count = 1 });
        Assert.Null(bench.Read(0, 1));
        Assert.Equal(VirtioBlkStatus.Ok, bench.Read(1, 1));
        bench.Bench.Pass(60_000_000_000);
        Assert.Null(bench.Ring.TryPop());
        Assert.NotEqual(0, bench.Device.Transport.Queues[0].InFlight);
        Assert.NotNull(Assert.Single(plan.Firings).SuppressedBy);
        bench.AssertWorks();
        Assert.Equal(0, bench.Device.Transport.Queues[0].InFlight);
    }

    [Fact]
    public void A_restored_disk_knows_of_a_request_without_an_answer()
    {
        Arm(new CompletionFault(CompletionFaultKind.Timeout), new() { Count = 1 });
        Assert.Null(bench.Read(0, 1));
        var saved = bench.Bench.Save();
        bench.Bench.Load(saved);
        Assert.Equal(saved.Device, bench.Bench.Save().Device);
        Assert.NotEqual(0, bench.Device.Transport.Queues[0].InFlight);
        Assert.Equal(VirtioBlkStatus.Ok, bench.Read(1, 1));
    }

    [Fact]
    public void A_pulled_disk_reads_as_ones_and_moves_nothing_more()
    {
        Arm(new CompletionFault(CompletionFaultKind.SurpriseRemoval), new() { Opcode = VirtioBlkRequest.In });
        bench.PutHeader(VirtioBlkRequest.In, 0);
        bench.PutHeader(VirtioBlkRequest.Out, 0, Header + 16);
        bench.Bench.Put(Data, Pattern(4096));
        bench.Ring.Add([new Piece(Header, 16), new Piece(Data, 512, true), new Piece(Status, 1, true)]);
        bench.Ring.Add([new Piece(Header + 16, 16), new Piece(Data, 512), new Piece(Status + 1, 1, true)]);
        bench.Bench.Notify();
        bench.Bench.Pass(1_000_000_000);
        Assert.Null(bench.Ring.TryPop());
        Assert.Equal(Pattern(4096), bench.Bench.Bytes(Data, 4096));
        Assert.Equal(new byte[512], bench.Backend.Bytes(0, 512));
        Assert.Equal(0xFFul, bench.Bench.Load(VirtioCommon.DeviceStatus, 1));
        Assert.Equal([Disk], plan.Removed);
    }

    [Fact]
    public void Rules_about_transfers_name_the_requests_type_and_neither_rings_nor_status_have_one()
    {
        Arm(new DmaFault(DmaFaultKind.Drop), new() { Opcode = VirtioBlkRequest.In, Direction = FaultDirection.Write });
        bench.Bench.Put(Data, Pattern(512));
        Assert.Equal(VirtioBlkStatus.Ok, bench.Read(0, 1));
        Assert.Equal(Pattern(512), bench.Bench.Bytes(Data, 512));
        Assert.Equal(Data, Assert.Single(plan.Firings).Request.Address);
    }
}
