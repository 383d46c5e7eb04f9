using Vmm.Platform.Dma;
using Vmm.Specs.Virtio;
using Vmm.VirtioIommu;
using Xunit;
using S = Vmm.Specs.Virtio.VirtioIommuStatus;

namespace Vmm.Unit.VirtioIommu;

/// <summary>
/// Random requests and accesses against a model that keeps plain lists and knows neither trees nor caches: every status,
/// every translation and every fault must be equal. VMM_STEPS raises the number of steps.
/// </summary>
public sealed class IntervalMapModelTests
{
    static int Steps => int.TryParse(Environment.GetEnvironmentVariable("VMM_STEPS"), out var steps) ? steps / 2 : 150_000;

    [Theory]
    [InlineData(1, 12, false)]
    [InlineData(2, 0, true)]
    public void Statuses_translations_and_faults_equal_those_of_a_plain_interval_map(int seed, int granuleBits, bool bypass)
    {
        var world = new ModelWorld(seed, granuleBits, bypass);
        for (var i = 0; i < Steps; i++)
        {
            world.Step();
        }

        Assert.All(Enum.GetValues<S>().Except([S.IoErr, S.Unsupp, S.DevErr]), s => Assert.True(world.Seen[(int)s] > 0, $"no request was answered {s}"));
        Assert.True(world.Mapped > Steps / 20, $"only {world.Mapped} accesses went through a mapping");
        Assert.True(world.Blocked > Steps / 20, $"only {world.Blocked} accesses were blocked");
        Assert.True((long)world.CacheHits > Steps / 50, $"only {world.CacheHits} were answered by the cache");
    }
}

/// <summary>The device and the model side by side.</summary>
sealed class ModelWorld
{
    const int Limit = 40, DomainLimit = 2;

    readonly Random random;
    readonly ViommuBench bench;
    readonly int bits;
    readonly Dictionary<uint, ModelDomain> domains = [];
    readonly Dictionary<uint, uint?> attached = new() { [ViommuBench.Disk.Value] = null, [ViommuBench.Nic.Value] = null, [ViommuBench.Other.Value] = null };
    readonly bool bypass;

    sealed record ModelDomain(bool Bypass)
    {
        public List<Mapping> Mappings { get; } = [];
    }

    public ModelWorld(int seed, int granuleBits, bool bypass)
    {
        random = new(seed);
        bits = granuleBits;
        this.bypass = bypass;
        bench = new(new()
        {
            PageSizeMask = 1ul << granuleBits, Bypass = bypass, CacheEntries = 16, MaxMappings = Limit, MaxDomains = DomainLimit, DomainEnd = 4,
            InputStart = 2ul << granuleBits, InputEnd = (60ul << granuleBits) - 1, PhysicalAddressBits = 40,
            Reserved = [new(30ul << granuleBits, (32ul << granuleBits) - 1, VirtioIommuReservedKind.Reserved)],
        });
    }

    public int[] Seen { get; } = new int[9];

    public int Mapped { get; private set; }

    public int Blocked { get; private set; }

    public ulong CacheHits => bench.Domains.Endpoints.Aggregate(0ul, (sum, e) => sum + e.Counters.Hits);

    public void Step()
    {
        var (got, expected) = random.Next(100) switch
        {
            < 2 => Attach(),
            < 3 => Detach(),
            < 35 => Map(),
            < 55 => Unmap(),
            _ => (null, null),
        };
        Assert.Equal(expected, got);
        if (got is { } status)
        {
            Seen[(int)status]++;
        }
        else
        {
            Access();
        }
    }

    uint Domain() => random.Next(20) == 0 ? (uint)random.Next(7) : (uint)random.Next(3);

    uint Endpoint() => random.Next(20) == 0 ? (uint)random.Next(70000) | 7 : attached.Keys.ElementAt(random.Next(3));

    ulong Address() => ((ulong)random.Next(64) << bits) + (random.Next(30) == 0 ? (ulong)random.Next(1 << bits) : 0);

    (ulong Start, ulong End) Range(int longest)
    {
        var start = Address();
        var end = start + ((ulong)random.Next(1, longest + 1) << bits) - 1;
        return random.Next(60) switch
        {
            0 => (start, end + (ulong)random.Next(3)),
            1 => (end, start),
            2 => (start, ulong.MaxValue),
            3 => (0, ulong.MaxValue),
            _ => (start, end),
        };
    }

    (S?, S?) Attach()
    {
        var (domain, endpoint, flags, reserved) = (Domain(), Endpoint(), random.Next(5) == 0 ? (uint)random.Next(3) : 0, random.Next(30) == 0 ? 1u : 0);
        return (bench.Send(ViommuBench.AttachBytes(domain, endpoint, flags, reserved)), ModelAttach(domain, endpoint, flags, reserved));
    }

    S ModelAttach(uint domain, uint endpoint, uint flags, uint reserved)
    {
        if (reserved != 0 || flags > 1)
        {
            return S.Inval;
        }

        if (!attached.TryGetValue(endpoint, out var old))
        {
            return S.NoEnt;
        }

        if (domain > 4)
        {
            return S.Range;
        }

        if (domains.TryGetValue(domain, out var existing) && existing.Bypass != (flags == 1))
        {
            return S.Inval;
        }

        var alone = old != null && attached.Count(a => a.Value == old) == 1;
        if (existing == null && domains.Count - (alone ? 1 : 0) >= DomainLimit)
        {
            return S.NoMem;
        }

        if (old != domain)
        {
            Leave(endpoint);
            attached[endpoint] = domain;
            domains.TryAdd(domain, new(flags == 1));
        }

        return S.Ok;
    }

    (S?, S?) Detach()
    {
        var (domain, endpoint) = (Domain(), Endpoint());
        var expected = !attached.TryGetValue(endpoint, out var old) ? S.NoEnt : old != domain ? S.Inval : S.Ok;
        if (expected == S.Ok)
        {
            Leave(endpoint);
        }

        return (bench.Send(ViommuBench.DetachBytes(domain, endpoint)), expected);
    }

    void Leave(uint endpoint)
    {
        var old = attached[endpoint];
        attached[endpoint] = null;
        if (old is { } domain && !attached.ContainsValue(domain))
        {
            domains.Remove(domain);
        }
    }

    (S?, S?) Map()
    {
        var domain = Domain();
        var (start, end) = Range(4);
        var physical = random.Next(40) == 0 ? (1ul << 40) - (1ul << bits) : (ulong)random.Next(1 << 16) << bits;
        var flags = random.Next(40) == 0 ? (uint)random.Next(16) : (uint)random.Next(8);
        var mapping = new Mapping(start, end, physical, (VirtioIommuMapFlags)flags);
        var expected = ModelMap(domain, mapping);
        if (expected == S.Ok)
        {
            domains[domain].Mappings.Add(mapping);
        }

        return (bench.Send(ViommuBench.MapBytes(domain, start, end, physical, flags)), expected);
    }

    S ModelMap(uint domain, Mapping mapping)
    {
        var granule = 1ul << bits;
        if ((uint)mapping.Flags > 7 || mapping.End < mapping.Start)
        {
            return S.Inval;
        }

        if (mapping.Start % granule != 0 || mapping.Physical % granule != 0 || (UInt128)mapping.End % granule != granule - 1 ||
            mapping.Start < 2 * granule || mapping.End >= 60 * granule)
        {
            return S.Range;
        }

        if ((UInt128)mapping.Physical + mapping.End - mapping.Start >= (UInt128)1 << 40)
        {
            return S.Fault;
        }

        if (!domains.TryGetValue(domain, out var target))
        {
            return S.NoEnt;
        }

        var reserved = mapping.Start < 32 * granule && mapping.End >= 30 * granule;
        if (target.Bypass || reserved || target.Mappings.Any(m => m.Start <= mapping.End && mapping.Start <= m.End))
        {
            return S.Inval;
        }

        return domains.Values.Sum(d => d.Mappings.Count) >= Limit ? S.NoMem : S.Ok;
    }

    (S?, S?) Unmap()
    {
        var domain = Domain();
        var (start, end) = Range(8);
        if (random.Next(3) != 0 && domains.TryGetValue(domain, out var some) && some.Mappings.Count > 0)
        {
            var chosen = some.Mappings[random.Next(some.Mappings.Count)];
            (start, end) = (chosen.Start, chosen.End);
        }

        var expected = ModelUnmap(domain, start, end);
        if (expected == S.Ok)
        {
            domains[domain].Mappings.RemoveAll(m => m.Start >= start && m.End <= end);
        }

        return (bench.Send(ViommuBench.UnmapBytes(domain, start, end)), expected);
    }

    S ModelUnmap(uint domain, ulong start, ulong end)
    {
        if (end < start)
        {
            return S.Inval;
        }

        if (!domains.TryGetValue(domain, out var target))
        {
            return S.NoEnt;
        }

        var split = target.Mappings.Any(m => m.Start <= end && start <= m.End && (m.Start < start || m.End > end));
        return target.Bypass ? S.Inval : split ? S.Range : S.Ok;
    }

    void Access()
    {
        var endpoint = attached.Keys.ElementAt(random.Next(3));
        var address = Address();
        if (random.Next(4) != 0 && attached[endpoint] is { } home && domains[home].Mappings is { Count: > 0 } mappings)
        {
            var chosen = mappings[random.Next(mappings.Count)];
            address = chosen.Start + (ulong)random.NextInt64((long)(chosen.End - chosen.Start) + 1);
        }

        var access = random.Next(3) switch { 0 => DmaAccess.Read, 1 => DmaAccess.Write, _ => DmaAccess.Atomic };
        bench.Faults.Clear();
        var ok = bench.Translator.TryTranslate(new(new((ushort)endpoint), new(address), access), out var window);
        var (expected, reason) = ModelAccess(endpoint, address, access);
        Assert.Equal(expected.HasValue, ok);
        if (expected is { } wanted)
        {
            Assert.Equal(wanted, window);
            Mapped++;
        }
        else
        {
            var flags = VirtioIommuFaultFlags.Address | (access != DmaAccess.Write ? VirtioIommuFaultFlags.Read : 0) | (access != DmaAccess.Read ? VirtioIommuFaultFlags.Write : 0);
            Assert.Equal(new FaultReport(reason, flags, endpoint, address), Assert.Single(bench.Faults));
            Blocked++;
        }
    }

    (DmaWindow?, VirtioIommuFault) ModelAccess(uint endpoint, ulong address, DmaAccess access)
    {
        var (low, high) = (30ul << bits, 32ul << bits);
        if (address >= low && address < high)
        {
            return (null, VirtioIommuFault.Mapping);
        }

        var own = attached[endpoint] is { } id ? domains[id] : null;
        if (own == null && !bypass)
        {
            return (null, VirtioIommuFault.Domain);
        }

        if (own == null || own.Bypass)
        {
            var length = address < low ? low - address : 0 - address;
            return (new DmaWindow(new(address), length, true, true), default);
        }

        foreach (var m in own.Mappings)
        {
            var (readable, writable) = (((uint)m.Flags & 1) != 0, ((uint)m.Flags & 2) != 0);
            if (m.Start <= address && address <= m.End && (access == DmaAccess.Write || readable) && (access == DmaAccess.Read || writable))
            {
                return (new DmaWindow(new(m.Physical + (address - m.Start)), m.End - address + 1, readable, writable), default);
            }
        }

        return (null, VirtioIommuFault.Mapping);
    }
}
