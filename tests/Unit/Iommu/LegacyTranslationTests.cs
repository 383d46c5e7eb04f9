using Vmm.Iommu;
using Vmm.Platform.Dma;
using Vmm.Specs.VtD;
using Xunit;

namespace Vmm.Unit.Iommu;

public sealed class LegacyTranslationTests : IDisposable
{
    readonly VtdBench bench = new();

    public void Dispose() => bench.Dispose();

    [Fact]
    public void With_translation_off_addresses_pass_through()
    {
        Assert.True(bench.Dma(0x1234_5678, DmaAccess.Write, out var window));
        Assert.Equal(0x1234_5678ul, window.Address.Value);
        Assert.True(window.Readable && window.Writable && window.Length > 1 << 20);
    }

    [Fact]
    public void TE_is_refused_until_RTPS_is_set()
    {
        bench.Command(1u << 31);
        Assert.Equal(0u, bench.Read32(0x1C));
        bench.EnableLegacy();
        Assert.Equal(0xC000_0000u, bench.Read32(0x1C));
        bench.Write32(0x18, 0);
        Assert.Equal(0x4000_0000u, bench.Read32(0x1C));
    }

    [Theory]
    [InlineData(1, 3, 0x7F_FFFF_F000ul)]
    [InlineData(2, 4, 0xFFFF_FFFF_F000ul)]
    [InlineData(3, 5, 0x1FF_FFFF_FFFF_F000ul)]
    public void Tables_of_3_4_and_5_levels_translate_their_last_page(int aw, int levels, ulong input)
    {
        using var bench = new VtdBench(new() { AddressWidth = 57 });
        var table = bench.AttachLegacy(VtdBench.Device, 7, aw);
        bench.Map(table, input, 0x5000 | 3, 1, levels);
        bench.EnableLegacy();
        Assert.Equal(0x5123ul, bench.Translate(input | 0x123, DmaAccess.Write));
        Assert.Equal(FaultReason.AddressBeyondWidth, bench.AssertFault(FaultReason.AddressBeyondWidth, input + 0x1000).FR);
    }

    [Theory]
    [InlineData(1, 12)]
    [InlineData(2, 21)]
    [InlineData(3, 30)]
    public void Pages_of_4_KiB_2_MiB_and_1_GiB_give_windows_to_their_ends(int level, int shift)
    {
        var table = bench.AttachLegacy(VtdBench.Device, 7);
        bench.Map(table, 0x40_0000_0000, 0x8000_0000 | (level > 1 ? 0x83ul : 3), level);
        bench.EnableLegacy();
        for (var i = 0; i < 2; i++)
        {
            Assert.True(bench.Dma(0x40_0000_0567, DmaAccess.Read, out var window));
            Assert.Equal(0x8000_0567ul, window.Address.Value);
            Assert.Equal((1ul << shift) - 0x567, window.Length);
            Assert.True(window.Readable && window.Writable);
        }

        Assert.Equal(1ul, bench.Unit.Counters.Device(VtdBench.Device).Hits);
        Assert.Equal(1ul, bench.Unit.Counters.Device(VtdBench.Device).Misses);
    }

    [Fact]
    public void Permissions_of_all_levels_are_combined()
    {
        var table = bench.AttachLegacy(VtdBench.Device, 7);
        bench.Map(table, 0x1000, 0x5000 | 3);
        var upper = bench.EntryAddress(table, 4, 0x1000, 3);
        bench.Poke(upper, bench.Peek(upper) & ~2ul);
        bench.EnableLegacy();
        Assert.True(bench.Dma(0x1000, DmaAccess.Read, out var window));
        Assert.False(window.Writable);
        bench.AssertFault(FaultReason.NoWritePermission, 0x1000, DmaAccess.Write);
        bench.AssertFault(FaultReason.NoWritePermission, 0x1000, DmaAccess.Atomic);
    }

    [Fact]
    public void A_write_only_page_denies_reads_and_atomics()
    {
        var table = bench.AttachLegacy(VtdBench.Device, 7);
        bench.Map(table, 0x1000, 0x5000 | 2);
        bench.EnableLegacy();
        Assert.Equal(0x5000ul, bench.Translate(0x1000, DmaAccess.Write));
        bench.AssertFault(FaultReason.NoReadPermission, 0x1000);
        Assert.Equal(FaultedRequest.Atomic, bench.AssertFault(FaultReason.NoReadPermission, 0x1000, DmaAccess.Atomic).Type);
    }

    [Fact]
    public void Pass_through_yields_the_address_itself_up_to_the_largest_width()
    {
        bench.SetLegacy(VtdBench.Device, 1 | 2 << 2, 2 | 9 << 8);
        bench.EnableLegacy();
        Assert.True(bench.Dma(0x1234_5000, DmaAccess.Write, out var window));
        Assert.Equal(0x1234_5000ul, window.Address.Value);
        Assert.Equal(0xFEE0_0000ul, window.Address.Value + window.Length);
        Assert.Equal(1ul, bench.Unit.Counters.Domain(9).PassedThrough);
        bench.AssertFault(FaultReason.AddressBeyondWidth, 1ul << 48);
    }

    [Fact]
    public void A_1_GiB_page_over_the_interrupt_range_maps_around_it_but_not_into_it()
    {
        var table = bench.AttachLegacy(VtdBench.Device, 7);
        bench.Map(table, 0x40_0000_0000, 0xC000_0000 | 0x83, 3);
        bench.EnableLegacy();
        const ulong Base = 0x40_0000_0000 - 0xC000_0000;
        Assert.Equal(0xC000_0000ul, bench.Translate(0x40_0000_0000));
        for (var i = 0; i < 2; i++)
        {
            Assert.True(bench.Dma(Base + 0xFEDF_F000, DmaAccess.Read, out var below));
            Assert.Equal(0x1000ul, below.Length);
            bench.AssertFault(FaultReason.OutputInInterruptRange, Base + 0xFEE0_0000, DmaAccess.Write);
            Assert.Equal(0xFEF0_0000ul, bench.Translate(Base + 0xFEF0_0000));
        }
    }

    [Fact]
    public void Domains_share_translations_and_stay_apart()
    {
        var other = new Bdf(5, 31, 7);
        var third = new Bdf(0, 4, 0);
        var table = bench.AttachLegacy(VtdBench.Device, 7);
        bench.SetLegacy(other, table | 1, 2 | 7 << 8);
        var apart = bench.AttachLegacy(third, 8);
        bench.Map(table, 0x1000, 0x5000 | 3);
        bench.Map(apart, 0x1000, 0x6000 | 3);
        bench.EnableLegacy();
        Assert.Equal(0x5000ul, bench.Translate(0x1000));
        Assert.Equal(0x5000ul, bench.Translate(0x1000, device: other));
        Assert.Equal(0x6000ul, bench.Translate(0x1000, device: third));
        Assert.Equal(1ul, bench.Unit.Counters.Device(other).Hits);
        Assert.Equal(1ul, bench.Unit.Counters.Domain(8).Misses);
    }

    [Fact]
    public void A_page_table_that_points_to_itself_ends_after_its_levels()
    {
        var table = bench.AttachLegacy(VtdBench.Device, 7);
        bench.Poke(table, table | 3);
        bench.EnableLegacy();
        Assert.Equal(table, bench.Translate(0));
    }

    [Fact]
    public void The_working_set_may_be_as_large_as_the_IOTLB_without_a_miss()
    {
        var table = bench.AttachLegacy(VtdBench.Device, 7);
        for (ulong i = 0; i < 4096; i++)
        {
            bench.Map(table, i << 12, 0x10_0000 + (i << 12) | 3);
        }

        bench.EnableLegacy();
        for (var round = 0; round < 2; round++)
        {
            for (ulong i = 0; i < 4096; i++)
            {
                Assert.Equal(0x10_0000 + (i << 12), bench.Translate(i << 12));
            }
        }

        Assert.Equal(4096ul, bench.Unit.Counters.Domain(7).Misses);
        Assert.Equal(4096ul, bench.Unit.Counters.Domain(7).Hits);
        Assert.Equal(0ul, bench.Unit.Occupancy.Evictions);
    }

    [Fact]
    public void A_working_set_one_page_larger_than_1024_loses_nothing_else()
    {
        using var small = new VtdBench(new() { IotlbEntries = 1024 });
        var table = small.AttachLegacy(VtdBench.Device, 7);
        for (ulong i = 0; i < 1025; i++)
        {
            small.Map(table, i << 12, 0x10_0000 + (i << 12) | 3);
        }

        small.EnableLegacy();
        for (var round = 0; round < 3; round++)
        {
            for (ulong i = 0; i < 1025; i++)
            {
                small.Translate(i << 12);
            }
        }

        // One set of four ways is over-full by one page; the others keep hitting.
        Assert.InRange(small.Unit.Counters.Domain(7).Misses, 1026ul, 1025ul + 2 * 5);
    }

    [Fact]
    public void An_evicted_translation_changes_the_generation()
    {
        using var small = new VtdBench(new() { IotlbEntries = 64 });
        var table = small.AttachLegacy(VtdBench.Device, 7);
        for (ulong i = 0; i < 65; i++)
        {
            small.Map(table, i << 12, 0x5000 | 3);
        }

        small.EnableLegacy();
        for (ulong i = 0; i < 64; i++)
        {
            small.Translate(i << 12);
        }

        var before = small.Unit.Generation;
        small.Translate(0);
        Assert.Equal(before, small.Unit.Generation);
        small.Translate(64 << 12);
        Assert.NotEqual(before, small.Unit.Generation);
    }
}
