using Vmm.Iommu;
using Vmm.Platform.Dma;
using Vmm.Platform.Memory;
using Vmm.Specs.VtD;
using Xunit;

namespace Vmm.Unit.Iommu;

/// <summary>Whatever a guest writes, nothing throws, hangs or leaves the tables.</summary>
public sealed class HostileGuestTests
{
    /// <summary>Answers at random, and asks back from within an invalidation.</summary>
    sealed class WildTlb(VtdUnit unit, Random random) : IDeviceTlb
    {
        public DeviceTlbCompletion Invalidate(in DeviceTlbInvalidation invalidation)
        {
            unit.TryTranslate(new(VtdBench.Device, invalidation.Address, DmaAccess.Read), out _);
            unit.RequestPage(new(VtdBench.Device, invalidation.Address, true, true, true, 1));
            return (DeviceTlbCompletion)random.Next(3);
        }

        public void Respond(in PageGroupResponse response)
        {
        }
    }

    [Theory]
    [InlineData(VtdProfile.Legacy, 1)]
    [InlineData(VtdProfile.Scalable, 2)]
    [InlineData(VtdProfile.Strict, 3)]
    public void Random_registers_tables_queues_and_requests_are_survived(VtdProfile profile, int seed)
    {
        using var bench = new VtdBench(new() { Profile = profile, IotlbEntries = 64, CacheEntries = 16 });
        var random = new Random(seed);
        bench.Unit.AttachDeviceTlb(VtdBench.Device, new WildTlb(bench.Unit, random));
        FillWithPointers(bench, random);
        for (var i = 0; i < 6_000; i++)
        {
            Step(bench, random);
        }

        var reasons = Enum.GetValues<FaultReason>().Count(reason => bench.Unit.Counters.Faults(reason) > 0);
        Assert.True(reasons >= 10, $"only {reasons} conditions were met");
    }

    /// <summary>Memory where every other word looks like an entry that points somewhere in the same memory.</summary>
    static void FillWithPointers(VtdBench bench, Random random)
    {
        for (ulong address = 0; address < 1 << 20; address += 8)
        {
            bench.Poke(address, random.Next(3) == 0 ? (ulong)random.NextInt64() : (uint)random.Next(256) << 12 | (uint)random.Next(256));
        }
    }

    static void Step(VtdBench bench, Random random)
    {
        var offset = (ulong)(random.Next(4) == 0 ? random.Next(0x300) : 0x10 + 4 * random.Next(60));
        switch (random.Next(8))
        {
            case 0:
                bench.Unit.Write(offset, BitConverter.GetBytes(random.NextInt64()).AsSpan(0, 1 << random.Next(4)));
                break;
            case 1:
                bench.Write64(random.Next(4) switch { 0 => 0x20, 1 => 0x90, 2 => 0xB8, _ => 0xD0 }, (uint)random.Next(256) << 12 | (uint)random.Next(4096));
                break;
            case 2:
                bench.Write32(0x18, (uint)random.NextInt64() | 0xC000_0000);
                bench.Write32(0x34, 0x71);
                bench.Write32(0x22C, 1u << 31);
                break;
            case 3:
                bench.Write64(0x88, (uint)random.Next(0x2000));
                break;
            case 4:
                bench.Poke((ulong)random.Next(1 << 17) << 3, random.Next(2) == 0 ? 0x25 | (ulong)random.NextInt64() << 32 : (ulong)random.NextInt64(), (uint)random.Next(1 << 20));
                break;
            case 5:
                bench.Unit.TryRemap(new((ushort)random.Next(512)), new(0xFEE0_0000 | (uint)random.Next(1 << 20), (uint)random.Next(1 << 17)), out _);
                break;
            default:
                Request(bench, random);
                break;
        }
    }

    static void Request(VtdBench bench, Random random)
    {
        var address = (ulong)random.NextInt64() >> random.Next(52);
        var request = new DmaRequest(
            new((ushort)random.Next(512)), new(random.Next(4) == 0 ? ~address : address), (DmaAccess)random.Next(32),
            (uint)random.NextInt64(), random.Next(2) == 0, random.Next(2) == 0, random.Next(2) == 0);
        var explained = bench.Unit.Explain(request);
        Assert.InRange(explained.Steps.Count, 0, 80);
        if (bench.Unit.TryTranslate(request, out var window))
        {
            Assert.True(window.Length >= 4096 - (ulong)request.Address.PageOffset, $"{request} -> {window}");
        }
    }

    [Fact]
    public void Tables_in_the_unit_s_own_registers_are_not_memory()
    {
        using var bench = new VtdBench();
        bench.SetRoot(0xFED9_0000);
        bench.Command(1u << 31);
        Assert.Null(bench.Translate(0x1000));
        bench.Write64(0x90, 0xFED9_0000);
        bench.Write64(0x88, 16);
        bench.Command(1u << 26);
        Assert.Equal(2ul, bench.Read64(0xB0));
    }

    [Fact]
    public void A_flood_of_faults_costs_one_event()
    {
        using var bench = new VtdBench();
        bench.Write32(0x38, 0);
        bench.EnableLegacy();
        for (ulong i = 0; i < 10_000; i++)
        {
            bench.Translate(i << 12, device: new((ushort)i));
        }

        Assert.Single(bench.Sink.Messages);
        Assert.Equal(9_999ul, bench.Unit.Counters.OverflowedFaults);
    }

    [Fact]
    public void Two_units_know_nothing_of_each_other()
    {
        using var bench = new VtdBench();
        using var other = new VtdBench(new() { Name = "vtd1", Profile = VtdProfile.Scalable });
        bench.Map(bench.AttachLegacy(VtdBench.Device, 7), 0x1000, 0x5000 | 3);
        bench.EnableLegacy();
        Assert.Equal(0x5000ul, bench.Translate(0x1000));
        Assert.Equal(0x1000ul, other.Translate(0x1000));
        Assert.Equal(("vtd0", "vtd1"), (bench.Unit.Name, other.Unit.SectionName));
    }

    [Fact]
    public void A_cache_hit_allocates_nothing()
    {
        using var bench = new VtdBench();
        bench.Map(bench.AttachLegacy(VtdBench.Device, 7), 0x1000, 0x5000 | 3);
        bench.EnableLegacy();
        var request = new DmaRequest(VtdBench.Device, new Iova(0x1000), DmaAccess.Write);
        bench.Unit.TryTranslate(request, out _);
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 1000; i++)
        {
            bench.Unit.TryTranslate(request, out _);
        }

        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }

    [Fact]
    public void A_walk_and_a_fault_allocate_nothing_once_their_counters_exist()
    {
        using var bench = new VtdBench();
        bench.AttachLegacy(VtdBench.Device, 7);
        bench.EnableLegacy();
        bench.Translate(0);
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (ulong i = 0; i < 1000; i++)
        {
            bench.Unit.TryTranslate(new(VtdBench.Device, new(i << 12), DmaAccess.Write), out _);
        }

        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }
}
