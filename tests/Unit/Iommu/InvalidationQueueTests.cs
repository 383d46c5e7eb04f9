using Vmm.Iommu;
using Vmm.Platform.Dma;
using Vmm.Specs.VtD;
using Xunit;

namespace Vmm.Unit.Iommu;

public sealed class InvalidationQueueTests : IDisposable
{
    const uint PFO = 1, IQE = 1 << 4, ICE = 1 << 5, ITE = 1 << 6;

    readonly VtdBench bench = new();
    readonly ulong status;

    public InvalidationQueueTests()
    {
        status = bench.Page();
        bench.Write32(0x3C, 0x4031);
        bench.Write32(0x40, 0xFEE0_1000);
        bench.Write32(0x38, 0);
        bench.EnableQueue();
    }

    public void Dispose() => bench.Dispose();

    void Wait(uint data) => bench.Submit(0x25 | (ulong)data << 32, status);

    [Fact]
    public void A_wait_writes_its_status_and_the_head_follows_the_tail()
    {
        Wait(2);
        Assert.Equal(2ul, bench.Peek(status));
        Assert.Equal(16ul, bench.Read64(0x80));
        Assert.Equal(1ul, bench.Unit.Counters.Waits);
    }

    [Fact]
    public void The_queue_wraps_at_its_size()
    {
        for (uint i = 1; i <= 700; i++)
        {
            Wait(i);
            Assert.Equal((ulong)i, bench.Peek(status));
        }

        Assert.Equal((ulong)(700 * 16 % 4096), bench.Read64(0x80));
    }

    [Fact]
    public void Descriptors_of_256_bits_are_taken_when_the_unit_is_scalable()
    {
        using var wide = new VtdBench(new() { Profile = VtdProfile.Scalable });
        var at = wide.Page();
        wide.EnableQueue(true);
        for (uint i = 1; i < 300; i++)
        {
            wide.Submit(0x25 | (ulong)i << 32, at);
            Assert.Equal((ulong)i, wide.Peek(at));
        }
    }

    [Fact]
    public void Disabling_puts_the_head_back_to_the_start()
    {
        Wait(1);
        bench.Write32(0x18, 0);
        Assert.Equal(0ul, bench.Read64(0x80));
        Assert.Equal(0u, bench.Read32(0x1C));
    }

    [Fact]
    public void A_tail_set_before_enabling_is_served_on_enabling()
    {
        bench.Write32(0x18, 0);
        bench.Poke(bench.Queue, 0x25 | 5ul << 32, status);
        bench.Write64(0x88, 16);
        Assert.Equal(0ul, bench.Peek(status));
        bench.Command(1u << 26);
        Assert.Equal(5ul, bench.Peek(status));
    }

    [Fact]
    public void A_wait_with_interrupt_flag_sets_IWC_and_sends_one_event_until_it_is_serviced()
    {
        bench.Write32(0xA4, 0x4041);
        bench.Write32(0xA8, 0xFEE0_2000);
        Assert.Equal(0x8000_0000u, bench.Read32(0xA0));
        bench.Submit(0x15);
        Assert.Equal(1u, bench.Read32(0x9C));
        Assert.Equal(0xC000_0000u, bench.Read32(0xA0));
        bench.Write32(0xA0, 0);
        Assert.Equal(new(0xFEE0_2000, 0x4041), Assert.Single(bench.Sink.Messages));
        Assert.Equal(0u, bench.Read32(0xA0));
        bench.Submit(0x15);
        Assert.Single(bench.Sink.Messages);
        bench.Write32(0x9C, 1);
        bench.Submit(0x15);
        Assert.Equal(2, bench.Sink.Messages.Count);
    }

    [Fact]
    public void Clearing_IWC_while_masked_drops_the_held_event()
    {
        bench.Submit(0x15);
        bench.Write32(0x9C, 1);
        Assert.Equal(0x8000_0000u, bench.Read32(0xA0));
        bench.Write32(0xA0, 0);
        Assert.Empty(bench.Sink.Messages);
    }

    [Fact]
    public void A_wait_with_fence_alone_is_accepted()
    {
        bench.Submit(0x45);
        bench.Submit(0x05);
        Assert.Equal(0u, bench.Read32(0x34));
        Assert.Equal(32ul, bench.Read64(0x80));
    }

    [Theory]
    [InlineData(0x00ul, 0ul, 3)]
    [InlineData(0x0Ful, 0ul, 3)]
    [InlineData(0x21ul | 0x200, 0ul, 3)]
    [InlineData(0x03ul, 0ul, 3)]
    [InlineData(0x06ul | 2 << 4, 0ul, 3)]
    [InlineData(0x09ul, 0ul, 3)]
    [InlineData(0x01ul, 0ul, 4)]
    [InlineData(0x11ul | 1ul << 50, 0ul, 4)]
    [InlineData(0x11ul, 1ul, 4)]
    [InlineData(0x02ul, 0ul, 4)]
    [InlineData(0x12ul | 1ul << 32, 0ul, 4)]
    [InlineData(0x12ul, 0x80ul, 4)]
    [InlineData(0x32ul, 19ul, 4)]
    [InlineData(0x14ul | 16ul << 27, 0ul, 4)]
    [InlineData(0x04ul | 1 << 12, 0ul, 4)]
    [InlineData(0x25ul | 0x80, 0ul, 4)]
    [InlineData(0x25ul, 1ul, 4)]
    [InlineData(0x25ul | 1 << 12, 0ul, 4)]
    public void A_bad_descriptor_stops_the_queue_on_itself(ulong low, ulong high, int info)
    {
        Wait(1);
        bench.Place(low, high);
        Wait(2);
        Assert.Equal(16ul, bench.Read64(0x80));
        Assert.Equal(1ul, bench.Peek(status));
        Assert.Equal(IQE, bench.Read32(0x34));
        Assert.Equal((ulong)info, bench.Read64(0xB0));
        Assert.Equal(new(0xFEE0_1000, 0x4031), Assert.Single(bench.Sink.Messages));

        // As Linux recovers: the bad descriptor becomes a copy of the wait, then the error is cleared.
        bench.Poke(bench.Queue + 16, 0x25 | 2ul << 32, status);
        bench.Write32(0x34, IQE);
        Assert.Equal(2ul, bench.Peek(status));
        Assert.Equal(48ul, bench.Read64(0x80));
        Assert.Equal(0u, bench.Read32(0x34));
        Assert.Equal(0ul, bench.Read64(0xB0));
    }

    [Fact]
    public void Clearing_the_error_without_mending_the_descriptor_stops_again()
    {
        bench.Submit(0x0F);
        bench.Write32(0x34, IQE);
        Assert.Equal(IQE, bench.Read32(0x34));
        Assert.Equal(2, bench.Sink.Messages.Count);
        Assert.Equal(0ul, bench.Read64(0x80));
    }

    [Fact]
    public void A_tail_beyond_the_queue_is_an_error_that_a_new_tail_mends()
    {
        bench.Write64(0x88, 4096);
        Assert.Equal(1ul, bench.Read64(0xB0));
        bench.Write64(0x88, 0);
        Assert.Equal(IQE, bench.Read32(0x34));
        bench.Write32(0x34, IQE);
        Assert.Equal(0u, bench.Read32(0x34));
        Wait(3);
        Assert.Equal(3ul, bench.Peek(status));
    }

    [Fact]
    public void A_queue_outside_memory_is_a_fetch_error()
    {
        bench.Write64(0x90, 0x8000_0000);
        Wait(3);
        Assert.Equal(2ul, bench.Read64(0xB0));
        bench.Write64(0x90, bench.Queue);
        bench.Write32(0x34, IQE);
        Assert.Equal(3ul, bench.Peek(status));
    }

    [Fact]
    public void Errors_of_width_alignment_and_table_mode_are_told_apart()
    {
        using var wide = new VtdBench(new() { Profile = VtdProfile.Scalable });
        wide.EnableQueue(true);
        wide.Write64(0x88, 16);
        Assert.Equal(6ul, wide.Read64(0xB0));
        wide.Write64(0x88, 0);
        wide.Write32(0x34, IQE);
        wide.SetRoot(wide.Root | 2 << 10);
        wide.Submit(0x25);
        Assert.Equal(7ul, wide.Read64(0xB0));
        wide.SetRoot(wide.Root | 1 << 10);
        wide.Write64(0x90, wide.Queue);
        wide.Write32(0x34, IQE);
        Assert.Equal(5ul, wide.Read64(0xB0));
    }

    [Fact]
    public void The_upper_half_of_a_wide_descriptor_is_reserved()
    {
        using var wide = new VtdBench(new() { Profile = VtdProfile.Scalable });
        wide.EnableQueue(true);
        wide.Poke(wide.Queue, 0x25, 0, 0, 1);
        wide.Write64(0x88, 32);
        Assert.Equal(4ul, wide.Read64(0xB0));
    }

    [Fact]
    public void A_status_address_outside_memory_is_dropped()
    {
        bench.Submit(0x25, 0xFED9_0088);
        bench.Submit(0x25, 0xFFFF_FFFF_FFFF_FFFC);
        Assert.Equal(0u, bench.Read32(0x34));
        Assert.Equal(32ul, bench.Read64(0x80));
    }

    [Fact]
    public void A_queue_that_its_own_status_overwrites_ends_at_the_tail()
    {
        for (var i = 0; i < 255; i++)
        {
            bench.Place(0x25 | 0x25ul << 32, bench.Queue + (ulong)(i + 1) % 255 * 16);
        }

        bench.Write64(0x88, bench.Tail);
        Assert.Equal((ulong)bench.Tail, bench.Read64(0x80));
    }

    [Fact]
    public void The_largest_queue_runs_in_one_write()
    {
        var big = 0x100_0000ul;
        bench.Write32(0x18, 0);
        bench.Write64(0x88, 0);
        bench.Write64(0x90, big | 7);
        for (ulong i = 0; i < 32768; i++)
        {
            bench.Poke(big + i * 16, 0x12, 0);
        }

        bench.Command(1u << 26);
        bench.Write64(0x88, 32767 * 16);
        Assert.Equal(32767ul * 16, bench.Read64(0x80));
        Assert.Equal(32767ul, bench.Unit.Counters.Invalidations(InvalidationType.Iotlb));
    }

    [Fact]
    public void Register_commands_are_refused_but_completed_while_the_queue_is_on()
    {
        bench.Write64(0x28, 1ul << 63 | 1ul << 61);
        Assert.Equal(1ul << 61, bench.Read64(0x28));
        bench.Write64(0xF8, 1ul << 63 | 1ul << 60);
        Assert.Equal(1ul << 60, bench.Read64(0xF8));
        bench.Write32(0x18, 0);
        bench.Write64(0x28, 1ul << 63 | 1ul << 61);
        Assert.Equal(1ul << 61 | 1ul << 59, bench.Read64(0x28));
        bench.Write64(0xF8, 1ul << 63 | 1ul << 60);
        Assert.Equal(1ul << 60 | 1ul << 57, bench.Read64(0xF8));
    }

    sealed class Tlb : IDeviceTlb
    {
        public DeviceTlbCompletion Answer { get; set; }

        public List<DeviceTlbInvalidation> Invalidations { get; } = [];

        public List<PageGroupResponse> Responses { get; } = [];

        public DeviceTlbCompletion Invalidate(in DeviceTlbInvalidation invalidation)
        {
            Invalidations.Add(invalidation);
            return Answer;
        }

        public void Respond(in PageGroupResponse response) => Responses.Add(response);
    }

    static VtdBench WithDeviceTlb(Tlb tlb, out ulong status)
    {
        var bench = new VtdBench(new() { Profile = VtdProfile.Scalable });
        bench.Unit.AttachDeviceTlb(VtdBench.Device, tlb);
        bench.Write32(0x3C, 0x4031);
        bench.Write32(0x40, 0xFEE0_1000);
        bench.Write32(0x38, 0);
        bench.EnableQueue(true);
        status = bench.Page();
        return bench;
    }

    static ulong DeviceDescriptor(Bdf device) => 3 | (ulong)device.Value << 32;

    [Fact]
    public void Device_TLB_invalidations_reach_the_device_with_their_size()
    {
        var tlb = new Tlb();
        using var wide = WithDeviceTlb(tlb, out _);
        wide.Submit(DeviceDescriptor(VtdBench.Device), 0x5000);
        wide.Submit(DeviceDescriptor(VtdBench.Device), 0x8000 | 0x3000 | 1);
        wide.Submit(DeviceDescriptor(VtdBench.Device), 0x7FFF_FFFF_FFFF_F001);
        wide.Submit(8 | (ulong)VtdBench.Device.Value << 16 | 5ul << 32, 0x4000 | 0x800);
        wide.Submit(8 | (ulong)VtdBench.Device.Value << 16 | 5ul << 32, 0x4000 | 1);
        Assert.Equal(
            [
                new(new(0x5000), 0x1000, 0, false, false),
                new(new(0x8000), 0x8000, 0, false, false),
                new(new(0), 0, 0, false, false),
                new(new(0x4000), 0x2000, 5, true, false),
                new(new(0x4000), 0x1000, 5, true, true),
            ],
            tlb.Invalidations);
        Assert.Equal(0u, wide.Read32(0x34));
    }

    [Fact]
    public void A_device_that_does_not_answer_aborts_the_wait_and_stops_the_queue_until_ITE_is_cleared()
    {
        var tlb = new Tlb { Answer = DeviceTlbCompletion.TimedOut };
        using var wide = WithDeviceTlb(tlb, out var status);
        wide.Place(DeviceDescriptor(VtdBench.Device));
        wide.Place(0x12);
        wide.Place(0x25 | 1ul << 32, status);
        wide.Submit(0x25 | 2ul << 32, status);
        Assert.Equal(ITE, wide.Read32(0x34));
        Assert.Equal(96ul, wide.Read64(0x80));
        Assert.Equal(0ul, wide.Peek(status));
        Assert.Equal((ulong)VtdBench.Device.Value << 32, wide.Read64(0xB0));
        Assert.Single(wide.Sink.Messages);
        wide.Write32(0x34, ITE);
        Assert.Equal(2ul, wide.Peek(status));
        Assert.Equal(128ul, wide.Read64(0x80));
        Assert.Equal(0ul, wide.Read64(0xB0));
    }

    [Fact]
    public void A_time_out_without_a_wait_is_reported_when_the_queue_runs_dry()
    {
        using var wide = WithDeviceTlb(new(), out _);
        wide.Submit(DeviceDescriptor(new(1, 2, 3)));
        Assert.Equal(ITE, wide.Read32(0x34));
        Assert.Equal((ulong)new Bdf(1, 2, 3).Value << 32, wide.Read64(0xB0));
    }

    [Fact]
    public void The_first_device_that_does_not_answer_is_named()
    {
        using var wide = WithDeviceTlb(new(), out var status);
        wide.Place(DeviceDescriptor(new(1, 2, 3)));
        wide.Place(DeviceDescriptor(new(4, 5, 6)));
        wide.Submit(0x25, status);
        Assert.Equal((ulong)new Bdf(1, 2, 3).Value << 32, wide.Read64(0xB0));
    }

    [Fact]
    public void A_malformed_answer_sets_ICE_and_the_queue_goes_on()
    {
        using var wide = WithDeviceTlb(new() { Answer = DeviceTlbCompletion.Malformed }, out var status);
        wide.Place(DeviceDescriptor(VtdBench.Device));
        wide.Submit(0x25 | 1ul << 32, status);
        Assert.Equal(ICE, wide.Read32(0x34));
        Assert.Equal(1ul, wide.Peek(status));
        Assert.Equal((ulong)VtdBench.Device.Value << 48, wide.Read64(0xB0));
        Assert.Single(wide.Sink.Messages);
        wide.Write32(0x34, ICE);
        Assert.Equal(0u, wide.Read32(0x34) | (uint)wide.Read64(0xB0));
    }

    [Fact]
    public void Page_group_responses_reach_the_device()
    {
        var tlb = new Tlb();
        using var wide = WithDeviceTlb(tlb, out _);
        wide.Submit(9 | 1 << 4 | 1 << 12 | (ulong)VtdBench.Device.Value << 16 | 0x77ul << 32, 0x1FF << 3);
        wide.Submit(9 | (ulong)new Bdf(9, 9, 1).Value << 16, 0);
        Assert.Equal(new(0x1FF, 1, 0x77, true), Assert.Single(tlb.Responses));
        Assert.Equal(0u, wide.Read32(0x34) & ~PFO);
    }
}
