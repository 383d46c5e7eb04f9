using Vmm.Platform.Dma;
using Vmm.Specs.Virtio;
using Xunit;
using static Vmm.Unit.VirtioIommu.ViommuBench;
using F = Vmm.Specs.Virtio.VirtioIommuMapFlags;
using S = Vmm.Specs.Virtio.VirtioIommuStatus;

namespace Vmm.Unit.VirtioIommu;

/// <summary>MAP and UNMAP (virtio 1.2 §5.13.6.5, §5.13.6.6).</summary>
public sealed class MapUnmapTests
{
    readonly ViommuBench bench = new();

    public MapUnmapTests() => bench.Attach(1, Disk);

    /// <summary>The examples of §5.13.6.6: in bytes, as they are written there, and in pages.</summary>
    [Theory]
    [InlineData(1, "", "0-4", S.Ok, "")]
    [InlineData(2, "0-9", "0-9", S.Ok, "")]
    [InlineData(3, "0-4 5-9", "0-9", S.Ok, "")]
    [InlineData(4, "0-9", "0-4", S.Range, "0-9")]
    [InlineData(5, "0-4 5-9", "0-4", S.Ok, "5-9")]
    [InlineData(6, "0-4", "0-9", S.Ok, "")]
    [InlineData(7, "0-4 10-14", "0-14", S.Ok, "")]
    public void The_seven_examples_of_the_specification(int example, string maps, string unmap, S status, string left)
    {
        Assert.InRange(example, 1, 7);
        foreach (var unit in (ulong[])[1, 4096])
        {
            var sized = new ViommuBench(new() { PageSizeMask = unit, Bypass = false });
            sized.Attach(1, Disk);
            foreach (var (start, end) in Ranges(maps, unit))
            {
                Assert.Equal(S.Ok, sized.Map(1, start, end, start));
            }

            var range = Ranges(unmap, unit).Single();
            Assert.Equal(status, sized.Unmap(1, range.Start, range.End));
            Assert.Equal(Ranges(left, unit), sized.Mappings(1));
            foreach (var (start, end) in Ranges(maps, unit))
            {
                Assert.Equal(Ranges(left, unit).Contains((start, end)), sized.Translate(end) == end);
            }
        }
    }

    static (ulong Start, ulong End)[] Ranges(string text, ulong unit) =>
        [.. text.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(r => r.Split('-').Select(ulong.Parse).ToArray()).Select(r => (r[0] * unit, (r[1] + 1) * unit - 1))];

    [Theory]
    [InlineData(0x1001ul, 0x1FFFul, 0ul)]
    [InlineData(0x1000ul, 0x1FFEul, 0ul)]
    [InlineData(0x1000ul, 0x2000ul, 0ul)]
    [InlineData(0x1000ul, 0x1FFFul, 0x800ul)]
    public void A_mapping_that_is_not_aligned_to_the_granule_is_RANGE(ulong start, ulong end, ulong physical) =>
        Assert.Equal(S.Range, bench.Map(1, start, end, physical));

    [Fact]
    public void The_granule_is_the_lowest_bit_of_page_size_mask()
    {
        var wide = new ViommuBench(new() { PageSizeMask = 0x20_1000_0000 | 0x1_0000 });
        wide.Attach(1, Disk);
        Assert.Equal(S.Range, wide.Map(1, 0x1000, 0x1FFF));
        Assert.Equal(S.Range, wide.Map(1, 0x10000, 0x1FFFF, 0x1000));
        Assert.Equal(S.Ok, wide.Map(1, 0x10000, 0x1FFFF));
    }

    [Fact]
    public void A_mapping_outside_input_range_is_RANGE()
    {
        var narrow = new ViommuBench(new() { InputStart = 0x1000, InputEnd = 0xFFFF });
        narrow.Attach(1, Disk);
        Assert.Equal(S.Range, narrow.Map(1, 0, 0xFFF));
        Assert.Equal(S.Range, narrow.Map(1, 0, 0x1FFF));
        Assert.Equal(S.Range, narrow.Map(1, 0xF000, 0x10FFF));
        Assert.Equal(S.Ok, narrow.Map(1, 0x1000, 0xFFFF));
    }

    [Theory]
    [InlineData(0x2000ul, 0x2FFFul)]
    [InlineData(0x1000ul, 0x2FFFul)]
    [InlineData(0x3000ul, 0x5FFFul)]
    [InlineData(0x1000ul, 0x5FFFul)]
    [InlineData(0x2000ul, 0x3FFFul)]
    public void A_mapping_over_another_is_INVAL_and_changes_nothing(ulong start, ulong end)
    {
        bench.Map(1, 0x2000, 0x3FFF, 0x7000);
        Assert.Equal(S.Inval, bench.Map(1, start, end, 0x9000));
        Assert.Equal([(0x2000, 0x3FFF)], bench.Mappings(1));
        Assert.Equal(0x7000ul, bench.Translate(0x2000));
    }

    [Fact]
    public void A_flag_that_is_not_known_is_INVAL()
    {
        Assert.Equal(S.Inval, bench.Map(1, 0, 0xFFF, 0, (F)8));
        Assert.Equal(S.Inval, bench.Map(1, 0, 0xFFF, 0, (F)0x8000_0003));
        Assert.Equal(S.Ok, bench.Map(1, 0, 0xFFF, 0, RW | F.Mmio));
        var plain = new ViommuBench(negotiated: VirtioIommuFeatures.MapUnmap);
        plain.Attach(1, Disk);
        Assert.Equal(S.Inval, plain.Map(1, 0, 0xFFF, 0, RW | F.Mmio));
    }

    [Fact]
    public void A_domain_that_does_not_exist_is_NOENT()
    {
        Assert.Equal(S.NoEnt, bench.Map(2, 0, 0xFFF));
        Assert.Equal(S.NoEnt, bench.Unmap(2, 0, 0xFFF));
    }

    [Fact]
    public void A_bypass_domain_takes_neither_MAP_nor_UNMAP()
    {
        bench.Attach(2, Nic, 1);
        Assert.Equal(S.Inval, bench.Map(2, 0, 0xFFF));
        Assert.Equal(S.Inval, bench.Unmap(2, 0, 0xFFF));
        Assert.Equal(0x1234ul, bench.Translate(0x1234, DmaAccess.Write, Nic));
    }

    [Fact]
    public void Rights_are_those_of_the_flags()
    {
        bench.Map(1, 0x0000, 0x0FFF, 0x10000, F.Read);
        bench.Map(1, 0x1000, 0x1FFF, 0x11000, F.Write);
        bench.Map(1, 0x2000, 0x2FFF, 0x12000, RW);
        bench.Map(1, 0x3000, 0x3FFF, 0x13000, F.None);
        string Allowed(ulong page) => string.Concat(
            ((DmaAccess[])[DmaAccess.Read, DmaAccess.Write, DmaAccess.Atomic]).Select(a => bench.Translate(page << 12, a) == null ? '-' : a.ToString()[0]));
        Assert.Equal(["R--", "-W-", "RWA", "---"], Enumerable.Range(0, 4).Select(p => Allowed((ulong)p)));
    }

    [Fact]
    public void A_window_reaches_to_the_end_of_its_mapping_with_its_rights()
    {
        bench.Map(1, 0x1000, 0x8FFF, 0x10_0000, F.Read);
        Assert.True(bench.Translator.TryTranslate(new(Disk, new(0x2345), DmaAccess.Read), out var window));
        Assert.Equal(new(new(0x10_1345), 0x9000 - 0x2345, true, false), window);
    }

    [Theory]
    [InlineData(0xFEE0_0000ul, 0xFEE0_0FFFul)]
    [InlineData(0xFEDF_F000ul, 0xFEE0_0FFFul)]
    [InlineData(0xFEEF_F000ul, 0xFEF0_0FFFul)]
    [InlineData(0xFE00_0000ul, 0xFFFF_FFFFul)]
    public void A_mapping_over_a_reserved_region_is_INVAL(ulong start, ulong end)
    {
        Assert.Equal(S.Inval, bench.Map(1, start, end));
        Assert.Equal(S.Ok, bench.Map(1, 0xFEF0_0000, 0xFEF0_0FFF));
        Assert.Equal(S.Ok, bench.Map(1, 0xFEDF_F000, 0xFEDF_FFFF));
    }

    [Fact]
    public void A_mapping_that_ends_before_it_starts_is_INVAL()
    {
        Assert.Equal(S.Inval, bench.Map(1, 0x2000, 0x0FFF));
        Assert.Equal(S.Inval, bench.Map(1, 0x1000, 0x0FFF));
        Assert.Equal(S.Inval, bench.Unmap(1, 0x1000, 0x0FFF));
    }

    [Fact]
    public void A_mapping_may_end_with_the_address_space()
    {
        Assert.Equal(S.Ok, bench.Map(1, 0xFFFF_FFFF_FFFF_F000, ulong.MaxValue, 0x3000));
        Assert.Equal(0x3FFFul, bench.Translate(ulong.MaxValue));
        Assert.Equal(S.Inval, bench.Map(1, 0xFFFF_FFFF_FFFF_0000, ulong.MaxValue, 0x3000));
        Assert.Equal([(0xFFFF_FFFF_FFFF_F000, ulong.MaxValue)], bench.Mappings(1));
        Assert.Equal(S.Ok, bench.Unmap(1, 0, ulong.MaxValue));
        Assert.Null(bench.Translate(ulong.MaxValue));
    }

    [Theory]
    [InlineData(0xF_FFFF_FFFF_F000ul, 0xFFFul, S.Ok)]
    [InlineData(0x10_0000_0000_0000ul, 0xFFFul, S.Fault)]
    [InlineData(0xF_FFFF_FFFF_F000ul, 0x1FFFul, S.Fault)]
    [InlineData(0xFFFF_FFFF_FFFF_F000ul, 0x1FFFul, S.Fault)]
    public void A_physical_range_beyond_the_guests_addresses_is_FAULT(ulong physical, ulong end, S status)
    {
        var narrow = new ViommuBench(new() { PhysicalAddressBits = 52 });
        narrow.Attach(1, Disk);
        Assert.Equal(status, narrow.Map(1, 0, end, physical));
    }

    [Fact]
    public void A_physical_range_that_wraps_is_FAULT()
    {
        Assert.Equal(S.Fault, bench.Map(1, 0, 0x1FFF, 0xFFFF_FFFF_FFFF_F000));
        Assert.Equal(S.Ok, bench.Map(1, 0, 0xFFF, 0xFFFF_FFFF_FFFF_F000));
    }

    [Fact]
    public void One_mapping_more_than_the_limit_is_NOMEM()
    {
        var small = new ViommuBench(new() { MaxMappings = 3 });
        small.Attach(1, Disk);
        small.Attach(2, Nic);
        Assert.Equal([S.Ok, S.Ok], [small.Map(1, 0, 0xFFF), small.Map(1, 0x1000, 0x1FFF)]);
        Assert.Equal([S.Ok, S.NoMem], [small.Map(2, 0, 0xFFF), small.Map(2, 0x1000, 0x1FFF)]);
        Assert.Equal(S.Inval, small.Map(1, 0, 0xFFF));
        small.Unmap(1, 0, 0xFFF);
        Assert.Equal(S.Ok, small.Map(2, 0x1000, 0x1FFF));
    }

    [Fact]
    public void A_million_mappings_stay_shallow_and_go_at_once()
    {
        const int Count = 1 << 20;
        for (ulong i = 0; i < Count; i++)
        {
            var start = (i & 1) == 0 ? i << 13 : (Count - i) << 13;
            Assert.Equal(S.Ok, bench.Domains.Map(1, new(start + (1ul << 40), start + (1ul << 40) + 0xFFF, 0, RW), RW));
        }

        Assert.Equal(S.NoMem, bench.Map(1, 0, 0xFFF));
        Assert.InRange(bench.Domains.Pool.Height(bench.Domains.FindDomain(1)!.Root), 20, 29);
        Assert.Equal(S.Ok, bench.Unmap(1, 0, ulong.MaxValue));
        Assert.Equal(0, bench.Domains.Pool.Count);
    }

    [Fact]
    public void Unmap_with_reserved_bytes_set_is_INVAL_and_removes_nothing()
    {
        bench.Map(1, 0, 0xFFF);
        Assert.Equal(S.Inval, bench.Send(UnmapBytes(1, 0, 0xFFF, 1)));
        Assert.Equal([(0, 0xFFF)], bench.Mappings(1));
    }

    [Theory]
    [InlineData(0x1000ul, 0x6FFFul)]
    [InlineData(0x0000ul, 0x5FFFul)]
    [InlineData(0x1000ul, 0x1FFFul)]
    [InlineData(0x3000ul, 0x5FFFul)]
    public void An_unmap_that_would_split_is_RANGE_and_removes_nothing(ulong start, ulong end)
    {
        bench.Map(1, 0x0000, 0x1FFF);
        bench.Map(1, 0x3000, 0x3FFF);
        bench.Map(1, 0x5000, 0x6FFF);
        Assert.Equal(S.Range, bench.Unmap(1, start, end));
        Assert.Equal([(0, 0x1FFF), (0x3000, 0x3FFF), (0x5000, 0x6FFF)], bench.Mappings(1));
    }

    [Fact]
    public void An_unmap_of_nothing_is_OK_and_keeps_what_ports_cached()
    {
        bench.Map(1, 0x4000, 0x4FFF);
        var generation = bench.Domains.Generation;
        Assert.Equal(S.Ok, bench.Unmap(1, 0, 0xFFF));
        Assert.Equal(generation, bench.Domains.Generation);
        Assert.Equal(S.Ok, bench.Unmap(1, 0, ulong.MaxValue));
        Assert.NotEqual(generation, bench.Domains.Generation);
    }

    [Fact]
    public void An_unmapped_address_is_gone_also_from_the_cache()
    {
        bench.Map(1, 0x1000, 0x2FFF, 0x8000);
        bench.Map(1, 0x3000, 0x3FFF, 0xF000);
        Assert.Equal(0x9000ul, bench.Translate(0x2000));
        Assert.Equal(0x9000ul, bench.Translate(0x2000));
        Assert.Equal(0xF000ul, bench.Translate(0x3000));
        Assert.Equal((1ul, 2ul), (bench.Domains.FindEndpoint(Disk.Value)!.Counters.Hits, bench.Domains.FindEndpoint(Disk.Value)!.Counters.Misses));
        bench.Unmap(1, 0x1000, 0x2FFF);
        Assert.Null(bench.Translate(0x2000));
        Assert.Equal(1ul, bench.Domains.Cache.Invalidations);
        Assert.Equal(0xF000ul, bench.Translate(0x3000));
        Assert.Equal(2ul, bench.Domains.FindEndpoint(Disk.Value)!.Counters.Hits);
    }

    [Fact]
    public void Map_and_unmap_exist_only_when_negotiated()
    {
        var plain = new ViommuBench(negotiated: VirtioIommuFeatures.None);
        Assert.Equal(S.Ok, plain.Attach(1, Disk));
        Assert.Null(plain.Map(1, 0, 0xFFF));
        Assert.Null(plain.Unmap(1, 0, 0xFFF));
    }
}
