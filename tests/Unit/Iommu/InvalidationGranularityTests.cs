using Vmm.Iommu;
using Vmm.Platform.Dma;
using Vmm.Specs.VtD;
using Xunit;

namespace Vmm.Unit.Iommu;

/// <summary>What each invalidation drops, and what it must keep.</summary>
public sealed class InvalidationGranularityTests : IDisposable
{
    static readonly Bdf Other = new(0, 4, 0);

    readonly VtdBench bench = new();
    readonly ulong table;
    readonly ulong otherTable;

    public InvalidationGranularityTests()
    {
        table = bench.AttachLegacy(VtdBench.Device, 7);
        otherTable = bench.AttachLegacy(Other, 8);
        for (ulong i = 0; i < 8; i++)
        {
            bench.Map(table, i << 12, 0x10_0000 + (i << 12) | 3);
            bench.Map(otherTable, i << 12, 0x20_0000 + (i << 12) | 3);
        }

        bench.Map(table, 0x20_0000, 0x40_0000 | 0x83, 2);
        bench.EnableLegacy();
        bench.EnableQueue();
        Touch();
    }

    public void Dispose() => bench.Dispose();

    void Touch()
    {
        for (ulong i = 0; i < 8; i++)
        {
            bench.Translate(i << 12);
            bench.Translate(i << 12, device: Other);
        }

        bench.Translate(0x21_2000);
    }

    /// <summary>Redirects every page in memory without telling the unit.</summary>
    void Remap()
    {
        for (ulong i = 0; i < 8; i++)
        {
            bench.Map(table, i << 12, 0x50_0000 + (i << 12) | 3);
            bench.Map(otherTable, i << 12, 0x60_0000 + (i << 12) | 3);
        }

        bench.Map(table, 0x20_0000, 0x80_0000 | 0x83, 2);
    }

    string Stale()
    {
        var result = "";
        for (ulong i = 0; i < 8; i++)
        {
            result += bench.Translate(i << 12) < 0x40_0000 ? (char)('0' + i) : '-';
        }

        result += bench.Translate(0x21_2000) < 0x80_0000 ? 'L' : '-';
        for (ulong i = 0; i < 8; i++)
        {
            result += bench.Translate(i << 12, device: Other) < 0x40_0000 ? (char)('0' + i) : '-';
        }

        return result;
    }

    [Fact]
    public void Without_invalidation_everything_stays_stale()
    {
        Remap();
        Assert.Equal("01234567L01234567", Stale());
    }

    [Fact]
    public void Global_drops_everything()
    {
        Remap();
        bench.Submit(0x12);
        Assert.Equal("-----------------", Stale());
    }

    [Fact]
    public void Domain_drops_one_domain()
    {
        Remap();
        bench.Submit(0x22 | 7 << 16);
        Assert.Equal("---------01234567", Stale());
    }

    [Theory]
    [InlineData(0x3000ul, "012-4567L01234567")]
    [InlineData(0x3041ul, "01--4567L01234567")]
    [InlineData(0x2041ul, "01--4567L01234567")]
    [InlineData(0x0002ul, "----4567L01234567")]
    [InlineData(0x5003ul, "--------L01234567")]
    [InlineData(0x8000ul, "01234567L01234567")]
    [InlineData(0x2F_F000ul, "01234567-01234567")]
    [InlineData(0x0009ul, "--------L01234567")]
    [InlineData(0x000Aul, "---------01234567")]
    [InlineData(0x0012ul, "---------01234567")]
    public void Pages_drop_the_aligned_range_of_one_domain(ulong target, string expected)
    {
        Remap();
        bench.Submit(0x32 | 7 << 16, target);
        Assert.Equal(expected, Stale());
    }

    [Fact]
    public void Pages_by_register_drop_the_same()
    {
        bench.Write32(0x18, 1u << 31);
        Remap();
        bench.Write64(0xF0, 0x3000);
        bench.Write64(0xF8, 1ul << 63 | 3ul << 60 | 7ul << 32);
        Assert.Equal(3ul, bench.Read64(0xF8) >> 57 & 3);
        Assert.Equal("012-4567L01234567", Stale());
        bench.Write64(0xF0, 19);
        bench.Write64(0xF8, 1ul << 63 | 3ul << 60 | 7ul << 32);
        Assert.Equal(0ul, bench.Read64(0xF8) >> 57 & 3);
        bench.Write64(0xF8, 1ul << 63 | 2ul << 60 | 8ul << 32);
        Assert.Equal("012-4567L--------", Stale());
        bench.Write32(0xF8, 0);
        bench.Write32(0xFC, 0x9000_0000);
        Assert.Equal("-----------------", Stale());
    }

    [Fact]
    public void The_hint_keeps_pointers_to_lower_tables()
    {
        var moved = bench.Page();
        bench.Poke(moved + 8, 0x70_0000 | 3);
        bench.Poke(bench.EntryAddress(table, 4, 0, 2), moved | 3);
        bench.Submit(0x32 | 7 << 16, 0x1040);
        Assert.Equal(0x10_1000ul, bench.Translate(0x1000));
        bench.Submit(0x32 | 7 << 16, 0x1000);
        Assert.Equal(0x70_0000ul, bench.Translate(0x1000));
    }

    [Fact]
    public void Without_the_hint_the_pointers_of_other_ranges_and_domains_stay()
    {
        bench.Map(table, 1ul << 39, 0x9000 | 3);
        bench.Translate(1ul << 39);
        var before = bench.Unit.Occupancy.Structures;
        bench.Submit(0x32 | 7 << 16, 0x1000);
        Assert.Equal(before - 3, bench.Unit.Occupancy.Structures);
    }

    [Fact]
    public void A_range_larger_than_the_sets_drops_its_first_and_last_page_and_not_the_next()
    {
        using var small = new VtdBench(new() { IotlbEntries = 64 });
        var root = small.AttachLegacy(VtdBench.Device, 7);
        ulong[] inputs = [0x3F_F000, 0x40_0000, 0x5F_F000, 0x60_0000];
        foreach (var input in inputs)
        {
            small.Map(root, input, 0x5000 | 3);
        }

        small.EnableLegacy();
        small.EnableQueue();
        foreach (var input in inputs)
        {
            small.Translate(input);
            small.Map(root, input, 0x6000 | 3);
        }

        small.Submit(0x32 | 7 << 16, 0x40_0009);
        Assert.Equal([0x5000ul, 0x6000ul, 0x6000ul, 0x5000ul], inputs.Select(input => small.Translate(input)!.Value));
    }

    [Fact]
    public void Pointers_of_five_level_tables_are_dropped_down_from_the_top()
    {
        using var wide = new VtdBench(new() { AddressWidth = 57 });
        var root = wide.AttachLegacy(VtdBench.Device, 7, 3);
        const ulong Input = 1ul << 48 | 0x1000;
        wide.Map(root, Input, 0x5000 | 3, 1, 5);
        wide.EnableLegacy();
        wide.EnableQueue();
        wide.Translate(Input);
        Assert.Equal(4, wide.Unit.Occupancy.Structures);
        wide.Poke(wide.EntryAddress(root, 5, Input, 5), 0);
        wide.Submit(0x32 | 7 << 16, Input | 0x40);
        Assert.Equal(0x5000ul, wide.Translate(Input));
        wide.Submit(0x32 | 7 << 16, Input);
        Assert.Null(wide.Translate(Input));
    }

    [Fact]
    public void Context_entries_are_dropped_by_source_function_mask_domain_or_all()
    {
        var seventh = new Bdf(0, 3, 7);
        var first = new Bdf(0, 3, 1);
        var apart = new Bdf(1, 3, 0);
        Bdf[] all = [VtdBench.Device, first, seventh, Other, apart];
        foreach (var device in all)
        {
            bench.SetLegacy(device, table | 1, device == Other ? 0x802ul : 0x702);
        }

        string Redirected(ulong descriptor)
        {
            bench.Submit(0x11);
            bench.Submit(0x12);
            foreach (var device in all)
            {
                bench.SetLegacy(device, table | 1, device == Other ? 0x802ul : 0x702);
                bench.Translate(0, device: device);
                bench.SetLegacy(device, otherTable | 1, 2 | 9 << 8);
            }

            bench.Submit(descriptor);
            return string.Concat(all.Select(device => bench.Translate(0, device: device) == 0x20_0000 ? 'x' : '.'));
        }

        ulong Source(Bdf device, ulong mask) => 0x31 | (ulong)device.Value << 32 | mask << 48;
        Assert.Equal("xxxxx", Redirected(0x11));
        Assert.Equal("xxx.x", Redirected(0x21 | 7 << 16));
        Assert.Equal("...x.", Redirected(0x21 | 8 << 16));
        Assert.Equal("x....", Redirected(Source(VtdBench.Device, 0)));
        Assert.Equal("x....", Redirected(Source(VtdBench.Device, 1)));
        Assert.Equal(".xx..", Redirected(Source(seventh, 2)));
        Assert.Equal("xxx..", Redirected(Source(seventh, 3)));
    }

    [Fact]
    public void Set_root_table_pointer_drops_everything()
    {
        Remap();
        bench.Command(1u << 30);
        Assert.Equal("-----------------", Stale());
        Assert.Equal(2, bench.Unit.Occupancy.Contexts);
    }

    [Fact]
    public void A_new_root_table_takes_effect_only_with_the_command()
    {
        bench.Write64(0x20, bench.Page());
        bench.Submit(0x11);
        Assert.Equal(0x10_0000ul, bench.Translate(0));
        bench.Command(1u << 30);
        bench.AssertFault(FaultReason.RootNotPresent, 0);
    }

    [Fact]
    public void Invalidations_are_counted_by_type_and_domain()
    {
        bench.Submit(0x22 | 7 << 16);
        bench.Submit(0x32 | 7 << 16, 0x1000);
        bench.Submit(0x31 | (ulong)Other.Value << 32);
        Assert.Equal(2ul, bench.Unit.Counters.Invalidations(InvalidationType.Iotlb));
        Assert.Equal(2ul, bench.Unit.Counters.Domain(7).Invalidations);
        Assert.Equal(1ul, bench.Unit.Counters.Device(Other).Invalidations);
    }
}
