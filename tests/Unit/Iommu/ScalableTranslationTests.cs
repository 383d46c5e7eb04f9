using Vmm.Iommu;
using Vmm.Platform.Dma;
using Vmm.Specs.VtD;
using Xunit;

namespace Vmm.Unit.Iommu;

public sealed class ScalableTranslationTests : IDisposable
{
    const ulong SS = 1 | 2 << 2 | 2 << 6;
    const ulong FS = 1 | 1 << 6;
    const ulong Nest = 1 | 2 << 2 | 3 << 6;
    const ulong PT = 1 | 4 << 6;
    const ulong Snoop = 1 << 23;
    const ulong A = 1 << 5, D = 1 << 6, US = 4, RW = 2, P = 1;

    readonly VtdBench bench = new(new() { Profile = VtdProfile.Scalable });
    readonly ulong directory;

    public ScalableTranslationTests()
    {
        directory = bench.AttachScalable(VtdBench.Device);
        bench.EnableScalable();
    }

    public void Dispose() => bench.Dispose();

    ulong AttachSecondStage(uint pasid, ushort domain, ulong more = 0)
    {
        var table = bench.Page();
        bench.SetPasid(directory, pasid, table | SS | more, Snoop | domain);
        return table;
    }

    ulong AttachFirstStage(uint pasid, ushort domain, ulong q2 = 0, ulong q1 = Snoop)
    {
        var table = bench.Page();
        bench.SetPasid(directory, pasid, FS, q1 | domain, table | q2);
        return table;
    }

    /// <summary>Two page tables: the first stage in identity-mapped second-stage memory.</summary>
    (ulong First, ulong Second) AttachNested(uint pasid, ushort domain, ulong more = 0)
    {
        var (first, second) = (bench.Page(), bench.Page());
        bench.SetPasid(directory, pasid, second | Nest | more, Snoop | domain, first);
        bench.Map(second, 0, 0x83, 3);
        return (first, second);
    }

    ulong Leaf(ulong root, ulong input, int level = 1, int levels = 4) => bench.Peek(bench.EntryAddress(root, levels, input, level));

    [Fact]
    public void Requests_without_PASID_use_RID_PASID()
    {
        var table = AttachSecondStage(0, 7);
        bench.Map(table, 0x1000, 0x5000 | 3);
        Assert.Equal(0x5123ul, bench.Translate(0x1123, DmaAccess.Write));
        var other = new Bdf(0, 20, 1);
        var second = bench.AttachScalable(other, 0b1101, 0x55);
        bench.SetPasid(second, 0x55, table | SS, Snoop | 7);
        Assert.Equal(0x5123ul, bench.Translate(0x1123, device: other));
        Assert.Equal(1ul, bench.Unit.Counters.Device(other).Hits);
    }

    [Fact]
    public void Each_PASID_has_its_own_first_stage()
    {
        var first = AttachFirstStage(1, 7);
        var second = AttachFirstStage(0x1FFF, 7);
        bench.Map(first, 0x7FFF_FFFF_F000, 0x5000 | P | RW | US, tableBits: 7);
        bench.Map(second, 0x7FFF_FFFF_F000, 0x6000 | P | RW | US, tableBits: 7);
        Assert.Equal(0x5000ul, bench.Translate(0x7FFF_FFFF_F000, pasid: 1));
        Assert.Equal(0x6000ul, bench.Translate(0x7FFF_FFFF_F000, pasid: 0x1FFF));
        Assert.Equal(0x5000ul, bench.Translate(0x7FFF_FFFF_F000, pasid: 1));
        Assert.Equal(1ul, bench.Unit.Counters.Device(VtdBench.Device).Hits);
    }

    [Theory]
    [InlineData(1, 12, 0x5000)]
    [InlineData(2, 21, 0x60_0000 | 0x80)]
    [InlineData(3, 30, 0x8000_0000 | 0x80)]
    public void First_stage_pages_of_all_sizes_and_the_canonical_upper_half(int level, int shift, ulong entry)
    {
        var table = AttachFirstStage(1, 7);
        bench.Map(table, 0xFFFF_8000_0000_0000, entry | P | RW | US, level, tableBits: 7);
        for (var i = 0; i < 2; i++)
        {
            Assert.True(bench.Dma(0xFFFF_8000_0000_0123, DmaAccess.Read, out var window, pasid: 1));
            Assert.Equal(entry & ~0xFFFul | 0x123, window.Address.Value);
            Assert.Equal((1ul << shift) - 0x123, window.Length);
        }
    }

    [Fact]
    public void Five_level_first_stage()
    {
        using var strict = new VtdBench(new() { Profile = VtdProfile.Strict });
        var dir = strict.AttachScalable(VtdBench.Device);
        var table = strict.Page();
        strict.SetPasid(dir, 1, FS, Snoop | 7, table | 1 << 2);
        strict.Map(table, 0xFF00_0000_0000_1000, 0x5000 | P | RW | US, 1, 5, 7);
        strict.EnableScalable();
        Assert.Equal(0x5000ul, strict.Translate(0xFF00_0000_0000_1000, pasid: 1));
        strict.AssertFault(FaultReason.NotCanonical, 0x0100_0000_0000_0000, pasid: 1);
    }

    [Fact]
    public void Accessed_and_dirty_flags_are_set_as_pages_are_used()
    {
        var table = AttachFirstStage(1, 7);
        bench.Map(table, 0x1000, 0x5000 | P | RW | US, tableBits: 7);
        Assert.True(bench.Dma(0x1000, DmaAccess.Read, out var window, pasid: 1));
        Assert.True(window.Readable);
        Assert.False(window.Writable);
        Assert.Equal(0x5000 | P | RW | US | A, Leaf(table, 0x1000));
        for (var level = 2; level <= 4; level++)
        {
            Assert.Equal(A, Leaf(table, 0x1000, level) & (A | D));
        }

        Assert.True(bench.Dma(0x1000, DmaAccess.Write, out window, pasid: 1));
        Assert.True(window.Writable);
        Assert.Equal(0x5000 | P | RW | US | A | D, Leaf(table, 0x1000));
        bench.Map(table, 0x1000, 0x5000 | P | RW | US, tableBits: 7);
        Assert.NotNull(bench.Translate(0x1000, DmaAccess.Write, pasid: 1));
        Assert.Equal(0x5000 | P | RW | US, Leaf(table, 0x1000));
    }

    [Fact]
    public void Extended_accessed_flags_are_set_when_enabled()
    {
        var table = AttachFirstStage(1, 7, 1 << 7);
        bench.Map(table, 0x1000, 0x5000 | P | RW | US, tableBits: 7);
        bench.Translate(0x1000, pasid: 1);
        Assert.Equal(A | 1ul << 10, Leaf(table, 0x1000) & (A | D | 1ul << 10));
        Assert.Equal(A | 1ul << 10, Leaf(table, 0x1000, 4) & (A | D | 1ul << 10));
    }

    [Fact]
    public void A_denied_write_sets_no_dirty_flag()
    {
        var table = AttachFirstStage(1, 7);
        bench.Map(table, 0x1000, 0x5000 | P | US, tableBits: 7);
        bench.AssertFault(FaultReason.SmNoWritePermission, 0x1000, DmaAccess.Write, pasid: 1);
        Assert.Equal(0ul, Leaf(table, 0x1000) & D);
    }

    [Fact]
    public void Second_stage_flags_are_kept_when_enabled()
    {
        var plain = AttachSecondStage(1, 7);
        var flagged = AttachSecondStage(2, 8, 1 << 9);
        bench.Map(plain, 0x1000, 0x5000 | 3);
        bench.Map(flagged, 0x1000, 0x6000 | 3);
        bench.Translate(0x1000, DmaAccess.Write, pasid: 1);
        Assert.Equal(0x5003ul, Leaf(plain, 0x1000));
        Assert.True(bench.Dma(0x1000, DmaAccess.Read, out var window, pasid: 2));
        Assert.False(window.Writable);
        Assert.Equal(0x6103ul, Leaf(flagged, 0x1000));
        Assert.Equal(0x103ul, Leaf(flagged, 0x1000, 2) & 0xFFF);
        bench.Translate(0x1000, DmaAccess.Write, pasid: 2);
        Assert.Equal(0x6303ul, Leaf(flagged, 0x1000));
    }

    [Fact]
    public void A_denied_write_sets_no_second_stage_dirty_flag()
    {
        var table = AttachSecondStage(1, 7, 1 << 9);
        bench.Map(table, 0x1000, 0x5000 | 1);
        bench.AssertFault(FaultReason.SmNoWritePermission, 0x1000, DmaAccess.Write, pasid: 1);
        Assert.Equal(0x5101ul, Leaf(table, 0x1000));
        var (first, second) = AttachNested(2, 8, 1 << 9);
        bench.Map(first, 0x1000, 0x40_0000_0000 | P | US, tableBits: 7);
        bench.Map(second, 0x40_0000_0000, 0x5000 | 3);
        bench.AssertFault(FaultReason.SmNoWritePermission, 0x1000, DmaAccess.Write, pasid: 2);
        Assert.Equal(0x5103ul, Leaf(second, 0x40_0000_0000));
    }

    [Fact]
    public void Supervisor_and_user_pages_bind_requests_by_privilege()
    {
        var table = AttachFirstStage(1, 7, 1 | 1 << 6 | 2);
        bench.Map(table, 0x1000, 0x5000 | P, tableBits: 7);
        bench.Map(table, 0x2000, 0x6000 | P | US, tableBits: 7);
        Assert.Equal(0x5000ul, bench.Translate(0x1000, pasid: 1, privileged: true));
        bench.AssertFault(FaultReason.UserDenied, 0x1000, pasid: 1);
        Assert.Equal(0x6000ul, bench.Translate(0x2000, pasid: 1));

        // Without write protect, privileged writes ignore R/W; SMEP denies them execution of user pages.
        Assert.Equal(0x6000ul, bench.Translate(0x2000, DmaAccess.Write, pasid: 1, privileged: true));
        Assert.Equal(0x6000ul, bench.Translate(0x2000, pasid: 1, execute: true));
        bench.AssertFault(FaultReason.ExecuteDenied, 0x2000, pasid: 1, privileged: true, execute: true);
        var strict = AttachFirstStage(2, 7, 1 | 1 << 4);
        bench.Map(strict, 0x2000, 0x6000 | P | US, tableBits: 7);
        bench.AssertFault(FaultReason.SmNoWritePermission, 0x2000, DmaAccess.Write, pasid: 2, privileged: true);
    }

    [Fact]
    public void Execute_disable_is_honoured_with_NXE_and_reserved_without()
    {
        var table = AttachFirstStage(1, 7, 1 << 5 | 2);
        bench.Map(table, 0x1000, 1ul << 63 | 0x5000 | P | US, tableBits: 7);
        Assert.Equal(0x5000ul, bench.Translate(0x1000, pasid: 1));
        bench.AssertFault(FaultReason.ExecuteDenied, 0x1000, pasid: 1, execute: true);
        var plain = AttachFirstStage(2, 7, 2);
        bench.Map(plain, 0x1000, 1ul << 63 | 0x5000 | P | US, tableBits: 7);
        bench.AssertFault(FaultReason.FsReserved, 0x1000, pasid: 2);
    }

    [Fact]
    public void RID_PRIV_makes_requests_without_PASID_privileged()
    {
        var device = new Bdf(0, 5, 0);
        var dir = bench.AttachScalable(device, 1, 1 << 20);
        var table = bench.Page();
        bench.SetPasid(dir, 0, FS, Snoop | 9, table | 1);
        bench.Map(table, 0x1000, 0x5000 | P, tableBits: 7);
        Assert.Equal(0x5000ul, bench.Translate(0x1000, device: device));
    }

    [Fact]
    public void Pass_through_by_PASID()
    {
        bench.SetPasid(directory, 3, PT, 7);
        Assert.Equal(0x1234_5678ul, bench.Translate(0x1234_5678, DmaAccess.Write, pasid: 3));
        bench.AssertFault(FaultReason.AddressBeyondHardware, 1ul << 48, pasid: 3);
        bench.AssertFault(FaultReason.SmOutputInInterruptRange, 0xFEE0_0000, DmaAccess.Write, pasid: 3);
    }

    [Fact]
    public void Requests_with_PASID_to_the_interrupt_range_are_translated_like_any_other()
    {
        var table = AttachFirstStage(1, 7);
        bench.Map(table, 0xFEE0_0000, 0x5000 | P | RW | US, tableBits: 7);
        Assert.Equal(0x5000ul, bench.Translate(0xFEE0_0000, DmaAccess.Write, pasid: 1));
    }

    [Fact]
    public void Nested_translation_goes_through_both_stages_and_takes_the_smaller_page()
    {
        var (first, second) = AttachNested(1, 7);
        bench.Map(first, 0x20_0000, 0x40_0000_0000 | 0x80 | P | RW | US, 2, tableBits: 7);
        bench.Map(second, 0x40_0000_0000, 0x80_0000 | 0x83, 2);
        Assert.True(bench.Dma(0x20_3123, DmaAccess.Write, out var window, pasid: 1));
        Assert.Equal(0x80_3123ul, window.Address.Value);
        Assert.Equal(0x20_0000ul - 0x3123, window.Length);
        bench.Map(first, 0x60_0000, 0x40_0020_0000 | 0x80 | P | RW | US, 2, tableBits: 7);
        bench.Map(second, 0x40_0020_5000, 0x9000 | 3);
        for (var i = 0; i < 2; i++)
        {
            Assert.True(bench.Dma(0x60_5123, DmaAccess.Write, out window, pasid: 1));
            Assert.Equal(0x9123ul, window.Address.Value);
            Assert.Equal(0x1000ul - 0x123, window.Length);
        }
    }

    [Fact]
    public void Nested_tables_may_lie_anywhere_in_the_second_stage()
    {
        var second = bench.Page();
        var first = bench.Page();
        bench.SetPasid(directory, 1, second | Nest, Snoop | 7, 0x7000_0000);
        bench.Map(second, 0x7000_0000, first | 3);
        bench.Map(second, 0x7000_1000, bench.Page() | 3);
        var lower = bench.Page();
        bench.Map(second, 0x7000_2000, lower | 3);
        bench.Poke(first, 0x7000_2000 | P | RW | US);
        bench.Poke(lower, 0x7000_3000 | P | RW | US);
        bench.Map(second, 0x7000_3000, bench.Page() | 3);
        bench.AssertFault(FaultReason.FsNotPresent, 0x1000, pasid: 1);
        Assert.Equal(A, bench.Peek(first) & A);
    }

    [Fact]
    public void Nested_permissions_are_those_of_both_stages()
    {
        var (first, second) = AttachNested(1, 7);
        bench.Map(second, 0x40_0000_0000, 0x5000 | 1);
        bench.Map(second, 0x40_0000_1000, 0x6000 | 2);
        bench.Map(first, 0x1000, 0x40_0000_0000 | P | RW | US, tableBits: 7);
        bench.Map(first, 0x2000, 0x40_0000_1000 | P | RW | US, tableBits: 7);
        Assert.Equal(0x5000ul, bench.Translate(0x1000, pasid: 1));
        bench.AssertFault(FaultReason.SmNoWritePermission, 0x1000, DmaAccess.Write, pasid: 1);
        Assert.Equal(0x6000ul, bench.Translate(0x2000, DmaAccess.Write, pasid: 1));
        bench.AssertFault(FaultReason.SmNoReadPermission, 0x2000, pasid: 1);
    }

    [Fact]
    public void Nested_dirty_tracking_marks_the_pages_of_first_stage_tables()
    {
        var second = bench.Page();
        var first = bench.Page();
        bench.SetPasid(directory, 1, second | Nest | 1 << 9, Snoop | 7, 0x7000_0000);
        bench.Map(second, 0x7000_0000, first | 3);
        bench.Map(second, 0x40_0000_0000, 0x80_0000 | 0x83, 2);
        bench.Poke(first, 0x40_0000_0000 | P | RW | US);
        bench.Poke(0x80_0000, 0x40_0000_1000 | P | RW | US);
        bench.Poke(0x80_1000, 0x40_0000_0000 | 0x80 | P | RW | US);
        Assert.Equal(0x80_2000ul, bench.Translate(0x2000, DmaAccess.Write, pasid: 1));
        Assert.Equal(0x300ul, Leaf(second, 0x7000_0000) & 0x300);
        Assert.Equal(0x300ul, Leaf(second, 0x40_0000_0000, 2) & 0x300);
    }

    [Fact]
    public void First_stage_rights_may_grow_without_invalidation_and_second_stage_rights_may_not()
    {
        var first = AttachFirstStage(1, 7);
        bench.Map(first, 0x1000, 0x5000 | P | US, tableBits: 7);
        Assert.NotNull(bench.Translate(0x1000, pasid: 1));
        bench.Map(first, 0x1000, 0x5000 | P | RW | US, tableBits: 7);
        Assert.NotNull(bench.Translate(0x1000, DmaAccess.Write, pasid: 1));
        var (nested, below) = AttachNested(3, 9);
        bench.Map(nested, 0x1000, 0x5000 | P | US, tableBits: 7);
        Assert.NotNull(bench.Translate(0x1000, pasid: 3));
        bench.Map(nested, 0x1000, 0x5000 | P | RW | US, tableBits: 7);
        Assert.NotNull(bench.Translate(0x1000, DmaAccess.Write, pasid: 3));
        Assert.Equal(0x83ul, Leaf(below, 0, 3));
        var second = AttachSecondStage(2, 8);
        bench.Map(second, 0x1000, 0x5000 | 1);
        Assert.NotNull(bench.Translate(0x1000, pasid: 2));
        bench.Map(second, 0x1000, 0x5000 | 3);
        Assert.Null(bench.Translate(0x1000, DmaAccess.Write, pasid: 2));
    }

    [Fact]
    public void PASID_based_invalidations_drop_first_stage_and_nested_pages_only()
    {
        bench.EnableQueue(true);
        var (first, second) = AttachNested(4, 7);
        ulong[] roots = [AttachFirstStage(1, 7), AttachFirstStage(2, 7), AttachFirstStage(1 + 64, 8), first];
        bench.SetPasid(directory, 5, second | SS, Snoop | 7);
        uint[] pasids = [1, 2, 65, 4];

        void MapAll(ulong page)
        {
            foreach (var root in roots)
            {
                bench.Map(root, 0x1000, page | P | RW | US | A | D, tableBits: 7);
                bench.Map(root, 0x2000, page + 0x1000 | P | RW | US | A | D, tableBits: 7);
            }

            bench.Map(second, 0x40_0000_1000, page | 3);
        }

        string Stale(ulong low, ulong high = 0)
        {
            bench.FlushAll();
            MapAll(0x10_0000);
            Read(0x10_0000);
            MapAll(0x20_0000);
            bench.Submit(low, high);
            return Read(0x10_0000);
        }

        string Read(ulong page)
        {
            var result = "";
            foreach (var pasid in pasids)
            {
                result += bench.Translate(0x1000, pasid: pasid) == page ? 's' : '-';
                result += bench.Translate(0x2000, pasid: pasid) == page + 0x1000 ? 's' : '-';
            }

            return result + (bench.Translate(0x40_0000_1000, pasid: 5) == page ? 's' : '-');
        }

        Assert.Equal("sssssssss", Stale(0x45));
        Assert.Equal("--sssssss", Stale(0x26 | 7 << 16 | 1ul << 32));
        Assert.Equal("ssssss--s", Stale(0x26 | 7 << 16 | 4ul << 32));
        Assert.Equal("sssssssss", Stale(0x26 | 9 << 16 | 1ul << 32));
        Assert.Equal("-ssssssss", Stale(0x36 | 7 << 16 | 1ul << 32, 0x1000));
        Assert.Equal("--sssssss", Stale(0x36 | 7 << 16 | 1ul << 32, 0x0002));
        Assert.Equal("ssssss-ss", Stale(0x36 | 7 << 16 | 4ul << 32, 0x1000));
        Assert.Equal("ssssss---", Stale(0x32 | 7 << 16, 0x40_0000_1000));
        Assert.Equal("ssssss--s", Stale(0x32 | 7 << 16, 0x1000));
        Assert.Equal("----ss---", Stale(0x22 | 7 << 16));
        Assert.Equal("---------", Stale(0x12));
        Assert.Equal(4ul, IqeOf(0x16));
    }

    ulong IqeOf(ulong low)
    {
        bench.Submit(low);
        return bench.Read64(0xB0);
    }

    [Fact]
    public void The_PASID_cache_drops_by_domain_PASID_or_all()
    {
        bench.EnableQueue(true);
        (uint Pasid, ushort Domain)[] all = [(1, 7), (2, 7), (3, 8)];
        var old = bench.Page();
        var table = bench.Page();
        bench.Map(old, 0x1000, 0x5000 | 7, tableBits: 7);
        bench.Map(table, 0x1000, 0x6000 | 7, tableBits: 7);

        string Stale(ulong descriptor)
        {
            bench.FlushAll();
            foreach (var (pasid, domain) in all)
            {
                bench.SetPasid(directory, pasid, FS, Snoop | domain, old);
                bench.Translate(0x1000, pasid: pasid);
                bench.SetPasid(directory, pasid, FS, Snoop | domain, table);
            }

            bench.Submit(descriptor);
            bench.Submit(0x12);
            return string.Concat(all.Select(entry => bench.Translate(0x1000, pasid: entry.Pasid) == 0x5000 ? 's' : '-'));
        }

        Assert.Equal("sss", Stale(0x45));
        Assert.Equal("--s", Stale(0x07 | 7 << 16));
        Assert.Equal("s-s", Stale(0x17 | 7 << 16 | 2ul << 32));
        Assert.Equal("sss", Stale(0x17 | 8 << 16 | 2ul << 32));
        Assert.Equal("---", Stale(0x37));
        Assert.Equal("sss", Stale(0x11));
        Assert.Equal(4ul, IqeOf(0x27));
    }

    [Fact]
    public void Scalable_context_entries_are_cached_and_dropped()
    {
        var table = AttachSecondStage(0, 7);
        bench.Map(table, 0x1000, 0x5000 | 3);
        bench.Translate(0x1000);
        bench.EnableQueue(true);
        bench.Poke(bench.ScalableContextAddress(VtdBench.Device), 0);
        Assert.NotNull(bench.Translate(0x1000));
        bench.Submit(0x31 | (ulong)new Bdf(0, 3, 1).Value << 32);
        Assert.NotNull(bench.Translate(0x1000));
        bench.Submit(0x31 | (ulong)VtdBench.Device.Value << 32);
        bench.AssertFault(FaultReason.SmContextNotPresent, 0x1000);
    }
}
