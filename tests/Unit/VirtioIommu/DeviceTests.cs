using System.Buffers.Binary;
using Vmm.Platform.Dma;
using Vmm.Platform.Memory;
using Vmm.Platform.Time;
using Vmm.Specs.Virtio;
using Vmm.Unit.Virtio;
using Vmm.Virtio;
using Vmm.VirtioIommu;
using Xunit;
using static Vmm.Unit.VirtioIommu.ViommuBench;
using L = Vmm.Specs.Virtio.VirtioIommuLayout;
using S = Vmm.Specs.Virtio.VirtioIommuStatus;

namespace Vmm.Unit.VirtioIommu;

/// <summary>The device behind its queues: features, configuration, requests, events and costs (virtio 1.2 §5.13).</summary>
public sealed class DeviceTests
{
    const ulong Config = VirtioBench.DeviceConfig;

    [Fact]
    public void The_device_is_number_23_with_MAP_UNMAP_and_without_the_old_bypass_bit()
    {
        using var driver = new ViommuDriver();
        Span<byte> id = stackalloc byte[4];
        driver.Bench.Device.Function.ReadConfig(0, id);
        Assert.Equal(0x1057_1AF4u, BinaryPrimitives.ReadUInt32LittleEndian(id));
        Assert.Equal(2, driver.Device.Transport.Queues.Count);
        Assert.Equal(0b111_0111ul, driver.Bench.Offered & 0xFF);
        using var old = new ViommuDriver(new() { OffersBypassConfig = false, OffersMmio = false, OffersProbe = false });
        Assert.Equal(0b000_0111ul, old.Bench.Offered & 0xFF);
    }

    [Fact]
    public void The_configuration_says_what_the_options_say_and_only_bypass_can_be_written()
    {
        using var driver = new ViommuDriver(new() { PageSizeMask = 0x4020_1000, InputStart = 0x1000, InputEnd = 0xFFFF_FFFF, DomainStart = 3, DomainEnd = 9, ProbeSize = 256 }).Start();
        for (ulong at = 0; at < L.BypassField; at += 4)
        {
            driver.Bench.Store(Config + at, 0xFFFF_FFFF, 4);
        }

        Assert.Equal(0x4020_1000ul, driver.Bench.Load(Config + L.PageSizeMask, 8));
        Assert.Equal(0x1000ul, driver.Bench.Load(Config + L.InputStart, 8));
        Assert.Equal(0xFFFF_FFFFul, driver.Bench.Load(Config + L.InputEnd, 8));
        Assert.Equal((3ul, 9ul), (driver.Bench.Load(Config + L.DomainStart, 4), driver.Bench.Load(Config + L.DomainEnd, 4)));
        Assert.Equal(256ul, driver.Bench.Load(Config + L.ProbeSize, 4));
        Assert.Equal(1ul, driver.Bench.Load(Config + L.BypassField, 4));
    }

    [Fact]
    public void Bypass_is_written_only_as_0_or_1_and_only_when_negotiated()
    {
        using var driver = new ViommuDriver();
        driver.Start(~(ulong)VirtioIommuFeatures.BypassConfig);
        driver.Bench.Store(Config + L.BypassField, 1, 1);
        Assert.Equal(0ul, driver.Bench.Load(Config + L.BypassField, 1));
        driver.Start();
        foreach (var (write, shows) in ((ulong, ulong)[])[(1, 1), (2, 1), (0xFF, 1), (0, 0), (3, 0)])
        {
            driver.Bench.Store(Config + L.BypassField, write, 1);
            Assert.Equal(shows, driver.Bench.Load(Config + L.BypassField, 1));
            Assert.Equal(shows == 1, driver.Read(0x3000));
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Bypass_stays_over_a_device_reset_and_is_restored_by_a_system_reset(bool initial)
    {
        using var driver = new ViommuDriver(new() { Bypass = initial }).Start();
        driver.Bench.Store(Config + L.BypassField, initial ? 0u : 1u, 1);
        driver.Bench.SetStatus(VirtioStatus.None);
        Assert.Equal(initial ? 0ul : 1, driver.Bench.Load(Config + L.BypassField, 1));
        Assert.Equal(!initial, driver.Read(0x3000));
        driver.Device.PowerOn();
        Assert.Equal(initial ? 1ul : 0, driver.Bench.Load(Config + L.BypassField, 1));
        Assert.Equal(initial, driver.Read(0x3000));
    }

    [Fact]
    public void Without_the_feature_unattached_endpoints_are_blocked_whatever_the_initial_value()
    {
        using var driver = new ViommuDriver(new() { OffersBypassConfig = false, Bypass = true }).Start();
        Assert.Equal(0ul, driver.Bench.Load(Config + L.BypassField, 1));
        Assert.False(driver.Read(0x3000));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Requests_go_through_split_and_packed_queues(bool packed)
    {
        using var driver = new ViommuDriver(null, new() { Packed = packed }).Start();
        Assert.Equal(S.Ok, driver.Ask(AttachBytes(1, Disk.Value)));
        Assert.Equal(S.Ok, driver.Ask(MapBytes(1, 0x8000_0000, 0x8000_1FFF, 0x3000, 3)));
        Assert.True(driver.Port.TryWrite(new Iova(0x8000_1008), 0x1122ul));
        Assert.True(driver.Bench.Memory.TryRead(new Gpa(0x4008), out ulong found));
        Assert.Equal(0x1122ul, found);
        Assert.Equal(S.Ok, driver.Ask(UnmapBytes(1, 0, ulong.MaxValue)));
        Assert.False(driver.Port.TryWrite(new Iova(0x8000_1008), 0x3344ul));
        Assert.Equal(S.Inval, driver.Ask(DetachBytes(2, Disk.Value)));
    }

    [Fact]
    public void A_request_may_be_cut_into_descriptors_anywhere_and_the_tail_too()
    {
        using var driver = new ViommuDriver().Start(size: 64);
        var request = AttachBytes(1, Disk.Value);
        driver.Bench.Put(ViommuDriver.Request, request);
        var pieces = Enumerable.Range(0, 20).Select(i => new Piece(ViommuDriver.Request + (ulong)i, 1))
            .Concat(Enumerable.Range(0, 4).Select(i => new Piece(ViommuDriver.Reply + (ulong)(3 - i), 1, true))).ToArray();
        driver.Bench.Put(ViommuDriver.Reply, [9, 9, 9, 9]);
        driver.Requests.Add(pieces);
        driver.Bench.Notify();
        Assert.Equal(4u, driver.Requests.TryPop()!.Value.Length);
        Assert.Equal([0, 0, 0, 0], driver.Bench.Bytes(ViommuDriver.Reply, 4));
        driver.Requests.AddIndirect(0x20_0000, new Piece(ViommuDriver.Request, 20), new Piece(ViommuDriver.Reply, 4, true));
        driver.Bench.Notify();
        Assert.Equal(4u, driver.Requests.TryPop()!.Value.Length);
    }

    [Fact]
    public void An_unknown_request_comes_back_with_used_length_0()
    {
        using var driver = new ViommuDriver().Start();
        var (used, reply) = driver.Send([9, 0, 0, 0, 1, 0, 0, 0]);
        Assert.Equal(0u, used);
        Assert.Equal([0xEE, 0xEE, 0xEE, 0xEE], reply);
        Assert.Equal(0u, driver.Send(MapBytes(1, 0, 0xFFF, 0, 3)[..35]).Used);
        Assert.Equal(0u, driver.Send(AttachBytes(1, Disk.Value), 3).Used);
        Assert.Equal(VirtioFault.None, driver.Device.Transport.Fault);
    }

    [Fact]
    public void Probe_through_the_queue_lists_the_MSI_region()
    {
        using var driver = new ViommuDriver().Start();
        var (used, reply) = driver.Send(ProbeBytes(Disk.Value), 516);
        Assert.Equal(516u, used);
        Assert.Equal([1, 0, 20, 0, 1, 0, 0, 0, 0, 0, 0xE0, 0xFE, 0, 0, 0, 0, 0xFF, 0xFF, 0xEF, 0xFE, 0, 0, 0, 0], reply[..24]);
        Assert.Equal((byte)S.Ok, reply[512]);
    }

    [Theory]
    [InlineData(0xFFFF_FFFF_0000ul, ViommuDriver.Reply)]
    [InlineData(ViommuDriver.Request, 0xFFFF_FFFF_0000ul)]
    public void A_request_that_cannot_be_reached_needs_a_reset(ulong request, ulong reply)
    {
        using var driver = new ViommuDriver().Start();
        driver.Bench.Put(ViommuDriver.Request, AttachBytes(1, Disk.Value));
        driver.Requests.Add(new Piece(request, 20), new Piece(reply, 4, true));
        driver.Bench.Notify();
        Assert.Null(driver.Requests.TryPop());
        Assert.True((driver.Bench.Status & VirtioStatus.NeedsReset) != 0);
        driver.Start();
        Assert.Empty(driver.Device.Domains);
        Assert.Equal(S.Ok, driver.Ask(AttachBytes(1, Disk.Value)));
    }

    [Fact]
    public void A_fault_fills_one_event_buffer_and_interrupts()
    {
        using var driver = new ViommuDriver().Start();
        driver.Ask(AttachBytes(1, Disk.Value));
        driver.OfferEvent();
        driver.Bench.Put(ViommuDriver.Events, Enumerable.Repeat((byte)0xEE, 32).ToArray());
        Assert.False(driver.Port.TryWrite(new Iova(0x1_2345_6788), 1ul));
        Assert.Equal(24u, driver.EventRing.TryPop()!.Value.Length);
        Assert.Equal(
            [2, 0, 0, 0, 2, 1, 0, 0, 0x18, 0, 0, 0, 0, 0, 0, 0, 0x88, 0x67, 0x45, 0x23, 1, 0, 0, 0, 0xEE, 0xEE, 0xEE, 0xEE, 0xEE, 0xEE, 0xEE, 0xEE],
            driver.Bench.Bytes(ViommuDriver.Events, 32));
        driver.Bench.Pass();
        Assert.Equal(0x41u, Assert.Single(driver.Bench.Sink.Messages).Data);
        Assert.Equal((1ul, 0ul), (driver.Device.ReportedEvents, driver.Device.DroppedEvents));
    }

    [Fact]
    public void Faults_without_a_buffer_are_dropped_and_counted()
    {
        using var driver = new ViommuDriver();
        Assert.False(driver.Read(0));
        driver.Start();
        Assert.False(driver.Read(0));
        driver.OfferEvent();
        Assert.False(driver.Read(0));
        Assert.False(driver.Read(0));
        Assert.Equal((1ul, 3ul), (driver.Device.ReportedEvents, driver.Device.DroppedEvents));
        Assert.Equal(4ul, driver.Device.Endpoints.First().Counters.DomainFaults);
    }

    [Fact]
    public void A_buffer_too_small_for_a_report_is_given_back_empty_and_no_second_one_is_used()
    {
        using var driver = new ViommuDriver().Start();
        driver.OfferEvent(23);
        driver.OfferEvent();
        Assert.False(driver.Read(0));
        Assert.Equal(0u, driver.EventRing.TryPop()!.Value.Length);
        Assert.Null(driver.EventRing.TryPop());
        Assert.Equal((0ul, 1ul), (driver.Device.ReportedEvents, driver.Device.DroppedEvents));
        Assert.False(driver.Read(0));
        Assert.Equal(24u, driver.EventRing.TryPop()!.Value.Length);
    }

    [Fact]
    public void A_hundred_thousand_faults_cost_a_bounded_number_of_events()
    {
        using var driver = new ViommuDriver().Start();
        for (var i = 0; i < 16; i++)
        {
            driver.OfferEvent();
        }

        for (var i = 0; i < 100_000; i++)
        {
            driver.Read((ulong)i << 12);
        }

        Assert.Equal((16ul, 99_984ul), (driver.Device.ReportedEvents, driver.Device.DroppedEvents));
    }

    [Fact]
    public void A_full_queue_of_requests_is_answered_with_one_notification()
    {
        using var driver = new ViommuDriver().Start(size: 256);
        driver.Ask(AttachBytes(1, Disk.Value));
        for (var i = 0; i < 128; i++)
        {
            var at = 0x20_0000 + (ulong)i * 64;
            driver.Bench.Put(at, MapBytes(1, (ulong)i << 12, ((ulong)i << 12) + 0xFFF, 0, 3));
            driver.Requests.Add(new Piece(at, 36), new Piece(at + 40, 4, true));
        }

        var notifications = driver.Device.Transport.Queues[0].Counters.Notifications;
        driver.Bench.Notify();
        Assert.Equal(notifications + 1, driver.Device.Transport.Queues[0].Counters.Notifications);
        for (var i = 0; i < 128; i++)
        {
            Assert.Equal(4u, driver.Requests.TryPop()!.Value.Length);
        }

        Assert.Equal(128, driver.Device.MappingCount);
    }

    [Fact]
    public void Every_request_is_charged_and_a_VFIO_back_end_by_page()
    {
        using var driver = new ViommuDriver(new() { Bypass = false, Backend = ViommuBackend.Vfio }).Start();
        var table = driver.Bench.Clock.Ledger.Account("viommu0").Table;
        driver.Ask(AttachBytes(1, Disk.Value));
        driver.Ask(MapBytes(1, 0, 0xF_FFFF, 0, 3));
        Assert.Equal((2ul, 256ul), (table[CostKind.VirtioRequest].Count, table[CostKind.VfioMap].Count));
        Assert.Equal(256 * CostModel.Default[CostKind.VfioMap], table[CostKind.VfioMap].Cycles);
        driver.Ask(UnmapBytes(1, 0, 0x1_FFFF));
        Assert.Equal(0ul, table[CostKind.VfioUnmap].Count + table[CostKind.IotlbInvalidation].Count);
        driver.Ask(UnmapBytes(1, 0, 0xF_FFFF));
        Assert.Equal((256ul, 1ul), (table[CostKind.VfioUnmap].Count, table[CostKind.IotlbInvalidation].Count));
        driver.Ask(MapBytes(1, 0, 0x7FFF_FFFF, 0, 3));
        Assert.Equal(256ul + (16 << 20 >> 12), table[CostKind.VfioMap].Count);
        driver.Ask(DetachBytes(1, Disk.Value));
        Assert.Equal((6ul, 2ul), (table[CostKind.VirtioRequest].Count, table[CostKind.IotlbInvalidation].Count));
    }

    [Fact]
    public void Without_a_back_end_only_the_request_is_charged()
    {
        using var driver = new ViommuDriver().Start();
        var table = driver.Bench.Clock.Ledger.Account("viommu0").Table;
        driver.Ask(AttachBytes(1, Disk.Value));
        driver.Ask(MapBytes(1, 0, 0xF_FFFF, 0, 3));
        Assert.Equal((2ul, 0ul), (table[CostKind.VirtioRequest].Count, table[CostKind.VfioMap].Count));
        Assert.Equal(2 * CostModel.Default[CostKind.VirtioRequest], table[CostKind.VirtioRequest].Cycles);
    }

    [Fact]
    public void An_explanation_names_domain_mapping_cache_and_fault_and_changes_nothing()
    {
        using var driver = new ViommuDriver().Start();
        Assert.Equal(VirtioIommuFault.Domain, Explain(0x1000).Fault);
        driver.Ask(AttachBytes(7, Disk.Value));
        driver.Ask(MapBytes(7, 0x1000, 0x2FFF, 0x8000, 1));
        var before = driver.Device.Endpoints.First().Counters;
        var cold = Explain(0x1004);
        Assert.Equal((7u, 0x1000ul, false, null, 0x8004ul), (cold.Domain!.Id, cold.Mapping!.Value.Start, cold.IsCached, cold.Fault, cold.Window.Address.Value));
        Assert.Equal(VirtioIommuFault.Mapping, Explain(0x1004, DmaAccess.Write).Fault);
        Assert.Equal(VirtioIommuFault.Mapping, Explain(0x3000).Fault);
        Assert.Equal(before, driver.Device.Endpoints.First().Counters);
        driver.Read(0x1004);
        Assert.True(Explain(0x1004).IsCached);
        Assert.Null(driver.Device.Explain(new(new(9, 0, 0), new(0), DmaAccess.Read)).Endpoint);
        driver.Bench.Store(Config + L.BypassField, 1, 1);
        driver.Ask(DetachBytes(7, Disk.Value));
        Assert.True(Explain(0x1004).IsBypass);

        ViommuExplanation Explain(ulong address, DmaAccess access = DmaAccess.Read) => driver.Device.Explain(new(Disk, new(address), access));
    }
}
