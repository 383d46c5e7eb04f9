using Vmm.Chipset;
using Vmm.Platform.Time;
using Xunit;

namespace Vmm.Unit.Chipset;

public class PitTests
{
    const ulong Tick = 10;

    readonly VirtualClock clock = new(Pit.Hertz * Tick);
    readonly TestLine irq = new();
    readonly Pit pit;

    public PitTests() => pit = new(clock, irq);

    void Program(int counter, int mode, ushort count, bool bcd = false)
    {
        pit.Ports.Write8(3, (byte)(counter << 6 | 0x30 | mode << 1 | (bcd ? 1 : 0)));
        pit.Ports.Write8((ulong)counter, (byte)count);
        pit.Ports.Write8((ulong)counter, (byte)(count >> 8));
    }

    ushort Count(int counter)
    {
        pit.Ports.Write8(3, (byte)(counter << 6));
        return (ushort)(pit.Ports.Read8((ulong)counter) | pit.Ports.Read8((ulong)counter) << 8);
    }

    byte Status(int counter)
    {
        pit.Ports.Write8(3, (byte)(0xE0 | 2 << counter));
        return pit.Ports.Read8((ulong)counter);
    }

    bool Out2 => (pit.SystemControlPortB.Read8(0) & 0x20) != 0;

    /// <summary>OUT of counter 2 after each of the next clocks.</summary>
    string Shape(int clocks)
    {
        var shape = "";
        for (var i = 0; i < clocks; i++)
        {
            clock.Pass(Tick);
            shape += Out2 ? '-' : '_';
        }

        return shape;
    }

    [Fact]
    public void Mode_0_raises_the_output_one_clock_after_the_count_ran_out()
    {
        pit.SystemControlPortB.Write8(0, 1);
        Program(2, 0, 4);
        Assert.Equal("____----", Shape(8));
        Assert.Equal(0x10000 - 3, Count(2));
    }

    [Fact]
    public void Mode_0_stops_on_the_first_byte_of_a_new_count_and_while_the_gate_is_low()
    {
        pit.SystemControlPortB.Write8(0, 1);
        Program(2, 0, 10);
        clock.Pass(4 * Tick);
        Assert.Equal(7, Count(2));
        pit.SystemControlPortB.Write8(0, 0);
        clock.Pass(100 * Tick);
        Assert.Equal(7, Count(2));
        pit.SystemControlPortB.Write8(0, 1);
        clock.Pass(2 * Tick);
        Assert.Equal(5, Count(2));
        pit.Ports.Write8(2, 3);
        clock.Pass(100 * Tick);
        Assert.False(Out2);
        pit.Ports.Write8(2, 0);
        Assert.Equal("___-", Shape(4));
    }

    [Fact]
    public void Mode_1_is_a_retriggerable_shot()
    {
        Program(2, 1, 3);
        Assert.Equal("---", Shape(3));
        pit.SystemControlPortB.Write8(0, 1);
        Assert.Equal("___--", Shape(5));
        pit.SystemControlPortB.Write8(0, 0);
        pit.SystemControlPortB.Write8(0, 1);
        Assert.Equal("__", Shape(2));
        pit.SystemControlPortB.Write8(0, 0);
        pit.SystemControlPortB.Write8(0, 1);
        Assert.Equal("__-", Shape(3));
    }

    [Fact]
    public void Mode_2_goes_low_for_the_last_clock_of_each_period()
    {
        pit.SystemControlPortB.Write8(0, 1);
        Program(2, 2, 4);
        Assert.Equal("---_---_---_", Shape(12));
        pit.SystemControlPortB.Write8(0, 0);
        Assert.Equal("------", Shape(6));
        pit.SystemControlPortB.Write8(0, 1);
        Assert.Equal("---_", Shape(4));
    }

    [Fact]
    public void Mode_2_takes_a_new_count_at_the_end_of_the_period()
    {
        pit.SystemControlPortB.Write8(0, 1);
        Program(2, 2, 4);
        Assert.Equal("---_--", Shape(6));
        pit.Ports.Write8(2, 2);
        pit.Ports.Write8(2, 0);
        Assert.Equal(0x40, Status(2) & 0x40);
        Assert.Equal("-_-_-_", Shape(6));
        Assert.Equal(0, Status(2) & 0x40);
    }

    [Fact]
    public void Mode_3_is_square_and_odd_counts_are_high_one_clock_longer()
    {
        pit.SystemControlPortB.Write8(0, 1);
        Program(2, 3, 4);
        Assert.Equal("--__--__", Shape(8));
        Program(2, 3, 5);
        Assert.Equal("---__---__", Shape(10));
    }

    [Fact]
    public void Mode_3_counts_by_two()
    {
        pit.SystemControlPortB.Write8(0, 1);
        Program(2, 3, 8);
        clock.Pass(Tick);
        Assert.Equal(8, Count(2));
        clock.Pass(Tick);
        Assert.Equal(6, Count(2));
        clock.Pass(3 * Tick);
        Assert.Equal(8, Count(2));
    }

    [Fact]
    public void Mode_3_takes_a_new_count_at_the_end_of_the_half()
    {
        pit.SystemControlPortB.Write8(0, 1);
        Program(2, 3, 8);
        Assert.Equal("--", Shape(2));
        pit.Ports.Write8(2, 4);
        pit.Ports.Write8(2, 0);
        Assert.Equal("--__--__", Shape(8));
    }

    [Fact]
    public void Modes_4_and_5_strobe_once()
    {
        pit.SystemControlPortB.Write8(0, 1);
        Program(2, 4, 3);
        Assert.Equal("---_----", Shape(8));
        Program(2, 5, 3);
        Assert.Equal("--------", Shape(8));
        pit.SystemControlPortB.Write8(0, 0);
        pit.SystemControlPortB.Write8(0, 1);
        Assert.Equal("---_----", Shape(8));
    }

    [Fact]
    public void BCD_counts_in_decimal()
    {
        pit.SystemControlPortB.Write8(0, 1);
        Program(2, 0, 0x1000, bcd: true);
        clock.Pass(2 * Tick);
        Assert.Equal(0x0999, Count(2));
        Program(2, 2, 0, bcd: true);
        clock.Pass(2 * Tick);
        Assert.Equal(0x9999, Count(2));
    }

    [Fact]
    public void A_latched_count_stays_until_it_is_read()
    {
        Program(0, 2, 1000);
        clock.Pass(11 * Tick);
        pit.Ports.Write8(3, 0);
        clock.Pass(100 * Tick);
        pit.Ports.Write8(3, 0);
        Assert.Equal(990 & 0xFF, pit.Ports.Read8(0));
        Assert.Equal(990 >> 8, pit.Ports.Read8(0));
        Assert.Equal(890 & 0xFF, pit.Ports.Read8(0));
    }

    [Fact]
    public void Read_back_gives_status_then_count()
    {
        Program(0, 2, 1000);
        clock.Pass(11 * Tick);
        pit.Ports.Write8(3, 0xC2);
        Assert.Equal(0xB4, pit.Ports.Read8(0));
        Assert.Equal(990 & 0xFF, pit.Ports.Read8(0));
        Assert.Equal(990 >> 8, pit.Ports.Read8(0));
        pit.Ports.Write8(3, 0x34);
        Assert.Equal(0xF4, Status(0));
    }

    [Fact]
    public void Single_byte_access_modes_read_and_write_one_half()
    {
        pit.Ports.Write8(3, 0x14);
        pit.Ports.Write8(0, 0x80);
        clock.Pass(Tick);
        Assert.Equal(0x80, pit.Ports.Read8(0));
        Assert.Equal(0x80, pit.Ports.Read8(0));
        pit.Ports.Write8(3, 0x24);
        pit.Ports.Write8(0, 0x12);
        clock.Pass(Tick);
        Assert.Equal(0x12, pit.Ports.Read8(0));
    }

    [Fact]
    public void Counter_0_interrupts_once_a_period()
    {
        Program(0, 2, 1000);
        clock.Pass(10_005 * Tick);
        Assert.Equal(11, irq.Rises);
        Program(0, 3, 1000);
        clock.Pass(10_005 * Tick);
        Assert.Equal(21, irq.Rises);
    }

    [Fact]
    public void Counter_0_interrupts_once_in_mode_0()
    {
        Program(0, 0, 100);
        clock.Pass(100 * Tick);
        Assert.False(irq.Level);
        clock.Pass(Tick);
        Assert.True(irq.Level);
        clock.Pass(1_000_000 * Tick);
        Assert.Equal(1, irq.Rises - 1);
    }

    [Fact]
    public void A_leap_over_many_periods_costs_one_event_and_makes_one_edge()
    {
        Program(0, 2, 2);
        clock.Pass(3 * Tick);
        var rises = irq.Rises;
        clock.Charge(100_000_001 * Tick);
        clock.RunDue();
        Assert.InRange(irq.Rises - rises, 1, 2);
    }

    [Fact]
    public void A_processor_whose_time_is_behind_makes_no_edge()
    {
        Program(0, 2, 10);
        clock.Pass(25 * Tick);
        pit.SystemControlPortB.Write8(0, 0);
        var rises = irq.Rises;
        clock.SwitchTo(20 * Tick);
        pit.SystemControlPortB.Write8(0, 0);
        clock.SwitchTo(25 * Tick);
        pit.SystemControlPortB.Write8(0, 0);
        Assert.Equal(rises, irq.Rises);
    }

    [Theory]
    [InlineData(2)]
    [InlineData(3)]
    public void A_count_of_one_neither_hangs_nor_interrupts(int mode)
    {
        Program(0, mode, 1);
        clock.Pass(1000 * Tick);
        Assert.InRange(irq.Rises, 0, 1);
    }

    [Fact]
    public void The_refresh_bit_toggles_every_15_microseconds()
    {
        var toggles = 0;
        var before = pit.SystemControlPortB.Read8(0) & 0x10;
        for (var i = 0; i < 1800; i++)
        {
            clock.Pass(Tick);
            var now = pit.SystemControlPortB.Read8(0) & 0x10;
            toggles += now == before ? 0 : 1;
            before = now;
        }

        Assert.Equal(100, toggles);
        pit.SystemControlPortB.Write8(0, 0xFF);
        Assert.Equal(0x0F, pit.SystemControlPortB.Read8(0) & 0xCF);
    }

    [Fact]
    public void A_snapshot_carries_counters_latches_and_phase() =>
        SnapshotContract.Holds(
            () => new PitTests(),
            bench => bench.pit,
            bench =>
            {
                bench.clock.Pass(5 * Tick);
                bench.Program(0, 2, 100);
                bench.pit.SystemControlPortB.Write8(0, 1);
                bench.Program(2, 3, 30);
                bench.clock.Pass(37 * Tick);
                bench.pit.Ports.Write8(2, 20);
                bench.pit.Ports.Write8(2, 0);
                bench.pit.Ports.Write8(3, 0xC2);
                bench.pit.Ports.Write8(0, 50);
            },
            bench => bench.Program(0, 3, 9),
            bench =>
            {
                var log = "";
                bench.clock.SwitchTo(42 * Tick);
                bench.pit.Ports.Write8(3, 0x00);
                bench.pit.Ports.Write8(0, 0);
                var rises = bench.irq.Rises;
                for (var i = 0; i < 10; i++)
                {
                    bench.clock.Pass(33 * Tick);
                    log += $"{bench.pit.Ports.Read8(0)} {bench.Out2} {bench.Count(2)} {bench.irq.Level};";
                }

                return log;
            });
}
