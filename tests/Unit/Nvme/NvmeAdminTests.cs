using System.Buffers.Binary;
using System.Text;
using Vmm.Nvme;
using Vmm.Platform.Block;
using Vmm.Platform.Memory;
using Vmm.Specs.Nvme;
using Xunit;
using static Vmm.Unit.Nvme.NvmeTestBench;

namespace Vmm.Unit.Nvme;

public sealed class NvmeAdminTests : IDisposable
{
    readonly NvmeTestBench bench = new NvmeTestBench(
        new() { Namespaces = [], IoQueues = 2, Serial = "S123" },
        new MemoryBlockBackend("a", (8 << 20) + 100), new FaultyBackend(1 << 20)).Started();

    public void Dispose() => bench.Dispose();

    static uint U32(byte[] page, int at) => BinaryPrimitives.ReadUInt32LittleEndian(page.AsSpan(at));

    static ulong U64(byte[] page, int at) => BinaryPrimitives.ReadUInt64LittleEndian(page.AsSpan(at));

    NvmeStatus Identify(byte cns, uint nsid) => bench.Admin(new() { Cdw0 = 6, NSID = nsid, PRP1 = Data, Cdw10 = cns }).Code;

    Completed GetFeature(uint id, uint select = 0, uint value = 0, uint nsid = 0) =>
        bench.Admin(new() { Cdw0 = 10, NSID = nsid, PRP1 = Data, Cdw10 = select << 8 | id, Cdw11 = value });

    Completed SetFeature(uint id, uint value, uint nsid = 0) =>
        bench.Admin(new() { Cdw0 = 9, NSID = nsid, PRP1 = Data, Cdw10 = id, Cdw11 = value });

    void RequestEvent()
    {
        bench.Queue(0, new() { Cdw0 = 0x0C });
        bench.Ring(0);
        bench.Pass();
    }

    [Fact]
    public void The_controller_describes_itself()
    {
        var page = bench.Identify(1);
        Assert.Equal(0x1B36u, U32(page, 0) & 0xFFFF);
        Assert.Equal("S123                ", Encoding.ASCII.GetString(page, 4, 20));
        Assert.StartsWith("vmm NVMe Controller ", Encoding.ASCII.GetString(page, 24, 40), StringComparison.Ordinal);
        Assert.Equal(7, page[77]);
        Assert.Equal(0x0001_0400u, U32(page, 80));
        Assert.Equal(0x66, page[512]);
        Assert.Equal(0x44, page[513]);
        Assert.Equal(2u, U32(page, 516));
        Assert.StartsWith("nqn.2014-08.org.nvmexpress:uuid:", Encoding.ASCII.GetString(page, 768, 256), StringComparison.Ordinal);
    }

    [Fact]
    public void A_namespace_describes_itself()
    {
        var page = bench.Identify(0, 1);
        Assert.Equal(16384ul, U64(page, 0));
        Assert.Equal(16384ul, U64(page, 8));
        Assert.Equal(1, page[25]);
        Assert.Equal(0, page[26]);
        Assert.Equal(9, page[130]);
        Assert.Equal(12, page[134]);
        Assert.Equal(0, page[99]);
        Assert.Equal(2048ul, U64(bench.Identify(0, 2), 0));
        var common = bench.Identify(0, uint.MaxValue);
        Assert.Equal(0ul, U64(common, 0));
        Assert.Equal(9, common[130]);
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(3u)]
    [InlineData(uint.MaxValue - 1)]
    public void Identify_of_an_absent_namespace_is_refused(uint nsid)
    {
        Assert.Equal(NvmeStatus.InvalidNamespace, Identify(0, nsid));
        Assert.Equal(NvmeStatus.InvalidNamespace, Identify(3, nsid));
        Assert.Equal(NvmeStatus.InvalidNamespace, Identify(0x11, nsid));
    }

    [Fact]
    public void Namespace_lists_start_after_the_given_id()
    {
        Assert.Equal([1u, 2u, 0u], Enumerable.Range(0, 3).Select(i => U32(bench.Identify(2, 0), i * 4)));
        Assert.Equal([2u, 0u], Enumerable.Range(0, 2).Select(i => U32(bench.Identify(0x10, 1), i * 4)));
        Assert.Equal(0u, U32(bench.Identify(2, 2), 0));
        Assert.Equal(0u, U32(bench.Identify(2, uint.MaxValue - 2), 0));
        Assert.Equal(NvmeStatus.InvalidNamespace, Identify(2, uint.MaxValue - 1));
        Assert.Equal(NvmeStatus.InvalidNamespace, Identify(2, uint.MaxValue));
    }

    [Fact]
    public void Namespace_descriptors_carry_the_same_identity_in_every_run_and_differ_between_namespaces()
    {
        byte[] first = bench.Identify(3, 1), second = bench.Identify(3, 2);
        Assert.Equal([2, 16, 0, 0], first[..4]);
        Assert.Equal([3, 16, 0, 0], first[20..24]);
        Assert.Equal(first[4..20], first[24..40]);
        Assert.Equal(0, first[40]);
        Assert.NotEqual(first[4..20], second[4..20]);
        using var again = new NvmeTestBench(new() { Namespaces = [], Serial = "S123" }).Started();
        Assert.Equal(first, again.Identify(3, 1));
    }

    [Theory]
    [InlineData(0x04)]
    [InlineData(0x06)]
    [InlineData(0x12)]
    [InlineData(0xFF)]
    public void An_unknown_cns_is_refused(byte cns)
    {
        Assert.Equal(NvmeStatus.InvalidField, Identify(cns, 1));
    }

    [Theory]
    [InlineData(0x0D)]
    [InlineData(0x10)]
    [InlineData(0x11)]
    [InlineData(0x14)]
    [InlineData(0x18)]
    [InlineData(0x81)]
    [InlineData(0x84)]
    [InlineData(0xFF)]
    public void Admin_opcodes_that_are_not_offered_are_refused(byte opcode)
    {
        Assert.Equal(NvmeStatus.InvalidOpcode, bench.Admin(new() { Cdw0 = opcode, PRP1 = Data }).Code);
    }

    [Fact]
    public void Admin_commands_use_prps_and_are_never_fused()
    {
        Assert.Equal(NvmeStatus.InvalidField, bench.Admin(new() { Cdw0 = 6 | 1 << 14, PRP1 = Data, Cdw10 = 1 }).Code);
        Assert.Equal(NvmeStatus.InvalidField, bench.Admin(new() { Cdw0 = 6 | 1 << 8, PRP1 = Data, Cdw10 = 1 }).Code);
    }

    [Fact]
    public void Features_have_a_current_and_a_default_value()
    {
        AssertOk(SetFeature(1, 0x0102_0303));
        Assert.Equal(0x0102_0303u, GetFeature(1).Result);
        Assert.Equal(7u, GetFeature(1, 1).Result);
        Assert.Equal(7u, GetFeature(1, 2).Result);
        Assert.Equal(4u, GetFeature(1, 3).Result);
        Assert.Equal(NvmeStatus.InvalidField, GetFeature(1, 4).Code);
        Assert.Equal(NvmeStatus.FeatureNotSaveable, SetFeature(0x8000_0001, 0).Code);
    }

    [Theory]
    [InlineData(0x00u)]
    [InlineData(0x03u)]
    [InlineData(0x0Cu)]
    [InlineData(0x0Du)]
    [InlineData(0x0Fu)]
    [InlineData(0x10u)]
    [InlineData(0x80u)]
    [InlineData(0xFFu)]
    public void Features_that_are_not_offered_are_refused(uint id)
    {
        Assert.Equal(NvmeStatus.InvalidField, GetFeature(id).Code);
        Assert.Equal(NvmeStatus.InvalidField, SetFeature(id, 0).Code);
    }

    [Fact]
    public void Features_of_the_controller_are_not_set_for_a_namespace()
    {
        Assert.Equal(NvmeStatus.FeatureNotNamespaceSpecific, SetFeature(1, 0, nsid: 1).Code);
        Assert.Equal(NvmeStatus.InvalidNamespace, SetFeature(1, 0, nsid: 9).Code);
        AssertOk(SetFeature(1, 0, nsid: uint.MaxValue));
    }

    [Fact]
    public void The_number_of_queues_is_told_before_queues_exist_and_refused_after()
    {
        using var other = new NvmeTestBench(new() { Namespaces = [], IoQueues = 7 });
        other.Enable();
        Assert.Equal(0x0006_0006u, other.Admin(new() { Cdw0 = 9, Cdw10 = 7, Cdw11 = 0x003F_003F }).Result);
        Assert.Equal(NvmeStatus.InvalidField, other.Admin(new() { Cdw0 = 9, Cdw10 = 7, Cdw11 = 0x0001_FFFF }).Code);
        Assert.Equal(NvmeStatus.InvalidField, other.Admin(new() { Cdw0 = 9, Cdw10 = 7, Cdw11 = 0xFFFF_0001 }).Code);
        Assert.Equal(NvmeStatus.CommandSequenceError, SetFeature(7, 0).Code);
        Assert.Equal(0x0001_0001u, GetFeature(7).Result);
    }

    [Fact]
    public void Only_power_state_0_exists()
    {
        AssertOk(SetFeature(2, 0));
        Assert.Equal(NvmeStatus.InvalidField, SetFeature(2, 1).Code);
    }

    [Fact]
    public void Vector_configuration_checks_the_vector()
    {
        AssertOk(SetFeature(9, 1 << 16 | 2));
        Assert.Equal(0x0001_0002u, GetFeature(9, value: 2).Result);
        Assert.Equal(1u, GetFeature(9, value: 1).Result);
        Assert.Equal(NvmeStatus.InvalidField, SetFeature(9, 3).Code);
        Assert.Equal(NvmeStatus.InvalidField, GetFeature(9, value: 0xFFFF).Code);
    }

    [Fact]
    public void The_timestamp_runs_on_virtual_time()
    {
        bench.Put(Data, 0xFFFF_0000_1234_5678ul);
        AssertOk(SetFeature(0x0E, 0));
        bench.Pass(5_000_000_000);
        AssertOk(GetFeature(0x0E));
        var value = U64(bench.Bytes(Data, 8), 0);
        Assert.Equal(1ul, value >> 49);
        Assert.InRange((value & 0xFFFF_FFFF_FFFF) - 0x1234_5678, 5_000ul, 5_010ul);
        bench.Store(NvmeRegister.CC, 0);
        bench.Enable();
        AssertOk(GetFeature(0x0E));
        Assert.InRange(U64(bench.Bytes(Data, 8), 0), 0ul, 10ul);
    }

    [Fact]
    public void The_host_identifier_has_8_or_16_bytes()
    {
        bench.Put(Data, Pattern(16));
        AssertOk(SetFeature(0x81, 1));
        bench.Put(Data, new byte[16]);
        AssertOk(GetFeature(0x81, value: 0));
        Assert.Equal(Pattern(16)[..8], bench.Bytes(Data, 8));
        Assert.Equal(new byte[8], bench.Bytes(Data + 8, 8));
        AssertOk(GetFeature(0x81, value: 1));
        Assert.Equal(Pattern(16), bench.Bytes(Data, 16));
    }

    [Fact]
    public void A_feature_whose_data_cannot_be_moved_fails()
    {
        var moved = bench.Admin(new() { Cdw0 = 9, PRP1 = 0x7FFF_F000, Cdw10 = 0x0E });
        Assert.Equal(NvmeStatus.DataTransferError, moved.Code);
        Assert.Equal((NvmeStatus)0, moved.Status & NvmeStatus.DoNotRetry);
    }

    [Fact]
    public void Smart_counts_what_happened()
    {
        for (var i = 0; i < 3; i++)
        {
            AssertOk(bench.Io(Transfer(2, 0, 1000, 0x100_000, List)));
            if (i == 0)
            {
                bench.Put(List, [.. Enumerable.Range(1, 125).Select(static i => 0x100_000ul + (ulong)i * 4096)]);
            }
        }

        AssertOk(bench.Io(Transfer(1, 0, 1)));
        AssertOk(bench.Io(Transfer(4, 9, 1)));
        Assert.Equal(NvmeStatus.UnrecoveredRead, bench.Io(Transfer(2, 9, 1)).Code);
        var page = bench.Log(2);
        Assert.Equal(0, page[0]);
        Assert.Equal(308u, U32(page, 1) & 0xFFFF);
        Assert.Equal(100, page[3]);
        Assert.Equal(4ul, U64(page, 32));
        Assert.Equal(1ul, U64(page, 48));
        Assert.Equal(4ul, U64(page, 64));
        Assert.Equal(1ul, U64(page, 80));
        Assert.Equal(1ul, U64(page, 160));
        Assert.Equal(1ul, U64(page, 176));
        Assert.Equal(NvmeStatus.InvalidField, bench.Admin(new() { Cdw0 = 2, NSID = 1, PRP1 = Data, Cdw10 = 127 << 16 | 2 }).Code);
    }

    [Fact]
    public void The_error_log_has_the_newest_entry_first()
    {
        AssertOk(bench.Io(Transfer(4, 9, 1)));
        bench.Io(Transfer(2, 9, 1));
        var last = bench.Io(Transfer(2, 8, 2));
        var page = bench.Log(1, 4096);
        Assert.Equal([2ul, 1ul, 0ul], [U64(page, 0), U64(page, 64), U64(page, 128)]);
        Assert.Equal(1u, U32(page, 8) & 0xFFFF);
        Assert.Equal(last.Cid, U32(page, 8) >> 16);
        Assert.Equal(0x281u, U32(page, 12) >> 1 & 0x7FF);
        Assert.Equal(8ul, U64(page, 16));
        Assert.Equal(1u, U32(page, 24));
    }

    [Fact]
    public void The_firmware_slot_log_names_the_revision()
    {
        var page = bench.Log(3);
        Assert.Equal(1, page[0]);
        Assert.Equal("1.0     ", Encoding.ASCII.GetString(page, 8, 8));
    }

    [Fact]
    public void The_effects_log_lists_exactly_the_commands_that_are_carried_out()
    {
        var page = bench.Log(5, 4096);
        for (var opcode = 0; opcode < 256; opcode++)
        {
            var offered = (page[opcode * 4] & 1) != 0;
            if (opcode is not (0 or 4 or 0x0C))
            {
                Assert.Equal(!offered, bench.Admin(new() { Cdw0 = (uint)opcode, PRP1 = 1, PRP2 = 1, Cdw10 = 0xFFFF_FFFF }).Code == NvmeStatus.InvalidOpcode);
            }

            offered = (page[1024 + opcode * 4] & 1) != 0;
            Assert.Equal(!offered, bench.Io(Transfer((byte)opcode, ulong.MaxValue, 1)).Code == NvmeStatus.InvalidOpcode);
        }
    }

    [Fact]
    public void A_log_can_be_read_in_parts()
    {
        AssertOk(bench.Io(Transfer(4, 9, 1)));
        bench.Io(Transfer(2, 9, 1));
        var whole = bench.Log(1, 4096);
        AssertOk(bench.Admin(new() { Cdw0 = 2, PRP1 = Data, Cdw10 = 3 << 16 | 1, Cdw12 = 8 }));
        Assert.Equal(whole[8..24], bench.Bytes(Data, 16));
    }

    [Fact]
    public void Format_changes_the_block_size_and_erases_if_told_to()
    {
        bench.Put(Data, Pattern(4096));
        AssertOk(bench.Io(Transfer(1, 8, 8)));
        AssertOk(bench.Admin(new() { Cdw0 = 0x80, NSID = 1, Cdw10 = 1 }));
        var page = bench.Identify(0, 1);
        Assert.Equal(2048ul, U64(page, 0));
        Assert.Equal(1, page[26]);
        AssertOk(bench.Io(Transfer(2, 1, 1)));
        Assert.Equal(Pattern(4096), bench.Bytes(Data, 4096));
        Assert.Equal(NvmeStatus.LbaOutOfRange, bench.Io(Transfer(2, 2048, 1)).Code);
        AssertOk(bench.Admin(new() { Cdw0 = 0x80, NSID = uint.MaxValue, Cdw10 = 1 << 9 }));
        AssertOk(bench.Io(Transfer(2, 8, 8)));
        Assert.Equal(new byte[4096], bench.Bytes(Data, 4096));
    }

    [Theory]
    [InlineData(1u, 2u, NvmeStatus.InvalidFormat)]
    [InlineData(1u, 0x10u, NvmeStatus.InvalidFormat)]
    [InlineData(1u, 0x20u, NvmeStatus.InvalidFormat)]
    [InlineData(1u, 0x400u, NvmeStatus.InvalidField)]
    [InlineData(1u, 0xE00u, NvmeStatus.InvalidField)]
    [InlineData(0u, 0u, NvmeStatus.InvalidNamespace)]
    [InlineData(3u, 0u, NvmeStatus.InvalidNamespace)]
    public void Impossible_formats_are_refused(uint nsid, uint settings, NvmeStatus expected)
    {
        Assert.Equal(expected, bench.Admin(new() { Cdw0 = 0x80, NSID = nsid, Cdw10 = settings }).Code);
    }

    [Fact]
    public void A_format_that_fails_on_the_host_changes_nothing()
    {
        ((FaultyBackend)bench.Backends[1]).WriteResult = BlockResult.WriteFailed;
        Assert.Equal(NvmeStatus.WriteFault, bench.Admin(new() { Cdw0 = 0x80, NSID = 2, Cdw10 = 1 << 9 | 1 }).Code);
        Assert.Equal(0, bench.Identify(0, 2)[26]);
    }

    [Fact]
    public void A_format_races_with_reads_and_both_end_well()
    {
        using var slow = new NvmeTestBench(new() { Namespaces = [], Media = new() { ReadNanoseconds = 50_000_000 } }).Started();
        slow.Queue(1, Transfer(2, 10_000, 8));
        slow.Ring(1);
        AssertOk(slow.Admin(new() { Cdw0 = 0x80, NSID = 1, Cdw10 = 1 }));
        slow.Pass(100_000_000);
        Assert.Equal(NvmeStatus.LbaOutOfRange, Assert.Single(slow.PopAll(1)).Code);
    }

    [Fact]
    public void A_changed_namespace_makes_one_event_until_its_log_is_read()
    {
        AssertOk(SetFeature(0x0B, 1 << 8));
        RequestEvent();
        RequestEvent();
        Assert.Null(bench.TryPop(0));
        bench.Queue(0, new() { Cdw0 = 0x80, NSID = 2, Cdw10 = 1 });
        bench.Ring(0);
        bench.Pass();
        Assert.Equal(2, bench.PopAll(0).Count(static c => c.Result == 0x0004_0002 || c.Result == 0));
        bench.Queue(0, new() { Cdw0 = 0x80, NSID = 1, Cdw10 = 1 });
        bench.Ring(0);
        bench.Pass();
        Assert.Equal(0u, Assert.Single(bench.PopAll(0)).Result);
        Assert.Equal([1u, 2u, 0u], Enumerable.Range(0, 3).Select(i => U32(LogRetained(), i * 4)));
        bench.Queue(0, new() { Cdw0 = 2, PRP1 = Data, Cdw10 = 1023 << 16 | 4 });
        bench.Ring(0);
        bench.Pass();
        Assert.Contains(bench.PopAll(0), static c => c.Result == 0x0004_0002);
        Assert.Equal(0u, U32(LogRetained(), 0));

        byte[] LogRetained() => bench.Log(4, 4096, retain: true);
    }

    [Fact]
    public void Temperature_past_a_threshold_warns()
    {
        AssertOk(SetFeature(0x0B, 2));
        RequestEvent();
        bench.Controller.Temperature = 342;
        Assert.Null(bench.TryPop(0));
        bench.Controller.Temperature = 343;
        Assert.Equal(0x0002_0101u, bench.TryPop(0)!.Value.Result);
        bench.RingHead(0);
        Assert.Equal(2, bench.Log(2, retain: true)[0]);
        AssertOk(SetFeature(4, 350));
        Assert.Equal(0, bench.Log(2)[0]);
        Assert.Equal(350u, GetFeature(4).Result);
        AssertOk(SetFeature(4, 1 << 20 | 345));
        Assert.Equal(345u, GetFeature(4, value: 1 << 20).Result);
        Assert.Equal(2, bench.Log(2)[0]);
        Assert.Equal(NvmeStatus.InvalidField, SetFeature(4, 1 << 16).Code);
        Assert.Equal(NvmeStatus.InvalidField, SetFeature(4, 2 << 20).Code);
    }

    [Fact]
    public void More_event_requests_than_the_limit_are_refused()
    {
        for (var i = 0; i < 4; i++)
        {
            RequestEvent();
        }

        Assert.Null(bench.TryPop(0));
        Assert.Equal(NvmeStatus.EventLimitExceeded, bench.Admin(new() { Cdw0 = 0x0C }).Code);
    }

    [Fact]
    public void An_event_request_can_be_aborted()
    {
        var cid = bench.Queue(0, new() { Cdw0 = 0x0C });
        bench.Ring(0);
        bench.Pass();
        bench.Queue(0, new() { Cdw0 = 8, Cdw10 = (uint)cid << 16 });
        bench.Ring(0);
        bench.Pass();
        var completed = bench.PopAll(0);
        Assert.Equal((cid, NvmeStatus.AbortRequested), (completed[0].Cid, completed[0].Code));
        Assert.Equal(0u, completed[1].Result);
        for (var i = 0; i < 4; i++)
        {
            RequestEvent();
        }

        Assert.Null(bench.TryPop(0));
    }

    [Fact]
    public void Events_wait_for_requests_and_do_not_pile_up()
    {
        for (var i = 0; i < 1000; i++)
        {
            bench.Store(0x1008, 0xFFFF);
            bench.Store(0x1FF8, 1);
        }

        RequestEvent();
        Assert.Equal(0x0001_0100u, bench.TryPop(0)!.Value.Result);
        bench.RingHead(0);
        RequestEvent();
        Assert.Null(bench.TryPop(0));
        bench.Queue(0, new() { Cdw0 = 2, PRP1 = Data, Cdw10 = 15 << 16 | 1 });
        bench.Ring(0);
        bench.Pass();
        Assert.Contains(bench.PopAll(0), static c => c.Result == 0x0001_0000);
        bench.Log(1);
        RequestEvent();
        Assert.Null(bench.TryPop(0));
    }

    [Fact]
    public void Bad_blocks_can_be_made_from_outside()
    {
        Assert.True(bench.Controller.Spoil(1, 5, 1));
        Assert.False(bench.Controller.Spoil(1, 16384, 1));
        Assert.False(bench.Controller.Spoil(3, 0, 1));
        Assert.Equal(NvmeStatus.UnrecoveredRead, bench.Io(Transfer(2, 5, 1)).Code);
        AssertOk(bench.Io(Transfer(1, 5, 1)));
        AssertOk(bench.Io(Transfer(2, 5, 1)));
    }
}
