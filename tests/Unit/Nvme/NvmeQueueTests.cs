using Vmm.Nvme;
using Vmm.Platform.Memory;
using Vmm.Specs.Nvme;
using Xunit;
using static Vmm.Unit.Nvme.NvmeTestBench;

namespace Vmm.Unit.Nvme;

public sealed class NvmeQueueTests : IDisposable
{
    readonly NvmeTestBench bench = new NvmeTestBench().Started();

    public void Dispose() => bench.Dispose();

    NvmeStatus CreateCq(uint id, uint size = 16, ulong prp = 0x30_000, uint flags = 3, uint vector = 1) =>
        bench.Admin(new() { Cdw0 = 5, PRP1 = prp, Cdw10 = (size - 1) << 16 | id, Cdw11 = vector << 16 | flags }).Code;

    NvmeStatus CreateSq(uint id, uint size = 16, ulong prp = 0x31_000, uint flags = 1, uint cq = 1) =>
        bench.Admin(new() { Cdw0 = 1, PRP1 = prp, Cdw10 = (size - 1) << 16 | id, Cdw11 = cq << 16 | flags }).Code;

    NvmeStatus Delete(byte opcode, uint id) => bench.Admin(new() { Cdw0 = opcode, Cdw10 = id }).Code;

    [Theory]
    [InlineData(0u)]
    [InlineData(1u)]
    [InlineData(3u)]
    [InlineData(0xFFFFu)]
    public void A_queue_id_must_be_free_and_in_range(uint id)
    {
        Assert.Equal(NvmeStatus.InvalidQueueId, CreateCq(id));
        Assert.Equal(NvmeStatus.InvalidQueueId, CreateSq(id));
    }

    [Theory]
    [InlineData(1u)]
    [InlineData(1025u)]
    [InlineData(65536u)]
    public void A_queue_size_must_be_possible(uint size)
    {
        Assert.Equal(NvmeStatus.InvalidQueueSize, CreateCq(2, size));
        Assert.Equal(NvmeStatus.InvalidQueueSize, CreateSq(2, size));
    }

    [Fact]
    public void A_queue_must_be_aligned_and_contiguous()
    {
        Assert.Equal(NvmeStatus.InvalidPrpOffset, CreateCq(2, prp: 0x30_010));
        Assert.Equal(NvmeStatus.InvalidPrpOffset, CreateSq(2, prp: 0x31_800));
        Assert.Equal(NvmeStatus.InvalidField, CreateCq(2, flags: 2));
        Assert.Equal(NvmeStatus.InvalidField, CreateSq(2, flags: 0));
    }

    [Theory]
    [InlineData(3u)]
    [InlineData(64u)]
    [InlineData(0xFFFFu)]
    public void A_vector_beyond_the_table_is_refused(uint vector)
    {
        Assert.Equal(NvmeStatus.InvalidVector, CreateCq(2, vector: vector));
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(2u)]
    [InlineData(3u)]
    [InlineData(0xFFFFu)]
    public void A_submission_queue_needs_a_completion_queue(uint cq)
    {
        Assert.Equal(NvmeStatus.InvalidCompletionQueue, CreateSq(2, cq: cq));
    }

    [Fact]
    public void Entry_sizes_must_be_set_before_io_queues_are_created()
    {
        using var other = new NvmeTestBench();
        other.EnableMsix();
        other.Enable(0x0000_0001);
        Assert.True(other.Csts.RDY);
        Assert.Equal(NvmeStatus.InvalidQueueSize, other.Admin(new() { Cdw0 = 5, PRP1 = IoCq, Cdw10 = 15 << 16 | 1, Cdw11 = 3 }).Code);
    }

    [Fact]
    public void A_completion_queue_outlives_its_submission_queues()
    {
        Assert.Equal(NvmeStatus.InvalidQueueDeletion, Delete(4, 1));
        Assert.Equal(NvmeStatus.Success, CreateSq(2, cq: 1));
        Assert.Equal(NvmeStatus.Success, Delete(0, 1));
        Assert.Equal(NvmeStatus.InvalidQueueDeletion, Delete(4, 1));
        Assert.Equal(NvmeStatus.Success, Delete(0, 2));
        Assert.Equal(NvmeStatus.Success, Delete(4, 1));
        Assert.Equal(NvmeStatus.InvalidQueueId, Delete(4, 1));
        Assert.Equal(NvmeStatus.InvalidQueueId, Delete(0, 1));
        Assert.Equal(NvmeStatus.InvalidQueueId, Delete(0, 0));
        Assert.Equal(NvmeStatus.InvalidQueueId, Delete(4, 0));
    }

    [Fact]
    public void Deleting_a_submission_queue_completes_what_is_in_flight()
    {
        using var slow = new NvmeTestBench(new() { Namespaces = [], IoQueues = 2, Media = new() { ReadNanoseconds = 50_000_000 } }).Started();
        var cids = new[] { slow.Queue(1, Transfer(2, 0, 1)), slow.Queue(1, Transfer(2, 1, 1)) };
        slow.Ring(1);
        AssertOk(slow.Admin(new() { Cdw0 = 0, Cdw10 = 1 }));
        var completed = slow.PopAll(1);
        Assert.Equal(cids, completed.Select(static c => c.Cid));
        Assert.All(completed, static c => Assert.Equal(NvmeStatus.AbortedSqDeletion, c.Code));
        AssertOk(slow.Admin(new() { Cdw0 = 4, Cdw10 = 1 }));
        slow.Pass(100_000_000);
        Assert.Null(slow.TryPop(1));
    }

    [Fact]
    public void Two_submission_queues_may_share_a_completion_queue()
    {
        Assert.Equal(NvmeStatus.Success, CreateSq(2, prp: 0x31_000, cq: 1));
        bench.Memory.TryWrite(new Gpa(0x31_000), Transfer(2, 0, 1));
        bench.Queue(1, Transfer(2, 0, 1));
        bench.Ring(1);
        bench.Store(0x1010, 1);
        bench.Pass();
        Assert.Equal([1, 2], bench.PopAll(1).Select(static c => c.Queue));
    }

    [Fact]
    public void Rings_wrap_and_the_phase_flips()
    {
        for (var i = 0; i < 100; i++)
        {
            var completed = bench.Io(Transfer(2, 0, 1));
            AssertOk(completed);
            Assert.Equal((uint)(i + 1) % Entries, completed.Head);
        }
    }

    [Fact]
    public void A_completion_queue_that_is_never_consumed_stops_only_its_own_queues()
    {
        // 40 reads into a ring of 4: 3 are completed, the rest waits in the submission queue.
        Assert.Equal(NvmeStatus.Success, CreateCq(2, size: 4, prp: 0x30_000, vector: 2));
        Assert.Equal(NvmeStatus.Success, CreateSq(2, size: 64, prp: 0x31_000, cq: 2));
        for (var i = 0u; i < 40; i++)
        {
            bench.Memory.TryWrite(new Gpa(0x31_000 + i * 64), Transfer(2, 0, 1));
        }

        bench.Store(0x1010, 40);
        bench.Pass();
        Assert.Equal([1, 1, 1, 0], Enumerable.Range(0, 4).Select(i => bench.Bytes(0x30_00E + (ulong)i * 16, 1)[0] & 1));
        AssertOk(bench.Io(Transfer(2, 0, 1)));
        var total = 3;
        for (var head = 3u; total < 40; total += 3, head = (head + 3) % 4)
        {
            bench.Store(0x1014, head);
            bench.Pass();
        }

        Assert.Equal(40u, bench.Bytes(0x30_008 + (40 - 1) % 4 * 16, 1)[0]);
    }

    [Fact]
    public void Sixty_four_queues_without_any_consumer_leave_the_admin_queue_alive()
    {
        using var many = new NvmeTestBench(new() { Namespaces = [], IoQueues = 64, Media = new() { ReadNanoseconds = 1_000_000_000 } });
        many.EnableMsix();
        many.Enable();
        for (var id = 1u; id <= 64; id++)
        {
            AssertOk(many.Admin(new() { Cdw0 = 5, PRP1 = 0x100_000 + id * 0x1000, Cdw10 = 255 << 16 | id, Cdw11 = id << 16 | 3 }));
            AssertOk(many.Admin(new() { Cdw0 = 1, PRP1 = 0x200_000 + id * 0x4000, Cdw10 = 255 << 16 | id, Cdw11 = id << 16 | 1 }));
            for (var i = 0u; i < 200; i++)
            {
                many.Memory.TryWrite(new Gpa(0x200_000 + id * 0x4000 + i * 64), Transfer(2, 0, 1));
            }

            many.Store(0x1000 + id * 8, 200);
        }

        AssertOk(many.Admin(new() { Cdw0 = 10, Cdw10 = 7 }));
        for (var i = 0; i < 30; i++)
        {
            many.Pass(1_000_000_000);
        }

        for (var id = 1u; id <= 64; id++)
        {
            Assert.Equal(1, many.Bytes(0x100_000 + id * 0x1000 + 199 * 16 + 14, 1)[0] & 1);
            Assert.Equal(0, many.Bytes(0x100_000 + id * 0x1000 + 200 * 16 + 14, 1)[0] & 1);
        }
    }

    [Theory]
    [InlineData(16u)]
    [InlineData(0xFFFFu)]
    [InlineData(uint.MaxValue)]
    public void A_tail_beyond_the_queue_is_ignored_and_reported(uint value)
    {
        bench.Queue(0, new() { Cdw0 = 0x0C });
        bench.Ring(0);
        bench.Pass();
        bench.Store(0x1008, value);
        bench.Pass();
        Assert.Null(bench.TryPop(1));
        Assert.Equal(0x0001_0100u, bench.TryPop(0)!.Value.Result);
    }

    [Theory]
    [InlineData(1u)]
    [InlineData(15u)]
    [InlineData(16u)]
    [InlineData(uint.MaxValue)]
    public void A_head_past_what_was_posted_is_ignored_and_reported(uint value)
    {
        bench.Queue(0, new() { Cdw0 = 0x0C });
        bench.Ring(0);
        bench.Pass();
        bench.Store(0x100C, value);
        Assert.Equal(0x0001_0100u, bench.TryPop(0)!.Value.Result);
        AssertOk(bench.Io(Transfer(2, 0, 1)));
    }

    [Theory]
    [InlineData(0x1010ul)]
    [InlineData(0x1014ul)]
    [InlineData(0x1018ul)]
    [InlineData(0x1FFCul)]
    public void A_doorbell_of_no_queue_is_reported(ulong offset)
    {
        bench.Queue(0, new() { Cdw0 = 0x0C });
        bench.Ring(0);
        bench.Pass();
        bench.Store(offset, 1);
        Assert.Equal(0x0001_0000u, bench.TryPop(0)!.Value.Result);
    }

    [Theory]
    [InlineData(0ul, 1)]
    [InlineData(0ul, 2)]
    [InlineData(0ul, 8)]
    [InlineData(2ul, 4)]
    [InlineData(1ul, 1)]
    public void Doorbells_of_odd_width_or_alignment_do_nothing(ulong offset, int width)
    {
        bench.Queue(1, Transfer(2, 0, 1));
        bench.Store(0x1008 + offset, 0x0101_0101_0101_0101, width);
        bench.Pass();
        Assert.Null(bench.TryPop(1));
        Assert.False(bench.Csts.CFS);
        Assert.Equal(0ul, bench.Load(0x1008, 4));
    }

    [Fact]
    public void Doorbells_before_ready_do_nothing()
    {
        using var other = new NvmeTestBench();
        other.Store(0x1000, 1);
        other.Store(0x1004, 1);
        other.Pass();
        other.Enable();
        other.Pass();
        Assert.Null(other.TryPop(0));
        Assert.False(other.Csts.CFS);
    }

    [Fact]
    public void Abort_finds_a_command_in_flight()
    {
        using var slow = new NvmeTestBench(new() { Namespaces = [], IoQueues = 2, Media = new() { ReadNanoseconds = 50_000_000 } }).Started();
        var cid = slow.Queue(1, Transfer(2, 0, 1));
        slow.Queue(1, Transfer(2, 0, 1));
        slow.Ring(1);
        Assert.Equal(0u, slow.Admin(new() { Cdw0 = 8, Cdw10 = (uint)cid << 16 | 1 }).Result);
        var aborted = Assert.Single(slow.PopAll(1));
        Assert.Equal((cid, NvmeStatus.AbortRequested), (aborted.Cid, aborted.Code));
        slow.Pass(100_000_000);
        AssertOk(Assert.Single(slow.PopAll(1)));
    }

    [Theory]
    [InlineData(0x0001_0001u)]
    [InlineData(0xFFFF_0000u)]
    [InlineData(0xFFFF_FFFFu)]
    [InlineData(0x0001_0002u)]
    public void Abort_of_an_absent_command_succeeds_without_effect(uint target)
    {
        var completed = bench.Admin(new() { Cdw0 = 8, Cdw10 = target });
        AssertOk(completed);
        Assert.Equal(1u, completed.Result);
    }

    [Fact]
    public void A_pin_interrupt_is_level_and_can_be_masked()
    {
        using var pin = new NvmeTestBench();
        var line = new Pci.Line();
        pin.Host.Interrupts.ConnectLine(20, line);
        pin.Enable();
        pin.Queue(0, new() { Cdw0 = 10, Cdw10 = 7 });
        pin.Ring(0);
        pin.Pass();
        Assert.True(line.Level);
        pin.Store(NvmeRegister.INTMS, 1);
        Assert.False(line.Level);
        Assert.Equal(1ul, pin.Load(NvmeRegister.INTMC, 4));
        pin.Store(NvmeRegister.INTMC, 2);
        Assert.False(line.Level);
        pin.Store(NvmeRegister.INTMS, 0x8000_0000);
        Assert.Equal(0x8000_0001ul, pin.Load(NvmeRegister.INTMS, 4));
        Assert.False(line.Level);
        pin.Store(NvmeRegister.INTMC + 3, 0x80, 1);
        Assert.Equal(1ul, pin.Load(NvmeRegister.INTMC, 4));
        pin.Store(NvmeRegister.INTMC, 1);
        Assert.True(line.Level);
        Assert.Equal(0ul, pin.Load(NvmeRegister.INTMS, 4));
        pin.PopAll(0);
        Assert.False(line.Level);
        Assert.Equal(NvmeStatus.InvalidVector, pin.Admin(new() { Cdw0 = 5, PRP1 = IoCq, Cdw10 = 15 << 16 | 1, Cdw11 = 1 << 16 | 3 }).Code);
        pin.CreateQueue();
        AssertOk(pin.Io(Transfer(2, 0, 1)));
    }

    [Fact]
    public void A_queue_without_interrupts_enabled_sends_none()
    {
        Assert.Equal(NvmeStatus.Success, CreateCq(2, flags: 1, vector: 2));
        Assert.Equal(NvmeStatus.Success, CreateSq(2, cq: 2));
        bench.Sink.Messages.Clear();
        bench.Memory.TryWrite(new Gpa(0x31_000), Transfer(2, 0, 1));
        bench.Store(0x1010, 1);
        bench.Pass();
        Assert.Equal(1, bench.Bytes(0x30_00E, 1)[0] & 1);
        Assert.Empty(bench.Sink.Messages);
    }

    [Fact]
    public void Coalescing_holds_interrupts_until_threshold_or_time()
    {
        // Four entries or 300 us, in units of 100 us.
        AssertOk(bench.Admin(new() { Cdw0 = 9, Cdw10 = 8, Cdw11 = 3 << 8 | 3 }));
        bench.Sink.Messages.Clear();
        for (var i = 0; i < 4; i++)
        {
            bench.Queue(1, Transfer(2, 0, 1));
            bench.Ring(1);
            bench.Pass(20_000);
            Assert.Equal(i == 3 ? 1 : 0, bench.Sink.Messages.Count);
        }

        bench.Queue(1, Transfer(2, 0, 1));
        bench.Ring(1);
        bench.Pass(20_000);
        bench.Pass(250_000);
        Assert.Single(bench.Sink.Messages);
        bench.Pass(100_000);
        Assert.Equal(2, bench.Sink.Messages.Count);
        bench.PopAll(1);
        AssertOk(bench.Admin(new() { Cdw0 = 9, Cdw10 = 9, Cdw11 = 1 << 16 | 1 }));
        bench.Sink.Messages.Clear();
        AssertOk(bench.Io(Transfer(2, 0, 1)));
        Assert.Single(bench.Sink.Messages);
    }
}
