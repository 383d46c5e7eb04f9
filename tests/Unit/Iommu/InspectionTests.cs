using Vmm.Iommu;
using Vmm.Platform.Dma;
using Vmm.Specs.VtD;
using Xunit;

namespace Vmm.Unit.Iommu;

public sealed class InspectionTests
{
    static DmaRequest Read(ulong address, uint? pasid = null, DmaAccess access = DmaAccess.Read) =>
        new(VtdBench.Device, new(address), access, pasid ?? 0, pasid.HasValue);

    [Fact]
    public void A_walk_is_explained_level_by_level()
    {
        using var bench = new VtdBench();
        var table = bench.AttachLegacy(VtdBench.Device, 7);
        bench.Map(table, 0x1000, 0x5000 | 3);
        bench.EnableLegacy();
        var report = bench.Unit.Explain(Read(0x1234));
        Assert.Equal(
            [VtdTable.Root, VtdTable.Context, VtdTable.SecondStage, VtdTable.SecondStage, VtdTable.SecondStage, VtdTable.SecondStage],
            report.Steps.Select(step => step.Table));
        Assert.Equal([0, 0, 4, 3, 2, 1], report.Steps.Select(step => step.Level));
        Assert.Equal(bench.Root, report.Steps[0].Address.Value);
        Assert.Equal(0x5003ul, report.Steps[5].Value);
        Assert.Equal(0x5234ul, report.Window.Address.Value);
        Assert.Equal((ushort)7, report.Domain);
        Assert.All(report.Steps, step => Assert.False(step.IsCached));
        Assert.False(report.IsCached);
        bench.Translate(0x1000);
        report = bench.Unit.Explain(Read(0x1234));
        Assert.Equal([false, true, true, true, true, false], report.Steps.Select(step => step.IsCached));
        Assert.True(report.IsCached && !report.IsStale);
    }

    [Fact]
    public void The_step_that_faults_is_the_last_and_names_the_condition()
    {
        using var bench = new VtdBench();
        bench.AttachLegacy(VtdBench.Device, 7);
        bench.EnableLegacy();
        var report = bench.Unit.Explain(Read(0x1000));
        Assert.Equal(FaultReason.NoReadPermission, report.Fault);
        Assert.Equal(FaultReason.SsNotPresent, report.Steps[^1].Fault);
        Assert.Equal(4, report.Steps[^1].Level);
        Assert.Equal(FaultReason.RootNotPresent, bench.Unit.Explain(new(new(1, 0, 0), new(0), DmaAccess.Read)).Steps[^1].Fault);
    }

    [Fact]
    public void A_stale_translation_is_shown_beside_the_tables()
    {
        using var bench = new VtdBench();
        var table = bench.AttachLegacy(VtdBench.Device, 7);
        bench.Map(table, 0x1000, 0x5000 | 3);
        bench.EnableLegacy();
        bench.Translate(0x1000);
        bench.Map(table, 0x1000, 0x6000 | 3);
        var report = bench.Unit.Explain(Read(0x1000));
        Assert.True(report.IsStale);
        Assert.Equal((0x5000ul, 0x6000ul), (report.CachedWindow.Address.Value, report.Window.Address.Value));
        bench.Map(table, 0x1000, 0);
        report = bench.Unit.Explain(Read(0x1000));
        Assert.Equal((true, FaultReason.None, FaultReason.NoReadPermission), (report.IsStale, report.CachedFault, report.Fault));
    }

    [Fact]
    public void A_stale_context_entry_still_leads_to_what_the_caches_answer()
    {
        using var bench = new VtdBench();
        bench.Map(bench.AttachLegacy(VtdBench.Device, 7), 0x1000, 0x5000 | 3);
        bench.EnableLegacy();
        bench.Translate(0x1000);
        bench.SetLegacy(VtdBench.Device, 0, 0);
        var report = bench.Unit.Explain(Read(0x1000));
        Assert.Equal((FaultReason.ContextNotPresent, true, true), (report.Fault, report.IsCached, report.IsStale));
        Assert.Equal(0x5000ul, report.CachedWindow.Address.Value);
    }

    [Fact]
    public void Explaining_changes_nothing()
    {
        using var bench = new VtdBench(new() { Profile = VtdProfile.Scalable });
        var directory = bench.AttachScalable(VtdBench.Device);
        var (first, second) = (bench.Page(), bench.Page());
        bench.SetPasid(directory, 1, second | 1 | 2 << 2 | 3 << 6 | 1 << 9, 1 << 23 | 7, first);
        bench.Map(second, 0, 0x83, 3);
        bench.Map(first, 0x1000, 0x5000 | 7, tableBits: 7);
        bench.EnableScalable();
        var before = bench.Snapshot();
        var leaf = bench.EntryAddress(first, 4, 0x1000);
        var generation = bench.Unit.Generation;
        var report = bench.Unit.Explain(Read(0x1000, 1, DmaAccess.Write));
        Assert.Equal(0x5000ul, report.Window.Address.Value);
        Assert.Contains(report.Steps, step => step is { Table: VtdTable.FirstStage, Level: 1 });
        bench.Unit.Explain(Read(0x9000, 1));
        bench.Unit.Explain(Read(0x9000, 2));
        Assert.Equal(before, bench.Snapshot());
        Assert.Equal(0x5007ul, bench.Peek(leaf));
        Assert.Equal(0x83ul, bench.Peek(bench.EntryAddress(second, 4, 0, 3)));
        Assert.Equal(0ul, bench.Unit.Counters.Reads(VtdTable.FirstStage, 1) + bench.Unit.Counters.Reads(VtdTable.Root));
        Assert.Equal(generation, bench.Unit.Generation);
    }

    [Fact]
    public void Pass_through_and_translation_off_say_so()
    {
        using var bench = new VtdBench();
        Assert.True(bench.Unit.Explain(Read(0x1000)).IsPassThrough);
        bench.SetLegacy(VtdBench.Device, 1 | 2 << 2, 2);
        bench.EnableLegacy();
        var report = bench.Unit.Explain(Read(0x1000));
        Assert.Equal((true, 0x1000ul, 2), (report.IsPassThrough, report.Window.Address.Value, report.Steps.Count));
    }

    [Fact]
    public void Reads_of_the_tables_are_counted_by_level()
    {
        using var bench = new VtdBench();
        var table = bench.AttachLegacy(VtdBench.Device, 7);
        bench.Map(table, 0x1000, 0x5000 | 3);
        bench.Map(table, 0x2000, 0x6000 | 3);
        bench.EnableLegacy();
        bench.Translate(0x1000);
        bench.Translate(0x2000);
        bench.Translate(0x2000);
        ulong Level(int level) => bench.Unit.Counters.Reads(VtdTable.SecondStage, level);
        Assert.Equal([2ul, 1ul, 1ul, 1ul], new[] { Level(1), Level(2), Level(3), Level(4) });
        Assert.Equal(1ul, bench.Unit.Counters.Reads(VtdTable.Root));
        var counters = bench.Unit.Counters.Device(VtdBench.Device);
        Assert.Equal((1ul, 2ul, 2ul), (counters.Hits, counters.Misses, counters.Walks));
    }

    [Fact]
    public void Pending_faults_and_occupancy_can_be_read()
    {
        using var bench = new VtdBench(new() { FaultRecords = 4 });
        bench.EnableLegacy();
        bench.Translate(0x1000);
        bench.Translate(0x1000, device: new(0, 9, 0));
        Assert.Equal([VtdBench.Device.Value, new Bdf(0, 9, 0).Value], bench.Unit.PendingFaults().Select(fault => fault.Record.SID));
        Assert.True(bench.Unit.IsTranslating);
        Assert.False(bench.Unit.IsRemapping);
        Assert.Equal(new(0, 0, 0, 0, 0, 0, 0, 0), bench.Unit.Occupancy);
    }
}
