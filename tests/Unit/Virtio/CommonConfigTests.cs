using Vmm.Specs.Virtio;
using Vmm.Virtio;
using Xunit;

namespace Vmm.Unit.Virtio;

/// <summary>The common and the device-specific configuration (virtio 1.2 §2.5, §4.1.3, §4.1.4.3, §4.1.4.6).</summary>
public sealed class CommonConfigTests
{
    [Fact]
    public void Queues_show_their_largest_size_and_a_missing_one_shows_0()
    {
        using var bench = Probe.Create(out _);
        Assert.Equal(2ul, bench.Load(VirtioCommon.NumQueues, 2));
        bench.Store(VirtioCommon.QueueSelect, 1, 2);
        Assert.Equal(64ul, bench.Load(VirtioCommon.QueueSize, 2));
        Assert.Equal(1ul, bench.Load(VirtioCommon.QueueNotifyOff, 2));
        foreach (var missing in new[] { 2u, 0xFFFFu })
        {
            bench.Store(VirtioCommon.QueueSelect, missing, 2);
            Assert.Equal(0ul, bench.Load(VirtioCommon.QueueSize, 2));
            bench.Store(VirtioCommon.QueueEnable, 1, 2);
            Assert.Equal(0ul, bench.Load(VirtioCommon.QueueEnable, 2));
        }
    }

    [Fact]
    public void A_queue_keeps_what_was_written_while_another_is_selected()
    {
        using var bench = Probe.Create(out _);
        bench.Negotiate();
        bench.SetUp(0, 16, 0x1_0000, 0x2_0000, 0x3_0000);
        bench.SetUp(1, 32, 0x11_2233_4450, 0x5_0000, 0x6_0000);
        bench.Store(VirtioCommon.QueueSelect, 0, 2);
        Assert.Equal((16ul, 0x1_0000ul, 0x2_0000ul, 0x3_0000ul), Fields(bench));
        bench.Store(VirtioCommon.QueueSelect, 1, 2);
        Assert.Equal((32ul, 0x11_2233_4450ul, 0x5_0000ul, 0x6_0000ul), Fields(bench));
    }

    static (ulong Size, ulong Descriptors, ulong Driver, ulong Device) Fields(VirtioBench bench) => (
        bench.Load(VirtioCommon.QueueSize, 2), bench.Load(VirtioCommon.QueueDesc, 8), bench.Load(VirtioCommon.QueueDriver, 8),
        bench.Load(VirtioCommon.QueueDevice, 8));

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Size_and_addresses_are_fixed_once_the_queue_is_enabled(bool isPacked)
    {
        using var bench = Probe.Create(out var probe, isPacked);
        var ring = bench.Start();
        bench.SetUp(0, 64, 0x7_0000, 0x8_0000, 0x9_0000);
        Assert.Equal((16ul, ring.Descriptors, ring.Driver, ring.Device), Fields(bench));
        bench.Store(VirtioCommon.QueueEnable, 0, 2);
        Assert.Equal(1ul, bench.Load(VirtioCommon.QueueEnable, 2));
        for (var i = 0; i < 40; i++)
        {
            ring.Add(new Piece(VirtioBench.Buffers, 4));
            bench.Notify();
            Assert.NotNull(ring.TryPop());
        }

        Assert.Equal(40, probe.Seen.Count);
    }

    [Fact]
    public void A_queue_that_was_not_set_up_is_fixed_after_DRIVER_OK_too()
    {
        using var bench = Probe.Create(out _);
        bench.Start();
        bench.SetUp(1, 8, 0x7_0000, 0x8_0000, 0x9_0000);
        bench.Store(VirtioCommon.QueueEnable, 1, 2);
        Assert.Equal(0ul, bench.Load(VirtioCommon.QueueEnable, 2));
        Assert.Equal((64ul, 0ul, 0ul, 0ul), Fields(bench));
        bench.Notify(1);
        Assert.Equal(VirtioFault.None, bench.Device.Fault);
    }

    [Fact]
    public void A_queue_cannot_be_enabled_before_FEATURES_OK()
    {
        using var bench = Probe.Create(out _);
        bench.SetUp(0, 16, 0x1_0000, 0x2_0000, 0x3_0000);
        bench.Store(VirtioCommon.QueueEnable, 1, 2);
        Assert.Equal(0ul, bench.Load(VirtioCommon.QueueEnable, 2));
    }

    [Fact]
    public void Reset_gives_queues_their_first_values()
    {
        using var bench = Probe.Create(out _);
        bench.EnableMsix();
        bench.Start(vector: 1);
        bench.SetStatus(VirtioStatus.None);
        bench.Store(VirtioCommon.QueueSelect, 0, 2);
        Assert.Equal((64ul, 0ul, 0ul, 0ul), Fields(bench));
        Assert.Equal(0ul, bench.Load(VirtioCommon.QueueEnable, 2));
        Assert.Equal(0ul, bench.Load(VirtioCommon.QueueReset, 2));
        Assert.Equal((ulong)VirtioCommon.NoVector, bench.Load(VirtioCommon.QueueMsixVector, 2));
        Assert.Equal((ulong)VirtioCommon.NoVector, bench.Load(VirtioCommon.ConfigMsixVector, 2));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(15)]
    [InlineData(128)]
    [InlineData(32769)]
    public void A_split_queue_shows_0_for_an_impossible_size_and_cannot_be_enabled_with_it(int size)
    {
        using var bench = Probe.Create(out _);
        bench.Negotiate();
        bench.SetUp(0, size, 0x1_0000, 0x2_0000, 0x3_0000);
        Assert.Equal(0ul, bench.Load(VirtioCommon.QueueSize, 2));
        bench.Store(VirtioCommon.QueueEnable, 1, 2);
        Assert.Equal(0ul, bench.Load(VirtioCommon.QueueEnable, 2));
        Assert.Equal(VirtioFault.QueueSetup, bench.Device.Fault);
        Assert.True(bench.Status.HasFlag(VirtioStatus.NeedsReset));
    }

    [Fact]
    public void A_packed_queue_may_have_any_size()
    {
        using var bench = Probe.Create(out var probe, true);
        var ring = bench.Start(15);
        Assert.Equal(15ul, bench.Load(VirtioCommon.QueueSize, 2));
        for (var i = 0; i < 100; i++)
        {
            ring.Add(new Piece(VirtioBench.Buffers, 4), new Piece(VirtioBench.Buffers + 64, 4, true));
            bench.Notify();
            Assert.Equal(4u, ring.TryPop()!.Value.Length);
        }

        Assert.Equal(100, probe.Seen.Count);
    }

    [Theory]
    [InlineData(false, 0x1_0008, 0x2_0000, 0x3_0000)]
    [InlineData(false, 0x1_0000, 0x2_0001, 0x3_0000)]
    [InlineData(false, 0x1_0000, 0x2_0000, 0x3_0002)]
    [InlineData(false, 0xFFFF_FFFF_FFFF_FFF0, 0x2_0000, 0x3_0000)]
    [InlineData(false, 0x1_0000, 0xFFFF_FFFF_FFFF_FFF0, 0x3_0000)]
    [InlineData(false, 0x1_0000, 0x2_0000, 0xFFFF_FFFF_FFFF_FFF0)]
    [InlineData(true, 0x1_0008, 0x2_0000, 0x3_0000)]
    [InlineData(true, 0x1_0000, 0x2_0002, 0x3_0000)]
    [InlineData(true, 0x1_0000, 0x2_0000, 0x3_0002)]
    [InlineData(true, 0xFFFF_FFFF_FFFF_FF80, 0x2_0000, 0x3_0000)]
    public void Areas_that_are_misaligned_or_wrap_cannot_be_enabled(bool isPacked, ulong descriptors, ulong driver, ulong device)
    {
        using var bench = Probe.Create(out _, isPacked);
        bench.Negotiate();
        bench.SetUp(0, 16, descriptors, driver, device);
        bench.Store(VirtioCommon.QueueEnable, 1, 2);
        Assert.Equal(0ul, bench.Load(VirtioCommon.QueueEnable, 2));
        Assert.Equal(VirtioFault.QueueSetup, bench.Device.Fault);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_queue_can_be_reset_alone_and_set_up_anew(bool isPacked)
    {
        using var bench = Probe.Create(out var probe, isPacked);
        probe.Holds = true;
        var ring = bench.Start();
        ring.Add(new Piece(VirtioBench.Buffers, 4));
        bench.Notify();
        bench.Store(VirtioCommon.QueueReset, 1, 2);
        Assert.Equal(0ul, bench.Load(VirtioCommon.QueueReset, 2));
        Assert.Equal(0ul, bench.Load(VirtioCommon.QueueEnable, 2));
        Assert.Equal((64ul, 0ul, 0ul, 0ul), Fields(bench));
        Assert.Empty(probe.Held);
        Assert.Equal(0, bench.Device.Queues[0].InFlight);
        bench.Notify();
        Assert.Empty(probe.Held);

        probe.Holds = false;
        ring = bench.Enable(0, 32);
        Assert.Equal(1ul, bench.Load(VirtioCommon.QueueEnable, 2));
        Assert.Equal(0ul, bench.Load(VirtioCommon.QueueReset, 2));
        ring.Add(new Piece(VirtioBench.Buffers, 4));
        bench.Notify();
        Assert.NotNull(ring.TryPop());
    }

    [Fact]
    public void Without_RING_RESET_the_register_does_nothing()
    {
        using var bench = Probe.Create(out _);
        bench.Start(mask: ~VirtioFeature.RingReset);
        bench.Store(VirtioCommon.QueueReset, 1, 2);
        Assert.Equal(1ul, bench.Load(VirtioCommon.QueueEnable, 2));
    }

    [Fact]
    public void Device_configuration_is_readable_before_FEATURES_OK_at_any_width()
    {
        using var bench = Probe.Create(out _);
        Assert.Equal(0x5566_7788ul, bench.Load(VirtioBench.DeviceConfig, 4));
        Assert.Equal(0x1122_3344ul, bench.Load(VirtioBench.DeviceConfig + 4, 4));
        Assert.Equal(0x1122_3344_5566_7788ul, bench.Load(VirtioBench.DeviceConfig, 8));
        Assert.Equal(7ul, bench.Load(VirtioBench.DeviceConfig + 8, 1));
        Assert.Equal(0ul, bench.Load(VirtioBench.DeviceConfig + 14, 4));
    }

    [Fact]
    public void Halves_of_64_bit_device_configuration_are_written_independently()
    {
        using var bench = Probe.Create(out var probe);
        bench.Store(VirtioBench.DeviceConfig + 4, 0xAABB_CCDD, 4);
        Assert.Equal(0xAABB_CCDD_5566_7788, probe.Config.Get64(0));
        bench.Store(VirtioBench.DeviceConfig + 8, 1, 4);
        Assert.Equal(7u, probe.Config.Get32(8));
    }

    [Fact]
    public void The_generation_changes_when_a_changed_configuration_is_read()
    {
        using var bench = Probe.Create(out var probe);
        bench.Start();
        var before = bench.Load(VirtioCommon.ConfigGeneration, 1);
        for (var i = 0; i < 256; i++)
        {
            probe.Config.Set32(8, (uint)i);
            probe.Transport.ConfigChanged();
        }

        bench.Load(VirtioBench.DeviceConfig, 4);
        var after = bench.Load(VirtioCommon.ConfigGeneration, 1);
        Assert.NotEqual(before, after);
        bench.Load(VirtioBench.DeviceConfig, 4);
        Assert.Equal(after, bench.Load(VirtioCommon.ConfigGeneration, 1));
    }

    [Fact]
    public void Unused_parts_of_the_window_read_0_and_ignore_writes()
    {
        using var bench = Probe.Create(out _);
        bench.Start();
        foreach (var offset in new ulong[] { 0x3C, 0x100, 0xFF8, 0x1001, 0x1FF8, 0x2FF8, 0x3FF8, 0x6000, 0x7FF8 })
        {
            bench.Store(offset, ulong.MaxValue, 8);
            Assert.Equal(0ul, bench.Load(offset, 8));
        }

        Assert.Equal(VirtioFault.None, bench.Device.Fault);
    }
}
