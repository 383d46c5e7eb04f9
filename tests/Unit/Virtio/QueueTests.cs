using Vmm.Specs.Virtio;
using Vmm.Virtio;
using Xunit;

namespace Vmm.Unit.Virtio;

/// <summary>Buffers, in both formats (virtio 1.2 §2.6, §2.7, §2.8).</summary>
public sealed class QueueTests
{
    const ulong Buffers = VirtioBench.Buffers, Table = 0x20_0000;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Bytes_go_both_ways_however_they_are_cut(bool isPacked)
    {
        using var bench = Probe.Create(out var probe, isPacked);
        var ring = bench.Start(16);
        var data = Enumerable.Range(0, 100).Select(static i => (byte)i).ToArray();
        bench.Put(Buffers, data);
        Piece[][] cuts =
        [
            [new(Buffers, 100), new(Buffers + 0x1000, 200, true)],
            [new(Buffers, 1), new(Buffers + 1, 98), new(Buffers + 99, 1), new(Buffers + 0x1000, 99, true), new(Buffers + 0x1063, 1, true)],
            [new(Buffers, 0), new(Buffers, 50), new(Buffers, 0), new(Buffers + 50, 50), new(Buffers + 0x1000, 0, true), new(Buffers + 0x1000, 100, true)],
        ];
        foreach (var cut in cuts)
        {
            bench.Put(Buffers + 0x1000, new byte[200]);
            var id = ring.Add(cut);
            bench.Notify();
            Assert.Equal(new UsedBuffer((uint)id, 100), ring.TryPop());
            Assert.Equal(data, probe.Seen[^1]);
            Assert.Equal(data.Select(static b => (byte)(b + 1)), bench.Bytes(Buffers + 0x1000, 100));
            Assert.Equal(data, bench.Bytes(Buffers, 100));
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_buffer_over_page_ends_goes_through_the_IOMMU_page_by_page(bool isPacked)
    {
        using var bench = Probe.Create(out var probe, isPacked);
        var translator = bench.Translate();
        (translator.Pages[0x100], translator.Pages[0x101]) = (translator.Pages[0x101], translator.Pages[0x100]);
        var ring = bench.Start(16);
        bench.Put(Buffers + 0x1FFF, [1]);
        bench.Put(Buffers, [2]);
        ring.Add(new Piece(Buffers + 0xFFF, 2));
        bench.Notify();
        Assert.Equal([1, 2], Assert.Single(probe.Seen));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void An_indirect_table_is_the_buffer(bool isPacked)
    {
        using var bench = Probe.Create(out var probe, isPacked);
        var ring = bench.Start(4);
        bench.Put(Buffers, [1, 2, 3, 4, 5, 6]);
        for (var round = 0; round < 10; round++)
        {
            var id = ring.AddIndirect(
                Table, new(Buffers, 1), new(Buffers + 1, 2), new(Buffers + 3, 3), new(Buffers + 0x1000, 2, true), new(Buffers + 0x1002, 4, true));
            bench.Notify();
            Assert.Equal(new UsedBuffer((uint)id, 6), ring.TryPop());
            Assert.Equal([1, 2, 3, 4, 5, 6], probe.Seen[^1]);
            Assert.Equal([2, 3, 4, 5, 6, 7], bench.Bytes(Buffers + 0x1000, 6));
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void WRITE_in_a_descriptor_that_refers_to_a_table_is_ignored(bool isPacked)
    {
        using var bench = Probe.Create(out var probe, isPacked);
        var ring = bench.Start(16);
        ring.PutTable(Table, new Piece(Buffers, 3));
        PutReference(bench, ring, DescriptorFlags.Indirect | DescriptorFlags.Write, 16);
        bench.Notify();
        Assert.Equal(3, Assert.Single(probe.Seen).Length);
    }

    /// <summary>One descriptor at place 0 that refers to the table.</summary>
    static void PutReference(VirtioBench bench, GuestRing ring, ushort flags, uint length)
    {
        if (ring.IsPacked)
        {
            ring.PutDescriptor(ring.DescriptorAt(0), Table, length, (ushort)(flags | ring.AvailableFlags), 5);
        }
        else
        {
            ring.PutDescriptor(ring.DescriptorAt(0), Table, length, flags, 0);
            ring.Offer(0);
        }
    }

    [Fact]
    public void Split_descriptors_may_be_followed_by_one_indirect_table()
    {
        using var bench = Probe.Create(out var probe);
        var ring = bench.Start(16);
        bench.Put(Buffers, [1, 2, 3, 4]);
        ring.PutDescriptor(ring.DescriptorAt(0), Buffers, 1, DescriptorFlags.Next, 7);
        ring.PutDescriptor(ring.DescriptorAt(7), Buffers + 1, 1, DescriptorFlags.Next, 3);
        ring.PutTable(Table, new(Buffers + 2, 1), new(Buffers + 3, 1), new(Buffers + 0x1000, 4, true));
        ring.PutDescriptor(ring.DescriptorAt(3), Table, 48, DescriptorFlags.Indirect, 0);
        ring.Offer(0);
        bench.Notify();
        Assert.Equal([1, 2, 3, 4], Assert.Single(probe.Seen));
        Assert.Equal(4u, ring.TryPop()!.Value.Length);
    }

    [Fact]
    public void Flags_in_a_packed_indirect_table_are_ignored_but_WRITE()
    {
        using var bench = Probe.Create(out var probe, true);
        var ring = bench.Start(16);
        bench.Put(Buffers, [1, 2, 3]);
        ring.PutDescriptor(Table, Buffers, 1, DescriptorFlags.Indirect | DescriptorFlags.Next | DescriptorFlags.Used, 99);
        ring.PutDescriptor(Table + 16, Buffers + 1, 2, 0, 98);
        PutReference(bench, ring, DescriptorFlags.Indirect, 32);
        bench.Notify();
        Assert.Equal([1, 2, 3], Assert.Single(probe.Seen));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Rings_wrap_for_as_long_as_one_likes(bool isPacked)
    {
        using var bench = Probe.Create(out var probe, isPacked);
        var ring = bench.Start(8);
        for (var i = 0; i < 70_000; i++)
        {
            var id = ring.Add(new Piece(Buffers, 1), new Piece(Buffers + 16, 1, true));
            bench.Notify();
            Assert.Equal(new UsedBuffer((uint)id, 1), ring.TryPop());
            probe.Seen.Clear();
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Buffers_may_be_used_in_another_order_than_they_came(bool isPacked)
    {
        using var bench = Probe.Create(out var probe, isPacked);
        probe.Holds = true;
        var ring = bench.Start(8);
        for (byte i = 0; i < 3; i++)
        {
            bench.Put(Buffers + i * 16ul, [i, i]);
        }

        int[] ids = [.. Enumerable.Range(0, 3).Select(i => ring.Add(new Piece(Buffers + (ulong)i * 16, 1), new Piece(Buffers + (ulong)i * 16 + 1, 1)))];
        bench.Notify();
        foreach (var (at, expected) in new[] { (2, 2), (0, 0), (0, 1) })
        {
            probe.Release(at);
            Assert.Equal((uint)ids[expected], ring.TryPop()!.Value.Id);
            Assert.Equal([(byte)expected, (byte)expected], probe.Seen[^1]);
        }

        // The places are free again, also those that a packed ring overwrote.
        probe.Holds = false;
        for (var i = 0; i < 20; i++)
        {
            ring.Add(new Piece(Buffers, 1), new Piece(Buffers, 1), new Piece(Buffers, 1));
            bench.Notify();
            Assert.NotNull(ring.TryPop());
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void What_the_driver_changes_after_the_buffer_was_taken_does_not_count(bool isPacked)
    {
        using var bench = Probe.Create(out var probe, isPacked);
        probe.Holds = true;
        var ring = bench.Start(8);
        bench.Put(Buffers, [7]);
        ring.Add(new Piece(Buffers, 1));
        bench.Notify();
        ring.PutDescriptor(ring.DescriptorAt(0), ulong.MaxValue - 3, uint.MaxValue, DescriptorFlags.Next, 0xFFFF);
        probe.Release(0);
        Assert.Equal([7], Assert.Single(probe.Seen));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Work_left_over_goes_on_later_without_a_notification(bool isPacked)
    {
        using var bench = Probe.Create(out var probe, isPacked);
        probe.Limit = 2;
        var ring = bench.Start(16);
        for (var i = 0; i < 7; i++)
        {
            ring.Add(new Piece(Buffers, 1));
        }

        bench.Notify();
        Assert.Equal(2, probe.Seen.Count);
        for (var i = 0; i < 5; i++)
        {
            bench.Pass(1000);
        }

        Assert.Equal(7, probe.Seen.Count);
        Assert.Equal(1ul, bench.Device.Queues[0].Counters.Notifications);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Spurious_notifications_do_no_harm(bool isPacked)
    {
        using var bench = Probe.Create(out var probe, isPacked);
        var ring = bench.Start(16);
        for (var i = 0; i < 10; i++)
        {
            bench.Notify();
            bench.Notify(1);
            bench.Notify(100);
        }

        Assert.Null(ring.TryPop());
        Assert.Equal(VirtioFault.None, bench.Device.Fault);
        ring.Add(new Piece(Buffers, 1));
        bench.Store(VirtioBench.NotifyBase, 0xFFFF_0000, 4);
        Assert.Single(probe.Seen);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_device_readable_buffer_is_never_written(bool isPacked)
    {
        using var bench = Probe.Create(out _, isPacked);
        var translator = bench.Translate();
        translator.Pages[0x100] = (0x100, true, false);
        translator.Pages[0x101] = (0x101, false, true);
        var ring = bench.Start(16);
        ring.Add(new Piece(Buffers, 64), new Piece(Buffers + 0x1000, 64, true));
        bench.Notify();
        Assert.Equal(64u, ring.TryPop()!.Value.Length);
        Assert.DoesNotContain(translator.Requests, static r => r.Address.Value >> 12 == 0x100 && r.Access != Platform.Dma.DmaAccess.Read);
        Assert.DoesNotContain(translator.Requests, static r => r.Address.Value >> 12 == 0x101 && r.Access != Platform.Dma.DmaAccess.Write);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Neither_taking_nor_using_buffers_allocates(bool isPacked)
    {
        using var bench = Probe.Create(out var probe, isPacked);
        probe.Holds = true;
        var ring = bench.Start(64);
        var queue = bench.Device.Queues[0];
        var chain = new DescriptorChain(64);
        for (var round = 0; round < 3; round++)
        {
            for (var i = 0; i < 16; i++)
            {
                ring.AddIndirect(Table, new(Buffers, 1), new(Buffers + 1, 1, true));
            }

            var before = GC.GetAllocatedBytesForCurrentThread();
            var count = 0;
            while (queue.TryPop(chain))
            {
                chain.TryRead(out byte value);
                chain.TryWrite(value);
                queue.Push(chain, 1);
                queue.Signal();
                count++;
            }

            var allocated = GC.GetAllocatedBytesForCurrentThread() - before;
            Assert.Equal(16, count);
            Assert.True(round == 0 || allocated == 0);
            while (ring.TryPop() != null)
            {
            }
        }
    }

    [Fact]
    public void Chain_positions_seek_and_end()
    {
        using var bench = Probe.Create(out var probe);
        probe.Holds = true;
        var ring = bench.Start(16);
        bench.Put(Buffers, [0, 1, 2, 3, 4, 5]);
        ring.Add(new Piece(Buffers, 2), new Piece(Buffers + 2, 0), new Piece(Buffers + 2, 4), new Piece(Buffers + 16, 3, true), new Piece(Buffers + 32, 2, true));
        bench.Notify();
        var chain = new DescriptorChain(64);
        Assert.True(probe.Held[0].Queue.TryOpen(probe.Held[0].Buffer, chain));
        Assert.Equal((6ul, 5ul), (chain.ReadableLength, chain.WritableLength));
        Span<byte> bytes = stackalloc byte[7];
        Assert.False(chain.TryRead(bytes));
        Assert.True(chain.SeekReadable(1));
        Assert.True(chain.TryRead(bytes[..5]));
        Assert.Equal([1, 2, 3, 4, 5], bytes[..5].ToArray());
        Assert.Equal(0ul, chain.ReadableLeft);
        Assert.True(chain.SeekReadable(6));
        Assert.False(chain.SeekReadable(7));
        Assert.True(chain.TryRead([]));
        Assert.True(chain.SeekWritable(2));
        Assert.True(chain.TryWrite([8, 9]));
        Assert.Equal(1ul, chain.WritableLeft);
        Assert.False(chain.TryWrite([1, 2]));
        Assert.Equal([8], bench.Bytes(Buffers + 18, 1));
        Assert.Equal([9, 0], bench.Bytes(Buffers + 32, 2));
        Assert.False(chain.SeekWritable(6));
    }
}
