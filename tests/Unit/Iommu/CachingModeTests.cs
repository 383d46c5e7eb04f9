using Vmm.Iommu;
using Vmm.Platform.Dma;
using Vmm.Specs.VtD;
using Xunit;

namespace Vmm.Unit.Iommu;

/// <summary>Absences are cached with CAP.CM and only then (VT-d §6.1).</summary>
public sealed class CachingModeTests : IDisposable
{
    readonly List<VtdBench> benches = [];

    public void Dispose() => benches.ForEach(static bench => bench.Dispose());

    VtdBench Build(bool cachingMode, VtdProfile profile = VtdProfile.Legacy)
    {
        var bench = new VtdBench(new() { CachingMode = cachingMode, Profile = profile });
        benches.Add(bench);
        return bench;
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_page_that_appears(bool cachingMode)
    {
        var bench = Build(cachingMode);
        var table = bench.AttachLegacy(VtdBench.Device, 7);
        bench.EnableLegacy();
        bench.EnableQueue();
        bench.AssertFault(FaultReason.NoReadPermission, 0x1000);
        bench.Map(table, 0x1000, 0x5000 | 3);
        Assert.Equal(cachingMode, bench.Translate(0x1000) == null);
        Assert.Equal(cachingMode, bench.Translate(0x1000, DmaAccess.Write) == null);
        bench.Submit(0x32 | 7 << 16, 0x1000);
        Assert.Equal(0x5000ul, bench.Translate(0x1000));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_page_that_is_mended(bool cachingMode)
    {
        var bench = Build(cachingMode);
        var table = bench.AttachLegacy(VtdBench.Device, 7);
        bench.Map(table, 0x1000, 0x5000 | 3 | 1ul << 62);
        bench.EnableLegacy();
        bench.AssertFault(FaultReason.PagingEntryReserved, 0x1000);
        bench.Map(table, 0x1000, 0x5000 | 3);
        Assert.Equal(cachingMode, bench.Translate(0x1000) == null);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_page_without_the_right_that_was_asked_for(bool cachingMode)
    {
        var bench = Build(cachingMode);
        var table = bench.AttachLegacy(VtdBench.Device, 7);
        bench.Map(table, 0x1000, 0x5000 | 1);
        bench.EnableLegacy();
        bench.AssertFault(FaultReason.NoWritePermission, 0x1000, DmaAccess.Write);
        bench.Map(table, 0x1000, 0x5000 | 3);
        Assert.Equal(cachingMode, bench.Translate(0x1000, DmaAccess.Write) == null);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_device_that_appears_is_invalidated_under_domain_0(bool cachingMode)
    {
        var bench = Build(cachingMode);
        bench.LegacyContextAddress(VtdBench.Device);
        bench.EnableLegacy();
        bench.EnableQueue();
        bench.AssertFault(FaultReason.ContextNotPresent, 0x1000);
        bench.SetLegacy(VtdBench.Device, 1 | 2 << 2, 2 | 7 << 8);
        Assert.Equal(cachingMode, bench.Translate(0x1000) == null);
        bench.Submit(0x21 | 7 << 16);
        Assert.Equal(cachingMode, bench.Translate(0x1000) == null);
        bench.Submit(0x21);
        Assert.NotNull(bench.Translate(0x1000));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_PASID_that_appears_is_invalidated_under_domain_0(bool cachingMode)
    {
        var bench = Build(cachingMode, VtdProfile.Scalable);
        var directory = bench.AttachScalable(VtdBench.Device);
        bench.EnableScalable();
        bench.EnableQueue(true);
        bench.AssertFault(FaultReason.PasidDirectoryNotPresent, 0x1000, pasid: 5);
        bench.SetPasid(directory, 5, 1 | 4 << 6, 7);
        Assert.Equal(cachingMode, bench.Translate(0x1000, pasid: 5) == null);
        bench.Submit(0x17 | 5ul << 32);
        Assert.NotNull(bench.Translate(0x1000, pasid: 5));
    }

    [Fact]
    public void First_stage_absences_are_never_cached()
    {
        var bench = Build(true, VtdProfile.Scalable);
        var directory = bench.AttachScalable(VtdBench.Device);
        var table = bench.Page();
        bench.SetPasid(directory, 5, 1 | 1 << 6, 1 << 23 | 7, table);
        bench.EnableScalable();
        bench.AssertFault(FaultReason.FsNotPresent, 0x1000, pasid: 5);
        bench.Map(table, 0x1000, 0x5000 | 7, tableBits: 7);
        Assert.Equal(0x5000ul, bench.Translate(0x1000, pasid: 5));
    }

    [Fact]
    public void A_cached_absence_keeps_suppressing_by_the_entry_it_was_read_under()
    {
        var bench = Build(true);
        bench.LegacyContextAddress(VtdBench.Device);
        bench.SetLegacy(VtdBench.Device, 2, 0);
        bench.EnableLegacy();
        bench.Translate(0x1000);
        bench.Translate(0x1000);
        Assert.Equal(0u, bench.Read32(0x34));
        Assert.Equal(2ul, bench.Unit.Counters.SuppressedFaults);
    }
}
