using Vmm.Chipset;
using Xunit;

namespace Vmm.Unit.Chipset;

public class ApicBusTests
{
    static byte[] Receivers(ApicBench bench) =>
        [.. Enumerable.Range(0, bench.Cores.Length).Where(i => bench.Cores[i].Intr).Select(i => (byte)i)];

    static void Icr(ApicBench bench, uint low, byte destination = 0)
    {
        bench.Apic.Write32(0x310, (uint)destination << 24);
        bench.Apic.Write32(0x300, low);
    }

    [Fact]
    public void Linux_starts_a_processor_with_INIT_assert_INIT_deassert_and_two_SIPIs()
    {
        var bench = new ApicBench(2).Enabled();
        Icr(bench, 0xC500, 1);
        Icr(bench, 0x8500, 1);
        Icr(bench, 0x0699, 1);
        Icr(bench, 0x0699, 1);
        Assert.Equal(["init", "sipi 99", "sipi 99"], bench.Cores[1].Events);
        Assert.Empty(bench.Cores[0].Events);
        Assert.Equal(0x0699u, bench.Apic.Read32(0x300));
    }

    [Theory]
    [InlineData(0x40050u, new byte[] { 0 })]
    [InlineData(0x80050u, new byte[] { 0, 1, 2, 3 })]
    [InlineData(0xC0050u, new byte[] { 1, 2, 3 })]
    public void Shorthands_ignore_the_destination(uint low, byte[] receivers)
    {
        var bench = new ApicBench(4).Enabled();
        Icr(bench, low, 2);
        Assert.Equal(receivers, Receivers(bench));
    }

    [Theory]
    [InlineData(2, new byte[] { 2 })]
    [InlineData(0xFF, new byte[] { 0, 1, 2, 3 })]
    [InlineData(9, new byte[] { })]
    public void Physical_destinations_are_one_id_or_all(byte destination, byte[] receivers)
    {
        var bench = new ApicBench(4).Enabled();
        Icr(bench, 0x4050, destination);
        Assert.Equal(receivers, Receivers(bench));
    }

    [Theory]
    [InlineData(0xF, 0x06, new byte[] { 1, 2 })]
    [InlineData(0xF, 0xFF, new byte[] { 0, 1, 2, 3 })]
    [InlineData(0xF, 0xF0, new byte[] { })]
    [InlineData(0x0, 0x13, new byte[] { 2, 3 })]
    [InlineData(0x0, 0x02, new byte[] { 1 })]
    [InlineData(0x0, 0xF1, new byte[] { 0, 2 })]
    [InlineData(0x5, 0x01, new byte[] { })]
    public void Logical_destinations_follow_the_model(uint model, byte destination, byte[] receivers)
    {
        var bench = new ApicBench(4).Enabled();
        byte[] flat = [1, 2, 4, 8], cluster = [0x01, 0x02, 0x11, 0x12];
        for (var i = 0; i < 4; i++)
        {
            bench.Apics[i].Write32(0xE0, model << 28);
            bench.Apics[i].Write32(0xD0, (uint)(model == 0xF ? flat : cluster)[i] << 24);
        }

        Icr(bench, 0x4850, destination);
        Assert.Equal(receivers, Receivers(bench));
    }

    [Fact]
    public void x2APIC_logical_destinations_are_cluster_and_mask()
    {
        var bench = new ApicBench(3).Enabled().InX2Apic();
        Assert.True(bench.Apic.TryWriteMsr(0x830, 6ul << 32 | 0x4850));
        Assert.Equal([1, 2], Receivers(bench));
        Assert.Equal(6ul << 32 | 0x4850, bench.Msr(0x830));
    }

    [Fact]
    public void x2APIC_broadcast_is_all_ones_of_32_bits()
    {
        var bench = new ApicBench(3).Enabled().InX2Apic();
        bench.Apic.TryWriteMsr(0x830, 0xFFul << 32 | 0x4050);
        Assert.Empty(Receivers(bench));
        bench.Apic.TryWriteMsr(0x830, 0xFFFF_FFFFul << 32 | 0x4050);
        Assert.Equal([0, 1, 2], Receivers(bench));
    }

    [Fact]
    public void Lowest_priority_goes_to_the_least_busy_processor_and_to_the_first_of_equals()
    {
        var bench = new ApicBench(3).Enabled();
        bench.Apics[0].Write32(0x80, 0x40);
        bench.Msi(0x90, 0xFF, 0x100);
        Assert.Equal([1], Receivers(bench));
        bench.Apics[1].Acknowledge();
        bench.Msi(0x91, 0xFF, 0x100);
        Assert.Equal([2], Receivers(bench));
    }

    [Fact]
    public void Lowest_priority_passes_over_disabled_processors()
    {
        var bench = new ApicBench(2);
        bench.Apics[1].Write32(0xF0, 0x1FF);
        bench.Msi(0x90, 0xFF, 0x100);
        Assert.Equal([1], Receivers(bench));
    }

    [Fact]
    public void A_redirectable_logical_message_reaches_one_processor()
    {
        var bench = new ApicBench(2).Enabled();
        bench.Apics[0].Write32(0xD0, 0x0100_0000);
        bench.Apics[1].Write32(0xD0, 0x0200_0000);
        bench.Msi(0x55, 3, address: 0xC);
        Assert.Equal([0], Receivers(bench));
        bench.Msi(0x56, 3, address: 0x4);
        Assert.Equal([0, 1], Receivers(bench));
    }

    [Fact]
    public void Messages_of_every_mode_do_what_they_say()
    {
        var bench = new ApicBench().Enabled();
        bench.Msi(0, data: 0x400);
        bench.Msi(0, data: 0x200);
        bench.Msi(0x9A, data: 0x600);
        bench.Msi(0x50, data: 0x8000);
        Assert.False(bench.Core.Intr);
        bench.Msi(0, data: 0x700);
        Assert.Equal(0x20, bench.Apic.Acknowledge());
        bench.Msi(0, data: 0x500);
        Assert.Equal(["nmi", "init"], bench.Core.Events);
    }

    [Fact]
    public void Messages_that_address_nobody_are_counted_and_dropped()
    {
        var bench = new ApicBench().Enabled();
        bench.Msi(0x50, 7);
        bench.Bus.Deliver(new(0xFED0_0000, 0x50));
        bench.Bus.Deliver(new(0x1_FEE0_0000, 0x50));
        Assert.Equal(3ul, bench.Bus.Undelivered);
        Assert.False(bench.Core.Intr);
    }

    [Fact]
    public void The_upper_address_bits_extend_the_destination()
    {
        var bench = new ApicBench();
        var core = new TestCore();
        var far = new LocalApic(0x0001_2345, false, bench.Clock, bench.Bus, core, bench.ExtInt, new());
        far.Write32(0xF0, 0x1FF);
        far.TryWriteMsr(0x1B, 0xFEE00C00);
        bench.Bus.Deliver(new(0x0001_2300_FEE4_5000, 0x61));
        Assert.True(core.Intr);
    }

    [Fact]
    public void An_id_that_the_guest_rewrote_is_the_one_that_counts()
    {
        var bench = new ApicBench(2).Enabled();
        bench.Apics[1].Write32(0x20, 0x0900_0000);
        Icr(bench, 0x4050, 9);
        Assert.Equal([1], Receivers(bench));
    }
}
