using Vmm.Beds;
using Vmm.GuestDma;
using Vmm.GuestDma.Guest;
using Vmm.Iommu;
using Vmm.VirtioIommu;
using Xunit;
using Xunit.Abstractions;

namespace Vmm.Unit.GuestDma;

/// <summary>
/// Every allocation that a fixed sequence of operations makes fails once, and from every one on all fail: no other
/// allocation is left to fail. After each the sequence ends cleanly and memory is what it was.
/// </summary>
public sealed class FailureSweepTests(ITestOutputHelper output)
{
    static readonly int Steps = Environment.GetEnvironmentVariable("VMM_STEPS") == null ? 32 : 400;

    static readonly Vmm.GuestDma.Bounce.BounceOptions Few = new() { Classes = 6, Slots = 4, GrowthBytes = 16 << 10, Converts = true };

    public static TheoryData<DmaPolicy, string> Cases => LayerCases.Translating;

    static DmaBed Bed(DmaPolicy policy, string iommu) => new(new()
    {
        Policy = policy, MemoryBytes = 8 << 20, HasDisk = false,
        Vtd = iommu == "vtd" ? new VtdOptions { Profile = VtdProfile.Strict, CachingMode = false, AddressWidth = 48, IotlbEntries = 64, CacheEntries = 16 } : null,
        Viommu = iommu == "viommu" ? new VirtioIommuOptions { CacheEntries = 16 } : null,
        WatchesSync = true,
        Device = new() { BypassWindow = 1ul << 38, Arenas = Few, AdoptedBuffers = 8 },
        Second = new() { Untrusted = true, Pool = new() { Slots = 2 }, Arenas = Few, AdoptedBuffers = 8 },
    });

    [Theory]
    [MemberData(nameof(Cases))]
    public void Every_allocation_may_fail_alone_or_with_all_that_follow(DmaPolicy policy, string iommu)
    {
        // A machine can be used again where nothing is learned; that it is as before is what the test shows.
        using var common = policy == DmaPolicy.Adaptive ? null : Bed(policy, iommu);
        (AllocationSite? Failed, ulong Attempts) Once(ulong fail, bool persists)
        {
            using var own = common == null ? Bed(policy, iommu) : null;
            return Run(common ?? own!, fail, persists);
        }

        var (none, attempts) = Once(0, persists: false);
        Assert.Null(none);
        Assert.Equal(attempts, Once(0, persists: true).Attempts);
        var failed = new HashSet<AllocationSite>();
        for (var n = 1ul; n <= attempts; n++)
        {
            // Up to its first failure a run is the one without failures, so every attempt of that one fails once.
            var (site, _) = Once(n, persists: false);
            failed.Add(site!.Value);
            Assert.NotNull(Once(n, persists: true).Failed);
        }

        output.WriteLine($"{attempts} allocations: {string.Join(", ", failed)}");
        Assert.Contains(AllocationSite.Iova, failed);
        Assert.Contains(AllocationSite.Bounce, failed);
        Assert.Contains(AllocationSite.Coherent, failed);
        Assert.Contains(iommu == "vtd" ? AllocationSite.Table : AllocationSite.Request, failed);
        Assert.Equal(policy == DmaPolicy.Adaptive, failed.Contains(AllocationSite.Adoption));
    }

    /// <summary>Runs the sequence; returns the site of the last failure and how many allocations there were.</summary>
    static (AllocationSite? Failed, ulong Attempts) Run(DmaBed bed, ulong fail, bool persists)
    {
        var random = new Random(11);
        var faults = bed.Machine.Faults;
        LayerModel[] models = [new(bed, bed.Machine.Device, bed.Port, random, 1ul << 38, hotShare: 6, hotBuffers: 3), new(bed, bed.Second!, bed.SecondPort, random)];
        var start = Close(bed);
        var (before, failures) = (faults.Attempts, Failures(faults));
        if (fail != 0)
        {
            (faults.FailAt, faults.FailFrom) = persists ? (0ul, before + fail) : (before + fail, 0ul);
        }

        for (var step = 0; step < Steps; step++)
        {
            models[step % 3 == 2 ? 1 : 0].Step();
            if (step % 8 == 4)
            {
                models[step / 8 % 2].StepCoherent();
            }
        }

        var attempts = faults.Attempts - before;
        models[0].Drain();
        models[1].Drain();
        (faults.FailAt, faults.FailFrom) = (0, 0);
        Assert.Equal(start, Close(bed));
        Assert.Equal((0ul, 0ul), (bed.Vtd?.MissingInvalidations.Total ?? 0, bed.Watch?.Findings ?? 0));
        return (Failures(faults) != failures ? faults.LastFailed : null, attempts);
    }

    static ulong Failures(AllocationFaults faults) => Enum.GetValues<AllocationSite>().Aggregate(0ul, (sum, site) => sum + faults.Failures(site));

    static (int Free, ulong Mapped) Close(DmaBed bed)
    {
        var mapped = 0ul;
        foreach (var device in new[] { bed.Machine.Device, bed.Second! })
        {
            device.Translated!.Close();
            device.Iovas!.Drain();
            mapped += device.Translated.Translations.Domain.MappedBytes;
            Assert.Equal((0, 0, 0ul, 0, 0ul), (device.Translated.Live, device.Translated.CoherentBlocks, device.Translated.BounceBytes, device.Translated.AdoptedCount, device.Iovas!.AllocatedPages));
        }

        Assert.Equal(0, bed.Machine.Pages.ParkedPages);
        return (bed.Machine.Pages.FreePages, mapped);
    }
}
