using Vmm.GuestDma;
using Vmm.GuestDma.Cost;
using Vmm.GuestDma.Drivers.VtD;
using Vmm.GuestDma.Measurement;
using Vmm.Iommu;
using Vmm.Beds;
using Xunit;

namespace Vmm.Unit.GuestDma;

/// <summary>A disk is read and written under every policy, with the strict unit that compares every cached translation with the tables.</summary>
public sealed class PolicyTests
{
    static readonly VtdOptions Strict = new() { Profile = VtdProfile.Strict };

    public static TheoryData<DmaPolicy> Policies => [.. Enum.GetValues<DmaPolicy>()];

    static DmaBedOptions Bed(DmaPolicy policy) => new()
    {
        Policy = policy, Vtd = policy < DmaPolicy.Bypass ? null : Strict, MemoryBytes = 128 << 20, Device = new() { Swiotlb = new() { Forced = true } },
    };

    [Theory]
    [MemberData(nameof(Policies))]
    public void Reads_bring_the_right_data_and_writes_arrive(DmaPolicy policy)
    {
        using var bed = new DmaBed(Bed(policy));
        foreach (var write in new[] { false, true })
        {
            var load = new BlockLoad(bed.Machine, new(16 << 10, 16, write), DmaBed.DiskBlocks);
            load.Run(200);
            Assert.Equal(0, load.Bad);
            load.Free();
        }

        Assert.True(bed.Vtd == null || bed.Vtd.Counters.RecordedFaults == 0);
    }

    [Theory]
    [MemberData(nameof(Policies))]
    public void No_stale_translation_is_used_under_the_strict_profile(DmaPolicy policy)
    {
        using var bed = new DmaBed(Bed(policy));
        var load = new BlockLoad(bed.Machine, new(16 << 10, 16, false), DmaBed.DiskBlocks);
        load.Run(500);
        Assert.Equal(0ul, bed.Vtd?.MissingInvalidations.Total ?? 0);
    }

    [Theory]
    [MemberData(nameof(Policies))]
    public void No_mapping_of_the_paravirtual_unit_is_used_after_its_driver_gave_it_up(DmaPolicy policy)
    {
        using var bed = new DmaBed(Paravirtual(policy));
        var load = new BlockLoad(bed.Machine, new(16 << 10, 16, false), DmaBed.DiskBlocks);
        load.Run(500);
        Assert.Equal((0, 0ul), (load.Bad, bed.Watch?.Findings ?? 0));
    }

    static DmaBedOptions Paravirtual(DmaPolicy policy) => Bed(policy) with { Vtd = null, Viommu = policy < DmaPolicy.Bypass ? null : new(), WatchesSync = true };

    [Fact]
    public void A_synchronisation_that_is_left_out_is_found()
    {
        // The disk writes its completion late: what it still uses after the driver gave it up is seen.
        using var bed = new DmaBed(Paravirtual(DmaPolicy.Strict) with { HasDisk = false });
        ((Vmm.GuestDma.Drivers.VirtioIommu.ViommuDomain)bed.Machine.Device.Translated!.Translations.Domain).LeaveOut = 7;
        var mapper = bed.Machine.Device.Mapper;
        Assert.True(bed.Machine.Pages.TryAllocate(0, Vmm.GuestDma.Guest.AllocationSite.Buffer, out var page));
        for (var i = 1; i <= 70; i++)
        {
            var address = mapper.MapPage(page, 4096, DmaDirection.Bidirectional);
            Assert.True(bed.Port.TryRead(address, out uint _));
            mapper.UnmapPage(address, 4096, DmaDirection.Bidirectional);
            Assert.Equal(i % 7 == 0, bed.Port.TryRead(address, out uint _));
            Assert.Equal((ulong)(i / 7), bed.Watch!.Findings);
        }
    }

    [Fact]
    public void An_invalidation_that_is_left_out_is_found()
    {
        // In caching mode the invalidation of the next map would make up for it.
        using var bed = new DmaBed(Bed(DmaPolicy.Strict) with { Vtd = Strict with { CachingMode = false } });
        ((VtdDomain)bed.Machine.Device.Translated!.Translations.Domain).LeaveOut = 7;
        var load = new BlockLoad(bed.Machine, new(16 << 10, 16, false), DmaBed.DiskBlocks);
        load.Run(500);
        Assert.NotEqual(0ul, bed.Vtd!.MissingInvalidations.Total);
    }

    [Theory]
    [MemberData(nameof(Policies))]
    public void Mapping_allocates_nothing_on_the_host(DmaPolicy policy)
    {
        using var bed = new DmaBed(Bed(policy) with { HasDisk = false });
        Assert.True(bed.Machine.Pages.TryAllocate(0, Vmm.GuestDma.Guest.AllocationSite.Buffer, out var page));
        var mapper = bed.Machine.Device.Mapper;
        var least = long.MaxValue;
        for (var round = 0; round < 5; round++)
        {
            // The runtime itself may allocate once, while it compiles.
            var before = GC.GetAllocatedBytesForCurrentThread();
            for (var i = 0; i < 1000; i++)
            {
                mapper.UnmapPage(mapper.MapPage(page, 4096, DmaDirection.Bidirectional), 4096, DmaDirection.Bidirectional);
            }

            least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
        }

        Assert.Equal(0, least);
    }

    [Fact]
    public void A_synchronisation_of_the_paravirtual_unit_that_is_left_out_leaves_a_stale_mapping()
    {
        foreach (var leaveOut in new[] { 0, 1 })
        {
            using var bed = new DmaBed(new() { Vtd = null, Viommu = new(), HasDisk = false, MemoryBytes = 64 << 20 });
            ((Vmm.GuestDma.Drivers.VirtioIommu.ViommuDomain)bed.Machine.Device.Translated!.Translations.Domain).LeaveOut = leaveOut;
            Assert.True(bed.Machine.Pages.TryAllocate(0, Vmm.GuestDma.Guest.AllocationSite.Buffer, out var page));
            var address = bed.Machine.Device.Mapper.MapPage(page, 4096, DmaDirection.Bidirectional);
            bed.Machine.Device.Mapper.UnmapPage(address, 4096, DmaDirection.Bidirectional);
            Assert.Equal(leaveOut != 0, bed.Port.TryRead(address, out uint _));
        }
    }

    [Fact]
    public void All_cycles_have_a_cause()
    {
        using var bed = new DmaBed(Bed(DmaPolicy.Strict));
        bed.Ledger.Clear();
        var start = bed.Clock.Now;
        new BlockLoad(bed.Machine, new(4096, 8, false), DmaBed.DiskBlocks).Run(100);
        var sum = Enum.GetValues<CycleCause>().Aggregate(0ul, (s, c) => s + bed.Ledger.Cycles(c));
        Assert.Equal(bed.Clock.Now - start, sum);
    }
}
