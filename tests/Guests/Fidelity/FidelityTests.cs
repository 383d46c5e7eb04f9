using Vmm.Beds;
using Vmm.GuestDma;
using Vmm.Guests.Kit;
using Xunit;
using Xunit.Abstractions;

namespace Vmm.Guests.Fidelity;

/// <summary>
/// Debian's VT-d and virtio-iommu drivers beside the DMA layer's: the same buffers in the same order, the same counts, and
/// a name for every difference. VMM_FIDELITY names a file for the tables.
/// </summary>
public sealed class FidelityTests(ITestOutputHelper log)
{
    static readonly string[] Loads =
    [
        "read 4 64", "read 12 32", "read 28 32", "read 64 32", "read 128 32", "read 1024 8", "read 4096 2",
        "write 4 64", "write 64 32", "write 1024 8", "read 4 1200",
    ];

    static readonly SortedDictionary<string, string> Sections = [];

    [SkippableFact]
    public void VTd_strict_and_lazy() => Compare("1", "VT-d", "vtd", "iommu.strict=1", "invalidation policy: strict", static w => [Asked(w)]);

    /// <summary>Linux answers a wish for lazy with strict; only the domain's own switch makes it lazy.</summary>
    [SkippableFact]
    public void VTd_with_caching_mode_strict_lazy_refused_and_lazy() => Compare(
        "2", "VT-d with caching mode", "vtd-cm", "iommu.strict=0", "DMAR: IOMMU batching disallowed due to virtualization",
        static w => w.Type == KernelRun.DeferredType ? [("lazy, by the domain's type", DmaPolicy.Lazy)] : [("strict", DmaPolicy.Strict), ("lazy, by the command line", DmaPolicy.Lazy)]);

    [SkippableFact]
    public void Virtio_iommu_strict_and_lazy() => Compare("3", "virtio-iommu", "viommu", "iommu.strict=1", "invalidation policy: strict", static w => [Asked(w)]);

    static (string Mode, DmaPolicy Policy) Asked(KernelRun.Window window) =>
        window.Type == KernelRun.DeferredType ? ("lazy", DmaPolicy.Lazy) : ("strict", DmaPolicy.Strict);

    void Compare(string order, string title, string unit, string append, string said, Func<KernelRun.Window, (string Mode, DmaPolicy Policy)[]> modes)
    {
        using var run = new KernelRun(unit, append, Loads);
        Assert.Contains(said, run.Output);
        Assert.Equal(2 * Loads.Length, run.Windows.Count);
        Assert.All(run.Windows, AssertMachineAgrees);
        var comparisons = modes(run.Windows[0]).Select(static m => m.Mode).Concat(modes(run.Windows[^1]).Select(static m => m.Mode)).Distinct()
            .SelectMany(mode => run.Windows.SelectMany(w => modes(w).Where(m => m.Mode == mode).Select(m => Comparison.Of(run, w, m.Mode, m.Policy)))).ToList();
        var text = FidelityReport.Unit(title, comparisons, run.Viommu != null);
        log.WriteLine(text);
        Assert.All(comparisons, static c => Assert.True(c.Rest == default, $"{c.Mode}, {c.Load}: unexplained {c.Rest}"));
        Write(order, text);
    }

    /// <summary>The recorder saw what the ledger and the unit counted, and every exit asked for something.</summary>
    static void AssertMachineAgrees(KernelRun.Window window)
    {
        var tally = window.Recorder.Tally;
        Assert.Equal(0, window.Recorder.Idle);
        Assert.Equal(
            new KernelRun.Counters(
                window.After.Exits - window.Before.Exits, window.After.Invalidations - window.Before.Invalidations, window.After.Waits - window.Before.Waits,
                window.After.Maps - window.Before.Maps, window.After.Unmaps - window.Before.Unmaps),
            new((ulong)tally.Exits, (ulong)(tally.MapPages + tally.UnmapPages + tally.Domains), (ulong)tally.Waits, (ulong)tally.Maps, (ulong)tally.Unmaps));
        Assert.Equal(tally.Buffers, window.Recorder.Steps.Count(static s => !s.IsMap));
    }

    static void Write(string order, string text)
    {
        Sections[order] = text;
        if (Environment.GetEnvironmentVariable("VMM_FIDELITY") is { Length: > 0 } file && Sections.Count == 3)
        {
            File.WriteAllText(file, FidelityReport.Page(DebianArchive.ResolveBackport(), Sections.Values));
        }
    }
}
