using Vmm.Platform.Memory;
using Vmm.Specs.Virtio;
using Vmm.Unit.Virtio;
using Vmm.VirtioIommu;
using Xunit;
using static Vmm.Unit.VirtioIommu.ViommuBench;

namespace Vmm.Unit.VirtioIommu;

/// <summary>
/// Rings, requests, registers and event buffers changed at random while the endpoint keeps making DMA: the device answers or
/// needs a reset, and never throws, hangs or grows. VMM_STEPS raises the number of mutations.
/// </summary>
public sealed class RingMutationTests
{
    static int Steps => int.TryParse(Environment.GetEnvironmentVariable("VMM_STEPS"), out var steps) ? steps / 2 : 500_000;

    [Theory]
    [InlineData(false, 1)]
    [InlineData(true, 2)]
    public void Mutated_rings_end_in_an_answer_or_in_NEEDS_RESET(bool packed, int seed)
    {
        using var driver = new ViommuDriver(new() { Bypass = false, MaxMappings = 64 }, new() { Packed = packed });
        var random = new Random(seed);
        var (resets, answered) = (0, 0ul);
        driver.Start();
        for (var i = 0; i < Steps; i++)
        {
            if (i % 16 == 0)
            {
                Refill(driver, random);
            }

            Mutate(driver, random);
            if (i % 4 == 0)
            {
                driver.Bench.Notify(random.Next(3));
                driver.Port.TryRead(new Iova((ulong)random.Next(16) << 12), out ulong _);
            }

            if ((driver.Device.Transport.Status & VirtioStatus.NeedsReset) != 0)
            {
                answered += driver.Device.Transport.Queues[0].Counters.Used;
                resets++;
                driver.Start();
                Assert.Equal(0, driver.Device.MappingCount);
            }
        }

        Assert.InRange(driver.Device.MappingCount, 0, 64);
        Assert.True(resets > Steps / 5000, $"only {resets} resets were needed");
        Assert.True(answered > (ulong)Steps / 100, $"only {answered} requests were answered");
    }

    /// <summary>Good requests of every type, so that mutations have something to spoil.</summary>
    static void Refill(ViommuDriver driver, Random random)
    {
        for (var i = 0; i < 4; i++)
        {
            var at = ViommuDriver.Request + (ulong)i * 0x80;
            var (domain, start) = ((uint)random.Next(3), (ulong)random.Next(16) << 12);
            var request = random.Next(6) switch
            {
                0 => AttachBytes(domain, Disk.Value),
                1 => DetachBytes(domain, Disk.Value),
                2 => UnmapBytes(domain, start, start + 0xFFF),
                3 => ProbeBytes(Disk.Value),
                _ => MapBytes(domain, start, start + 0xFFF, start, 3),
            };
            driver.Bench.Put(at, request);
            Piece[] pieces = [new(at, (uint)request.Length), new(ViommuDriver.Reply + (ulong)i * 0x400, 516, true)];
            driver.Requests.AddLoosely(random.Next(3) == 0 ? 0x20_0000 + (ulong)i * 64 : 0, pieces);
        }

        driver.EventRing.AddLoosely(0, [new Piece(ViommuDriver.Events, 24, true)]);
    }

    static void Mutate(ViommuDriver driver, Random random)
    {
        var ring = random.Next(4) == 0 ? driver.EventRing : driver.Requests;
        switch (random.Next(40))
        {
            case < 8:
                driver.Bench.Put(ring.Descriptors + (ulong)random.Next(256), [(byte)random.Next(256)]);
                break;
            case < 12:
                driver.Bench.Put(ring.Driver + (ulong)random.Next(40), [(byte)random.Next(256)]);
                break;
            case < 14:
                driver.Bench.Put(ring.Device + (ulong)random.Next(140), [(byte)random.Next(256)]);
                break;
            case < 18:
                driver.Bench.Put(0x20_0000 + (ulong)random.Next(256), [(byte)random.Next(256)]);
                break;
            case < 39:
                driver.Bench.Put(ViommuDriver.Request + (ulong)random.Next(0x200), [(byte)(random.Next(2) == 0 ? random.Next(256) : 0)]);
                break;
            default:
                driver.Bench.Store((uint)random.Next(0x38) | (random.Next(4) == 0 ? 0x2000ul : 0), (ulong)random.Next(), 1);
                break;
        }
    }
}
