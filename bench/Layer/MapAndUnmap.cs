using BenchmarkDotNet.Attributes;
using Vmm.GuestDma;
using Vmm.GuestDma.Guest;
using Vmm.Iommu;
using Vmm.Platform.Memory;
using Bed = Vmm.Beds.DmaBed;

namespace Vmm.Bench.Layer;

/// <summary>A map and an unmap of 4 KiB by the DMA layer, with the unit's model under it: host time by policy, on one thread and on two.</summary>
[MemoryDiagnoser]
public class MapAndUnmap : IDisposable
{
    const int Buffers = 64, Operations = 20_000;

    DomainThread[] threads = [];

    /// <summary>The policy.</summary>
    [ParamsAllValues]
    public DmaPolicy Policy { get; set; }

    /// <summary>Threads, each with a domain, a device and a machine of its own.</summary>
    [Params(1, 2)]
    public int Threads { get; set; }

    /// <summary>Starts the threads.</summary>
    [GlobalSetup]
    public void Start() => threads = [.. Enumerable.Range(0, Threads).Select(_ => new DomainThread(Policy))];

    /// <summary>Every thread maps and unmaps as often as one alone: equal times are perfect scaling.</summary>
    [Benchmark(OperationsPerInvoke = Operations)]
    public void Run()
    {
        foreach (var thread in threads)
        {
            thread.Go();
        }

        foreach (var thread in threads)
        {
            thread.Wait();
        }
    }

    /// <summary>Ends the threads.</summary>
    [GlobalCleanup]
    public void Dispose()
    {
        foreach (var thread in threads)
        {
            thread.Dispose();
        }

        threads = [];
        GC.SuppressFinalize(this);
    }

    /// <summary>A thread that works when told.</summary>
    sealed class DomainThread : IDisposable
    {
        readonly Bed bed;
        readonly Gpa[] pages = new Gpa[Buffers];
        readonly SemaphoreSlim start = new(0), done = new(0);
        readonly Thread thread;
        volatile bool ends;

        public DomainThread(DmaPolicy policy)
        {
            bed = new(new()
            {
                Policy = policy, HasDisk = false, MemoryBytes = 64 << 20, Device = new() { Swiotlb = new() { Bytes = 256 << 10, StartBytes = 256 << 10, Forced = true } },
                Vtd = policy < DmaPolicy.Bypass ? null : new VtdOptions { AddressWidth = 48 },
            });
            foreach (ref var page in pages.AsSpan())
            {
                if (!bed.Machine.Pages.TryAllocate(0, AllocationSite.Buffer, out page))
                {
                    throw new InvalidOperationException("no memory for the buffers");
                }
            }

            thread = new(Work);
            thread.Start();
        }

        public void Go() => start.Release();

        public void Wait() => done.Wait();

        void Work()
        {
            var mapper = bed.Machine.Device.Mapper;
            while (true)
            {
                start.Wait();
                if (ends)
                {
                    return;
                }

                for (var i = 0; i < Operations; i++)
                {
                    var address = mapper.MapPage(pages[i % Buffers], 4096, DmaDirection.FromDevice);
                    mapper.UnmapPage(address, 4096, DmaDirection.FromDevice);
                }

                done.Release();
            }
        }

        public void Dispose()
        {
            ends = true;
            start.Release();
            thread.Join();
            start.Dispose();
            done.Dispose();
            bed.Dispose();
        }
    }
}
