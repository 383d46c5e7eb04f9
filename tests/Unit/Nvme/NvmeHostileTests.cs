using Vmm.Nvme;
using Vmm.Platform.Block;
using Vmm.Platform.Memory;
using Vmm.Specs.Nvme;
using Vmm.Unit.Dma;
using Xunit;
using static Vmm.Unit.Nvme.NvmeTestBench;

namespace Vmm.Unit.Nvme;

/// <summary>What broke other controllers, and what a guest may try.</summary>
public sealed class NvmeHostileTests : IDisposable
{
    readonly NvmeTestBench bench = new NvmeTestBench().Started();

    public void Dispose() => bench.Dispose();

    void AssertAlive()
    {
        Assert.False(bench.Csts.CFS);
        AssertOk(bench.Io(Transfer(2, 0, 8)));
    }

    NvmeStatus Sgl(byte opcode, uint blocks, ulong address, ulong rest, uint psdt = 1)
    {
        var command = Transfer(opcode, 0, blocks, address, rest);
        command.Cdw0 |= psdt << 14;
        return bench.Io(command).Code;
    }

    [Theory]
    [InlineData(NvmeRegister.CC)]
    [InlineData(0x1008ul)]
    [InlineData(0x2000ul)]
    public void Data_aimed_at_the_controllers_own_registers_is_a_transfer_error(ulong offset)
    {
        // CVE-2021-3929: the data would have reset the controller in the middle of the command.
        bench.Backends[0].Write(0, new byte[4096]);
        Assert.Equal(NvmeStatus.DataTransferError, bench.Io(Transfer(2, 0, 1, bench.Bar + offset)).Code);
        Assert.Equal(NvmeStatus.DataTransferError, bench.Io(Transfer(1, 0, 1, bench.Bar + offset)).Code);
        bench.Fabric.RunPeerWrites();
        Assert.Equal(0, bench.Fabric.PendingPeerWrites);
        AssertAlive();
    }

    [Fact]
    public void Data_aimed_at_another_device_arrives_later_and_outside_the_command()
    {
        var peer = new RecordingTarget();
        bench.Bus.Mmio.Map("peer", 0xD000_0000, 0x1000, peer);
        bench.Backends[0].Write(0, Pattern(512));
        AssertOk(bench.Io(Transfer(2, 0, 1, 0xD000_0000)));
        Assert.Empty(peer.Writes);
        bench.Fabric.RunPeerWrites();
        Assert.Equal(Pattern(512), peer.Writes.SelectMany(static w => w.Data));
    }

    [Fact]
    public void Two_controllers_that_ring_each_other_make_one_step_a_round()
    {
        using var disk = new MemoryBlockBackend("b", 1 << 20);
        var other = new NvmeController("nvme1", new(0, 5, 0), bench.Fabric, bench.Clock, new() { Namespaces = [new(disk)] });
        bench.Host.Add(other.Function);
        other.Function.Bars[0].Assign(0xC800_0000);
        other.Function.WriteConfig(4, [6, 0]);
        // Each read of the first writes the second's doorbells, and the other way round is refused while it is off.
        bench.Backends[0].Write(0, new byte[] { 1, 0, 0, 0 });
        for (var i = 0; i < 10; i++)
        {
            bench.Queue(1, Transfer(2, 0, 1, 0xC800_1000));
        }

        bench.Ring(1);
        for (var i = 0; i < 10; i++)
        {
            bench.Pass();
            bench.Fabric.RunPeerWrites();
        }

        Assert.Equal(0, bench.Fabric.PendingPeerWrites);
        Assert.Equal(10, bench.PopAll(1).Count(static c => c.Status == NvmeStatus.Success));
        AssertAlive();
    }

    [Theory]
    [InlineData(1, 4096ul)]
    [InlineData(2, 512ul)]
    [InlineData(3, 512ul)]
    [InlineData(4, 4096ul)]
    [InlineData(5, 4096ul)]
    public void A_log_offset_past_the_page_is_refused(byte id, ulong length)
    {
        // CVE-2021-3947 and CVE-2023-4135.
        foreach (var offset in new[] { length, length + 4, 1ul << 32, ulong.MaxValue - 3 })
        {
            Assert.Equal(NvmeStatus.InvalidField, Log(id, offset, 1));
        }

        Assert.Equal(NvmeStatus.InvalidField, Log(id, 2, 1));
        Assert.Equal(NvmeStatus.Success, Log(id, length - 4, 0x1000));
        Assert.Equal(NvmeStatus.InvalidField, Log(id, 0, 0x1_0000_0000));

        NvmeStatus Log(byte page, ulong offset, ulong dwords) => bench.Admin(new()
        {
            Cdw0 = 2,
            NSID = uint.MaxValue,
            PRP1 = Data,
            PRP2 = Data + 0x1000,
            Cdw10 = (uint)(dwords - 1) << 16 | page,
            Cdw11 = (uint)((dwords - 1) >> 16),
            Cdw12 = (uint)offset,
            Cdw13 = (uint)(offset >> 32),
        }).Code;
    }

    [Theory]
    [InlineData(0x00)]
    [InlineData(0x06)]
    [InlineData(0x0D)]
    [InlineData(0x20)]
    [InlineData(0x23)]
    [InlineData(0x80)]
    [InlineData(0xFF)]
    public void A_log_page_that_is_not_offered_is_refused(byte id)
    {
        Assert.Equal(NvmeStatus.InvalidLogPage, bench.Admin(new() { Cdw0 = 2, PRP1 = Data, Cdw10 = 15u << 16 | id }).Code);
    }

    [Theory]
    [InlineData(0x19)]
    [InlineData(0x1A)]
    [InlineData(0x1C)]
    public void Directives_and_virtualization_are_refused(byte opcode)
    {
        // CVE-2023-40360, CVE-2024-26327 and CVE-2024-26328: objects that may be absent are never reached.
        Assert.Equal(NvmeStatus.InvalidOpcode, bench.Admin(new() { Cdw0 = opcode, NSID = 1, PRP1 = Data, Cdw10 = 0xFF, Cdw11 = 0xFFFF }).Code);
        Assert.Equal(NvmeStatus.InvalidOpcode, bench.Io(new() { Cdw0 = opcode, NSID = 1, PRP1 = Data }).Code);
    }

    [Fact]
    public void Deallocate_over_and_over_keeps_no_memory()
    {
        bench.Put(Data, 1ul << 32, 0ul);
        long before = 0, after = 0;
        for (var i = 0; i < 50; i++)
        {
            bench.Queue(1, new() { Cdw0 = 9, NSID = 1, PRP1 = Data, Cdw10 = 255, Cdw11 = 4 });
            before = GC.GetAllocatedBytesForCurrentThread();
            bench.Ring(1);
            bench.Pass();
            after = GC.GetAllocatedBytesForCurrentThread();
            bench.PopAll(1);
            bench.Sink.Messages.Clear();
        }

        Assert.Equal(before, after);
    }

    [Theory]
    [InlineData(Data + 1, 1u)]
    [InlineData(Data + 2, 1u)]
    [InlineData(Data + 3, 8u)]
    [InlineData(0xFFFF_FFFF_FFFF_FFFFul, 8u)]
    public void A_misaligned_first_prp_is_refused(ulong prp1, uint blocks)
    {
        Assert.Equal(NvmeStatus.InvalidPrpOffset, bench.Io(Transfer(2, 0, blocks, prp1, Data)).Code);
    }

    [Fact]
    public void A_second_prp_has_no_offset_and_a_list_is_aligned()
    {
        Assert.Equal(NvmeStatus.InvalidPrpOffset, bench.Io(Transfer(2, 0, 16, Data, Data + 0x1004)).Code);
        Assert.Equal(NvmeStatus.InvalidPrpOffset, bench.Io(Transfer(2, 0, 24, Data, List + 4)).Code);
        bench.Put(List, Data + 0x1000, Data + 0x2008);
        Assert.Equal(NvmeStatus.InvalidPrpOffset, bench.Io(Transfer(2, 0, 24, Data, List)).Code);
    }

    [Fact]
    public void A_prp_of_zero_is_address_zero_and_nothing_is_merged()
    {
        bench.Backends[0].Write(0, Pattern(8192));
        AssertOk(bench.Io(Transfer(2, 0, 16, Data, 0)));
        Assert.Equal(Pattern(8192)[..4096], bench.Bytes(Data, 4096));
        Assert.Equal(Pattern(8192)[4096..], bench.Bytes(0, 4096));
        bench.Put(Data + 0x1000, new byte[4096]);
        bench.Controller.Function.Dma.Translator = null;
        AssertOk(bench.Io(Transfer(2, 0, 8, 0)));
    }

    [Fact]
    public void A_prp_list_that_points_to_itself_ends()
    {
        for (var i = 0; i < 512; i++)
        {
            bench.Put(List + (ulong)i * 8, List);
        }

        bench.Put(List + 0xFF8, List);
        AssertOk(bench.Io(Transfer(1, 0, 1024, Data, List)));
        // The pointer is the last entry of its page, and names its own page.
        AssertOk(bench.Io(Transfer(1, 0, 1024, Data, List + 0xFF8)));
        bench.Put(List + 0xFF8, List + 0xFF8);
        Assert.Equal(NvmeStatus.InvalidPrpOffset, bench.Io(Transfer(1, 0, 1024, Data, List + 0xFF8)).Code);
        AssertAlive();
    }

    [Theory]
    [InlineData(0x7FFF_F000ul)]
    [InlineData(0xFEE0_0000ul)]
    [InlineData(0xFFFF_FFFF_FFFF_F000ul)]
    [InlineData(0xD000_0000ul)]
    public void Lists_and_data_that_cannot_be_reached_are_transfer_errors(ulong address)
    {
        bench.Bus.Mmio.Map("peer", 0xD000_0000, 0x1000, new RecordingTarget());
        Assert.Equal(NvmeStatus.DataTransferError, bench.Io(Transfer(2, 0, 24, Data, address)).Code);
        Assert.Equal(NvmeStatus.DataTransferError, bench.Io(Transfer(1, 0, 8, address)).Code);
        Assert.Equal(NvmeStatus.DataTransferError, Sgl(2, 8, address, 3ul << 60 | 32));
        bench.Put(List, address, 0ul);
        Assert.Equal(NvmeStatus.DataTransferError, bench.Io(Transfer(1, 0, 24, Data, List)).Code);
        AssertAlive();
    }

    [Fact]
    public void Lists_in_the_controllers_own_registers_are_transfer_errors()
    {
        Assert.Equal(NvmeStatus.DataTransferError, bench.Io(Transfer(2, 0, 24, Data, bench.Bar)).Code);
        Assert.Equal(NvmeStatus.DataTransferError, Sgl(2, 8, bench.Bar, 3ul << 60 | 32));
    }

    [Fact]
    public void A_failed_write_leaves_the_media_as_it_was()
    {
        bench.Backends[0].Write(0, Pattern(12288));
        bench.Put(List, Data + 0x1000, 0x7FFF_F000ul);
        Assert.Equal(NvmeStatus.DataTransferError, bench.Io(Transfer(1, 0, 24, Data, List)).Code);
        var found = new byte[12288];
        bench.Backends[0].Read(0, found);
        Assert.Equal(Pattern(12288), found);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    [InlineData(5)]
    [InlineData(15)]
    public void An_sgl_type_that_is_not_offered_is_refused(int type)
    {
        Assert.Equal(NvmeStatus.InvalidSglType, Sgl(2, 1, Data, (ulong)type << 60 | 512));
        bench.Put(List, Data, (ulong)type << 60 | 512);
        Assert.Equal(NvmeStatus.InvalidSglType, Sgl(2, 1, List, 3ul << 60 | 16));
        Assert.Equal(NvmeStatus.InvalidSglType, Sgl(2, 1, Data, 1ul << 56 | 512));
        Assert.Equal(NvmeStatus.InvalidField, Sgl(2, 1, Data, 512, psdt: 3));
    }

    [Theory]
    [InlineData(0ul)]
    [InlineData(8ul)]
    [InlineData(17ul)]
    public void An_sgl_segment_of_odd_length_is_refused(ulong length)
    {
        Assert.Equal(NvmeStatus.InvalidSglSegment, Sgl(2, 1, List, 3ul << 60 | length));
        Assert.Equal(NvmeStatus.InvalidSglSegment, Sgl(2, 1, List, 2ul << 60 | length));
    }

    [Fact]
    public void An_sgl_that_is_too_short_is_refused()
    {
        Assert.Equal(NvmeStatus.InvalidSglLength, Sgl(2, 1, Data, 511));
        Assert.Equal(NvmeStatus.InvalidSglLength, Sgl(2, 1, Data, 0));
        bench.Put(List, Data, 256ul, Data, 255ul);
        Assert.Equal(NvmeStatus.InvalidSglLength, Sgl(2, 1, List, 3ul << 60 | 32));
    }

    [Fact]
    public void Sgl_segments_that_lead_nowhere_good_are_refused()
    {
        // A segment inside a last segment.
        bench.Put(List, Data, 256ul, List, 3ul << 60 | 32);
        Assert.Equal(NvmeStatus.InvalidSglSegment, Sgl(2, 1, List, 3ul << 60 | 32));
        // A segment that is not the last descriptor.
        bench.Put(List, List, 2ul << 60 | 32, Data, 512ul);
        Assert.Equal(NvmeStatus.InvalidSglSegment, Sgl(2, 1, List, 2ul << 60 | 32));
    }

    [Fact]
    public void Sgl_segments_in_a_circle_end()
    {
        bench.Put(List, List, 2ul << 60 | 16);
        Assert.Equal(NvmeStatus.InvalidSglCount, Sgl(2, 1, List, 2ul << 60 | 16));
        // Empty descriptors without end: 2^28 of them, over all memory.
        bench.Put(0x100_000, new byte[0x200_000]);
        Assert.Equal(NvmeStatus.InvalidSglCount, Sgl(2, 1, 0x100_000, 3ul << 60 | 0xFFFF_FFF0));
        AssertAlive();
    }

    [Theory]
    [InlineData(0x1000ul)]
    [InlineData(0ul)]
    public void Admin_queues_in_the_controllers_own_registers_are_fatal(ulong offset)
    {
        using var other = new NvmeTestBench();
        other.Store(NvmeRegister.AQA, 0x000F_000F);
        other.Store(NvmeRegister.ASQ, other.Bar + offset, 8);
        other.Store(NvmeRegister.ACQ, AdminCq, 8);
        other.Store(NvmeRegister.CC, 0x0046_0001);
        other.Store(0x1000, 1);
        Assert.True(other.Csts.CFS);
    }

    [Fact]
    public void Admin_queues_in_the_interrupt_range_are_fatal_and_send_nothing()
    {
        using var other = new NvmeTestBench();
        other.Store(NvmeRegister.AQA, 0x000F_000F);
        other.Store(NvmeRegister.ASQ, AdminSq, 8);
        other.Store(NvmeRegister.ACQ, 0xFEE0_0000, 8);
        other.Store(NvmeRegister.CC, 0x0046_0001);
        other.Store(0x1000, 1);
        other.Pass();
        Assert.True(other.Csts.CFS);
        Assert.Empty(other.Sink.Messages);
    }

    [Fact]
    public void Queues_that_lie_on_each_other_are_survived()
    {
        AssertOk(bench.Admin(new() { Cdw0 = 5, PRP1 = 0x30_000, Cdw10 = 63 << 16 | 2, Cdw11 = 2 << 16 | 3 }));
        AssertOk(bench.Admin(new() { Cdw0 = 1, PRP1 = 0x30_000, Cdw10 = 63 << 16 | 2, Cdw11 = 2 << 16 | 1 }));
        for (var i = 0u; i < 64; i++)
        {
            bench.Memory.TryWrite(new Gpa(0x30_000 + i * 64), Transfer(2, 0, 8, 0x30_000));
        }

        bench.Store(0x1010, 63);
        for (var i = 0; i < 20; i++)
        {
            bench.Pass();
            bench.Store(0x1014, (uint)i);
        }

        AssertAlive();
    }

    [Fact]
    public void Data_that_lands_on_the_submission_queue_changes_nothing_already_fetched()
    {
        bench.Backends[0].Write(0, Enumerable.Repeat((byte)0xFF, 4096).ToArray());
        var first = bench.Queue(1, Transfer(2, 0, 2, IoSq));
        var second = bench.Queue(1, Transfer(2, 0, 8));
        bench.Ring(1);
        bench.Pass();
        Assert.Equal([first, second], bench.PopAll(1).Where(static c => c.Status == NvmeStatus.Success).Select(static c => c.Cid));
    }

    [Fact]
    public void An_unmapped_address_is_a_transfer_error_and_the_next_command_is_looked_up_anew()
    {
        var table = new TableTranslator();
        for (var page = 0ul; page < 0x80; page++)
        {
            table.Pages[page] = (page, true, true);
        }

        bench.Controller.Function.Dma.Translator = table;
        bench.Backends[0].Write(0, Pattern(4096));
        AssertOk(bench.Io(Transfer(2, 0, 8)));
        table.Pages.Remove(Data >> 12);
        table.Generation++;
        var failed = bench.Io(Transfer(2, 0, 8));
        Assert.Equal(NvmeStatus.DataTransferError, failed.Code);
        Assert.Equal((NvmeStatus)0, failed.Status & NvmeStatus.DoNotRetry);
        table.Pages[Data >> 12] = (0x100, true, true);
        table.Generation++;
        AssertOk(bench.Io(Transfer(2, 0, 8)));
        Assert.Equal(Pattern(4096), bench.Bytes(0x100_000, 4096));
        table.Pages[Data >> 12] = (0x100, true, false);
        table.Generation++;
        Assert.Equal(NvmeStatus.DataTransferError, bench.Io(Transfer(2, 0, 8)).Code);
        AssertOk(bench.Io(Transfer(1, 0, 8)));
        table.Pages.Remove(IoCq >> 12);
        table.Generation++;
        bench.Queue(1, Transfer(2, 0, 8));
        bench.Ring(1);
        bench.Pass();
        Assert.True(bench.Csts.CFS);
    }

    [Fact]
    public void A_reset_between_any_two_steps_is_survived()
    {
        for (var steps = 0; steps < 12; steps++)
        {
            for (var i = 0; i < 8; i++)
            {
                bench.Queue(1, Transfer((byte)(1 + i % 2), (ulong)i, 8));
            }

            bench.Ring(1);
            for (var i = 0; i < steps; i++)
            {
                bench.Pass(2_000);
            }

            bench.Store(NvmeRegister.CC, 0x0046_0000);
            bench.Pass();
            Assert.False(bench.Csts.RDY);
            bench.Started();
            AssertAlive();
        }
    }

    [Fact]
    public void Scribbling_over_all_registers_is_survived()
    {
        var random = new Random(11);
        for (var round = 0; round < 20_000; round++)
        {
            var width = 1 << random.Next(4);
            var offset = random.Next(8) switch
            {
                0 => (ulong)random.Next(0x4000),
                1 or 2 => 0x1000ul + (ulong)random.Next(8) * 4,
                3 => (ulong)NvmeRegister.CC,
                _ => (ulong)random.Next(0x40),
            };
            bench.Store(offset, random.Next(3) == 0 ? (ulong)random.NextInt64() : (ulong)random.Next(0x50_0000), width);
            bench.Load(offset, width);
            if (round % 16 == 0)
            {
                bench.Pass();
                bench.Fabric.RunPeerWrites();
                bench.Sink.Messages.Clear();
            }
        }
    }

    [Fact]
    public void Random_commands_are_survived()
    {
        var random = new Random(13);
        ulong[] addresses = [0, Data, Data + 4, Data + 0xFFC, List, List + 0xFF8, IoSq, IoCq, AdminSq, bench.Bar, 0xFEE0_0000, 0x7FFF_F000, ulong.MaxValue, 3];
        var statuses = new HashSet<NvmeStatus>();
        uint[] words = [0, 1, 2, 3, 7, 0xFF, 0xFFFF, 0x1_0001, 0x8000_0000, uint.MaxValue, 0x000F_0001, 0x0100_0002];
        for (var i = 0; i < 512; i++)
        {
            bench.Put(List + (ulong)i * 8, addresses[random.Next(addresses.Length)]);
        }

        for (var round = 0; round < 20_000; round++)
        {
            if (bench.Csts is not { RDY: true, CFS: false, SHST: 0 } || round % 500 == 0)
            {
                bench.Store(NvmeRegister.CC, 0);
                bench.Started();
            }

            var queue = random.Next(3) == 0 ? 0 : 1;
            byte[] opcodes = queue == 0 ? [0, 1, 2, 4, 5, 6, 8, 9, 10, 0x0C, 0x7C] : [0, 1, 2, 4, 5, 8, 9, 0x0C];
            bench.Queue(queue, new()
            {
                Cdw0 = random.Next(20) == 0 ? (uint)random.Next(0x10000) : opcodes[random.Next(opcodes.Length)] | (random.Next(4) == 0 ? 1u << 14 : 0),
                NSID = random.Next(4) == 0 ? Word() : 1,
                PRP1 = addresses[random.Next(addresses.Length)],
                PRP2 = random.Next(3) == 0 ? (ulong)random.NextInt64() : addresses[random.Next(addresses.Length)],
                Cdw10 = Word(),
                Cdw11 = random.Next(2) == 0 ? 0 : Word(),
                Cdw12 = random.Next(2) == 0 ? (uint)random.Next(32) : Word() & 0xFFFF_03FF,
                Cdw13 = random.Next(4) == 0 ? Word() : 0,
            });
            bench.Ring(queue);
            if (random.Next(3) == 0)
            {
                bench.Pass((ulong)random.Next(30_000));
                bench.Fabric.RunPeerWrites();
                statuses.UnionWith(bench.PopAll(queue).Select(static c => c.Code));
                bench.Sink.Messages.Clear();
            }
        }

        // The commands were wild, but not so wild that they all failed alike.
        Assert.Superset(
            new HashSet<NvmeStatus>
            {
                NvmeStatus.Success, NvmeStatus.InvalidOpcode, NvmeStatus.InvalidField, NvmeStatus.DataTransferError, NvmeStatus.InvalidNamespace,
                NvmeStatus.InvalidPrpOffset, NvmeStatus.LbaOutOfRange, NvmeStatus.InvalidSglType, NvmeStatus.InvalidSglLength,
                NvmeStatus.InvalidQueueId, NvmeStatus.InvalidQueueSize, NvmeStatus.InvalidCompletionQueue, NvmeStatus.UnrecoveredRead,
            },
            statuses);

        uint Word() => random.Next(4) == 0 ? (uint)random.NextInt64() : words[random.Next(words.Length)];
    }
}
