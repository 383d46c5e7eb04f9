using Vmm.Iommu;
using Vmm.Platform.Dma;
using Vmm.Specs.VtD;
using Xunit;

namespace Vmm.Unit.Iommu;

/// <summary>What Linux writes and polls, in its order, on every profile.</summary>
public sealed class DriverSequenceTests
{
    const uint TES = 1u << 31, RTPS = 1u << 30, QIES = 1u << 26, IRES = 1u << 25, IRTPS = 1u << 24, CFIS = 1u << 23;

    [Theory]
    [InlineData(VtdProfile.Legacy)]
    [InlineData(VtdProfile.Scalable)]
    [InlineData(VtdProfile.Strict)]
    public void Interrupt_remapping_then_translation_come_up(VtdProfile profile)
    {
        using var bench = new VtdBench(new() { Profile = profile });
        var scalable = profile != VtdProfile.Legacy;
        var status = bench.Page();
        uint number = 0;

        void Flush(ulong low, ulong high = 0)
        {
            bench.Place(low, high);
            bench.Submit(0x25 | 2ul << 32, status + 4 * ++number);
            Assert.True(bench.Memory.TryRead(new(status + 4 * number), out uint done));
            Assert.Equal(2u, done);
            Assert.Equal(0u, bench.Read32(0x34) & 0x70);
        }

        // Pending faults are cleared, then the queue and interrupt remapping are set up.
        bench.Write32(0x34, bench.Read32(0x34));
        bench.EnableQueue(scalable);
        Assert.Equal(QIES, bench.Read32(0x1C));
        var interrupts = bench.Page();
        bench.Write64(0xB8, interrupts | 7 | (scalable ? 0x800ul : 0));
        bench.Command(IRTPS);
        Assert.Equal(QIES | IRTPS, bench.Read32(0x1C));
        Flush(0x04);
        bench.Command(IRES);
        Assert.Equal(QIES | IRTPS | IRES, bench.Read32(0x1C));
        Assert.Equal(0u, bench.Read32(0x1C) & CFIS);

        // Protected memory is turned off where it exists.
        bench.Write32(0x64, bench.Read32(0x64) & 0x7FFF_FFFF);
        Assert.Equal(0u, bench.Read32(0x64) & 1);

        // Root table, global flushes, fault event, translation.
        bench.SetRoot(bench.Root | (scalable ? 1ul << 10 : 0));
        Flush(0x11);
        if (scalable)
        {
            Flush(0x37);
        }

        Flush(0xD2);
        bench.Write32(0x3C, 0x4022);
        bench.Write32(0x40, 0xFEE0_0000);
        bench.Write32(0x44, 0);
        bench.Write32(0x38, 0);
        Assert.Equal(0u, bench.Read32(0x38));
        bench.Command(TES);
        Assert.Equal(TES | RTPS | QIES | IRTPS | IRES, bench.Read32(0x1C));
        Assert.Equal(scalable ? FaultReason.SmRootNotPresent : FaultReason.RootNotPresent, FaultOf(bench));
        Assert.Equal(new(0xFEE0_0000, 0x4022), Assert.Single(bench.Sink.Messages));
    }

    /// <summary>The fault handler: FSTS, then records from FRI while F is set, then the rest of FSTS.</summary>
    static FaultReason FaultOf(VtdBench bench)
    {
        Assert.Null(bench.Translate(0x1000));
        var status = bench.Read32(0x34);
        var index = status >> 8 & 0xFF;
        var offset = 0x220 + 16ul * index;
        var high = bench.Read32(offset + 12);
        Assert.NotEqual(0u, high >> 31);
        var record = new FaultRecord(bench.Read64(offset + 8), bench.Read64(offset));
        bench.Write32(offset + 12, 1u << 31);
        bench.Write32(0x34, 0x83);
        Assert.Equal(0u, bench.Read32(0x34) & 3);
        return record.FR;
    }

    [Fact]
    public void A_strict_map_and_unmap_leaves_nothing_behind()
    {
        using var bench = new VtdBench();
        var table = bench.AttachLegacy(VtdBench.Device, 3);
        bench.EnableLegacy();
        bench.EnableQueue();
        for (ulong i = 0; i < 100; i++)
        {
            var input = 0xFFFF_F000 - (i % 7 << 12);
            bench.Map(table, input, 0x10_0000 + (i << 12) | 3);
            Assert.Equal(0x10_0000 + (i << 12), bench.Translate(input, DmaAccess.Write));
            bench.Map(table, input, 0);
            bench.Submit(0xF2 | 3 << 16, input | 0x40);
            Assert.Null(bench.Translate(input));
            bench.TakeFault();
        }
    }

    [Fact]
    public void A_device_is_torn_down_by_context_and_domain_flushes()
    {
        using var bench = new VtdBench();
        var table = bench.AttachLegacy(VtdBench.Device, 3);
        bench.Map(table, 0x1000, 0x5000 | 3);
        bench.EnableLegacy();
        bench.EnableQueue();
        Assert.NotNull(bench.Translate(0x1000));
        bench.SetLegacy(VtdBench.Device, 0, 0);
        bench.Submit(0x31 | 3 << 16 | (ulong)VtdBench.Device.Value << 32);
        bench.Submit(0xE2 | 3 << 16);
        bench.AssertFault(FaultReason.ContextNotPresent, 0x1000);
        Assert.Equal(0, bench.Unit.Occupancy.SmallPages);
    }
}
