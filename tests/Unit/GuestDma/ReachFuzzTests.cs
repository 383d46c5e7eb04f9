using System.Runtime.InteropServices;
using Vmm.Beds;
using Vmm.GuestDma;
using Vmm.GuestDma.Guest;
using Vmm.Iommu;
using Vmm.Platform.Memory;
using Vmm.VirtioIommu;
using Xunit;

namespace Vmm.Unit.GuestDma;

/// <summary>
/// A device reads and writes whole pages before, during and after mappings, wherever something was, is or may be. Every word of
/// memory has a content of its own, so each that it reads tells where it came from, and each that it must not write is seen to
/// stay. What it reaches is compared with what the policy promises, word for word. VMM_STEPS raises the number of operations.
/// </summary>
public sealed class ReachFuzzTests
{
    const int Pages = 24, MostLive = 8, Words = 1024;

    static readonly int Steps = long.TryParse(Environment.GetEnvironmentVariable("VMM_STEPS"), out var steps) ? (int)Math.Clamp(steps / 100, 400, 1_000_000) : 400;

    sealed record Mapping(Iova Address, int Page, int Offset, int Length, DmaDirection Direction)
    {
        public bool Readable => Direction != DmaDirection.FromDevice;

        public bool Writable => Direction != DmaDirection.ToDevice;

        public bool IsWhole => Length == 4096;

        public ulong FirstByte => Address.Value & ~0xFFFul;
    }

    /// <summary>A page of the kernel and what the kernel knows to be in it.</summary>
    sealed class Owned
    {
        public Gpa Address;
        public uint[] Content = new uint[Words];

        /// <summary>This owner once gave the whole page to the device to write.</summary>
        public bool WasGiven;
    }

    sealed class World : IDisposable
    {
        public required DmaBed Bed;
        public required Random Random;
        public readonly Owned[] Owned = new Owned[Pages];
        public readonly List<Mapping> Live = [];

        /// <summary>Addresses that were unmapped since the last flush, with their page frames.</summary>
        public readonly Dictionary<ulong, Gpa> Stale = [];

        /// <summary>Addresses that ever were mapped.</summary>
        public readonly List<ulong> Known = [];

        /// <summary>Contents that some mapping allowed the device to read, or that the device wrote.</summary>
        public readonly HashSet<uint> Granted = [0];

        /// <summary>Contents that the device wrote, and none.</summary>
        public readonly HashSet<uint> Marks = [0];

        public uint Next = 1;
        public ulong Flushes;
        public bool Untrusted, IsDirect;

        public void Dispose() => Bed.Dispose();
    }

    public static TheoryData<DmaPolicy, string, bool> Cases
    {
        get
        {
            var data = new TheoryData<DmaPolicy, string, bool>();
            for (var policy = DmaPolicy.Strict; policy <= DmaPolicy.Adaptive; policy++)
            {
                foreach (var iommu in new[] { "vtd", "viommu" })
                {
                    data.Add(policy, iommu, false);
                    data.Add(policy, iommu, true);
                }
            }

            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void A_device_reaches_what_the_policy_promises_and_nothing_else(DmaPolicy policy, string iommu, bool untrusted)
    {
        using var world = new World
        {
            Random = new(41 + (int)policy), Untrusted = untrusted, IsDirect = !untrusted && policy < DmaPolicy.Pool,
            Bed = new(new()
            {
                Policy = policy, MemoryBytes = 32 << 20, HasDisk = false, Device = new() { Untrusted = untrusted },
                Vtd = iommu == "vtd" ? new VtdOptions { AddressWidth = 48 } : null, Viommu = iommu == "viommu" ? new VirtioIommuOptions() : null,
            }),
        };
        for (var i = 0; i < Pages; i++)
        {
            world.Owned[i] = new();
            Assert.True(world.Bed.Machine.Pages.TryAllocate(0, AllocationSite.Buffer, out world.Owned[i].Address));
            Fill(world, world.Owned[i]);
        }

        var reached = 0;
        for (var step = 0; step < Steps; step++)
        {
            Act(world);
            for (var probe = 0; probe < 4; probe++)
            {
                reached += Probe(world, policy) ? 1 : 0;
            }
        }

        Assert.InRange(reached, Steps / 10, 4 * Steps - 1);
    }

    static void Act(World world)
    {
        var kind = world.Random.Next(8);
        if (kind < 4 && world.Live.Count < MostLive)
        {
            Map(world);
        }
        else if (kind < 6 && world.Live.Count > 0)
        {
            Unmap(world, world.Random.Next(world.Live.Count));
        }
        else if (kind == 6)
        {
            Renew(world);
        }
        else if (world.Random.Next(8) == 0)
        {
            world.Bed.Clock.Charge(world.Bed.Clock.Hertz / 90);
            world.Bed.Machine.Poll();
        }

        var flushes = world.Bed.Machine.Device.Translated!.Translations.Queue.Flushes;
        if (flushes != world.Flushes)
        {
            world.Flushes = flushes;
            world.Stale.Clear();
        }
    }

    static void Map(World world)
    {
        var page = world.Random.Next(Pages);
        if (world.Live.Any(m => m.Page == page))
        {
            return;
        }

        var whole = world.Random.Next(2) == 0;
        var offset = whole ? 0 : world.Random.Next(Words) * 4;
        var length = whole ? 4096 : world.Random.Next(1, (4096 - offset) / 4 + 1) * 4;
        var direction = (DmaDirection)world.Random.Next(3);
        var owned = world.Owned[page];
        var address = world.Bed.Machine.Device.Mapper.MapPage(owned.Address + (ulong)offset, length, direction);
        Assert.NotEqual(IDmaMapper.MappingError, address);
        world.Live.Add(new(address, page, offset, length, direction));
        world.Known.Add(address.Value & ~0xFFFul);
        owned.WasGiven |= (whole || !world.Untrusted) && direction != DmaDirection.ToDevice;
        // A page is what a unit protects; of an untrusted device's buffers only the bytes are shown.
        var (first, count) = world.Untrusted ? (offset / 4, length / 4) : (0, Words);
        foreach (var word in direction == DmaDirection.FromDevice ? [] : owned.Content.AsSpan(first, count))
        {
            world.Granted.Add(word);
        }
    }

    static void Unmap(World world, int at)
    {
        var mapping = world.Live[at];
        world.Live.RemoveAt(at);
        if (!world.Untrusted || mapping.IsWhole)
        {
            // Only a unit that translates to the page itself can go on doing so.
            world.Stale[mapping.FirstByte] = world.Owned[mapping.Page].Address;
        }

        world.Bed.Machine.Device.Mapper.UnmapPage(mapping.Address, mapping.Length, mapping.Direction);
        var owned = world.Owned[mapping.Page];
        var now = Read(world, owned.Address);
        for (var i = 0; i < Words; i++)
        {
            var inside = i * 4 >= mapping.Offset && i * 4 < mapping.Offset + mapping.Length;
            Assert.True(now[i] == owned.Content[i] || mapping.Writable && (inside || !world.Untrusted) && world.Granted.Contains(now[i]), "a word changed that the device may not write");
        }

        now.CopyTo(owned.Content);
    }

    /// <summary>A page is freed and another taken, which holds secrets of somebody else.</summary>
    static void Renew(World world)
    {
        var page = world.Random.Next(Pages);
        if (world.Live.Any(m => m.Page == page))
        {
            return;
        }

        var pages = world.Bed.Machine.Pages;
        pages.Free(world.Owned[page].Address, 0);
        Assert.True(pages.TryAllocate(0, AllocationSite.Buffer, out world.Owned[page].Address));
        Fill(world, world.Owned[page]);
        world.Owned[page].WasGiven = false;
    }

    /// <summary>The device tries a page; true when it got through.</summary>
    static bool Probe(World world, DmaPolicy policy)
    {
        var address = world.Random.Next(8) switch
        {
            < 4 when world.Live.Count > 0 => world.Live[world.Random.Next(world.Live.Count)].FirstByte,
            < 6 when world.Known.Count > 0 => world.Known[world.Random.Next(world.Known.Count)],
            6 => world.Owned[world.Random.Next(Pages)].Address.Value,
            _ => (ulong)world.Random.NextInt64(1L << 36) & ~0xFFFul,
        };
        var live = world.Live.Find(m => m.FirstByte == address);
        var isStale = policy is DmaPolicy.Lazy or DmaPolicy.Batched or DmaPolicy.Referenced && world.Stale.ContainsKey(address);
        var words = new uint[Words];
        var isRead = world.Bed.Port.TryRead(new Iova(address), MemoryMarshal.AsBytes(words.AsSpan()));
        if (isRead)
        {
            CheckRead(world, policy, address, live, isStale, words);
        }

        Assert.True(isRead || live is not { Readable: true }, "a mapping cannot be read");
        var mark = world.Next++;
        world.Granted.Add(mark);
        world.Marks.Add(mark);
        var isWritten = world.Bed.Port.TryWrite(new Iova(address + (ulong)world.Random.Next(Words) * 4), mark);
        CheckMemory(world, policy, live, isStale);
        Assert.True(isWritten || live is not { Writable: true }, "a mapping cannot be written");
        Assert.False(world.IsDirect && isWritten && live is not { Writable: true } && !isStale && !IsMessage(address), $"0x{address:x} is written without the right");
        return isRead || isWritten;
    }

    /// <summary>A write there is an interrupt and reaches no memory (SDM 3A §11.11.1); virtio-iommu lets it pass, as its probe says.</summary>
    static bool IsMessage(ulong address) => address >> 20 == 0xFEE;

    static void CheckRead(World world, DmaPolicy policy, ulong address, Mapping? live, bool isStale, uint[] words)
    {
        if (world.IsDirect && live != null)
        {
            Assert.True(live.Readable && words.AsSpan().SequenceEqual(Read(world, world.Owned[live.Page].Address)), "a mapping shows other bytes than the page");
            return;
        }

        Assert.False(world.IsDirect && !isStale, $"0x{address:x} is read and not mapped");
        if (isStale && policy != DmaPolicy.Referenced)
        {
            // The window that the policy has: the page frame, whoever owns it now.
            Assert.True(words.AsSpan().SequenceEqual(Read(world, world.Stale[address])));
            return;
        }

        // A slot that is in use shows its buffer, and beside it nothing but what the device wrote there itself.
        var slot = live is { Readable: true } && (policy == DmaPolicy.Pool || world.Untrusted && !live.IsWhole) ? live : null;
        for (var i = 0; i < Words; i++)
        {
            var isBeside = slot != null && (i * 4 < slot.Offset || i * 4 >= slot.Offset + slot.Length);
            Assert.True((isBeside ? world.Marks : world.Granted).Contains(words[i]), "the device reads what was never shown to it, or older");
        }
    }

    /// <summary>Memory is what the kernel knows, but where the device may write now.</summary>
    static void CheckMemory(World world, DmaPolicy policy, Mapping? live, bool isStale)
    {
        foreach (var (owned, i) in world.Owned.Select(static (o, i) => (o, i)))
        {
            var now = Read(world, owned.Address);
            if (now.SequenceEqual(owned.Content))
            {
                continue;
            }

            var mayWrite = policy switch
            {
                _ when live is { Writable: true } && live.Page == i && (live.IsWhole || !world.Untrusted) => true,
                // The page frame, whoever owns it now.
                DmaPolicy.Lazy or DmaPolicy.Batched => isStale && world.Stale.ContainsValue(owned.Address),
                // The owner's page, never another's.
                DmaPolicy.Referenced => isStale && owned.WasGiven,
                DmaPolicy.Adaptive => owned.WasGiven,
                _ => false,
            };
            Assert.True(mayWrite, "a page changed that the device may not write");
            now.CopyTo(owned.Content);
        }
    }

    static Span<uint> Read(World world, Gpa page)
    {
        var words = new uint[Words];
        Assert.True(world.Bed.Memory.TryRead(page, MemoryMarshal.AsBytes(words.AsSpan())));
        return words;
    }

    static void Fill(World world, Owned owned)
    {
        foreach (ref var word in owned.Content.AsSpan())
        {
            word = world.Next++;
        }

        Assert.True(world.Bed.Memory.TryWrite(owned.Address, MemoryMarshal.AsBytes(owned.Content.AsSpan())));
    }
}
