using System.Globalization;
using Vmm.GuestDma;
using Vmm.Iommu;
using Vmm.Platform.Dma;
using Vmm.Platform.Memory;
using Vmm.Platform.Time;

namespace Vmm.Beds;

/// <summary>
/// Random DMA through 1:1 tables that nobody changes, with leaves of 4 KiB, 2 MiB and 1 GiB: no mapping, no invalidation, so
/// what is lost is lost to misses of the IOTLB. Hits and table reads are the unit's own counters; time is a link that carries
/// one access after the other, walkers that each wait for memory, and a device with so many accesses under way.
/// </summary>
internal static class StaticTables
{
    const ulong Hertz = 2_112_000_000;

    const int Levels = 4;

    /// <summary>RAM, all of it a target.</summary>
    const ulong Memory = 2ul << 30;

    /// <summary>Bytes of an access: the usual largest payload of PCIe.</summary>
    public const int AccessBytes = 256;

    /// <summary>Link of 16 lanes of the third generation, in bytes per second.</summary>
    const ulong LinkBytes = 14_000_000_000;

    /// <summary>
    /// A read of a table entry in nanoseconds: from memory for tables of 4 KiB leaves, which take 8 bytes for each page of RAM,
    /// and from the processor's cache for all others, which are five hundred times smaller.
    /// </summary>
    const ulong MemoryNanoseconds = 80, CacheNanoseconds = 15;

    /// <summary>Accesses that a device has under way.</summary>
    const int UnderWay = 256;

    /// <summary>Entries of the IOTLB for pages of 4 KiB; an eighth of that for larger ones.</summary>
    public const int IotlbEntries = 4096;

    /// <summary>Walks that go on at once; not published.</summary>
    static readonly int[] Walkers = [2, 4, 8];

    /// <summary>One kind of leaf.</summary>
    /// <param name="Leaf">Leaf level, 1 to 3; 0 for no unit.</param>
    /// <param name="Walkers">Walks at once.</param>
    /// <param name="Misses">Misses of the IOTLB, share of accesses.</param>
    /// <param name="Reads">Table entries read, for each access.</param>
    /// <param name="BytesPerSecond">What the device moves.</param>
    public sealed record Line(int Leaf, int Walkers, double Misses, double Reads, double BytesPerSecond);

    /// <summary>Measures one kind of leaf.</summary>
    public static Line Run(int leaf, int walkers, int accesses = 20_000)
    {
        using var bed = new DmaBed(new()
        {
            MemoryBytes = Memory, HasDisk = false, Policy = leaf == 0 ? DmaPolicy.Off : DmaPolicy.Identity, LargestLeaf = Math.Max(1, leaf),
            Vtd = leaf == 0 ? null : new VtdOptions { AddressWidth = 48, IotlbEntries = IotlbEntries },
        });
        var random = new Random(1);
        var last = bed.Memory.LowRamBytes - AccessBytes;
        Measure(bed, random, last, walkers, accesses / 2);
        var (hits, misses, reads) = Counters(bed);
        var cycles = Measure(bed, random, last, walkers, accesses);
        var (hitsNow, missesNow, readsNow) = Counters(bed);
        if (leaf != 0 && hitsNow - hits + missesNow - misses != (ulong)accesses)
        {
            throw new InvalidOperationException($"static: the unit saw {hitsNow - hits + missesNow - misses} of {accesses} accesses");
        }

        return new(leaf, walkers, (double)(missesNow - misses) / accesses, (double)(readsNow - reads) / accesses, (double)AccessBytes * accesses * Hertz / cycles);
    }

    /// <summary>Moves data, and returns the cycles from the first access to the end of the last.</summary>
    static ulong Measure(DmaBed bed, Random random, ulong last, int walkers, int accesses)
    {
        const ulong link = AccessBytes * Hertz / LinkBytes;
        var walker = new ulong[walkers];
        var done = new ulong[UnderWay];
        ulong linkFree = 0, end = 0;
        for (var i = 0; i < accesses; i++)
        {
            var address = new Iova((ulong)random.NextInt64((long)last) & ~(ulong)(AccessBytes - 1));
            var before = WalkNanoseconds(bed);
            // Past the device's own memory of its last translation: every access asks the unit.
            if (bed.Vtd?.TryTranslate(new(DmaBed.Device, address, DmaAccess.Read), out _) == false)
            {
                throw new InvalidOperationException("static: an access is blocked");
            }

            var walk = (WalkNanoseconds(bed) - before) * Hertz / 1_000_000_000;
            var ready = done[i % UnderWay];
            if (walk > 0)
            {
                var free = Array.IndexOf(walker, walker.Min());
                ready = walker[free] = Math.Max(ready, walker[free]) + walk;
            }

            linkFree = Math.Max(linkFree, ready) + link;
            done[i % UnderWay] = linkFree;
            end = linkFree;
        }

        return end;
    }

    static (ulong Hits, ulong Misses, ulong Reads) Counters(DmaBed bed)
    {
        if (bed.Vtd is not { } unit)
        {
            return default;
        }

        var device = unit.Counters.Device(DmaBed.Device);
        return (device.Hits, device.Misses, Reads(unit, 1, Levels));
    }

    static ulong WalkNanoseconds(DmaBed bed) =>
        bed.Vtd is { } unit ? Reads(unit, 1, 1) * MemoryNanoseconds + Reads(unit, 2, Levels) * CacheNanoseconds : 0;

    static ulong Reads(VtdUnit unit, int first, int last)
    {
        ulong sum = 0;
        for (var level = first; level <= last; level++)
        {
            sum += unit.Counters.Reads(VtdTable.SecondStage, level);
        }

        return sum;
    }

    /// <summary>Writes the table.</summary>
    public static void Report(TextWriter text, Func<bool> stop)
    {
        text.WriteLine(string.Create(CultureInfo.InvariantCulture, $"""
            ## Random DMA through static 1:1 tables

            {Memory >> 30} GiB of RAM, reads of {AccessBytes} bytes at random addresses, link of {LinkBytes / 1e9:F0} GB/s, {UnderWay} accesses under way, IOTLB of {IotlbEntries} entries and {IotlbEntries / 8} for
            each large size. A table entry takes {MemoryNanoseconds} ns from memory (tables of 4 KiB leaves) and {CacheNanoseconds} ns from the processor's cache (the others, which fit there). Misses and reads
            are counted by the unit. How many walks it makes at once is not published: of the three shown, four agree with the report of some slowdown at
            4 KiB and less than 1 % at 2 MiB and 1 GiB.

            | leaf | walks at once | misses | entries read, each access | GB/s | lost |
            | --- | ---: | ---: | ---: | ---: | ---: |
            """));
        foreach (var walkers in Walkers.TakeWhile(_ => !stop()))
        {
            var none = Run(0, walkers);
            foreach (var leaf in new[] { 0, 1, 2, 3 })
            {
                var line = leaf == 0 ? none : Run(leaf, walkers);
                var name = leaf switch { 0 => "no unit", 1 => "4 KiB", 2 => "2 MiB", _ => "1 GiB" };
                text.WriteLine(string.Create(CultureInfo.InvariantCulture,
                    $"| {name} | {line.Walkers} | {line.Misses:0.0 %} | {line.Reads:F2} | {line.BytesPerSecond / 1e9:F2} | {1 - line.BytesPerSecond / none.BytesPerSecond:0.0 %} |"));
            }
        }
    }
}
