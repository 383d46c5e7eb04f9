using Vmm.Beds;
using Vmm.GuestDma;
using Vmm.GuestDma.Guest;
using Vmm.Iommu;
using Vmm.Platform.Memory;
using Vmm.VirtioIommu;
using Xunit;

namespace Vmm.Unit.GuestDma;

/// <summary>Random use of the layer beside a simple model: what is mapped, what the bytes are, what memory is in use.</summary>
public sealed class LayerPropertyTests
{
    // The long form has 26 cases of a hundredth each.
    static readonly int Steps = long.TryParse(Environment.GetEnvironmentVariable("VMM_STEPS"), out var steps) ? (int)Math.Max(2000, steps / 100) : 2000;

    sealed record Mapping(ScatterEntry[] List, int Segments, DmaDirection Direction, uint Value, Gpa[] Pages);

    public static TheoryData<DmaPolicy, string, int> Cases
    {
        get
        {
            var data = new TheoryData<DmaPolicy, string, int>();
            for (var policy = DmaPolicy.Strict; policy <= DmaPolicy.Adaptive; policy++)
            {
                foreach (var failEvery in new[] { 0, 5 })
                {
                    data.Add(policy, "vtd", failEvery);
                    data.Add(policy, "viommu", failEvery);
                }
            }

            return data;
        }
    }

    static DmaBed Bed(DmaPolicy policy, string iommu) => new(new()
    {
        Policy = policy, MemoryBytes = 64 << 20, HasDisk = false,
        Vtd = iommu == "vtd" ? new VtdOptions { Profile = VtdProfile.Strict, CachingMode = false } : null, Viommu = iommu == "vtd" ? null : new VirtioIommuOptions(),
        Device = new() { Arenas = new() { Classes = 11, Slots = 64, MemoryLimit = 4 << 20, GrowthBytes = 16 << 10, Converts = true }, AdoptedBuffers = 32 },
    });

    [Theory]
    [MemberData(nameof(Cases))]
    public void Mappings_neither_overlap_nor_leak_nor_lose_bytes(DmaPolicy policy, string iommu, int failEvery)
    {
        using var bed = Bed(policy, iommu);
        Run(bed, Steps, failEvery, static (_, _) => { });
        Assert.Equal(0ul, bed.Vtd?.MissingInvalidations.Total ?? 0);
    }

    [Theory]
    [InlineData("vtd")]
    [InlineData("viommu")]
    public void The_policy_may_change_while_mappings_exist(string iommu)
    {
        using var bed = Bed(DmaPolicy.Strict, iommu);
        Run(bed, Steps, 7, static (bed, random) =>
        {
            if (random.Next(20) == 0)
            {
                Assert.True(bed.Machine.Device.TrySwitch(DmaPolicy.Strict + random.Next(DmaPolicy.Adaptive - DmaPolicy.Strict + 1)));
            }
        });
        Assert.Equal(0ul, bed.Vtd?.MissingInvalidations.Total ?? 0);
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
            Assert.True(device.TrySwitch(next));
            address = device.Mapper.MapPage(page, 4096, DmaDirection.Bidirectional);
            Assert.True(bed.Port.TryWrite(address, 2u));
            device.Mapper.UnmapPage(address, 4096, DmaDirection.Bidirectional);
        }
    }

    /// <summary>The n-th allocation fails, for every n that the sequence reaches.</summary>
    [Theory]
    [InlineData(DmaPolicy.Strict, "vtd")]
    [InlineData(DmaPolicy.Lazy, "vtd")]
    [InlineData(DmaPolicy.Pool, "vtd")]
    [InlineData(DmaPolicy.Adaptive, "vtd")]
    [InlineData(DmaPolicy.Strict, "viommu")]
    [InlineData(DmaPolicy.Pool, "viommu")]
    [InlineData(DmaPolicy.Adaptive, "viommu")]
    public void Every_single_failure_is_clean(DmaPolicy policy, string iommu)
    {
        var sites = new HashSet<AllocationSite>();
        for (var n = 1ul; n < 60; n++)
        {
            using var bed = Bed(policy, iommu);
            bed.Machine.Faults.FailAt = bed.Machine.Faults.Attempts + n;
            Run(bed, 25, 0, static (_, _) => { });
            if (bed.Machine.Faults.LastFailed is { } site)
            {
                sites.Add(site);
            }
        }

        Assert.Contains(AllocationSite.Iova, sites);
        Assert.Contains(policy is DmaPolicy.Pool or DmaPolicy.Adaptive ? AllocationSite.Bounce : iommu == "vtd" ? AllocationSite.Table : AllocationSite.Request, sites);
    }

    static void Run(DmaBed bed, int steps, int failEvery, Action<DmaBed, Random> before)
    {
        var random = new Random(steps + failEvery);
        var pages = bed.Machine.Pages;
        var mapper = bed.Machine.Device.Translated!;
        mapper.Close();
        var (free, mapped) = (pages.FreePages, mapper.Translations.Domain.MappedBytes);
        var live = new List<Mapping>();
        var value = 0u;
        for (var step = 0; step < steps; step++)
        {
            before(bed, random);
            bed.Machine.Faults.FailEvery = (ulong)failEvery;
            if (live.Count < 24 && random.Next(2) == 0)
            {
                if (TryMap(bed, random, ++value) is { } made)
                {
                    CheckApart(live, made);
                    live.Add(made);
                }
            }
            else if (live.Count > 0)
            {
                var at = random.Next(live.Count);
                Use(bed, live[at], random);
                Unmap(bed, live[at]);
                live.RemoveAt(at);
            }

            if (random.Next(200) == 0)
            {
                bed.Clock.Charge(bed.Clock.Hertz / (ulong)random.Next(1, 200));
                bed.Machine.Poll();
            }

            Assert.Equal(live.Count, mapper.Live);
        }

        bed.Machine.Faults.FailEvery = 0;
        foreach (var mapping in live)
        {
            Use(bed, mapping, random);
            Unmap(bed, mapping);
        }

        mapper.Close();
        Assert.Equal((free, mapped), (pages.FreePages, mapper.Translations.Domain.MappedBytes));
        Assert.Equal((0, 0, 0ul, 0), (mapper.Live, pages.ParkedPages, mapper.BounceBytes, mapper.AdoptedCount));
        Assert.Equal(0ul, bed.Machine.Device.Iovas!.AllocatedPages);
    }

    static Mapping? TryMap(DmaBed bed, Random random, uint value)
    {
        var pages = bed.Machine.Pages;
        var count = random.Next(4) == 0 ? random.Next(1, 24) : random.Next(1, 4);
        var direction = (DmaDirection)random.Next(3);
        var whole = random.Next(2) == 0;
        var list = new ScatterEntry[count];
        var own = new List<Gpa>();
        for (var i = 0; i < count; i++)
        {
            if (!pages.TryAllocate(0, AllocationSite.Buffer, out var page))
            {
                own.ForEach(p => pages.Free(p, 0));
                return null;
            }

            own.Add(page);
            var offset = whole || count > 1 ? 0 : random.Next(0, 512) * 4;
            list[i] = new() { Address = page + (ulong)offset, Length = whole || count > 1 ? 4096 : random.Next(1, 500) * 4 };
            bed.Memory.TryWrite(list[i].Address, value + (uint)i);
        }

        var segments = bed.Machine.Device.Mapper.MapScatterList(list, direction);
        if (segments == 0)
        {
            own.ForEach(p => pages.Free(p, 0));
            return null;
        }

        Assert.Equal(list.Sum(static e => (long)e.Length), list.Take(segments).Sum(static e => (long)e.DmaLength));
        return new(list, segments, direction, value, [.. own]);
    }

    static void CheckApart(List<Mapping> live, Mapping made)
    {
        foreach (var other in live)
        {
            foreach (var a in other.List.Take(other.Segments))
            {
                foreach (var b in made.List.Take(made.Segments))
                {
                    Assert.True(a.DmaAddress.Value + (ulong)a.DmaLength <= b.DmaAddress.Value || b.DmaAddress.Value + (ulong)b.DmaLength <= a.DmaAddress.Value);
                }
            }
        }
    }

    /// <summary>The device reads what the CPU wrote, and writes what the CPU then reads, through segments in order.</summary>
    static void Use(DmaBed bed, Mapping mapping, Random random)
    {
        var bytes = new byte[mapping.List.Sum(static e => e.Length)];
        if (mapping.Direction != DmaDirection.FromDevice)
        {
            Device(bed, mapping, bytes, write: false);
            var at = 0;
            for (var i = 0; i < mapping.List.Length; i++)
            {
                Assert.Equal(mapping.Value + (uint)i, BitConverter.ToUInt32(bytes, at));
                at += mapping.List[i].Length;
            }
        }

        if (mapping.Direction != DmaDirection.ToDevice)
        {
            random.NextBytes(bytes);
            Device(bed, mapping, bytes, write: true);
            if (mapping.List.Length == 1 && random.Next(2) == 0)
            {
                // Part of it is looked at while it stays mapped.
                int from = bytes.Length / 4, length = Math.Max(1, bytes.Length / 2);
                bed.Machine.Device.Mapper.SyncForCpu(mapping.List[0].DmaAddress + (ulong)from, length, mapping.Direction);
                Assert.Equal(bytes.AsSpan(from, length).ToArray(), Bytes(bed, mapping.List[0].Address + (ulong)from, length));
            }

            Written = bytes;
        }
        else
        {
            Written = null;
        }
    }

    [ThreadStatic]
    static byte[]? Written;

    static void Device(DmaBed bed, Mapping mapping, byte[] bytes, bool write)
    {
        var at = 0;
        for (var i = 0; i < mapping.Segments; i++)
        {
            var part = bytes.AsSpan(at, mapping.List[i].DmaLength);
            Assert.True(write ? bed.Port.TryWrite(mapping.List[i].DmaAddress, part) : bed.Port.TryRead(mapping.List[i].DmaAddress, part));
            at += part.Length;
        }
    }

    static byte[] Bytes(DmaBed bed, Gpa at, int length)
    {
        var bytes = new byte[length];
        Assert.True(bed.Memory.TryRead(at, bytes));
        return bytes;
    }

    static void Unmap(DmaBed bed, Mapping mapping)
    {
        bed.Machine.Device.Mapper.UnmapScatterList(mapping.List, mapping.Direction);
        if (Written is { } bytes)
        {
            var at = 0;
            foreach (var entry in mapping.List)
            {
                Assert.Equal(bytes.AsSpan(at, entry.Length).ToArray(), Bytes(bed, entry.Address, entry.Length));
                at += entry.Length;
            }
        }

        foreach (var page in mapping.Pages)
        {
            bed.Machine.Pages.Free(page, 0);
        }
    }
}
