using Vmm.Iommu;
using Vmm.Platform.Dma;
using Xunit;

namespace Vmm.Unit.Iommu;

public sealed class MissingInvalidationTests : IDisposable
{
    const ulong SS = 1 | 2 << 2 | 2 << 6;

    readonly VtdBench bench = new(new() { DetectMissingInvalidations = true, Profile = VtdProfile.Scalable, CachingMode = true });

    public void Dispose() => bench.Dispose();

    MissingInvalidations Findings => bench.Unit.MissingInvalidations;

    ulong Legacy()
    {
        var table = bench.AttachLegacy(VtdBench.Device, 7);
        bench.EnableLegacy();
        bench.EnableQueue();
        return table;
    }

    [Fact]
    public void A_stale_page_is_found_when_it_is_used()
    {
        var table = Legacy();
        bench.Map(table, 0x1000, 0x5000 | 3);
        bench.Translate(0x1000);
        bench.Translate(0x1000);
        Assert.Equal(0ul, Findings.Total);
        bench.Map(table, 0x1000, 0x6000 | 3);
        Assert.Equal(0x5000ul, bench.Translate(0x1000));
        Assert.Equal(new(VtdCache.Iotlb, VtdBench.Device, 0, 7, 0x1000, 0x5000, 0x6000), Assert.Single(Findings.Last));
        bench.Submit(0x32 | 7 << 16, 0x1000);
        bench.Translate(0x1000);
        Assert.Equal(1ul, Findings.Total);
    }

    [Fact]
    public void A_page_taken_away_or_with_other_rights_is_found()
    {
        var table = Legacy();
        bench.Map(table, 0x1000, 0x5000 | 3);
        bench.Translate(0x1000);
        bench.Map(table, 0x1000, 0x5000 | 1);
        bench.Translate(0x1000);
        bench.Map(table, 0x1000, 0);
        bench.Translate(0x1000);
        Assert.Equal(2ul, Findings.Count(VtdCache.Iotlb));
    }

    [Fact]
    public void A_stale_absence_is_found_in_caching_mode()
    {
        var table = Legacy();
        bench.Translate(0x1000);
        bench.Translate(0x1000);
        Assert.Equal(0ul, Findings.Total);
        bench.Map(table, 0x1000, 0x5000 | 3);
        Assert.Null(bench.Translate(0x1000));
        Assert.Equal(new(VtdCache.Iotlb, VtdBench.Device, 0, 7, 0x1000, 0, 0x5000), Assert.Single(Findings.Last));
    }

    [Fact]
    public void A_stale_context_entry_is_found()
    {
        Legacy();
        bench.Translate(0x1000);
        bench.SetLegacy(VtdBench.Device, 1 | 2 << 2, 2 | 9 << 8);
        bench.Translate(0x1000);
        Assert.Equal(1ul, Findings.Count(VtdCache.Context));
    }

    [Fact]
    public void A_stale_PASID_entry_is_found()
    {
        var directory = bench.AttachScalable(VtdBench.Device);
        var table = bench.Page();
        bench.SetPasid(directory, 1, table | SS, 7);
        bench.Map(table, 0x1000, 0x5000 | 3);
        bench.EnableScalable();
        bench.Translate(0x1000, pasid: 1);
        bench.SetPasid(directory, 1, bench.Page() | SS, 7);
        bench.Translate(0x1000, pasid: 1);
        Assert.Equal(1ul, Findings.Count(VtdCache.Pasid));
    }

    [Fact]
    public void A_stale_pointer_to_a_lower_table_is_found()
    {
        var table = Legacy();
        bench.Map(table, 0x1000, 0x5000 | 3);
        bench.Translate(0x1000);
        bench.Poke(bench.EntryAddress(table, 4, 0, 2), bench.Page() | 3);
        bench.Translate(0x2000);
        bench.Map(table, 0x3000, 0x7000 | 3);
        bench.Translate(0x3000);
        Assert.Equal(1ul, Findings.Count(VtdCache.PagingStructures));
    }

    [Fact]
    public void A_stale_interrupt_entry_is_found()
    {
        var table = bench.Page();
        bench.Write64(0xB8, table | 7);
        bench.Command(1u << 24);
        bench.Command(1u << 25);
        bench.Poke(table, 0x0041_0001, 0);
        bench.Unit.TryRemap(VtdBench.Device, new(0xFEE0_0010, 0), out _);
        bench.Poke(table, 0, 0);
        Assert.True(bench.Unit.TryRemap(VtdBench.Device, new(0xFEE0_0010, 0), out _));
        Assert.Equal(new(VtdCache.InterruptEntry, VtdBench.Device, 0, 0, 0, 0x0041_0001, 0), Assert.Single(Findings.Last));
    }

    [Fact]
    public void Nobody_may_keep_a_translation_while_the_detector_watches()
    {
        Legacy();
        var before = bench.Unit.Generation;
        bench.Translate(0x1000);
        Assert.NotEqual(before, bench.Unit.Generation);
    }

    [Fact]
    public void Only_the_last_findings_are_kept()
    {
        var table = Legacy();
        bench.Map(table, 0x1000, 0x5000 | 3);
        bench.Translate(0x1000);
        bench.Map(table, 0x1000, 0x6000 | 3);
        for (var i = 0; i < 100; i++)
        {
            bench.Translate(0x1000 + (ulong)i);
        }

        Assert.Equal(100ul, Findings.Total);
        Assert.Equal(Enumerable.Range(36, 64).Select(i => 0x1000 + (ulong)i), Findings.Last.Select(hit => hit.Address));
    }

    [Fact]
    public void Without_the_detector_nothing_is_compared()
    {
        using var plain = new VtdBench();
        var table = plain.AttachLegacy(VtdBench.Device, 7);
        plain.Map(table, 0x1000, 0x5000 | 3);
        plain.EnableLegacy();
        plain.Translate(0x1000);
        plain.Map(table, 0x1000, 0x6000 | 3);
        plain.Translate(0x1000);
        Assert.Equal(0ul, plain.Unit.MissingInvalidations.Total);
    }
}
