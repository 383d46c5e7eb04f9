using Vmm.Beds;
using Vmm.GuestDma;
using Vmm.GuestDma.Guest;
using Vmm.GuestDma.Swiotlb;
using Vmm.Platform.Memory;
using Xunit;

namespace Vmm.Unit.GuestDma;

/// <summary>The software IO TLB: limits, areas, growth, shrinking, what a device sees of slots, and failures.</summary>
public sealed class SwiotlbTests
{
    const ulong Mask = (64ul << 20) - 1;

    const int Slot = SwiotlbOptions.SlotBytes, Largest = Slot * SwiotlbOptions.SetSlots;

    /// <summary>The device reaches 62 MiB from 2 MiB on; buffers lie above.</summary>
    static DmaBed Bed(DmaPolicy policy, SwiotlbOptions? options = null, ulong reachable = 62 << 20, int cpus = 1) => new(new()
    {
        Policy = policy, MemoryBytes = 128 << 20, KernelStart = 64 << 20, ReachableBytes = reachable, HasDisk = false, Vtd = null, Cpus = cpus,
        Device = new() { Mask = Mask, Swiotlb = options ?? new() { Bytes = 8 << 20 } },
    });

    static Gpa Buffer(DmaBed bed, int bytes = 4096)
    {
        var order = System.Numerics.BitOperations.Log2((uint)(bytes + 4095 >> 12) * 2 - 1);
        Assert.True(bed.Machine.Pages.TryAllocate(order, AllocationSite.Buffer, out var buffer));
        return buffer;
    }

    [Theory]
    [InlineData(DmaPolicy.Swiotlb)]
    [InlineData(DmaPolicy.DynamicSwiotlb)]
    public void A_buffer_out_of_reach_is_copied_within_reach_and_keeps_its_place_in_a_page(DmaPolicy policy)
    {
        using var bed = Bed(policy);
        var mapper = bed.Machine.Device.Mapper;
        var buffer = Buffer(bed) + 1236;
        Assert.True(bed.Memory.TryWrite(buffer, 11u));
        var address = mapper.MapPage(buffer, 2000, DmaDirection.Bidirectional);
        Assert.True(address.Value + 2000 <= Mask && (address.Value & 4095) == 1236);
        Assert.True(bed.Port.TryRead(address, out uint found) && found == 11);
        Assert.True(bed.Port.TryWrite(address + 4, 12u));
        Assert.True(bed.Memory.TryRead(buffer + 4, out found) && found == 0);
        mapper.UnmapPage(address, 2000, DmaDirection.Bidirectional);
        Assert.True(bed.Memory.TryRead(buffer + 4, out found) && found == 12);
        Assert.True(bed.Memory.TryRead(buffer, out found) && found == 11);
    }

    [Fact]
    public void A_buffer_within_reach_is_used_as_it_is_unless_copying_is_forced()
    {
        foreach (var forced in new[] { false, true })
        {
            using var bed = Bed(DmaPolicy.Swiotlb, new() { Bytes = 4 << 20, Forced = forced });
            var mapper = bed.Machine.Device.Mapper;
            Assert.True(mapper.TryAllocateCoherent(4096, out var within));
            bed.Ledger.Clear();
            var address = mapper.MapPage(within.Address, 4096, DmaDirection.ToDevice);
            Assert.Equal(forced, address.Value != within.Address.Value);
            Assert.Equal(forced, bed.Ledger.Total != 0 && bed.Ledger.Cycles(Vmm.GuestDma.Cost.DmaOperation.Map) != 0);
            mapper.UnmapPage(address, 4096, DmaDirection.ToDevice);
        }
    }

    [Fact]
    public void A_device_sees_nothing_that_an_earlier_mapping_left_and_what_it_leaves_out_comes_back_unchanged()
    {
        using var bed = Bed(DmaPolicy.Swiotlb);
        var mapper = bed.Machine.Device.Mapper;
        Gpa secret = Buffer(bed), open = Buffer(bed);
        bed.Memory.TryWrite(secret, 0x5EC2E7u);
        bed.Memory.TryWrite(open, 5u);
        mapper.UnmapPage(mapper.MapPage(secret, 4096, DmaDirection.ToDevice), 4096, DmaDirection.ToDevice);
        foreach (var attributes in new[] { DmaAttributes.None, DmaAttributes.SkipCpuSync })
        {
            var address = mapper.MapPage(open, 4096, DmaDirection.FromDevice, attributes);
            Assert.True(bed.Port.TryRead(address, out uint found) && found == 5);
            mapper.UnmapPage(address, 4096, DmaDirection.FromDevice, attributes);
            Assert.True(bed.Memory.TryRead(open, out found) && found == 5);
        }
    }

    [Fact]
    public void A_mapping_has_128_slots_at_most_in_the_static_form()
    {
        using var bed = Bed(DmaPolicy.Swiotlb);
        var mapper = bed.Machine.Device.Mapper;
        var buffer = Buffer(bed, 2 * Largest);
        var address = mapper.MapPage(buffer, Largest, DmaDirection.ToDevice);
        Assert.NotEqual(IDmaMapper.MappingError, address);
        mapper.UnmapPage(address, Largest, DmaDirection.ToDevice);
        Assert.Equal(IDmaMapper.MappingError, mapper.MapPage(buffer, Largest + 1, DmaDirection.ToDevice));
        Assert.Equal(IDmaMapper.MappingError, mapper.MapPage(buffer + 1, Largest, DmaDirection.ToDevice));
        Assert.Equal(0, bed.Machine.Device.Swiotlb!.Live);
    }

    [Fact]
    public void Every_slot_can_be_used_and_is_found_again_whatever_the_order_of_giving_back()
    {
        using var bed = Bed(DmaPolicy.Swiotlb, new() { Bytes = 1 << 20 });
        var mapper = bed.Machine.Device.Mapper;
        var buffer = Buffer(bed, Largest);
        var random = new Random(5);
        for (var round = 0; round < 20; round++)
        {
            var live = new List<(Iova Address, int Length)>();
            for (var left = 1 << 20; left > 0;)
            {
                var length = Math.Min(left, 4096 << random.Next(3));
                var address = mapper.MapPage(buffer, length, DmaDirection.ToDevice);
                if (address == IDmaMapper.MappingError)
                {
                    // Larger ones leave gaps between them; pages fill every one.
                    length = 4096;
                    address = mapper.MapPage(buffer, length, DmaDirection.ToDevice);
                    Assert.NotEqual(IDmaMapper.MappingError, address);
                }

                Assert.DoesNotContain(live, l => l.Address.Value < address.Value + (ulong)length && address.Value < l.Address.Value + (ulong)l.Length);
                live.Add((address, length));
                left -= length;
            }

            Assert.Equal(IDmaMapper.MappingError, mapper.MapPage(buffer, 1, DmaDirection.ToDevice));
            foreach (var (address, length) in live.OrderBy(_ => random.Next()))
            {
                mapper.UnmapPage(address, length, DmaDirection.ToDevice);
            }
        }

        // Nothing is left in pieces.
        var all = Enumerable.Range(0, 4).Select(_ => mapper.MapPage(buffer, Largest, DmaDirection.ToDevice)).ToList();
        Assert.DoesNotContain(IDmaMapper.MappingError, all);
    }

    [Fact]
    public void Processors_search_areas_of_their_own_first_and_those_of_others_after()
    {
        using var bed = Bed(DmaPolicy.Swiotlb, new() { Bytes = 1 << 20 }, cpus: 4);
        var mapper = bed.Machine.Device.Mapper;
        var buffer = Buffer(bed, Largest);
        var areas = new HashSet<ulong>();
        for (var cpu = 0; cpu < 4; cpu++)
        {
            bed.View.Cpu = cpu;
            areas.Add(mapper.MapPage(buffer, 4096, DmaDirection.ToDevice).Value >> 18);
        }

        Assert.Equal(4, areas.Count);
        bed.View.Cpu = 0;
        var more = 0;
        while (mapper.MapPage(buffer, 4096, DmaDirection.ToDevice) != IDmaMapper.MappingError)
        {
            more++;
        }

        Assert.Equal(256 - 4, more);
    }

    [Theory]
    [InlineData(8 << 20)]
    [InlineData(34 << 20)]
    public void Large_mappings_succeed_in_the_dynamic_form_when_they_may_sleep_and_fail_cleanly_otherwise(int bytes)
    {
        foreach (var (way, succeeds) in new[]
        {
            (SwiotlbCost.Way.Static, false), (SwiotlbCost.Way.Dynamic, false), (SwiotlbCost.Way.DynamicSleeping, true), (SwiotlbCost.Way.Iommu, true),
        })
        {
            Assert.Equal(succeeds, SwiotlbCost.Run(bytes, 1, way).IsMapped);
        }
    }

    [Fact]
    public void The_dynamic_form_starts_small_serves_a_burst_at_once_grows_and_shrinks_when_it_is_idle()
    {
        using var bed = Bed(DmaPolicy.DynamicSwiotlb);
        var mapper = bed.Machine.Device.Mapper;
        var swiotlb = bed.Machine.Device.Swiotlb!;
        var buffer = Buffer(bed, Largest);
        Assert.Equal((1ul << 20, 1), (swiotlb.Bytes, swiotlb.Pools));
        var live = Enumerable.Range(0, 10).Select(_ => mapper.MapPage(buffer, Largest, DmaDirection.ToDevice)).ToList();
        Assert.DoesNotContain(IDmaMapper.MappingError, live);
        Assert.Equal((6ul, 1), (swiotlb.Transients, swiotlb.Pools));
        Pass(bed, 1_000_000);
        Assert.Equal((2, 5ul << 20), (swiotlb.Pools, swiotlb.Bytes - (6ul << 18)));
        live.ForEach(a => mapper.UnmapPage(a, Largest, DmaDirection.ToDevice));
        Assert.Equal(5ul << 20, swiotlb.Bytes);
        live = Enumerable.Range(0, 10).Select(_ => mapper.MapPage(buffer, Largest, DmaDirection.ToDevice)).ToList();
        Assert.Equal(6ul, swiotlb.Transients);
        live.ForEach(a => mapper.UnmapPage(a, Largest, DmaDirection.ToDevice));
        for (var i = 0; i < 4; i++)
        {
            Pass(bed, 5_000_000_000);
        }

        Assert.Equal((1, 1ul << 20), (swiotlb.Pools, swiotlb.Bytes));
    }

    [Fact]
    public void A_mapping_that_may_sleep_waits_for_the_pool_instead_of_a_buffer_of_its_own()
    {
        using var bed = Bed(DmaPolicy.DynamicSwiotlb);
        var mapper = bed.Machine.Device.Mapper;
        var buffer = Buffer(bed, Largest);
        for (var i = 0; i < 10; i++)
        {
            Assert.NotEqual(IDmaMapper.MappingError, mapper.MapPage(buffer, Largest, DmaDirection.ToDevice, DmaAttributes.MaySleep));
        }

        Assert.Equal((0ul, 1ul), (bed.Machine.Device.Swiotlb!.Transients, bed.Machine.Device.Swiotlb.Growths));
    }

    [Fact]
    public void Growth_is_content_with_less_and_at_last_with_nothing()
    {
        using var bed = Bed(DmaPolicy.DynamicSwiotlb, reachable: 4 << 20);
        var mapper = bed.Machine.Device.Mapper;
        var buffer = Buffer(bed, Largest);
        var live = new List<Iova>();
        while (mapper.MapPage(buffer, Largest, DmaDirection.ToDevice, DmaAttributes.MaySleep) is var address && address != IDmaMapper.MappingError)
        {
            live.Add(address);
            Assert.True(live.Count < 100);
        }

        // 1 MiB at first, 2 MiB and 1 MiB added.
        Assert.Equal((16, 2ul, 1ul), (live.Count, bed.Machine.Device.Swiotlb!.Growths, bed.Machine.Device.Swiotlb.Failures));
        live.ForEach(a => mapper.UnmapPage(a, Largest, DmaDirection.ToDevice));
        Assert.NotEqual(IDmaMapper.MappingError, mapper.MapPage(buffer, Largest, DmaDirection.ToDevice));
    }

    [Fact]
    public void A_list_that_fails_in_the_middle_leaves_nothing_mapped()
    {
        using var bed = Bed(DmaPolicy.Swiotlb, new() { Bytes = 1 << 20 });
        var buffer = Buffer(bed, Largest);
        var list = Enumerable.Repeat(new ScatterEntry { Address = buffer, Length = Largest }, 5).ToArray();
        Assert.Equal(0, bed.Machine.Device.Mapper.MapScatterList(list, DmaDirection.Bidirectional));
        Assert.Equal(0, bed.Machine.Device.Swiotlb!.Live);
        Assert.Equal(4, bed.Machine.Device.Mapper.MapScatterList(list.AsSpan(0, 4), DmaDirection.Bidirectional));
    }

    [Fact]
    public void Missing_memory_at_the_start_leaves_the_policy_that_was()
    {
        using var bed = Bed(DmaPolicy.Off, new() { Bytes = 64 << 20 });
        Assert.False(bed.Machine.Device.TrySwitch(DmaPolicy.Swiotlb));
        Assert.Equal(DmaPolicy.Off, bed.Machine.Device.Policy);
        Assert.True(bed.Machine.Device.TrySwitch(DmaPolicy.DynamicSwiotlb));
        Assert.False(bed.Machine.Device.TrySwitch(DmaPolicy.Strict));
        Assert.True(bed.Machine.Device.TrySwitch(DmaPolicy.Off));
    }

    [Fact]
    public void An_encrypted_guest_reserves_six_hundredths_between_its_bounds() =>
        Assert.Equal(
            [64ul << 20, 120ul << 20, 1ul << 30],
            new[] { 512ul << 20, 2ul << 30, 256ul << 30 }.Select(SwiotlbOptions.EncryptedGuestBytes));

    [Fact]
    public void Costs_never_vary_and_add_up()
    {
        var first = SwiotlbCost.Run(64 << 10, 64, SwiotlbCost.Way.Dynamic);
        Assert.Equal(first, SwiotlbCost.Run(64 << 10, 64, SwiotlbCost.Way.Dynamic));
        Assert.InRange(first.Copy + first.Search, (first.Map + first.Unmap) * 99 / 100, first.Map + first.Unmap + 2);
    }

    static void Pass(DmaBed bed, ulong nanoseconds)
    {
        bed.Clock.Charge(bed.Clock.ToCycles(nanoseconds, 1_000_000_000));
        bed.Machine.Poll();
    }
}
