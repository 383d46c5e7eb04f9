using Vmm.Chipset;
using Xunit;

namespace Vmm.Unit.Chipset;

public class ApicTimerTests
{
    const ulong Tick = ApicBench.TickCycles;

    static ApicBench Bench(uint lvt, uint divide = 0xB)
    {
        var bench = new ApicBench().Enabled();
        bench.Apic.Write32(0x320, lvt);
        bench.Apic.Write32(0x3E0, divide);
        return bench;
    }

    static bool Took(ApicBench bench)
    {
        if (!bench.Core.Intr)
        {
            return false;
        }

        bench.Apic.Acknowledge();
        bench.Apic.Write32(0xB0, 0);
        return true;
    }

    [Fact]
    public void One_shot_counts_down_once()
    {
        var bench = Bench(0x40);
        bench.Apic.Write32(0x380, 10);
        Assert.Equal(10u, bench.Apic.Read32(0x390));
        bench.Clock.Pass(3 * Tick);
        Assert.Equal(7u, bench.Apic.Read32(0x390));
        bench.Clock.Pass(7 * Tick - 1);
        Assert.False(Took(bench));
        bench.Clock.Pass(1);
        Assert.True(Took(bench));
        Assert.Equal(0u, bench.Apic.Read32(0x390));
        Assert.Equal(10u, bench.Apic.Read32(0x380));
        bench.Clock.Pass(100 * Tick);
        Assert.False(Took(bench));
    }

    [Fact]
    public void Periodic_reloads_without_drift()
    {
        var bench = Bench(0x20040);
        bench.Apic.Write32(0x380, 4);
        for (var i = 0; i < 5; i++)
        {
            bench.Clock.Pass(4 * Tick);
            Assert.True(Took(bench));
            Assert.Equal(4u, bench.Apic.Read32(0x390));
        }

        bench.Clock.Pass(Tick);
        Assert.Equal(3u, bench.Apic.Read32(0x390));
    }

    [Fact]
    public void Periods_missed_in_one_leap_make_one_interrupt_and_keep_the_phase()
    {
        var bench = Bench(0x20040);
        bench.Apic.Write32(0x380, 4);
        bench.Clock.Charge(4_000_001 * Tick);
        bench.Clock.RunDue();
        Assert.True(Took(bench));
        Assert.Equal(3u, bench.Apic.Read32(0x390));
        bench.Clock.Pass(3 * Tick);
        Assert.True(Took(bench));

        // One event per period would take hours here.
        bench.Clock.Charge(1ul << 52);
        bench.Clock.RunDue();
        Assert.True(Took(bench));
        Assert.True(bench.Clock.NextDue - bench.Clock.Now <= 4 * Tick);
    }

    [Theory]
    [InlineData(0x0u, 2u)]
    [InlineData(0x1u, 4u)]
    [InlineData(0x2u, 8u)]
    [InlineData(0x3u, 16u)]
    [InlineData(0x8u, 32u)]
    [InlineData(0x9u, 64u)]
    [InlineData(0xAu, 128u)]
    [InlineData(0xBu, 1u)]
    public void Divide_configuration(uint code, uint divisor)
    {
        var bench = Bench(0x40, code);
        bench.Apic.Write32(0x380, 100);
        bench.Clock.Pass(50 * divisor * Tick);
        Assert.Equal(50u, bench.Apic.Read32(0x390));
        Assert.Equal(code, bench.Apic.Read32(0x3E0));
    }

    [Fact]
    public void A_new_divisor_goes_on_from_the_present_count()
    {
        var bench = Bench(0x40, 0xB);
        bench.Apic.Write32(0x380, 100);
        bench.Clock.Pass(60 * Tick);
        bench.Apic.Write32(0x3E0, 0);
        Assert.Equal(40u, bench.Apic.Read32(0x390));
        bench.Clock.Pass(80 * Tick);
        Assert.True(Took(bench));
    }

    [Fact]
    public void A_change_between_one_shot_and_periodic_keeps_the_count()
    {
        var bench = Bench(0x40);
        bench.Apic.Write32(0x380, 10);
        bench.Clock.Pass(6 * Tick);
        bench.Apic.Write32(0x320, 0x20040);
        Assert.Equal(4u, bench.Apic.Read32(0x390));
        bench.Clock.Pass(4 * Tick);
        Assert.True(Took(bench));
        Assert.Equal(10u, bench.Apic.Read32(0x390));
        bench.Apic.Write32(0x320, 0x40);
        bench.Clock.Pass(10 * Tick);
        Assert.True(Took(bench));
        bench.Apic.Write32(0x320, 0x20040);
        Assert.Equal(0u, bench.Apic.Read32(0x390));
    }

    [Fact]
    public void Zero_stops_the_timer()
    {
        var bench = Bench(0x40);
        bench.Apic.Write32(0x380, 10);
        bench.Apic.Write32(0x380, 0);
        Assert.Equal(ulong.MaxValue, bench.Clock.NextDue);
    }

    [Fact]
    public void A_masked_timer_counts_silently()
    {
        var bench = Bench(0x10040);
        bench.Apic.Write32(0x380, 10);
        bench.Clock.Pass(10 * Tick);
        Assert.False(Took(bench));
        Assert.Equal(0u, bench.Apic.Read32(0x390));
    }

    [Fact]
    public void A_deadline_rings_at_that_TSC_and_disarms()
    {
        var bench = Bench(0x40040);
        bench.Apic.TryWriteMsr(0x6E0, 5000);
        Assert.Equal(5000ul, bench.Msr(0x6E0));
        Assert.Equal(0u, bench.Apic.Read32(0x390));
        bench.Clock.Pass(4999);
        Assert.False(Took(bench));
        bench.Clock.Pass(1);
        Assert.True(Took(bench));
        Assert.Equal(0ul, bench.Msr(0x6E0));
    }

    [Fact]
    public void A_deadline_in_the_past_rings_at_once()
    {
        var bench = Bench(0x40040);
        bench.Clock.Pass(5000);
        bench.Apic.TryWriteMsr(0x6E0, 5000);
        Assert.True(Took(bench));
        Assert.Equal(0ul, bench.Msr(0x6E0));
    }

    [Fact]
    public void A_deadline_of_zero_disarms_and_one_beyond_time_never_rings()
    {
        var bench = Bench(0x40040);
        bench.Apic.TryWriteMsr(0x6E0, 5000);
        bench.Apic.TryWriteMsr(0x6E0, 0);
        Assert.Equal(ulong.MaxValue, bench.Clock.NextDue);
        bench.Clock.Pass(10);
        bench.Apic.TryWriteMsr(0x6E0, ulong.MaxValue);
        Assert.True(bench.Clock.NextDue > 1ul << 63);
    }

    [Fact]
    public void The_deadline_is_a_guest_TSC_value()
    {
        var bench = Bench(0x40040);
        bench.Apic.TscOffset = 1_000_000;
        bench.Apic.TryWriteMsr(0x6E0, 1_000_500);
        bench.Clock.Pass(499);
        Assert.False(Took(bench));
        bench.Apic.TscOffset = 1_000_001;
        Assert.True(Took(bench));
    }

    [Fact]
    public void The_deadline_register_is_dead_in_the_other_modes_and_the_count_in_this_one()
    {
        var bench = Bench(0x40);
        bench.Apic.TryWriteMsr(0x6E0, 5000);
        Assert.Equal(0ul, bench.Msr(0x6E0));
        bench.Apic.Write32(0x380, 7);
        bench.Apic.Write32(0x320, 0x40040);
        Assert.Equal(ulong.MaxValue, bench.Clock.NextDue);
        bench.Apic.Write32(0x380, 7);
        Assert.Equal(0u, bench.Apic.Read32(0x380));
        bench.Apic.TryWriteMsr(0x6E0, 5000);
        bench.Apic.Write32(0x320, 0x40);
        Assert.Equal(0ul, bench.Msr(0x6E0));
        Assert.Equal(ulong.MaxValue, bench.Clock.NextDue);
    }

    [Fact]
    public void A_snapshot_carries_every_register_and_the_running_timer() =>
        SnapshotContract.Holds(
            () => new ApicBench(2),
            bench => bench.Apic,
            bench =>
            {
                bench.Enabled();
                bench.Apic.Write32(0x320, 0x20041);
                bench.Apic.Write32(0x3E0, 0xA);
                bench.Apic.Write32(0x380, 1000);
                bench.Apic.Write32(0x350, 0x8044);
                bench.Apic.Write32(0xD0, 0x0100_0000);
                bench.Msi(0x52, data: 0xC000);
                bench.Apic.Acknowledge();
                bench.Msi(0x31);
                bench.Msi(0x03);
                bench.Bus.Lint0.Set(true);
                bench.Apic.TaskPriority = 0x20;
            },
            bench =>
            {
                bench.Enabled();
                bench.Apic.Write32(0x320, 0x40);
                bench.Apic.Write32(0x380, 5);
                bench.Msi(0x99);
            },
            bench =>
            {
                var log = "";
                for (var i = 0; i < 6; i++)
                {
                    bench.Clock.Pass(40_000 * Tick);
                    log += bench.Core.Intr ? $"{bench.Apic.Acknowledge():x} " : "- ";
                    bench.Apic.Write32(0xB0, 0);
                    log += $"{bench.Apic.Read32(0x390)} {bench.Core.Intr};";
                }

                bench.Apic.Write32(0x280, 0);
                return log + bench.Apic.Read32(0x280);
            });
}
