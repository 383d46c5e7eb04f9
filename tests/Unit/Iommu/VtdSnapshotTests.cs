using Vmm.Iommu;
using Vmm.Platform.Dma;
using Vmm.Platform.Snapshots;
using Vmm.Specs.VtD;
using Xunit;

namespace Vmm.Unit.Iommu;

public sealed class VtdSnapshotTests
{
    /// <summary>A unit with stale entries in every cache, a held event, a half-filled ring and a stopped queue.</summary>
    static VtdBench Build()
    {
        var bench = new VtdBench(new() { Profile = VtdProfile.Scalable, CachingMode = true });
        var directory = bench.AttachScalable(VtdBench.Device);
        var (first, second) = (bench.Page(), bench.Page());
        bench.SetPasid(directory, 0, second | 1 | 2 << 2 | 2 << 6, 1 << 23 | 7);
        bench.SetPasid(directory, 1, 1 | 1 << 6, 1 << 23 | 8, first);
        bench.SetPasid(directory, 2, second | 1 | 2 << 2 | 3 << 6, 1 << 23 | 7, 0x40_0000_0000);
        bench.Map(second, 0x1000, 0x5000 | 3);
        bench.Map(second, 0x20_0000, 0x60_0000 | 0x83, 2);
        bench.Map(second, 0x40_0000_0000, 0x83, 3);
        bench.Map(first, 0x1000, 0x7000 | 7, tableBits: 7);
        bench.EnableScalable();
        bench.EnableQueue(true);
        var table = bench.Page();
        bench.Write64(0xB8, table | 7);
        bench.Command(1u << 24);
        bench.Command(1u << 25);
        bench.Poke(table, 0x0041_0001, 0);
        Probe(bench);

        // From here on, the tables are gone and only caches remember them.
        bench.Poke(bench.ScalableContextAddress(VtdBench.Device), 0);
        bench.Poke(first, 0);
        bench.Poke(second, 0);
        bench.Poke(table, 0, 0);
        bench.Place(0xF);
        bench.Submit(0x12);
        return bench;
    }

    static string Probe(VtdBench bench)
    {
        var result = "";
        foreach (var (address, pasid) in new (ulong, uint?)[] { (0x1000, null), (0x2000, null), (0x20_5000, null), (0x1000, 1), (0x2000, 1), (0x1000, 2), (0x1000, 3) })
        {
            result += $"{bench.Translate(address, DmaAccess.Read, pasid: pasid):x} ";
        }

        var passed = bench.Unit.TryRemap(VtdBench.Device, new(0xFEE0_0010, 0), out var message);
        return result + passed + message + bench.Read32(0x34).ToString("x") + bench.Read64(0x80).ToString("x") + bench.Read64(0xB0);
    }

    [Fact]
    public void A_restored_unit_answers_from_the_same_stale_entries()
    {
        using var bench = Build();
        var saved = bench.Snapshot();
        var image = bench.Memory.Freeze();
        var uninterrupted = Probe(bench);
        Assert.StartsWith("5000  605000 7000 ", uninterrupted);
        var after = bench.Snapshot();

        using var other = new VtdBench(new() { Profile = VtdProfile.Scalable, CachingMode = true });
        other.Memory.Adopt(image);
        other.Restore(saved);
        Assert.Equal(saved, other.Snapshot());
        Assert.Equal(uninterrupted, Probe(other));
        Assert.Equal(after, other.Snapshot());
        image.Dispose();
    }

    [Fact]
    public void Replacement_goes_on_where_it_was()
    {
        VtdOptions options = new() { IotlbEntries = 64, CacheEntries = 16 };
        using var bench = new VtdBench(options);
        var table = bench.AttachLegacy(VtdBench.Device, 7);
        for (ulong i = 0; i < 256; i++)
        {
            bench.Map(table, i << 12, 0x5000 | 3);
        }

        bench.EnableLegacy();
        for (ulong i = 0; i < 100; i++)
        {
            bench.Translate(i * 7 % 256 << 12);
        }

        var saved = bench.Snapshot();
        using var image = bench.Memory.Freeze();
        using var other = new VtdBench(options);
        other.Memory.Adopt(image);
        other.Restore(saved);
        for (ulong i = 0; i < 500; i++)
        {
            bench.Translate(i * 13 % 256 << 12);
            other.Translate(i * 13 % 256 << 12);
        }

        Assert.Equal(bench.Snapshot(), other.Snapshot());
    }

    [Fact]
    public void Loading_changes_the_generation()
    {
        using var bench = new VtdBench();
        var before = bench.Unit.Generation;
        bench.Restore(bench.Snapshot());
        Assert.NotEqual(before, bench.Unit.Generation);
    }

    [Fact]
    public void A_unit_with_other_capabilities_refuses()
    {
        using var bench = new VtdBench();
        using var other = new VtdBench(new() { CachingMode = true });
        Assert.Throws<SnapshotException>(() => other.Restore(bench.Snapshot()));
        using var larger = new VtdBench(new() { IotlbEntries = 8192 });
        Assert.Throws<SnapshotException>(() => larger.Restore(bench.Snapshot()));
    }

    [Fact]
    public void Damaged_sections_are_refused_or_harmless()
    {
        using var bench = Build();
        var saved = bench.Snapshot();
        var random = new Random(5);
        using var other = new VtdBench(new() { Profile = VtdProfile.Scalable, CachingMode = true });
        for (var i = 0; i < 300; i++)
        {
            var damaged = saved.ToArray();
            for (var j = random.Next(1, 5); j > 0; j--)
            {
                damaged[random.Next(damaged.Length)] = (byte)random.Next(256);
            }

            var cut = random.Next(4) == 0 ? damaged[..random.Next(damaged.Length)] : damaged;
            try
            {
                other.Restore(cut);
            }
            catch (SnapshotException)
            {
                continue;
            }

            Probe(other);
            other.Write64(0x88, 0x40);
            other.Write32(0x34, uint.MaxValue);
            other.Unit.Reset();
        }
    }

    [Fact]
    public void A_head_between_descriptors_stops_the_queue()
    {
        using var bench = new VtdBench();
        bench.EnableQueue();
        var damaged = bench.Snapshot();
        damaged[4 + 0x80] = 8;
        bench.Restore(damaged);
        bench.Submit(0x12);
        Assert.Equal(1ul, bench.Read64(0xB0));
    }

    [Fact]
    public void Section_name_and_version_are_stable()
    {
        using var bench = new VtdBench();
        Assert.Equal(("vtd0", (ushort)2), (bench.Unit.SectionName, bench.Unit.SectionVersion));
    }
}
