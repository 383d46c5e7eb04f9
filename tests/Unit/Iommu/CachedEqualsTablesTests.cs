using Vmm.Iommu;
using Vmm.Platform.Dma;
using Vmm.Specs.VtD;
using Xunit;

namespace Vmm.Unit.Iommu;

/// <summary>
/// Random edits of every kind of table, random invalidations and random requests. The unit must agree with a recursive
/// walker that knows no cache, unless an edit that bears on the request was not invalidated yet. VMM_STEPS raises the
/// number of steps.
/// </summary>
public sealed class CachedEqualsTablesTests
{
    static int Steps => int.TryParse(Environment.GetEnvironmentVariable("VMM_STEPS"), out var steps) ? steps / 4 : 50_000;

    [Theory]
    [InlineData(VtdProfile.Legacy, false, 1)]
    [InlineData(VtdProfile.Legacy, true, 2)]
    [InlineData(VtdProfile.Scalable, false, 3)]
    [InlineData(VtdProfile.Scalable, true, 4)]
    public void A_cached_translation_differs_from_the_tables_only_where_an_edit_was_not_invalidated(VtdProfile profile, bool cachingMode, int seed)
    {
        // Small caches, so that evictions take part.
        using var world = new TableWorld(new() { Profile = profile, CachingMode = cachingMode, IotlbEntries = 64, CacheEntries = 64, FaultCompression = false }, seed);
        for (var i = 0; i < Steps; i++)
        {
            world.Step();
        }

        Assert.True(world.Agreed > Steps / 10, $"only {world.Agreed} requests could be compared");
        Assert.True(world.Stale > Steps / 1000, $"only {world.Stale} stale answers: the caches do not cache");
    }
}

/// <summary>An edit that caches may not know of: what it bears on, and what has to be invalidated.</summary>
sealed record PendingEdit(VtdTable Table, Bdf Source, uint Pasid, ushort Domain, int Level, ulong Start, ulong Length);

/// <summary>One page table of either stage, with two alternative last-level tables under each directory entry.</summary>
sealed class TableTree
{
    static readonly ulong[] Inputs = [0x1000, 0x2000, 0x3000, 0x20_0000, 0x20_1000, 0x4000_0000, 0x4000_1000, 0x80_0000_0000, 0x80_0020_0000];

    readonly Dictionary<(int Level, ulong Prefix, bool Second), ulong> tables = [];

    public TableTree(VtdBench bench, ushort domain, uint pasid, bool firstStage, ulong guestOffset)
    {
        (Domain, Pasid, IsFirstStage) = (domain, pasid, firstStage);
        foreach (var input in Inputs)
        {
            for (var level = 1; level <= 4; level++)
            {
                tables.TryAdd((level, input >> 12 + 9 * level, false), bench.Page());
            }

            tables.TryAdd((1, input >> 21, true), bench.Page());
        }

        GuestOffset = guestOffset;
        foreach (var input in Inputs)
        {
            for (var level = 1; level <= 4; level++)
            {
                var shift = 12 + 9 * (level - 1);
                var target = level == 1 ? 0x1234_5000 : tables[(level - 1, input >> shift, false)] + guestOffset;
                bench.Poke(tables[(level, input >> shift + 9, false)] + (input >> shift & 0x1FF) * 8, target | 7);
            }
        }
    }

    /// <summary>Maps the 1 GiB at an address to the first 1 GiB, for good.</summary>
    public void MapIdentity(VtdBench bench, ulong input) => bench.Poke(tables[(3, input >> 39, false)] + (input >> 30 & 0x1FF) * 8, 0x83);

    public ushort Domain { get; }

    public uint Pasid { get; }

    public bool IsFirstStage { get; }

    /// <summary>Added to table addresses that entries hold: nested tables are named by guest addresses.</summary>
    public ulong GuestOffset { get; }

    public ulong Root => tables[(4, 0, false)];

    public static ulong Pick(Random random) => Inputs[random.Next(Inputs.Length)];

    /// <summary>Changes one entry; returns what became stale, or null when nothing could have been cached.</summary>
    public PendingEdit? Edit(VtdBench bench, Random random, bool cachesAbsent)
    {
        var input = Pick(random);
        var level = random.Next(4) == 0 ? random.Next(2, 5) : random.Next(1, 3);
        var shift = 12 + 9 * (level - 1);
        var table = tables[(level, input >> shift + 9, level == 1 && random.Next(2) == 0)];
        var address = table + (input >> shift & 0x1FF) * 8;
        var old = bench.Peek(address);
        bench.Poke(address, Value(random, input, level));
        var wasAbsent = IsFirstStage ? (old & 1) == 0 : (old & 3) == 0 && !cachesAbsent;
        return wasAbsent ? null : new(IsFirstStage ? VtdTable.FirstStage : VtdTable.SecondStage, default, Pasid, Domain, level, input >> shift << shift, 1ul << shift);
    }

    ulong Value(Random random, ulong input, int level)
    {
        var rights = IsFirstStage
            ? 1ul | (ulong)random.Next(8) & 6 | (random.Next(8) == 0 ? 0 : 6ul) | (random.Next(2) == 0 ? 0x20ul : 0)
            : random.Next(6) == 0 ? (ulong)random.Next(4) : 3;
        var target = GuestOffset != 0 && random.Next(8) != 0 ? Pick(random) : 0x4000_0000 + ((ulong)random.Next(64) << 30 | (ulong)random.Next(512) << 21 | (ulong)random.Next(512) << 12);
        return random.Next(level == 1 ? 6 : 12) switch
        {
            0 => 0,
            1 when level is 2 or 3 => target & ~0xFFFul << 9 * (level - 1) & (0xF_FFFF_FFFF_F000ul << 9 * (level - 1)) | 0x80 | rights,
            2 when random.Next(4) == 0 => target | 1ul << 51 | rights,
            _ when level == 1 => target | rights,
            _ => tables[(level - 1, input >> 12 + 9 * (level - 1), level == 2 && random.Next(3) == 0)] + GuestOffset | rights,
        };
    }
}
