using Vmm.Platform.Snapshots;
using Vmm.Specs.Virtio;
using Vmm.VirtioIommu;
using Xunit;
using static Vmm.Unit.VirtioIommu.ViommuBench;
using S = Vmm.Specs.Virtio.VirtioIommuStatus;

namespace Vmm.Unit.VirtioIommu;

/// <summary>Save and restore.</summary>
public sealed class ViommuSnapshotTests
{
    static ViommuDriver Busy()
    {
        var driver = new ViommuDriver().Start();
        driver.Ask(AttachBytes(9, Disk.Value));
        driver.Ask(AttachBytes(4, Nic.Value, 1));
        for (ulong i = 0; i < 50; i++)
        {
            driver.Ask(MapBytes(9, i << 14, (i << 14) + (i % 3 << 12) + 0xFFF, i << 12, (uint)(i % 8)));
        }

        driver.Bench.Store(0x2000 + VirtioIommuLayout.BypassField, 1, 1);
        driver.OfferEvent();
        return driver;
    }

    [Fact]
    public void A_restored_device_answers_as_the_saved_one()
    {
        using var saved = Busy();
        var state = saved.Bench.Save();
        using var restored = new ViommuDriver();
        restored.Bench.Load(state);
        Assert.Equal(state.Device, restored.Bench.Save().Device);
        Assert.True(restored.Device.IsBypass);
        Assert.Equal(saved.Device.Negotiated, restored.Device.Negotiated);
        Assert.Equal(50, restored.Device.MappingCount);
        for (ulong at = 0; at < 60ul << 14; at += 0x1000)
        {
            var request = new Platform.Dma.DmaRequest(Disk, new(at), Platform.Dma.DmaAccess.Read);
            Assert.Equal(saved.Device.TryTranslate(request, out var expected), restored.Device.TryTranslate(request, out var window));
            Assert.Equal(expected, window);
        }
    }

    [Fact]
    public void A_port_forgets_what_it_kept_when_a_state_is_restored()
    {
        using var driver = new ViommuDriver().Start();
        driver.Ask(AttachBytes(1, Disk.Value));
        var empty = driver.Bench.Save();
        driver.Ask(MapBytes(1, 0x1000, 0x1FFF, 0x2000, 3));
        Assert.True(driver.Read(0x1000));
        driver.Bench.Load(empty);
        Assert.False(driver.Read(0x1000));
    }

    [Fact]
    public void A_damaged_state_is_refused_or_harmless()
    {
        using var saved = Busy();
        var state = saved.Bench.Save();
        using var target = new ViommuDriver();
        var random = new Random(3);
        var refused = 0;
        for (var i = 0; i < 4000; i++)
        {
            var bytes = (byte[])state.Device.Clone();
            for (var flips = random.Next(1, 4); flips > 0; flips--)
            {
                bytes[random.Next(bytes.Length)] ^= (byte)(1 << random.Next(8));
            }

            try
            {
                target.Bench.Load((state.Function, random.Next(5) == 0 ? bytes[..random.Next(bytes.Length)] : bytes));
            }
            catch (SnapshotException)
            {
                refused++;
            }

            Assert.Equal(target.Device.Domains.Sum(static d => d.Mappings), target.Device.MappingCount);
            target.Read((ulong)random.Next() << 4);
        }

        Assert.InRange(refused, 1000, 4000);
    }

    [Fact]
    public void A_state_of_a_device_with_another_configuration_is_refused()
    {
        using var saved = Busy();
        var state = saved.Bench.Save();
        using var other = new ViommuDriver(new() { Bypass = false, InputEnd = 0xFFFF_FFFF });
        Assert.Throws<SnapshotException>(() => other.Bench.Load(state));
        using var small = new ViommuDriver(new() { Bypass = false, MaxMappings = 49 });
        Assert.Throws<SnapshotException>(() => small.Bench.Load(state));
        Assert.Equal(0, small.Device.MappingCount);
        Assert.Equal(S.Ok, small.Start().Ask(AttachBytes(1, Disk.Value)));
    }
}
