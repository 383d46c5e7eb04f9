using Vmm.Platform.Snapshots;
using Vmm.Specs.Virtio;
using Vmm.Virtio;
using Xunit;

namespace Vmm.Unit.Virtio;

/// <summary>A snapshot can be taken at any time, and a damaged one is refused.</summary>
public sealed class VirtioSnapshotTests
{
    const ulong Buffers = VirtioBench.Buffers;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_restored_device_goes_on_with_what_was_in_flight(bool isPacked)
    {
        using var bench = Probe.Create(out var probe, isPacked);
        bench.EnableMsix();
        probe.Holds = true;
        probe.Limit = 2;
        var ring = bench.Start(8, vector: 1);
        for (byte i = 0; i < 3; i++)
        {
            bench.Put(Buffers + i, [i]);
            ring.Add(new Piece(Buffers + i, 1), new Piece(Buffers + 0x100 + i, 1, true));
        }

        bench.Notify();
        Assert.Equal(2, probe.Held.Count);
        probe.Release(1);
        var saved = bench.Save();

        using var other = Probe.Create(out var restored, isPacked);
        for (ulong page = 0; page < 16 << 20; page += 4096)
        {
            other.Put(page, bench.Bytes(page, 4096));
        }

        other.Load(saved);
        Assert.Equal(2, other.Device.Queues[0].InFlight);
        other.Pass();
        Assert.Equal([2], restored.Seen[0]);
        restored.Release(0);
        Assert.Equal([0], restored.Seen[1]);
        Assert.Equal(saved.Device.Length, Save(bench).Length);
        Assert.Equal(VirtioStatus.DriverOk, other.Status & VirtioStatus.DriverOk);
        // Three buffers came back in all, one of them before the snapshot.
        var used = isPacked ? 0 : other.U16(ring.Device + 2);
        Assert.Equal(isPacked ? 0 : 3, used);
        Assert.Equal(0, other.Device.Queues[0].InFlight);
    }

    static byte[] Save(VirtioBench bench) => bench.Save().Device;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Saving_after_loading_gives_the_same_bytes(bool isPacked)
    {
        using var bench = Probe.Create(out var probe, isPacked);
        probe.Holds = true;
        var ring = bench.Start(8);
        ring.Add(new Piece(Buffers, 1), new Piece(Buffers, 2));
        bench.Notify();
        probe.Transport.ConfigChanged();
        bench.Device.Queues[1].Break();
        var saved = bench.Save();
        using var other = Probe.Create(out _, isPacked);
        other.Load(saved);
        Assert.Equal(saved.Device, Save(other));
        Assert.Equal(VirtioFault.Request, other.Device.Fault);
        Assert.Equal(1, other.Device.FaultQueue);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Any_damage_loads_or_is_refused_and_does_no_more(bool isPacked)
    {
        using var bench = Probe.Create(out var probe, isPacked);
        probe.Holds = true;
        var ring = bench.Start(8);
        ring.Add(new Piece(Buffers, 1), new Piece(Buffers, 2));
        bench.Notify();
        var saved = Save(bench);
        var random = new Random(5);
        for (var round = 0; round < 2000; round++)
        {
            var damaged = (byte[])saved.Clone();
            for (var i = random.Next(1, 4); i > 0; i--)
            {
                damaged[random.Next(damaged.Length)] = (byte)random.Next(256);
            }

            if (random.Next(4) == 0)
            {
                damaged = damaged[..random.Next(damaged.Length)];
            }

            using var other = Probe.Create(out var restored, isPacked);
            try
            {
                other.Device.Load(new SnapshotReader("d", 1, damaged));
            }
            catch (SnapshotException)
            {
                Assert.Equal(VirtioStatus.None, other.Status);
                continue;
            }

            other.Notify();
            while (restored.Held.Count > 0)
            {
                restored.Release(0);
            }

            other.Pass();
        }
    }
}
