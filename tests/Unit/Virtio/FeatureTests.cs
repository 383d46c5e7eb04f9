using Vmm.Specs.Virtio;
using Vmm.Virtio;
using Xunit;

namespace Vmm.Unit.Virtio;

/// <summary>Feature negotiation (virtio 1.2 §2.2, §6).</summary>
public sealed class FeatureTests
{
    const VirtioStatus Found = VirtioStatus.Acknowledge | VirtioStatus.Driver;

    static bool Accepts(VirtioBench bench, ulong features)
    {
        bench.SetStatus(VirtioStatus.None);
        bench.AddStatus(VirtioStatus.Acknowledge);
        bench.AddStatus(VirtioStatus.Driver);
        bench.Accept(features);
        return bench.AddStatus(VirtioStatus.FeaturesOk).HasFlag(VirtioStatus.FeaturesOk);
    }

    [Fact]
    public void Offered_features_are_shown_by_halves_and_0_beyond()
    {
        using var bench = Probe.Create(out _);
        Assert.Equal(
            0b101 | VirtioFeature.Version1 | VirtioFeature.RingIndirectDesc | VirtioFeature.RingEventIdx | VirtioFeature.RingReset, bench.Offered);
        bench.Store(VirtioCommon.DeviceFeatureSelect, 2, 4);
        Assert.Equal(0ul, bench.Load(VirtioCommon.DeviceFeature, 4));
        bench.Store(VirtioCommon.DeviceFeatureSelect, uint.MaxValue, 4);
        Assert.Equal(0ul, bench.Load(VirtioCommon.DeviceFeature, 4));
    }

    [Fact]
    public void Accepted_features_read_back()
    {
        using var bench = Probe.Create(out _);
        bench.Accept(VirtioFeature.Version1 | 4);
        Assert.Equal(VirtioFeature.Version1 | 4, bench.Accepted);
        bench.Store(VirtioCommon.DriverFeatureSelect, 7, 4);
        Assert.Equal(0ul, bench.Load(VirtioCommon.DriverFeature, 4));
    }

    [Fact]
    public void Any_subset_with_VERSION_1_is_accepted()
    {
        using var bench = Probe.Create(out _);
        var optional = bench.Offered & ~VirtioFeature.Version1;
        for (var subset = optional; ; subset = subset - 1 & optional)
        {
            Assert.True(Accepts(bench, subset | VirtioFeature.Version1), $"0x{subset:x}");
            if (subset == 0)
            {
                break;
            }
        }
    }

    [Fact]
    public void Without_VERSION_1_FEATURES_OK_is_refused()
    {
        using var bench = Probe.Create(out _);
        Assert.False(Accepts(bench, bench.Offered & ~VirtioFeature.Version1));
    }

    [Theory]
    [InlineData(VirtioFeature.RingPacked)]
    [InlineData(VirtioFeature.AccessPlatform)]
    [InlineData(VirtioFeature.InOrder)]
    [InlineData(2ul)]
    [InlineData(1ul << 63)]
    public void A_feature_that_is_not_offered_is_refused(ulong feature)
    {
        using var bench = Probe.Create(out _);
        Assert.False(Accepts(bench, bench.Offered | feature));
    }

    [Fact]
    public void A_feature_from_bit_64_on_is_refused()
    {
        using var bench = Probe.Create(out _);
        bench.AddStatus(VirtioStatus.Acknowledge);
        bench.AddStatus(VirtioStatus.Driver);
        bench.Accept(bench.Offered);
        bench.Store(VirtioCommon.DriverFeatureSelect, 2, 4);
        bench.Store(VirtioCommon.DriverFeature, 1, 4);
        Assert.Equal(Found, bench.AddStatus(VirtioStatus.FeaturesOk));
        Assert.True(Accepts(bench, bench.Offered));
    }

    [Fact]
    public void The_device_type_can_refuse_a_combination()
    {
        using var bench = Probe.Create(out var probe);
        probe.Refused = 4;
        Assert.False(Accepts(bench, bench.Offered));
        Assert.True(Accepts(bench, bench.Offered & ~4ul));
    }

    [Fact]
    public void Features_cannot_change_after_FEATURES_OK()
    {
        using var bench = Probe.Create(out _);
        bench.Negotiate(VirtioFeature.Version1);
        bench.Accept(bench.Offered);
        Assert.Equal(VirtioFeature.Version1, bench.Accepted);
        Assert.Equal(VirtioFeature.Version1, bench.Device.Negotiated);
    }

    [Fact]
    public void The_same_set_is_accepted_again_after_reset()
    {
        using var bench = Probe.Create(out _);
        var features = bench.Offered & ~4ul;
        Assert.True(Accepts(bench, features));
        Assert.True(Accepts(bench, features));
    }

    [Fact]
    public void Behind_an_IOMMU_ACCESS_PLATFORM_is_offered_and_must_be_accepted()
    {
        using var bench = Probe.Create(out _);
        bench.Translate();
        Assert.True((bench.Offered & VirtioFeature.AccessPlatform) != 0);
        Assert.False(Accepts(bench, bench.Offered & ~VirtioFeature.AccessPlatform));
        Assert.True(Accepts(bench, bench.Offered));
    }

    [Fact]
    public void ACCESS_PLATFORM_can_be_withheld_as_QEMU_does()
    {
        using var bench = Probe.Create(out _, new VirtioOptions { AccessPlatform = false });
        bench.Translate();
        Assert.True((bench.Offered & VirtioFeature.AccessPlatform) == 0);
        Assert.True(bench.Device.BypassesIommu);
        Assert.True(Accepts(bench, bench.Offered));
    }

    [Fact]
    public void Optional_features_are_offered_when_asked_for()
    {
        var all = new VirtioOptions { Packed = true, NotificationData = true, OrderPlatform = true, AccessPlatform = true };
        using var bench = Probe.Create(out _, all);
        var extra = VirtioFeature.RingPacked | VirtioFeature.NotificationData | VirtioFeature.OrderPlatform | VirtioFeature.AccessPlatform;
        Assert.Equal(extra, bench.Offered & extra);
        using var plain = Probe.Create(out _, new VirtioOptions { Indirect = false, EventIndex = false, RingReset = false });
        Assert.Equal(VirtioFeature.Version1 | 5, plain.Offered);
    }
}
