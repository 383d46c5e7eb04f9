using Vmm.Specs.Virtio;
using Vmm.Virtio;
using Xunit;

namespace Vmm.Unit.Virtio;

/// <summary>Device status and reset (virtio 1.2 §2.1, §2.4, §3.1.1).</summary>
public sealed class StatusTests
{
    const VirtioStatus Negotiated = VirtioStatus.Acknowledge | VirtioStatus.Driver | VirtioStatus.FeaturesOk;

    [Fact]
    public void Status_is_0_after_reset()
    {
        using var bench = Probe.Create(out var probe);
        Assert.Equal(VirtioStatus.None, bench.Status);
        bench.Start();
        Assert.Equal(Negotiated | VirtioStatus.DriverOk, bench.Status);
        bench.SetStatus(VirtioStatus.None);
        Assert.Equal(VirtioStatus.None, bench.Status);
        Assert.True(probe.Resets > 0);
    }

    [Fact]
    public void Each_step_needs_those_before_it()
    {
        using var bench = Probe.Create(out _);
        bench.SetStatus(VirtioStatus.Driver);
        Assert.Equal(VirtioStatus.None, bench.Status);
        bench.SetStatus(VirtioStatus.FeaturesOk | VirtioStatus.DriverOk);
        Assert.Equal(VirtioStatus.None, bench.Status);
        bench.SetStatus(VirtioStatus.Acknowledge | VirtioStatus.DriverOk);
        Assert.Equal(VirtioStatus.Acknowledge, bench.Status);
        bench.AddStatus(VirtioStatus.Driver);
        Assert.Equal(VirtioStatus.Acknowledge | VirtioStatus.Driver, bench.AddStatus(VirtioStatus.DriverOk));
        bench.Accept(bench.Offered);
        Assert.Equal(Negotiated, bench.AddStatus(VirtioStatus.FeaturesOk));
        Assert.Equal(Negotiated | VirtioStatus.DriverOk, bench.AddStatus(VirtioStatus.DriverOk));
    }

    [Fact]
    public void Bits_are_never_cleared_but_by_reset()
    {
        using var bench = Probe.Create(out _);
        bench.Start();
        bench.SetStatus(VirtioStatus.Acknowledge);
        Assert.Equal(Negotiated | VirtioStatus.DriverOk, bench.Status);
    }

    [Fact]
    public void FAILED_can_be_set_at_any_time_and_NEEDS_RESET_cannot()
    {
        using var bench = Probe.Create(out _);
        bench.SetStatus(VirtioStatus.NeedsReset);
        Assert.Equal(VirtioStatus.None, bench.Status);
        Assert.Equal(VirtioStatus.Failed, bench.AddStatus(VirtioStatus.Failed));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void No_buffer_is_consumed_and_nobody_notified_before_DRIVER_OK(bool isPacked)
    {
        using var bench = Probe.Create(out var probe, isPacked);
        bench.EnableMsix();
        bench.Negotiate();
        var ring = bench.Enable(0, 16, 1);
        ring.Add(new Piece(VirtioBench.Buffers, 8));
        bench.Notify();
        bench.Pass();
        Assert.Empty(probe.Seen);
        Assert.Null(ring.TryPop());
        Assert.Empty(bench.Sink.Messages);
        bench.AddStatus(VirtioStatus.DriverOk);
        bench.Notify();
        Assert.Single(probe.Seen);
        Assert.NotNull(ring.TryPop());
        Assert.Single(bench.Sink.Messages);
    }

    [Fact]
    public void NEEDS_RESET_is_told_with_a_configuration_change_when_DRIVER_OK_is_set()
    {
        using var bench = Probe.Create(out _);
        bench.EnableMsix();
        bench.Store(VirtioCommon.ConfigMsixVector, 0, 2);
        var ring = bench.Start();
        bench.Store(VirtioCommon.ConfigMsixVector, 0, 2);
        ring.Offer(999);
        bench.Notify();
        Assert.True(bench.Status.HasFlag(VirtioStatus.NeedsReset));
        Assert.Equal(VirtioFault.HeadOutOfRange, bench.Device.Fault);
        Assert.Equal(0x40u, Assert.Single(bench.Sink.Messages).Data);
        Assert.Equal((ulong)VirtioIsr.Config, bench.Load(VirtioBench.Isr, 1));
    }

    [Fact]
    public void NEEDS_RESET_before_DRIVER_OK_tells_nobody()
    {
        using var bench = Probe.Create(out _);
        bench.EnableMsix();
        bench.Negotiate();
        bench.Store(VirtioCommon.ConfigMsixVector, 0, 2);
        bench.SetUp(0, 16, 8, 0, 0);
        bench.Store(VirtioCommon.QueueEnable, 1, 2);
        Assert.True(bench.Status.HasFlag(VirtioStatus.NeedsReset));
        Assert.Empty(bench.Sink.Messages);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_device_that_needs_reset_uses_no_buffer_until_it_is_reset(bool isPacked)
    {
        using var bench = Probe.Create(out var probe, isPacked);
        probe.Holds = true;
        var ring = bench.Start();
        ring.Add(new Piece(VirtioBench.Buffers, 8));
        bench.Notify();
        bench.Device.Queues[0].Break();
        probe.Holds = false;
        probe.Release(0);
        ring.Add(new Piece(VirtioBench.Buffers, 8));
        bench.Notify();
        bench.Pass();
        Assert.Empty(probe.Seen);
        Assert.Null(ring.TryPop());

        ring = bench.Start();
        ring.Add(new Piece(VirtioBench.Buffers, 8));
        bench.Notify();
        Assert.Single(probe.Seen);
        Assert.Equal(VirtioFault.None, bench.Device.Fault);
    }

    [Fact]
    public void Reset_in_the_middle_of_requests_forgets_them()
    {
        using var bench = Probe.Create(out var probe, false);
        probe.Holds = true;
        var ring = bench.Start();
        for (var i = 0; i < 5; i++)
        {
            ring.Add(new Piece(VirtioBench.Buffers, 8));
        }

        bench.Notify();
        Assert.Equal(5, bench.Device.Queues[0].InFlight);
        bench.SetStatus(VirtioStatus.None);
        Assert.Equal(0, bench.Device.Queues[0].InFlight);
        Assert.Empty(probe.Held);
        ring = bench.Start();
        Assert.Null(ring.TryPop());
    }

    [Fact]
    public void Function_reset_is_a_device_reset()
    {
        using var bench = Probe.Create(out _);
        bench.Start();
        var express = 0;
        for (var at = (int)bench.Device.Function.Config.Get8(0x34); at != 0; at = bench.Device.Function.Config.Get8(at + 1))
        {
            express = bench.Device.Function.Config.Get8(at) == 0x10 ? at : express;
        }

        bench.Device.Function.WriteConfig(express + 8, [0, 0x80]);
        Assert.Equal(VirtioStatus.None, bench.Device.Status);
        Assert.False(bench.Device.Queues[0].IsEnabled);
    }
}
