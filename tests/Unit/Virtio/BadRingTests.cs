using Vmm.Specs.Virtio;
using Vmm.Virtio;
using Xunit;

namespace Vmm.Unit.Virtio;

/// <summary>Rings that no honest driver makes: each ends in NEEDS_RESET with its reason, and never in more than that.</summary>
public sealed class BadRingTests
{
    const ulong Buffers = VirtioBench.Buffers, Table = 0x20_0000, Outside = 0x4000_0000;
    const ushort Next = DescriptorFlags.Next, Write = DescriptorFlags.Write, Indirect = DescriptorFlags.Indirect;

    static void Expect(VirtioBench bench, VirtioFault fault)
    {
        bench.Notify();
        Assert.Equal(fault, bench.Device.Fault);
        Assert.Equal(0, bench.Device.FaultQueue);
        Assert.True(bench.Status.HasFlag(VirtioStatus.NeedsReset));
    }

    static void Works(VirtioBench bench)
    {
        var ring = bench.Start();
        ring.Add(new Piece(Buffers, 4));
        bench.Notify();
        Assert.NotNull(ring.TryPop());
    }

    [Theory]
    [InlineData(16)]
    [InlineData(0xFFFF)]
    public void A_head_past_the_table(int head)
    {
        using var bench = Probe.Create(out _);
        bench.Start().Offer(head);
        Expect(bench, VirtioFault.HeadOutOfRange);
        Works(bench);
    }

    [Theory]
    [InlineData(17)]
    [InlineData(0x8000)]
    [InlineData(0xFFFF)]
    public void An_available_index_that_jumps_by_more_than_the_queue(int index)
    {
        using var bench = Probe.Create(out _);
        var ring = bench.Start();
        bench.Put16(ring.Driver + 2, index);
        Expect(bench, VirtioFault.AvailableIndex);
        Works(bench);
    }

    [Fact]
    public void An_available_index_that_jumps_by_the_whole_queue_repeats_heads_until_descriptors_run_out()
    {
        using var bench = Probe.Create(out var probe);
        probe.Holds = true;
        var ring = bench.Start();
        ring.PutDescriptor(ring.DescriptorAt(0), Buffers, 4, Next, 1);
        ring.PutDescriptor(ring.DescriptorAt(1), Buffers, 4, 0, 0);
        bench.Put16(ring.Driver + 2, 16);
        Expect(bench, VirtioFault.TooManyInFlight);
    }

    [Fact]
    public void A_chain_that_loops()
    {
        using var bench = Probe.Create(out _);
        var ring = bench.Start();
        ring.PutDescriptor(ring.DescriptorAt(0), Buffers, 4, Next, 1);
        ring.PutDescriptor(ring.DescriptorAt(1), Buffers, 4, Next, 0);
        ring.Offer(0);
        Expect(bench, VirtioFault.ChainTooLong);
        Works(bench);
    }

    [Fact]
    public void A_descriptor_that_is_its_own_successor()
    {
        using var bench = Probe.Create(out _);
        var ring = bench.Start();
        ring.PutDescriptor(ring.DescriptorAt(5), Buffers, 4, Next, 5);
        ring.Offer(5);
        Expect(bench, VirtioFault.ChainTooLong);
    }

    [Fact]
    public void A_next_index_past_the_table()
    {
        using var bench = Probe.Create(out _);
        var ring = bench.Start();
        ring.PutDescriptor(ring.DescriptorAt(0), Buffers, 4, Next, 16);
        ring.Offer(0);
        Expect(bench, VirtioFault.NextOutOfRange);
    }

    [Fact]
    public void A_packed_chain_longer_than_the_queue()
    {
        using var bench = Probe.Create(out _, true);
        var ring = bench.Start();
        for (var i = 0; i < 16; i++)
        {
            ring.PutDescriptor(ring.DescriptorAt(i), Buffers, 4, Next | DescriptorFlags.Available, 0);
        }

        Expect(bench, VirtioFault.ChainTooLong);
        Works(bench);
    }

    [Fact]
    public void More_packed_descriptors_in_flight_than_the_queue_has()
    {
        using var bench = Probe.Create(out var probe, true);
        probe.Holds = true;
        var ring = bench.Start();
        for (var i = 0; i < 16; i++)
        {
            ring.PutDescriptor(ring.DescriptorAt(i), Buffers, 4, DescriptorFlags.Available, (ushort)i);
        }

        bench.Notify();
        Assert.Equal(16, probe.Held.Count);
        ring.PutDescriptor(ring.DescriptorAt(0), Buffers, 4, DescriptorFlags.Used, 0);
        Expect(bench, VirtioFault.TooManyInFlight);
    }

    /// <summary>One descriptor that refers to the table, followed by nothing.</summary>
    static GuestRing Refer(VirtioBench bench, uint length, ushort flags = Indirect, ulong table = Table, ulong mask = ulong.MaxValue)
    {
        var ring = bench.Start(mask: mask);
        ring.PutDescriptor(ring.DescriptorAt(0), table, length, ring.IsPacked ? (ushort)(flags | ring.AvailableFlags) : flags, ring.IsPacked ? (ushort)0 : (ushort)1);
        if (!ring.IsPacked)
        {
            ring.Offer(0);
        }

        return ring;
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void An_indirect_table_without_the_feature(bool isPacked)
    {
        using var bench = Probe.Create(out _, isPacked);
        Refer(bench, 16, mask: ~VirtioFeature.RingIndirectDesc);
        Expect(bench, VirtioFault.IndirectNotNegotiated);
    }

    [Fact]
    public void An_indirect_table_in_an_indirect_table()
    {
        using var bench = Probe.Create(out _);
        var ring = Refer(bench, 16);
        ring.PutDescriptor(Table, Table, 16, Indirect, 0);
        Expect(bench, VirtioFault.IndirectNested);
    }

    [Theory]
    [InlineData(false, 0u)]
    [InlineData(false, 15u)]
    [InlineData(false, 24u)]
    [InlineData(false, uint.MaxValue)]
    [InlineData(true, 0u)]
    [InlineData(true, 24u)]
    public void An_indirect_table_that_is_no_whole_number_of_descriptors(bool isPacked, uint length)
    {
        using var bench = Probe.Create(out _, isPacked);
        Refer(bench, length);
        Expect(bench, VirtioFault.IndirectLength);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_huge_indirect_table_is_read_only_as_far_as_a_chain_may_be_long(bool isPacked)
    {
        using var bench = Probe.Create(out _, isPacked);
        var ring = Refer(bench, 0xFFFF_FFF0);
        for (var i = 0; i < 100; i++)
        {
            ring.PutDescriptor(Table + (ulong)i * 16, Buffers, 4, isPacked ? (ushort)0 : Next, (ushort)(i + 1));
        }

        var before = bench.Device.Function.Dma.Counters.Reads;
        Expect(bench, VirtioFault.ChainTooLong);
        Assert.InRange(bench.Device.Function.Dma.Counters.Reads - before, 1ul, 80ul);
    }

    [Fact]
    public void An_indirect_table_that_loops()
    {
        using var bench = Probe.Create(out _);
        var ring = Refer(bench, 32);
        ring.PutDescriptor(Table, Buffers, 4, Next, 1);
        ring.PutDescriptor(Table + 16, Buffers, 4, Next, 0);
        Expect(bench, VirtioFault.ChainTooLong);
    }

    [Fact]
    public void A_next_index_past_the_indirect_table()
    {
        using var bench = Probe.Create(out _);
        var ring = Refer(bench, 32);
        ring.PutDescriptor(Table, Buffers, 4, Next, 2);
        Expect(bench, VirtioFault.NextOutOfRange);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void An_indirect_descriptor_with_NEXT(bool isPacked)
    {
        using var bench = Probe.Create(out _, isPacked);
        var ring = Refer(bench, 16, Indirect | Next);
        ring.PutTable(Table, new Piece(Buffers, 4));
        Expect(bench, VirtioFault.IndirectWithNext);
    }

    [Fact]
    public void A_packed_list_that_mixes_both_kinds()
    {
        using var bench = Probe.Create(out _, true);
        var ring = bench.Start();
        ring.PutDescriptor(ring.DescriptorAt(1), Table, 16, (ushort)(Indirect | ring.AvailableFlags), 0);
        ring.PutDescriptor(ring.DescriptorAt(0), Buffers, 4, (ushort)(Next | ring.AvailableFlags), 0);
        Expect(bench, VirtioFault.IndirectWithNext);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_readable_piece_after_a_writable_one(bool isPacked)
    {
        using var bench = Probe.Create(out _, isPacked);
        bench.Start().Add(new Piece(Buffers, 4, true), new Piece(Buffers, 4));
        Expect(bench, VirtioFault.ReadableAfterWritable);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_piece_past_the_end_of_the_address_space(bool isPacked)
    {
        using var bench = Probe.Create(out _, isPacked);
        bench.Start().Add(new Piece(ulong.MaxValue - 2, 8));
        Expect(bench, VirtioFault.AddressWrap);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_chain_of_more_than_4_GiB(bool isPacked)
    {
        using var bench = Probe.Create(out _, isPacked);
        bench.Start().Add(new Piece(0, uint.MaxValue), new Piece(0, 2));
        Expect(bench, VirtioFault.TooManyBytes);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Rings_where_there_is_no_memory(bool isPacked)
    {
        using var bench = Probe.Create(out _, isPacked);
        bench.Negotiate();
        bench.SetUp(0, 16, Outside, Outside + 0x1000, Outside + 0x2000);
        bench.Store(VirtioCommon.QueueEnable, 1, 2);
        bench.AddStatus(VirtioStatus.DriverOk);
        Expect(bench, isPacked ? VirtioFault.DescriptorUnreachable : VirtioFault.RingUnreachable);
        Works(bench);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Rings_in_the_devices_own_registers(bool isPacked)
    {
        using var bench = Probe.Create(out _, isPacked);
        bench.Negotiate();
        bench.SetUp(0, 16, bench.Bar, bench.Bar + 0x1000, bench.Bar + 0x2000);
        bench.Store(VirtioCommon.QueueEnable, 1, 2);
        bench.AddStatus(VirtioStatus.DriverOk);
        Expect(bench, isPacked ? VirtioFault.DescriptorUnreachable : VirtioFault.RingUnreachable);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Rings_on_top_of_each_other_end_in_order(bool isPacked)
    {
        using var bench = Probe.Create(out _, isPacked);
        for (var shift = 0ul; shift < 0x100; shift += 4)
        {
            bench.Negotiate();
            bench.Memory.TryWrite(new Platform.Memory.Gpa(0x1_0000), new byte[0x1000]);
            bench.SetUp(0, 16, 0x1_0000, 0x1_0000 + shift, 0x1_0000 + shift);
            bench.Store(VirtioCommon.QueueEnable, 1, 2);
            bench.AddStatus(VirtioStatus.DriverOk);
            for (var i = 0; i < 20; i++)
            {
                bench.Put(0x1_0000 + (ulong)i * 2, [(byte)i, (byte)(i * 7)]);
                bench.Notify();
            }
        }

        Works(bench);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Used_buffers_that_cannot_be_told(bool isPacked)
    {
        using var bench = Probe.Create(out _, isPacked);
        var translator = bench.Translate();
        var ring = bench.Start();
        ring.Add(new Piece(Buffers, 4));
        var page = (isPacked ? ring.Descriptors : ring.Device) >> 12;
        translator.Pages[page] = (page, true, false);
        Expect(bench, VirtioFault.RingUnreachable);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Suppression_that_cannot_be_read(bool isPacked)
    {
        using var bench = Probe.Create(out var probe, isPacked);
        probe.Holds = true;
        var translator = bench.Translate();
        var ring = bench.Start();
        ring.Add(new Piece(Buffers, 4));
        bench.Notify();
        translator.Pages.Remove(ring.Driver >> 12);
        translator.Generation++;
        probe.Release(0);
        Assert.Equal(VirtioFault.RingUnreachable, bench.Device.Fault);
    }

    [Fact]
    public void A_descriptor_table_that_cannot_be_read()
    {
        using var bench = Probe.Create(out _);
        var translator = bench.Translate();
        var ring = bench.Start();
        ring.Add(new Piece(Buffers, 4));
        translator.Pages.Remove(ring.Descriptors >> 12);
        Expect(bench, VirtioFault.DescriptorUnreachable);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void An_indirect_table_that_cannot_be_read(bool isPacked)
    {
        using var bench = Probe.Create(out _, isPacked);
        Refer(bench, 16, table: Outside);
        Expect(bench, VirtioFault.DescriptorUnreachable);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Without_bus_mastering_nothing_is_read(bool isPacked)
    {
        using var bench = Probe.Create(out var probe, isPacked);
        var ring = bench.Start();
        ring.Add(new Piece(Buffers, 4));
        bench.SetCommand(2);
        bench.Notify();
        Assert.Empty(probe.Seen);
        Assert.NotEqual(VirtioFault.None, bench.Device.Fault);
    }

    [Fact]
    public void The_queue_size_written_after_DRIVER_OK_changes_nothing()
    {
        using var bench = Probe.Create(out var probe);
        var ring = bench.Start();
        foreach (var size in new uint[] { 0, 1, 3, 64, 32768, 0xFFFF })
        {
            bench.Store(VirtioCommon.QueueSize, size, 2);
            bench.Store(VirtioCommon.QueueEnable, 1, 2);
            Assert.Equal(16ul, bench.Load(VirtioCommon.QueueSize, 2));
            for (var i = 0; i < 20; i++)
            {
                ring.Add(new Piece(Buffers, 4));
                bench.Notify();
                Assert.NotNull(ring.TryPop());
            }
        }

        Assert.Equal(VirtioFault.None, bench.Device.Fault);
    }
}
