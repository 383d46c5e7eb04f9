using Vmm.Beds;
using Vmm.GuestDma;
using Vmm.GuestDma.Addresses;
using Vmm.GuestDma.Guest;
using Xunit;

namespace Vmm.Unit.GuestDma;

/// <summary>The allocators of IO virtual addresses beside a set of pages.</summary>
public sealed class IovaTests : IDisposable
{
    const ulong Limit = (1ul << 21) - 1, HoleFirst = 0xFEE00, HoleLast = 0xFEEFF;

    readonly DmaBed bed = new(new() { HasDisk = false, MemoryBytes = 16 << 20 });
    int cpu;

    public void Dispose() => bed.Dispose();

    IIovaAllocator Create(IovaSource source)
    {
        var tree = new IovaTree(1, bed.Machine.Meter, bed.Machine.Faults);
        var arenas = new IovaArenas(4, Limit, () => cpu, bed.Machine.Meter, bed.Machine.Faults);
        tree.Reserve(HoleFirst, HoleLast);
        arenas.Reserve(HoleFirst, HoleLast);
        return source switch
        {
            IovaSource.Tree => tree,
            IovaSource.Arenas => arenas,
            _ => new IovaMagazines(tree, 4, () => cpu, bed.Machine.Meter),
        };
    }

    [Theory]
    [InlineData(IovaSource.Tree)]
    [InlineData(IovaSource.Arenas)]
    [InlineData(IovaSource.Magazines)]
    public void Ranges_are_apart_aligned_within_their_limit_and_not_in_the_hole(IovaSource source)
    {
        var allocator = Create(source);
        var random = new Random(9);
        var taken = new HashSet<ulong>();
        var live = new List<(ulong First, int Pages)>();
        for (var step = 0; step < 20_000; step++)
        {
            cpu = random.Next(4);
            if (random.Next(2) == 0 && live.Count < 400)
            {
                var pages = random.Next(4) == 0 ? random.Next(1, 600) : random.Next(1, 5);
                var limit = random.Next(2) == 0 ? Limit : (1ul << 20) - 1;
                Assert.True(allocator.TryAllocate(pages, limit, out var first));
                Assert.True(first > 0 && first + (ulong)pages - 1 <= limit);
                Assert.Equal(0ul, first & System.Numerics.BitOperations.RoundUpToPowerOf2((uint)pages) - 1);
                Assert.True(first + (ulong)pages <= HoleFirst || first > HoleLast);
                for (var i = 0; i < pages; i++)
                {
                    Assert.True(taken.Add(first + (ulong)i), "a page is handed out twice");
                }

                live.Add((first, pages));
            }
            else if (live.Count > 0)
            {
                var at = random.Next(live.Count);
                var (first, pages) = live[at];
                allocator.Free(first, pages);
                live.RemoveAt(at);
                for (var i = 0; i < pages; i++)
                {
                    taken.Remove(first + (ulong)i);
                }
            }

            Assert.Equal((ulong)taken.Count, allocator.AllocatedPages);
        }

        live.ForEach(l => allocator.Free(l.First, l.Pages));
        Assert.Equal(0ul, allocator.AllocatedPages);
    }

    [Theory]
    [InlineData(IovaSource.Tree)]
    [InlineData(IovaSource.Arenas)]
    [InlineData(IovaSource.Magazines)]
    public void All_addresses_can_be_used_by_one_processor_and_used_again_by_another(IovaSource source)
    {
        const int pages = 256, all = (1 << 20) / pages;
        var allocator = Create(source);
        for (cpu = 0; cpu < 4; cpu++)
        {
            var found = new List<ulong>();
            while (allocator.TryAllocate(pages, (1ul << 20) - 1, out var first))
            {
                found.Add(first);
            }

            // The first block has page 0 in it, one is the hole.
            Assert.Equal(all - 2, found.Count);
            found.ForEach(f => allocator.Free(f, pages));
        }
    }

    [Fact]
    public void Processors_have_arenas_of_their_own()
    {
        var allocator = Create(IovaSource.Arenas);
        var parts = new HashSet<ulong>();
        for (cpu = 0; cpu < 4; cpu++)
        {
            Assert.True(allocator.TryAllocate(1, (1ul << 20) - 1, out var first));
            parts.Add(first >> 18);
        }

        Assert.Equal(4, parts.Count);
    }

    [Theory]
    [InlineData(IovaSource.Tree)]
    [InlineData(IovaSource.Arenas)]
    public void A_device_works_with_each(IovaSource source)
    {
        using var machine = new DmaBed(new() { HasDisk = false, MemoryBytes = 32 << 20, Cpus = 4, Device = new() { Addresses = source } });
        Assert.True(machine.Machine.Pages.TryAllocate(0, AllocationSite.Buffer, out var page));
        for (var i = 0; i < 1000; i++)
        {
            machine.View.Cpu = i % 4;
            var address = machine.Machine.Device.Mapper.MapPage(page, 4096, DmaDirection.Bidirectional);
            Assert.True(machine.Port.TryWrite(address, (uint)i));
            machine.Machine.Device.Mapper.UnmapPage(address, 4096, DmaDirection.Bidirectional);
            Assert.False(machine.Port.TryRead(address, out uint _));
        }
    }
}
