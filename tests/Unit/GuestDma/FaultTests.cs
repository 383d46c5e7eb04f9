using Vmm.Beds;
using Vmm.GuestDma;
using Vmm.GuestDma.Drivers.VtD;
using Vmm.GuestDma.Faults;
using Vmm.GuestDma.Guest;
using Vmm.Iommu;
using Vmm.Platform.Faults;
using Vmm.Platform.Memory;
using Vmm.VirtioIommu;
using Xunit;

namespace Vmm.Unit.GuestDma;

/// <summary>What the drivers do with what a unit reports: blocked accesses, too many of them, and broken invalidations.</summary>
public sealed class FaultTests
{
    const ulong Nowhere = 0x1234_5000;

    static DmaBed Bed(string iommu, DmaPolicy policy = DmaPolicy.Strict) => new(new()
    {
        Policy = policy, MemoryBytes = 32 << 20, HasDisk = false, Second = new(),
        Vtd = iommu == "vtd" ? new VtdOptions { AddressWidth = 48 } : null, Viommu = iommu == "viommu" ? new VirtioIommuOptions() : null,
    });

    [Theory]
    [InlineData("vtd")]
    [InlineData("viommu")]
    public void A_blocked_access_is_reported_to_the_owner_of_its_device(string iommu)
    {
        using var bed = Bed(iommu);
        var seen = new List<BlockedAccess>();
        bed.Machine.Device.Faulted = seen.Add;
        bed.Second!.Faulted = _ => Assert.Fail("the wrong owner");
        Assert.False(bed.Port.TryRead(new Iova(Nowhere), out uint _));
        bed.Machine.Poll();
        Assert.False(bed.Port.TryWrite(new Iova(Nowhere + 0x1010), 1u));
        bed.Machine.Poll();
        Assert.Equal([false, true], seen.Select(static f => f.IsWrite));
        Assert.Equal([Nowhere, Nowhere + 0x1000], seen.Select(static f => f.Address & ~0xFFFul));
        Assert.All(seen, f => Assert.Equal((DmaBed.Device, BlockCause.Mapping), (f.Device, f.Kind)));
        Assert.Equal((2ul, 2ul, 0ul, 0ul), (bed.Machine.Device.Faults, bed.Machine.Iommu!.Faults.Total, bed.Machine.Iommu.Faults.Overflows, bed.Second.Faults));
        Assert.False(bed.Machine.Iommu.HasFaults);
    }

    [Theory]
    [InlineData("vtd")]
    [InlineData("viommu")]
    public void A_right_that_a_mapping_does_not_give_is_reported_and_the_mapping_stays(string iommu)
    {
        using var bed = Bed(iommu);
        Assert.True(bed.Machine.Pages.TryAllocate(0, AllocationSite.Buffer, out var page));
        var address = bed.Machine.Device.Mapper.MapPage(page, 4096, DmaDirection.ToDevice);
        Assert.False(bed.Port.TryWrite(address, 1u));
        bed.Machine.Poll();
        var fault = Assert.Single(bed.Machine.Iommu!.Faults.Last);
        Assert.Equal((address.Value, true, BlockCause.Mapping), (fault.Address & ~0xFFFul, fault.IsWrite, fault.Kind));
        Assert.True(bed.Port.TryRead(address, out uint _));
    }

    [Theory]
    [InlineData("vtd")]
    [InlineData("viommu")]
    public void A_storm_of_faults_is_counted_as_far_as_the_unit_tells_and_later_faults_are_seen_again(string iommu)
    {
        using var bed = Bed(iommu);
        for (var i = 0ul; i < 1000; i++)
        {
            // Two devices, so that a unit that joins the faults of one device has two to tell of.
            Assert.False((i % 2 == 0 ? bed.Port : bed.SecondPort).TryRead(new Iova(Nowhere + i * 4096), out uint _));
        }

        bed.Machine.Poll();
        var faults = bed.Machine.Iommu!.Faults;
        Assert.InRange(faults.Total, 1ul, 999ul);
        Assert.Equal(1ul, faults.Overflows);
        Assert.False(bed.Machine.Iommu.HasFaults);
        var before = faults.Total;
        Assert.False(bed.Port.TryRead(new Iova(Nowhere), out uint _));
        bed.Machine.Poll();
        Assert.Equal((before + 1, 1ul), (faults.Total, faults.Overflows));
        Assert.Equal(faults.Total, bed.Machine.Device.Faults + bed.Second!.Faults);
    }

    [Fact]
    public void Faults_cost_nothing_until_there_are_some()
    {
        using var bed = Bed("vtd");
        var before = bed.Clock.Now;
        bed.Machine.Poll();
        Assert.Equal(before, bed.Clock.Now);
        Assert.False(bed.Port.TryRead(new Iova(Nowhere), out uint _));
        before = bed.Clock.Now;
        bed.Machine.Poll();
        Assert.NotEqual(before, bed.Clock.Now);
    }

    [Fact]
    public void A_device_that_was_detached_is_told_apart_from_an_address_that_is_not_mapped()
    {
        using var bed = Bed("vtd");
        ((VtdDriver)bed.Machine.Iommu!).Detach(DmaBed.Device);
        Assert.False(bed.Port.TryRead(new Iova(Nowhere), out uint _));
        bed.Machine.Poll();
        Assert.Equal(BlockCause.Device, Assert.Single(bed.Machine.Iommu.Faults.Last).Kind);
    }

    [Theory]
    [InlineData(InvalidationFaultKind.QueueError)]
    [InlineData(InvalidationFaultKind.TimeoutError)]
    [InlineData(InvalidationFaultKind.CompletionError)]
    public void An_error_of_the_invalidation_queue_is_cleared_and_the_invalidation_made(InvalidationFaultKind kind)
    {
        using var bed = Bed("vtd");
        var plan = new FaultPlan(bed.Clock, bed.Port.Fabric);
        bed.Vtd!.Faults = plan;
        plan.Arm(new("queue", new() { Count = 1 }, new InvalidationFault(kind)));
        Assert.True(bed.Machine.Pages.TryAllocate(0, AllocationSite.Buffer, out var page));
        var mapper = bed.Machine.Device.Mapper;
        for (var i = 0; i < 20; i++)
        {
            var address = mapper.MapPage(page, 4096, DmaDirection.Bidirectional);
            Assert.True(bed.Port.TryRead(address, out uint _));
            mapper.UnmapPage(address, 4096, DmaDirection.Bidirectional);
            Assert.False(bed.Port.TryRead(address, out uint _));
        }

        Assert.Equal(1ul, plan.FiringCount);
        Assert.Equal(kind == InvalidationFaultKind.CompletionError ? 0ul : 1ul, ((VtdDriver)bed.Machine.Iommu!).QueueErrors);
    }

    [Fact]
    public void A_queue_that_never_goes_on_is_not_waited_for_without_end()
    {
        using var bed = Bed("vtd");
        var plan = new FaultPlan(bed.Clock, bed.Port.Fabric);
        bed.Vtd!.Faults = plan;
        plan.Arm(new("queue", new() { Count = 1 }, new InvalidationFault(InvalidationFaultKind.NeverComplete)));
        Assert.True(bed.Machine.Pages.TryAllocate(0, AllocationSite.Buffer, out var page));
        var address = bed.Machine.Device.Mapper.MapPage(page, 4096, DmaDirection.Bidirectional);
        Assert.Throws<InvalidOperationException>(() => bed.Machine.Device.Mapper.UnmapPage(address, 4096, DmaDirection.Bidirectional));
    }
}
