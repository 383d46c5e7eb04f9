using System.Buffers.Binary;
using Vmm.Specs.Virtio;
using Vmm.Virtio;
using Xunit;

namespace Vmm.Unit.Virtio;

/// <summary>Discovery, capabilities and access through configuration space (virtio 1.2 §4.1.2, §4.1.4).</summary>
public sealed class CapabilityTests
{
    static uint Config(VirtioBench bench, int offset, int width = 4)
    {
        Span<byte> bytes = stackalloc byte[4];
        bytes.Clear();
        bench.Device.Function.ReadConfig(offset, bytes[..width]);
        return BinaryPrimitives.ReadUInt32LittleEndian(bytes);
    }

    static Dictionary<byte, int> Capabilities(VirtioBench bench)
    {
        var found = new Dictionary<byte, int>();
        for (var at = (int)Config(bench, 0x34, 1); at != 0; at = (int)Config(bench, at + 1, 1))
        {
            if (Config(bench, at, 1) == 9)
            {
                found.Add((byte)Config(bench, at + VirtioPciCap.Type, 1), at);
            }
        }

        return found;
    }

    [Fact]
    public void Ids_are_those_of_a_non_transitional_device()
    {
        using var bench = Probe.Create(out _);
        Assert.Equal(0x1040u + ProbeDevice.Id << 16 | 0x1AF4, Config(bench, 0));
        Assert.True(Config(bench, 8, 1) >= 1);
        Assert.True(Config(bench, 0x2E, 2) >= 0x40);
        Assert.Equal(0xFF0000u, Config(bench, 8) >> 8);
    }

    [Fact]
    public void Every_structure_has_a_capability_that_counts_its_extra_data()
    {
        using var bench = Probe.Create(out _);
        var found = Capabilities(bench);
        Assert.Equal([1, 2, 3, 4, 5], found.Keys.Select(static k => (int)k).Order());
        foreach (var (type, at) in found)
        {
            Assert.Equal(type is VirtioPciCap.Notify or VirtioPciCap.PciConfig ? 20u : 16u, Config(bench, at + VirtioPciCap.Length, 1));
            Assert.Equal(0u, Config(bench, at + VirtioPciCap.Bar, 1));
            Assert.Equal(0u, Config(bench, at + VirtioPciCap.Offset) % 4);
            Assert.True(Config(bench, at + VirtioPciCap.Offset) + Config(bench, at + VirtioPciCap.StructureLength) <= bench.Device.Function.Bars[0].Size);
        }

        Assert.Equal(16u, Config(bench, found[VirtioPciCap.Device] + VirtioPciCap.StructureLength));
    }

    [Fact]
    public void Notifications_have_room_for_every_queue()
    {
        using var bench = Probe.Create(out _, new VirtioOptions { NotificationData = true });
        var at = Capabilities(bench)[VirtioPciCap.Notify];
        var multiplier = Config(bench, at + VirtioPciCap.Extra);
        Assert.Equal(4u, multiplier);
        for (uint queue = 0; queue < 2; queue++)
        {
            bench.Store(VirtioCommon.QueueSelect, queue, 2);
            Assert.True(Config(bench, at + VirtioPciCap.StructureLength) >= bench.Load(VirtioCommon.QueueNotifyOff, 2) * multiplier + 4);
        }
    }

    [Fact]
    public void Capabilities_are_read_only_but_for_the_access_window()
    {
        using var bench = Probe.Create(out _);
        foreach (var (type, at) in Capabilities(bench))
        {
            var before = Config(bench, at + VirtioPciCap.Offset);
            bench.Device.Function.WriteConfig(at + VirtioPciCap.Offset, [4, 3, 2, 1]);
            Assert.Equal(type == VirtioPciCap.PciConfig ? 0x0102_0304u : before, Config(bench, at + VirtioPciCap.Offset));
        }
    }

    static void Aim(VirtioBench bench, int at, uint bar, uint offset, uint length)
    {
        Span<byte> bytes = stackalloc byte[4];
        bench.Device.Function.WriteConfig(at + VirtioPciCap.Bar, [(byte)bar]);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, offset);
        bench.Device.Function.WriteConfig(at + VirtioPciCap.Offset, bytes);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, length);
        bench.Device.Function.WriteConfig(at + VirtioPciCap.StructureLength, bytes);
    }

    [Fact]
    public void The_access_window_reads_and_writes_the_structures()
    {
        using var bench = Probe.Create(out var probe);
        var at = Capabilities(bench)[VirtioPciCap.PciConfig];
        Aim(bench, at, 0, VirtioCommon.DeviceStatus, 1);
        bench.Device.Function.WriteConfig(at + VirtioPciCap.Extra, [1, 0xFF, 0xFF, 0xFF]);
        Assert.Equal(VirtioStatus.Acknowledge, bench.Status);
        Assert.Equal(1u, Config(bench, at + VirtioPciCap.Extra, 1));
        Aim(bench, at, 0, VirtioCommon.NumQueues, 2);
        Assert.Equal(2u, Config(bench, at + VirtioPciCap.Extra));
        Aim(bench, at, 0, (uint)VirtioBench.DeviceConfig + 4, 4);
        Assert.Equal(0x1122_3344u, Config(bench, at + VirtioPciCap.Extra));
        bench.Device.Function.WriteConfig(at + VirtioPciCap.Extra, [9, 8, 7, 6]);
        Assert.Equal(0x0607_0809_5566_7788ul, probe.Config.Get64(0));
    }

    [Fact]
    public void Reading_ISR_through_the_window_clears_it()
    {
        using var bench = Probe.Create(out var probe);
        bench.Start();
        probe.Transport.ConfigChanged();
        var at = Capabilities(bench)[VirtioPciCap.PciConfig];
        Aim(bench, at, 0, (uint)VirtioBench.Isr, 1);
        Assert.Equal((uint)VirtioIsr.Config, Config(bench, at + VirtioPciCap.Extra, 1));
        Assert.Equal(0u, Config(bench, at + VirtioPciCap.Extra, 1));
    }

    [Fact]
    public void A_notification_through_the_window_counts()
    {
        using var bench = Probe.Create(out var probe);
        var ring = bench.Start();
        ring.Add(new Piece(VirtioBench.Buffers, 4));
        var at = Capabilities(bench)[VirtioPciCap.PciConfig];
        Aim(bench, at, 0, (uint)VirtioBench.NotifyBase, 2);
        bench.Device.Function.WriteConfig(at + VirtioPciCap.Extra, [0, 0]);
        Assert.Single(probe.Seen);
    }

    [Theory]
    [InlineData(1, 0, 4)]
    [InlineData(6, 0, 4)]
    [InlineData(0, 2, 4)]
    [InlineData(0, 1, 2)]
    [InlineData(0, 0, 3)]
    [InlineData(0, 0, 0)]
    [InlineData(0, 0, 0x8000_0001)]
    [InlineData(0, 0x8000, 4)]
    [InlineData(0, 0xFFFF_FFFC, 4)]
    public void An_impossible_window_does_nothing(uint bar, uint offset, uint length)
    {
        using var bench = Probe.Create(out _);
        bench.AddStatus(VirtioStatus.Acknowledge);
        var at = Capabilities(bench)[VirtioPciCap.PciConfig];
        Aim(bench, at, bar, offset, length);
        bench.Device.Function.WriteConfig(at + VirtioPciCap.Extra, [1, 2, 3, 4]);
        Assert.Equal(0x0403_0201u, Config(bench, at + VirtioPciCap.Extra));
        Assert.Equal(VirtioStatus.Acknowledge, bench.Status);
        Assert.Equal(0ul, bench.Load(VirtioCommon.DeviceFeatureSelect, 4));
    }
}
