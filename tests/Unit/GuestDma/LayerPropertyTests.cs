using Vmm.Beds;
using Vmm.GuestDma;
using Vmm.GuestDma.Guest;
using Vmm.Iommu;
using Vmm.VirtioIommu;
using Xunit;
using Xunit.Abstractions;

namespace Vmm.Unit.GuestDma;

/// <summary>
/// Random use of the layer beside a simple model, by a trusted and an untrusted device behind one unit: mappings do not overlap,
/// no byte is lost, and when all has ended memory is what it was. Allocations fail meanwhile, of all sites and of one, and
/// memory is really scarce at times. VMM_STEPS is the number of operations of each policy and unit.
/// </summary>
public sealed class LayerPropertyTests(ITestOutputHelper output)
{
    const int PlanSteps = 256, MostEpochSteps = 20_000;

    const ulong BypassWindow = 1ul << 38;

    static readonly long Steps = long.TryParse(Environment.GetEnvironmentVariable("VMM_STEPS"), out var steps) ? Math.Max(2000, steps) : 4000;

    public static TheoryData<DmaPolicy, string> Cases
    {
        get
        {
            var data = new TheoryData<DmaPolicy, string> { { DmaPolicy.Off, "none" }, { DmaPolicy.Swiotlb, "none" }, { DmaPolicy.DynamicSwiotlb, "none" } };
            for (var policy = DmaPolicy.Bypass; policy <= DmaPolicy.Adaptive; policy++)
            {
                data.Add(policy, "vtd");
                data.Add(policy, "viommu");
            }

            return data;
        }
    }

    static DmaBed Bed(DmaPolicy policy, string iommu)
    {
        var arenas = new Vmm.GuestDma.Bounce.BounceOptions { Classes = 11, Slots = 64, MemoryLimit = 4 << 20, GrowthBytes = 16 << 10, Converts = true };
        var swiotlb = new Vmm.GuestDma.Swiotlb.SwiotlbOptions
        {
            Bytes = 1 << 20, StartBytes = 256 << 10, Growth = 1 << 20, LeastGrowth = 256 << 10, IdleNanoseconds = 20_000_000, Forced = true,
        };
        return new(new()
        {
            Policy = policy, MemoryBytes = 64 << 20, HasDisk = false, Cpus = 2,
            Vtd = iommu == "vtd" ? new VtdOptions { Profile = VtdProfile.Strict, CachingMode = false, AddressWidth = 48 } : null,
            Viommu = iommu == "viommu" ? new VirtioIommuOptions() : null,
            WatchesSync = true,
            Device = new() { Swiotlb = swiotlb, Arenas = arenas, AdoptedBuffers = 8, BypassWindow = BypassWindow },
            Second = new() { Swiotlb = swiotlb, Arenas = arenas, AdoptedBuffers = 8, Untrusted = true, AlwaysBounceLimit = 20_000, Pool = new() { Slots = 8 } },
        });
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Mappings_neither_overlap_nor_leak_nor_lose_bytes(DmaPolicy policy, string iommu)
    {
        using var bed = Bed(policy, iommu);
        Run(bed, Steps, switches: false);
    }

    [Theory]
    [InlineData("vtd")]
    [InlineData("viommu")]
    public void The_policies_of_devices_may_change_while_mappings_exist(string iommu)
    {
        using var bed = Bed(DmaPolicy.Strict, iommu);
        Run(bed, Steps, switches: true);
    }

    [Theory]
    [InlineData("vtd")]
    [InlineData("viommu")]
    public void A_change_to_guest_physical_addresses_waits_for_the_last_mapping(string iommu)
    {
        using var bed = Bed(DmaPolicy.Strict, iommu);
        var device = bed.Machine.Device;
        Assert.True(bed.Machine.Pages.TryAllocate(0, AllocationSite.Buffer, out var page));
        foreach (var next in new[] { DmaPolicy.Identity, DmaPolicy.Bypass, DmaPolicy.Pool, DmaPolicy.Identity, DmaPolicy.Strict })
        {
            var mapper = device.Mapper;
            var address = mapper.MapPage(page, 4096, DmaDirection.Bidirectional);
            Assert.False(device.TrySwitch(next));
            Assert.True(bed.Port.TryWrite(address, 1u));
            mapper.UnmapPage(address, 4096, DmaDirection.Bidirectional);
            Assert.True(mapper.TryAllocateCoherent(4096, out var coherent));
            Assert.False(device.TrySwitch(next));
            mapper.FreeCoherent(coherent);
            Assert.True(device.TrySwitch(next));
            address = device.Mapper.MapPage(page, 4096, DmaDirection.Bidirectional);
            Assert.True(bed.Port.TryWrite(address, 2u));
            device.Mapper.UnmapPage(address, 4096, DmaDirection.Bidirectional);
        }
    }

    void Run(DmaBed bed, long steps, bool switches)
    {
        var random = new Random((int)(steps + (int)bed.Machine.Device.Policy));
        LayerModel[] models =
        [
            new(bed, bed.Machine.Device, bed.Port, random, bed.Machine.Iommu == null ? 0 : BypassWindow),
            new(bed, bed.Second!, bed.SecondPort, random),
        ];
        if (switches)
        {
            // The tables of the identity map stay once they are there.
            Assert.True(bed.Machine.Device.TrySwitch(DmaPolicy.Identity) && bed.Second!.TrySwitch(DmaPolicy.Identity));
        }

        var start = Close(bed);
        for (var left = steps; left > 0;)
        {
            var epoch = Math.Min(left, random.Next(1, MostEpochSteps));
            Epoch(bed, models, random, epoch, switches);
            left -= epoch;
            Assert.Equal(start, Close(bed));
        }

        Assert.Equal((0ul, 0ul), (bed.Vtd?.MissingInvalidations.Total ?? 0, bed.Watch?.Findings ?? 0));
        foreach (var site in Enum.GetValues<AllocationSite>())
        {
            output.WriteLine($"{site}: {bed.Machine.Faults.Failures(site)} of {bed.Machine.Faults.AttemptsOf(site)} failed");
        }

        output.WriteLine($"found adopted: {(bed.Machine.Device.Translated?.AdoptionHits ?? 0) + (bed.Second!.Translated?.AdoptionHits ?? 0)}");
        output.WriteLine($"short of memory: {bed.Machine.Pages.Shortages}");
    }

    static void Epoch(DmaBed bed, LayerModel[] models, Random random, long steps, bool switches)
    {
        var hoard = new List<(Platform.Memory.Gpa Address, int Order)>();
        for (var step = 0L; step < steps; step++)
        {
            if (step % PlanSteps == 0)
            {
                Plan(bed.Machine.Faults, random);
                Give(bed, hoard);
                if (random.Next(16) == 0)
                {
                    Hoard(bed, hoard, random.Next(200));
                }
            }

            bed.View.Cpu = random.Next(2);
            models[random.Next(2)].Step();
            if (switches && random.Next(20) == 0)
            {
                Switch(bed, models, random);
            }

            if (random.Next(200) == 0)
            {
                bed.Clock.Charge(bed.Clock.Hertz / (ulong)random.Next(1, 200));
                bed.Machine.Poll();
            }
        }

        (bed.Machine.Faults.FailEvery, bed.Machine.Faults.Only) = (0, null);
        Give(bed, hoard);
        models[0].Drain();
        models[1].Drain();
    }

    /// <summary>Which allocations fail next: none, every n-th of all, or every n-th of one site.</summary>
    static void Plan(AllocationFaults faults, Random random)
    {
        var kind = random.Next(4);
        faults.FailEvery = kind < 2 ? 0 : (ulong)random.Next(kind == 2 ? 2 : 1, kind == 2 ? 40 : 6);
        faults.Only = kind == 3 ? (AllocationSite)random.Next(Enum.GetValues<AllocationSite>().Length) : null;
    }

    static void Switch(DmaBed bed, LayerModel[] models, Random random)
    {
        var at = random.Next(2);
        var device = at == 0 ? bed.Machine.Device : bed.Second!;
        var before = device.Policy;
        var next = DmaPolicy.Bypass + random.Next(DmaPolicy.Adaptive - DmaPolicy.Bypass + 1);
        // To and from guest-physical addresses only an idle device may change; now and then it is made idle.
        if (next < DmaPolicy.Strict != before < DmaPolicy.Strict && random.Next(4) == 0)
        {
            models[at].Drain();
        }

        var may = next == before || next < DmaPolicy.Strict == before < DmaPolicy.Strict && next >= DmaPolicy.Strict || models[at].IsIdle;
        var failures = Failures(bed);
        var done = device.TrySwitch(next);
        Assert.True(done ? may : !may || Failures(bed) > failures || bed.Machine.Pages.FreePages < 64, $"{before} to {next}: {done}");
        Assert.Equal(done ? next : before, device.Policy);
    }

    static ulong Failures(DmaBed bed) =>
        Enum.GetValues<AllocationSite>().Aggregate(0ul, (sum, site) => sum + bed.Machine.Faults.Failures(site));

    /// <summary>Takes all memory but a few pages.</summary>
    static void Hoard(DmaBed bed, List<(Platform.Memory.Gpa Address, int Order)> hoard, int leave)
    {
        var plan = (bed.Machine.Faults.FailEvery, bed.Machine.Faults.Only);
        (bed.Machine.Faults.FailEvery, bed.Machine.Faults.Only) = (0, null);
        for (var order = GuestPages.MaxOrder; order >= 0; order--)
        {
            while (bed.Machine.Pages.FreePages >= leave + (1 << order) && bed.Machine.Pages.TryAllocate(order, AllocationSite.Buffer, out var block))
            {
                hoard.Add((block, order));
            }
        }

        (bed.Machine.Faults.FailEvery, bed.Machine.Faults.Only) = plan;
    }

    static void Give(DmaBed bed, List<(Platform.Memory.Gpa Address, int Order)> hoard)
    {
        foreach (var (address, order) in hoard)
        {
            bed.Machine.Pages.Free(address, order);
        }

        hoard.Clear();
    }

    /// <summary>Gives back all that can be given back; returns what is left then.</summary>
    static (int Free, ulong Mapped) Close(DmaBed bed)
    {
        var mapped = 0ul;
        foreach (var device in new[] { bed.Machine.Device, bed.Second! })
        {
            device.Swiotlb?.Shrink();
            Assert.Equal((0, 0), (device.Swiotlb?.Live ?? 0, device.Swiotlb?.CoherentBlocks ?? 0));
            if (device.Translated is { } mapper)
            {
                mapper.Close();
                mapped += mapper.Translations.Domain.MappedBytes;
                Assert.Equal((0, 0, 0ul, 0, 0), (mapper.Live, mapper.CoherentBlocks, mapper.BounceBytes, mapper.AdoptedCount, mapper.Translations.Live));
                Assert.Equal(0ul, device.Iovas!.AllocatedPages);
            }
        }

        Assert.Equal(0, bed.Machine.Pages.ParkedPages);
        return (bed.Machine.Pages.FreePages, mapped);
    }
}
