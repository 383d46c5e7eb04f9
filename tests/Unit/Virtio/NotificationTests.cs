using Vmm.Specs.Virtio;
using Xunit;

namespace Vmm.Unit.Virtio;

/// <summary>Suppression of interrupts and notifications (virtio 1.2 §2.7.7, §2.7.9, §2.7.10, §2.8.10, §2.8.14).</summary>
public sealed class NotificationTests
{
    const ulong Buffers = VirtioBench.Buffers;

    static (VirtioBench Bench, GuestRing Ring, ProbeDevice Probe) Start(bool isPacked, bool eventIndex, int size = 8)
    {
        var bench = Probe.Create(out var probe, isPacked, eventIndex);
        bench.EnableMsix();
        return (bench, bench.Start(size, vector: 1), probe);
    }

    /// <summary>Offers a buffer and lets the device use it; true when it interrupted.</summary>
    static bool Interrupts(VirtioBench bench, GuestRing ring, int pieces = 1)
    {
        bench.Sink.Messages.Clear();
        ring.Add([.. Enumerable.Range(0, pieces).Select(static _ => new Piece(Buffers, 4))]);
        bench.Notify();
        return bench.Sink.Messages.Count != 0;
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Without_EVENT_IDX_the_flag_decides(bool isPacked)
    {
        var (bench, ring, _) = Start(isPacked, false);
        using var disposed = bench;
        Assert.True(Interrupts(bench, ring));
        ring.TryPop();
        ring.SuppressInterrupts(true);
        Assert.False(Interrupts(bench, ring));
        ring.TryPop();
        ring.SuppressInterrupts(false);
        Assert.True(Interrupts(bench, ring));
        Assert.Equal((2ul, 1ul), (bench.Device.Queues[0].Counters.Interrupts, bench.Device.Queues[0].Counters.SuppressedInterrupts));
    }

    [Fact]
    public void Without_EVENT_IDX_used_event_is_ignored()
    {
        var (bench, ring, _) = Start(false, false);
        using var disposed = bench;
        ring.AskInterruptAt(1000);
        Assert.True(Interrupts(bench, ring));
    }

    [Fact]
    public void With_EVENT_IDX_the_lower_bit_of_flags_is_ignored()
    {
        var (bench, ring, _) = Start(false, true);
        using var disposed = bench;
        ring.SuppressInterrupts(true);
        ring.AskInterruptAt(0);
        Assert.True(Interrupts(bench, ring));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void With_EVENT_IDX_the_interrupt_comes_at_the_buffer_asked_for_and_at_no_other(bool isPacked)
    {
        var (bench, ring, _) = Start(isPacked, true);
        using var disposed = bench;
        for (var round = 0; round < 100; round++)
        {
            ring.AskInterruptAt(2);
            Assert.False(Interrupts(bench, ring));
            Assert.False(Interrupts(bench, ring));
            Assert.True(Interrupts(bench, ring));
            Assert.False(Interrupts(bench, ring));
            for (var i = 0; i < 4; i++)
            {
                Assert.NotNull(ring.TryPop());
            }
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_batch_that_passes_the_buffer_asked_for_interrupts_once(bool isPacked)
    {
        var (bench, ring, probe) = Start(isPacked, true);
        using var disposed = bench;
        probe.Holds = true;
        for (var round = 0; round < 50; round++)
        {
            bench.Sink.Messages.Clear();
            ring.AskInterruptAt(1);
            for (var i = 0; i < 3; i++)
            {
                ring.Add(new Piece(Buffers, 4));
            }

            bench.Notify();
            probe.Release(0, false);
            probe.Release(0, false);
            probe.Release(0);
            Assert.Single(bench.Sink.Messages);
            for (var i = 0; i < 3; i++)
            {
                Assert.NotNull(ring.TryPop());
            }
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_used_event_of_the_past_brings_no_interrupt(bool isPacked)
    {
        var (bench, ring, _) = Start(isPacked, true);
        using var disposed = bench;
        ring.AskInterruptAt(0);
        Assert.True(Interrupts(bench, ring));
        Assert.False(Interrupts(bench, ring));
        Assert.False(Interrupts(bench, ring));
    }

    [Fact]
    public void Packed_flags_DISABLE_and_ENABLE_hold_with_EVENT_IDX_too()
    {
        var (bench, ring, _) = Start(true, true);
        using var disposed = bench;
        bench.Put16(ring.Driver + 2, 1);
        Assert.False(Interrupts(bench, ring));
        bench.Put16(ring.Driver + 2, 0);
        Assert.True(Interrupts(bench, ring));
    }

    [Fact]
    public void Packed_flag_DESC_without_EVENT_IDX_enables()
    {
        var (bench, ring, _) = Start(true, false);
        using var disposed = bench;
        bench.Put16(ring.Driver, 5);
        bench.Put16(ring.Driver + 2, 2);
        Assert.True(Interrupts(bench, ring));
    }

    [Fact]
    public void The_split_device_asks_for_a_notification_at_the_next_buffer_once_it_has_taken_all()
    {
        var (bench, ring, _) = Start(false, true);
        using var disposed = bench;
        for (var i = 1; i <= 20; i++)
        {
            Interrupts(bench, ring);
            Assert.NotNull(ring.TryPop());
            Assert.Equal(i, bench.U16(ring.Device + 4 + 8 * 8));
            Assert.Equal(0, bench.U16(ring.Device));
        }
    }

    [Fact]
    public void The_packed_device_asks_for_a_notification_at_the_next_place_once_it_has_taken_all()
    {
        var (bench, ring, _) = Start(true, true);
        using var disposed = bench;
        for (var i = 0; i < 20; i++)
        {
            Interrupts(bench, ring, 3);
            Assert.NotNull(ring.TryPop());
            Assert.Equal(ring.NextPlace, bench.U16(ring.Device));
            Assert.Equal(2, bench.U16(ring.Device + 2));
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Without_EVENT_IDX_the_device_keeps_notifications_on(bool isPacked)
    {
        var (bench, ring, _) = Start(isPacked, false);
        using var disposed = bench;
        Interrupts(bench, ring);
        Assert.Equal(0, bench.U16(isPacked ? ring.Device + 2 : ring.Device));
    }

    [Fact]
    public void Len_is_in_place_when_the_used_index_moves()
    {
        var (bench, ring, _) = Start(false, true);
        using var disposed = bench;
        var id = ring.Add(new Piece(Buffers, 4), new Piece(Buffers + 16, 9, true));
        bench.Notify();
        Assert.Equal(1, bench.U16(ring.Device + 2));
        Assert.Equal(new UsedBuffer((uint)id, 4), ring.TryPop());
    }

    [Fact]
    public void A_notification_with_data_names_its_queue()
    {
        using var bench = Probe.Create(out var probe, new Vmm.Virtio.VirtioOptions { NotificationData = true, Packed = true });
        var ring = bench.Start();
        Assert.True(bench.Device.HasFeature(VirtioFeature.NotificationData));
        ring.Add(new Piece(Buffers, 4));
        bench.Store(VirtioBench.NotifyBase, (uint)ring.NextPlace << 16, 4);
        Assert.Single(probe.Seen);
    }
}
