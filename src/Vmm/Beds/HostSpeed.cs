using System.Diagnostics;
using System.Globalization;
using System.Runtime.CompilerServices;
using Vmm.GuestDma;
using Vmm.GuestDma.Guest;
using Vmm.Iommu;

namespace Vmm.Beds;

/// <summary>How fast the layer and the models under it run on this host. The only experiment whose numbers vary.</summary>
internal static class HostSpeed
{
    const int Buffers = 64, Rounds = 9, Operations = 20_000;

    /// <summary>Writes a table: map and unmap of 4 KiB by policy, and a copy with a look-up as the floor.</summary>
    public static void Report(TextWriter text)
    {
        text.WriteLine("| map and unmap of 4 KiB | ns | bytes allocated | two threads, two domains |\n| --- | ---: | ---: | ---: |");
        foreach (var policy in Enum.GetValues<DmaPolicy>())
        {
            using DmaBed one = Bed(policy), two = Bed(policy);
            var (alone, allocated) = Measure(one);
            var pair = Together(one, two);
            text.WriteLine(string.Create(CultureInfo.InvariantCulture, $"| {policy.ToString().ToLowerInvariant()} | {alone:F0} | {allocated} | x{2 * alone / pair:F2} |"));
        }

        text.WriteLine(string.Create(CultureInfo.InvariantCulture, $"| dictionary and copy | {Floor():F0} | | |"));
    }

    static DmaBed Bed(DmaPolicy policy) => new(new()
    {
        Policy = policy, HasDisk = false, MemoryBytes = 64 << 20, Device = new() { Swiotlb = new() { Bytes = 256 << 10, StartBytes = 256 << 10, Forced = true } },
        Vtd = policy < DmaPolicy.Bypass ? null : new VtdOptions { AddressWidth = 48 },
    });

    static (double Nanoseconds, long Allocated) Measure(DmaBed bed)
    {
        var pages = new Platform.Memory.Gpa[Buffers];
        foreach (ref var page in pages.AsSpan())
        {
            bed.Machine.Pages.TryAllocate(0, AllocationSite.Buffer, out page);
        }

        Run(bed, pages, Operations);
        var best = double.MaxValue;
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var round = 0; round < Rounds; round++)
        {
            var start = Stopwatch.GetTimestamp();
            Run(bed, pages, Operations);
            best = Math.Min(best, (Stopwatch.GetTimestamp() - start) * 1e9 / Stopwatch.Frequency / Operations);
        }

        return (best, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    static double Together(DmaBed one, DmaBed two)
    {
        var times = new double[2];
        var threads = new[] { one, two }.Select((bed, i) => new Thread(() => times[i] = Measure(bed).Nanoseconds)).ToArray();
        foreach (var thread in threads)
        {
            thread.Start();
        }

        foreach (var thread in threads)
        {
            thread.Join();
        }

        return (times[0] + times[1]) / 2;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Run(DmaBed bed, Platform.Memory.Gpa[] pages, int count)
    {
        var mapper = bed.Machine.Device.Mapper;
        for (var i = 0; i < count; i++)
        {
            var address = mapper.MapPage(pages[i % Buffers], 4096, DmaDirection.FromDevice);
            mapper.UnmapPage(address, 4096, DmaDirection.FromDevice);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static double Floor()
    {
        var table = Enumerable.Range(0, Buffers).ToDictionary(static i => (ulong)i << 12, static _ => new byte[4096]);
        var to = new byte[4096];
        var best = double.MaxValue;
        for (var round = 0; round < Rounds; round++)
        {
            var start = Stopwatch.GetTimestamp();
            for (var i = 0; i < Operations; i++)
            {
                table[(ulong)(i % Buffers) << 12].AsSpan().CopyTo(to);
            }

            best = Math.Min(best, (Stopwatch.GetTimestamp() - start) * 1e9 / Stopwatch.Frequency / Operations);
        }

        return best;
    }
}
