using Vmm.Specs.Virtio;
using Vmm.Unit.Virtio;
using Vmm.Virtio;
using Xunit;

namespace Vmm.Unit.VirtioBlk;

/// <summary>
/// A driver that mixes honest requests with random bytes in rings, tables, registers and events. Whatever it does, the
/// device works or needs a reset: nothing throws, a step costs a bounded number of transactions, descriptors in flight
/// stay within the queue and no memory is taken. VMM_STEPS raises the number of mutations.
/// </summary>
public sealed class RingMutationTests
{
    const ulong Data = BlockBench.Data;

    static int Steps => int.TryParse(Environment.GetEnvironmentVariable("VMM_STEPS"), out var steps) ? steps / 4 : 20_000;

    readonly Random random = new(11);

    [Theory]
    [InlineData(false, true)]
    [InlineData(false, false)]
    [InlineData(true, true)]
    [InlineData(true, false)]
    public void Random_rings_end_in_order(bool isPacked, bool eventIndex)
    {
        using var disk = new BlockBench(o => o with { Queues = 2, Transport = new() { Packed = isPacked, EventIndex = eventIndex } }, 1 << 20);
        var (resets, answers) = (0, 0);
        var taken = GC.GetAllocatedBytesForCurrentThread();
        for (var step = 0; step < Steps; step++)
        {
            if (disk.Ring == null! || disk.Bench.Device.Status != (VirtioStatus)15 || random.Next(2000) == 0)
            {
                Restart(disk);
                resets++;
            }

            Mutate(disk);
            var before = Transactions(disk);
            disk.Bench.Notify(random.Next(2));
            disk.Bench.Pass((ulong)random.Next(30_000));
            Assert.InRange(Transactions(disk) - before, 0ul, 100_000ul);
            foreach (var queue in disk.Device.Transport.Queues)
            {
                Assert.InRange(queue.InFlight, 0, queue.Size);
            }

            answers = (int)disk.Device.Transport.Queues[0].Counters.Used;
        }

        // Both ends are reached, and the device works afterwards.
        Assert.InRange(resets, Steps / 1000, Steps);
        Assert.InRange(answers, Steps / 1000, int.MaxValue);
        Assert.True(disk.Device.Transport.FaultCount > 0);
        disk.AssertWorks();
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - taken, 0, 20_000L * Steps);
    }

    static ulong Transactions(BlockBench disk)
    {
        ref readonly var counters = ref disk.Device.Transport.Function.Dma.Counters;
        return counters.Reads + counters.Writes + counters.Blocked;
    }

    void Restart(BlockBench disk)
    {
        disk.Bench.Negotiate(random.Next(8) == 0 ? ~VirtioFeature.RingIndirectDesc : ulong.MaxValue);
        var size = 1 << random.Next(1, 6);
        disk.Bench.Enable(1, size);
        disk.Start(size: size);
        if (random.Next(4) == 0)
        {
            disk.Bench.SetStatus(VirtioStatus.None);
            disk.Bench.Negotiate();
            disk.Bench.Enable(1, size);
            disk.Start(size: size);
        }
    }

    void Mutate(BlockBench disk)
    {
        var ring = disk.Ring;
        switch (random.Next(12))
        {
            case 0:
                Scribble(disk, ring.Descriptors, (ulong)ring.Size * 16);
                break;
            case 1:
                Scribble(disk, ring.Driver, 6 + 2 * (ulong)ring.Size);
                break;
            case 2:
                Scribble(disk, ring.Device, 6 + 8 * (ulong)ring.Size);
                break;
            case 3:
                Scribble(disk, BlockBench.Table, 256);
                break;
            case 4:
                disk.Bench.Store((ulong)random.Next(0x16, 0x3C), (ulong)random.NextInt64(), 1 << random.Next(4));
                break;
            case 5:
                PutWildDescriptor(disk, ring);
                break;
            case 6:
                Scribble(disk, BlockBench.Header, 32);
                break;
            default:
                AddRequest(disk, ring);
                break;
        }
    }

    void Scribble(BlockBench disk, ulong start, ulong length)
    {
        for (var i = random.Next(1, 4); i > 0; i--)
        {
            disk.Bench.Put(start + (ulong)random.NextInt64((long)length), [(byte)(random.Next(3) == 0 ? random.Next(256) : random.Next(8))]);
        }
    }

    /// <summary>A descriptor of plausible parts at a random place.</summary>
    void PutWildDescriptor(BlockBench disk, GuestRing ring)
    {
        ulong[] addresses = [BlockBench.Header, BlockBench.Table, Data, ring.Descriptors, ring.Driver, 0xFEE0_0000, disk.Bench.Bar, ulong.MaxValue - 7, 0x4000_0000];
        uint[] lengths = [0, 1, 16, 32, 512, 4096, 0x10000, uint.MaxValue, 0xFFFF_FFF0];
        var flags = (ushort)(random.Next(8) | (ring.IsPacked ? ring.AvailableFlags : 0));
        ring.PutDescriptor(
            random.Next(3) == 0 ? BlockBench.Table + (ulong)random.Next(8) * 16 : ring.DescriptorAt(random.Next(ring.Size)),
            addresses[random.Next(addresses.Length)], lengths[random.Next(lengths.Length)], flags, (ushort)random.Next(ring.Size + 1));
        if (!ring.IsPacked && random.Next(2) == 0)
        {
            ring.Offer(random.Next(ring.Size + 1));
        }
    }

    void AddRequest(BlockBench disk, GuestRing ring)
    {
        uint[] types = [0, 1, 4, 8, 11, 13, 99];
        disk.PutHeader(types[random.Next(types.Length)], (ulong)random.Next(2100));
        Piece[] pieces =
        [
            new(BlockBench.Header, 16), new(Data, (uint)random.Next(4) * 512, random.Next(2) == 0), new(BlockBench.Status, 1, true),
        ];
        ring.AddLoosely(random.Next(2) == 0 ? BlockBench.Table : 0, pieces);
    }
}
