using Vmm.Beds;
using Vmm.GuestDma;
using Vmm.GuestDma.Cost;
using Vmm.GuestDma.Drivers.Nvme;
using Vmm.GuestDma.Guest;
using Vmm.Guests.DmaGuest;
using Vmm.Guests.Fidelity;
using Vmm.Iommu;
using Vmm.Machine;
using Vmm.Specs.Virtio;
using Vmm.Specs.VtD;
using Vmm.VirtioIommu;
using Xunit;
using Xunit.Abstractions;

namespace Vmm.Guests;

/// <summary>
/// The built-in dma guest counts in its own code, the machine counts by its ledger and its units, and the DMA layer goes
/// through the same buffers: three counts of one thing.
/// </summary>
public sealed class DmaGuestTests(ITestOutputHelper log)
{
    /// <summary>Units by name.</summary>
    public static TheoryData<string> Units => [.. Configurations.Keys];

    static readonly SortedDictionary<string, MachineConfig> Configurations = new(StringComparer.Ordinal)
    {
        ["vtd legacy"] = new() { Vtd = new() },
        ["vtd legacy, caching mode"] = new() { Vtd = new() { CachingMode = true } },
        ["vtd legacy, 39 bits"] = new() { Vtd = new() { AddressWidth = 39, CoherentWalks = true } },
        ["vtd scalable"] = new() { Vtd = new() { Profile = VtdProfile.Scalable } },
        ["vtd scalable, caching mode"] = new() { Vtd = new() { Profile = VtdProfile.Scalable, CachingMode = true } },
        ["vtd scalable, used in legacy mode"] = new() { Vtd = new() { Profile = VtdProfile.Scalable } },
        ["vtd scalable, 39 bits, not coherent"] = new() { Vtd = new() { Profile = VtdProfile.Scalable, AddressWidth = 39, CoherentWalks = false } },
        ["vtd strict"] = new() { Vtd = new() { Profile = VtdProfile.Strict } },
        ["vtd strict, no caching mode"] = new() { Vtd = new() { Profile = VtdProfile.Strict, CachingMode = false } },
        ["virtio"] = new() { VirtioIommu = new() },
        ["virtio, no bypass, vfio"] = new() { VirtioIommu = new() { Bypass = false, OffersBypassConfig = false, Backend = ViommuBackend.Vfio } },
    };

    [Theory]
    [MemberData(nameof(Units))]
    public void The_guest_the_machine_and_the_layer_count_the_same(string unit)
    {
        var legacy = unit.EndsWith("legacy mode", StringComparison.Ordinal);
        using var run = new DmaGuestRun(Configurations[unit], new() { LegacyMode = legacy });
        log.WriteLine(run.Output);
        Assert.True((StopCause.DebugExit, 0u) == (run.Outcome.Cause, run.Outcome.Value), run.Output);
        Assert.Equal(run.Machine.Iommu != null && unit.Contains("legacy", StringComparison.Ordinal), run.Output.Contains("in legacy mode", StringComparison.Ordinal));
        (int, int)[] lines = [(4096, 1), (16384, 1), (65536, 1), (131072, 1), (16384, 4), (131072, 32)];
        Assert.Equal([.. lines, .. lines], run.Rows.Select(static r => (r.Bytes, r.Pieces)));
        Assert.Equal(lines.Length, run.Rows.TakeWhile(static r => !r.IsLazy).Count());
        foreach (var row in run.Rows)
        {
            AssertMachineAgrees(row, run.Machine.VirtioIommu != null);
            AssertRecorderAgrees(row, run.Machine.VirtioIommu != null);
            AssertLayerAgrees(row, Configurations[unit]);
        }
    }

    /// <summary>
    /// The one difference in what is done: the guest flushes after 250 unmaps and never by time, the layer also after 10 ms. At
    /// a tenth of the speed the layer's rule says when that is, and the layer does it then.
    /// </summary>
    [Theory]
    [InlineData("vtd legacy")]
    [InlineData("virtio")]
    public void The_layers_timer_is_the_only_difference_and_makes_as_many_flushes_as_its_rule_says(string unit)
    {
        const int Slower = 10;
        var config = Configurations[unit];
        var isViommu = config.VirtioIommu != null;
        using var run = new DmaGuestRun(config, new());
        var timed = 0;
        foreach (var row in run.Rows.Where(static r => r.IsLazy))
        {
            var sequence = row.Sequence();
            ulong Stretched(ulong time) => sequence[0].Time + (time - sequence[0].Time) * Slower;
            var slow = sequence.Select(s => s with { Time = Stretched(s.Time) }).ToList();
            var end = Stretched(row.End);
            var layer = DmaReplay.Run(config.Vtd, config.VirtioIommu, DmaPolicy.Lazy, DmaGuestRun.MemoryBytes, slow, end).Tally;
            var more = FlushRule.Layer.Exits(slow, end, 0, isViommu).Count - row.Recorder.Tally.UnmapExits;
            Assert.Equal(
                row.Recorder.Tally + (isViommu ? new DmaTally(UnmapExits: more) : new(UnmapExits: more, Domains: more, Drained: more, Waits: more)), layer);
            timed += more;
        }

        // UNMAP requests go with the next mapping, so that a flush by time mostly finds none.
        Assert.True(isViommu || timed > 0, "the timer never ran out");
    }

    /// <summary>
    /// The disk drivers differ too: the guest maps its one PRP list page at the start and nothing during a transfer (asserted
    /// for each line), the layer one for each command slot when a transfer first needs it. And the guest's doorbells are
    /// exits (asserted there too), the layer's are not: its disk is an assigned device.
    /// </summary>
    [Theory]
    [InlineData("vtd legacy, caching mode")]
    [InlineData("virtio")]
    public void The_layer_maps_a_list_page_at_the_first_long_transfer_of_a_slot(string unit)
    {
        var config = Configurations[unit];
        using var bed = new DmaBed(new() { MemoryBytes = DmaGuestRun.MemoryBytes, Vtd = config.Vtd, Viommu = config.VirtioIommu });
        var machine = bed.Machine;
        Assert.True(machine.Pages.TryAllocate(5, AllocationSite.Buffer, out var buffer));
        ulong Commands() => bed.Vtd?.Counters.Invalidations(InvalidationType.Iotlb) ?? bed.Viommu!.Requests(VirtioIommuRequest.Map, VirtioIommuStatus.Ok);
        var during = new List<ulong>();
        foreach (var bytes in new[] { 4096, 8192, 16384, 131072, 16384 })
        {
            var address = machine.Device.Mapper.MapPage(buffer, bytes, DmaDirection.FromDevice);
            var (before, exits) = (Commands(), bed.Ledger.Count(CycleCause.Exit));
            Assert.True(machine.Nvme!.Queues[0].TryTransfer(false, 0, bytes / 4096, [new() { DmaAddress = address, DmaLength = bytes }], 0));
            machine.Nvme.Queues[0].Ring();
            NvmeDone done;
            while (!machine.Nvme.Queues[0].TryReap(out done))
            {
                Assert.True(machine.Wait());
            }

            machine.Nvme.Queues[0].FinishReaping();
            Assert.Equal(0, done.Status);
            during.Add(Commands() - before);
            Assert.Equal(during[^1], bed.Ledger.Count(CycleCause.Exit) - exits);
            machine.Device.Mapper.UnmapPage(address, bytes, DmaDirection.FromDevice);
        }

        Assert.Equal([0, 0, 1, 0, 0], during);
    }

    /// <summary>
    /// Every exit of these sections is an access that the guest counted, or the mark that ends the section. The guest counts a
    /// request when it enters it, the device when it carries it out: UNMAP requests that wait do so with the next mapping.
    /// </summary>
    static void AssertMachineAgrees(DmaGuestRow row, bool isViommu)
    {
        var carried = row.IsLazy && isViommu ? (ulong)(row.Buffers - DmaGuestRow.Burst) : 0;
        SectionCounts map = row.Sections[DmaGuestRow.Map], transfer = row.Sections[DmaGuestRow.Transfer], unmap = row.Sections[DmaGuestRow.Unmap];
        Assert.Equal(new(row.GuestMap.Accesses + map.Marks, row.GuestMap.Accesses, 0, row.GuestMap.Commands + carried, row.GuestMap.Waits), map.Machine);
        Assert.Equal(new(row.GuestTransfer + transfer.Marks, 0, row.GuestTransfer, 0, 0), transfer.Machine);
        Assert.Equal(new(row.GuestUnmap.Accesses + unmap.Marks, row.GuestUnmap.Accesses, 0, row.GuestUnmap.Commands - carried, row.GuestUnmap.Waits), unmap.Machine);
    }

    static void AssertRecorderAgrees(DmaGuestRow row, bool isViommu)
    {
        var seen = row.Recorder.Tally;
        Assert.Equal(row.Buffers, seen.Buffers);
        Assert.Equal(0, row.Recorder.Idle);
        Assert.Equal(row.GuestMap.Accesses, (ulong)seen.MapExits);
        Assert.Equal(row.GuestUnmap.Accesses, (ulong)seen.UnmapExits);
        Assert.Equal(row.GuestMap.Commands, (ulong)(isViommu ? seen.Maps : seen.MapPages));
        Assert.Equal(row.GuestUnmap.Commands, (ulong)(isViommu ? seen.Unmaps : seen.UnmapPages + seen.Domains));
    }

    /// <summary>The layer with the same buffers in the same order. Times are pressed together, so that its 10 ms do not run out: the guest has no timer.</summary>
    static void AssertLayerAgrees(DmaGuestRow row, MachineConfig config)
    {
        var policy = row.IsLazy ? DmaPolicy.Lazy : DmaPolicy.Strict;
        var sequence = row.Sequence();
        var start = sequence[0].Time;
        var pressed = sequence.Select(s => s with { Time = start }).ToList();
        var layer = DmaReplay.Run(config.Vtd, config.VirtioIommu, policy, DmaGuestRun.MemoryBytes, pressed, start);
        Assert.Equal(row.Recorder.Tally, layer.Tally);
    }
}
