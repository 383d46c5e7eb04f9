using Vmm.Platform.Interrupts;
using Vmm.Specs.Virtio;
using Vmm.Virtio;
using Xunit;

namespace Vmm.Unit.Virtio;

/// <summary>MSI-X and INTx (virtio 1.2 §4.1.4.5, §4.1.5.1.2, §4.1.5.3, §4.1.5.4).</summary>
public sealed class InterruptTests
{
    sealed class Wire : IInterruptLine
    {
        public bool Level { get; private set; }

        public void Set(bool level) => Level = level;
    }

    static void Send(VirtioBench bench, GuestRing ring, int queue = 0)
    {
        ring.Add(new Piece(VirtioBench.Buffers, 4));
        ring.AskInterruptAt(0);
        bench.Notify(queue);
        Assert.NotNull(ring.TryPop());
    }

    [Fact]
    public void Each_queue_and_the_configuration_have_a_vector_of_their_own()
    {
        using var bench = Probe.Create(out var probe);
        bench.EnableMsix();
        bench.Negotiate();
        var first = bench.Enable(0, 16, 1);
        var second = bench.Enable(1, 16, 2);
        bench.Store(VirtioCommon.ConfigMsixVector, 0, 2);
        bench.AddStatus(VirtioStatus.DriverOk);
        Send(bench, first);
        Send(bench, second, 1);
        probe.Transport.ConfigChanged();
        Assert.Equal([0x41u, 0x42, 0x40], bench.Sink.Messages.Select(static m => m.Data));
    }

    [Fact]
    public void Any_event_can_be_mapped_to_any_vector_and_unmapped()
    {
        using var bench = Probe.Create(out var probe);
        bench.EnableMsix();
        var ring = bench.Start();
        for (uint vector = 0; vector < 3; vector++)
        {
            bench.Store(VirtioCommon.QueueMsixVector, vector, 2);
            bench.Store(VirtioCommon.ConfigMsixVector, vector, 2);
            Assert.Equal((ulong)vector, bench.Load(VirtioCommon.QueueMsixVector, 2));
            Assert.Equal((ulong)vector, bench.Load(VirtioCommon.ConfigMsixVector, 2));
            bench.Sink.Messages.Clear();
            Send(bench, ring);
            probe.Transport.ConfigChanged();
            Assert.Equal([0x40 + vector, 0x40 + vector], bench.Sink.Messages.Select(static m => m.Data));
        }

        bench.Store(VirtioCommon.QueueMsixVector, VirtioCommon.NoVector, 2);
        bench.Store(VirtioCommon.ConfigMsixVector, VirtioCommon.NoVector, 2);
        bench.Sink.Messages.Clear();
        Send(bench, ring);
        probe.Transport.ConfigChanged();
        Assert.Empty(bench.Sink.Messages);
    }

    [Fact]
    public void A_vector_past_the_table_reads_back_as_NO_VECTOR()
    {
        using var bench = Probe.Create(out _);
        bench.Store(VirtioCommon.QueueMsixVector, 3, 2);
        bench.Store(VirtioCommon.ConfigMsixVector, 0x7FF, 2);
        Assert.Equal(0xFFFFul, bench.Load(VirtioCommon.QueueMsixVector, 2));
        Assert.Equal(0xFFFFul, bench.Load(VirtioCommon.ConfigMsixVector, 2));
    }

    [Fact]
    public void Table_size_is_one_vector_for_each_queue_and_one_more()
    {
        using var bench = Probe.Create(out _);
        Assert.Equal(3, bench.Device.VectorCount);
        using var few = Probe.Create(out _, new VirtioOptions { Vectors = 2 });
        Assert.Equal(1, few.Device.Function.Config.Get16(few.Device.Function.Msix!.Offset + 2) & 0x7FF);
    }

    [Fact]
    public void Without_MSIX_the_pin_follows_ISR_and_reading_drops_it()
    {
        using var bench = Probe.Create(out var probe);
        var wire = new Wire();
        bench.Device.Function.IntxLine = wire;
        var ring = bench.Start();
        Send(bench, ring);
        Assert.True(wire.Level);
        Assert.True((bench.Device.Function.Config.Get16(6) & 8) != 0);
        probe.Transport.ConfigChanged();
        Assert.Equal((ulong)(VirtioIsr.Queue | VirtioIsr.Config), bench.Load(VirtioBench.Isr, 1));
        Assert.False(wire.Level);
        Assert.True((bench.Device.Function.Config.Get16(6) & 8) == 0);
        Assert.Equal(0ul, bench.Load(VirtioBench.Isr, 1));
        Assert.Empty(bench.Sink.Messages);
    }

    [Fact]
    public void With_MSIX_a_used_buffer_leaves_ISR_alone_and_a_configuration_change_sets_it()
    {
        using var bench = Probe.Create(out var probe);
        var wire = new Wire();
        bench.Device.Function.IntxLine = wire;
        bench.EnableMsix();
        var ring = bench.Start(vector: 1);
        Send(bench, ring);
        Assert.Equal(0ul, bench.Load(VirtioBench.Isr, 1));
        probe.Transport.ConfigChanged();
        Assert.False(wire.Level);
        Assert.Equal((ulong)VirtioIsr.Config, bench.Load(VirtioBench.Isr, 1));
    }

    [Fact]
    public void The_pin_drops_on_reset()
    {
        using var bench = Probe.Create(out _);
        var wire = new Wire();
        bench.Device.Function.IntxLine = wire;
        Send(bench, bench.Start());
        Assert.True(wire.Level);
        bench.SetStatus(VirtioStatus.None);
        Assert.False(wire.Level);
        Assert.Equal(0ul, bench.Load(VirtioBench.Isr, 1));
    }

    [Fact]
    public void A_configuration_change_before_DRIVER_OK_tells_nobody()
    {
        using var bench = Probe.Create(out var probe);
        bench.EnableMsix();
        bench.Negotiate();
        bench.Store(VirtioCommon.ConfigMsixVector, 0, 2);
        probe.Transport.ConfigChanged();
        Assert.Empty(bench.Sink.Messages);
    }
}
