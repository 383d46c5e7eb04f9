using Vmm.Chipset;
using Vmm.Platform.Interrupts;
using Vmm.Platform.Time;
using Xunit;

namespace Vmm.Unit.Chipset;

public class HpetTests
{
    const ulong Tick = 7;

    readonly VirtualClock clock = new(Hpet.Hertz * Tick);
    readonly TestLine[] lines = [.. Enumerable.Range(0, 24).Select(static _ => new TestLine())];
    readonly TestLine irq0 = new(), irq8 = new();
    readonly Hpet hpet;

    public HpetTests() => hpet = new(clock, lines, irq0, irq8);

    ulong this[ulong offset]
    {
        get
        {
            var data = new byte[8];
            hpet.Read(offset, data);
            return BitConverter.ToUInt64(data);
        }

        set => hpet.Write(offset, BitConverter.GetBytes(value));
    }

    [Fact]
    public void Capabilities_say_three_timers_64_bits_and_the_period_of_the_ICH()
    {
        Assert.Equal(0x0429_B17F_8086_A201ul, this[0]);
        Assert.Equal(0x0429_B17Fu, hpet.Read32(4));
        Assert.Equal(0x00F0_0000_0000_0030ul, this[0x100]);
    }

    [Fact]
    public void The_counter_runs_while_enabled_and_is_written_while_halted()
    {
        clock.Pass(100 * Tick);
        Assert.Equal(0ul, this[0xF0]);
        this[0xF0] = 0xFFFF_FFF0;
        this[0x10] = 1;
        clock.Pass(32 * Tick);
        Assert.Equal(0x1_0000_0010ul, this[0xF0]);
        this[0xF0] = 0;
        this[0x10] = 0;
        clock.Pass(100 * Tick);
        Assert.Equal(0x1_0000_0010ul, this[0xF0]);
        Assert.Equal(1u, hpet.Read32(0xF4));
    }

    [Fact]
    public void One_shot_edge()
    {
        this[0x100] = 21 << 9 | 4;
        this[0x108] = 50;
        this[0x10] = 1;
        clock.Pass(50 * Tick - 1);
        Assert.Equal(0, lines[21].Rises);
        clock.Pass(1);
        Assert.Equal(1, lines[21].Rises);
        clock.Pass(10_000 * Tick);
        Assert.Equal(1, lines[21].Rises);
        Assert.Equal(0ul, this[0x20]);
    }

    [Fact]
    public void Periodic_as_Linux_programs_it()
    {
        this[0x10] = 1;
        clock.Pass(5 * Tick);
        hpet.Write32(0x100, 20 << 9 | 0x14C);
        hpet.Write32(0x108, 105);
        hpet.Write32(0x108, 100);
        clock.Pass(100 * Tick);
        Assert.Equal(1, lines[20].Rises);
        clock.Pass(300 * Tick);
        Assert.Equal(4, lines[20].Rises);
        Assert.Equal(505ul, this[0x108]);
        clock.Charge(1_000_050 * Tick);
        clock.RunDue();
        Assert.Equal(5, lines[20].Rises);
        Assert.Equal(1_000_505ul, this[0x108]);
    }

    [Fact]
    public void A_level_interrupt_holds_until_its_status_is_cleared()
    {
        this[0x140] = 23 << 9 | 6;
        this[0x148] = 10;
        this[0x10] = 1;
        clock.Pass(10 * Tick);
        Assert.True(lines[23].Level);
        Assert.Equal(4ul, this[0x20]);
        this[0x20] = 4;
        Assert.False(lines[23].Level);
    }

    [Fact]
    public void A_32_bit_comparator_matches_the_low_half()
    {
        this[0xF0] = 0x1_FFFF_FFF0;
        this[0x120] = 22 << 9 | 0x104;
        this[0x128] = 5;
        this[0x10] = 1;
        clock.Pass(21 * Tick);
        Assert.Equal(1, lines[22].Rises);
    }

    [Fact]
    public void Legacy_replacement_cuts_off_PIT_and_RTC()
    {
        hpet.ReplacePit.Set(true);
        Assert.True(irq0.Level);
        this[0x100] = 4;
        this[0x108] = 10;
        this[0x120] = 4;
        this[0x128] = 20;
        this[0x10] = 3;
        Assert.False(irq0.Level);
        hpet.ReplaceRtc.Set(true);
        Assert.False(irq8.Level);
        clock.Pass(20 * Tick);
        Assert.Equal(2, irq0.Rises);
        Assert.Equal(1, irq8.Rises);
        this[0x10] = 1;
        Assert.True(irq0.Level && irq8.Level);
    }

    [Fact]
    public void Routes_that_are_not_offered_read_back_as_zero()
    {
        this[0x100] = 31 << 9 | 4;
        Assert.Equal(0ul, this[0x100] & 0x3E00);
        Assert.Equal(0ul, this[0x160]);
        Assert.Equal(0ul, this[0x110]);
    }

    [Fact]
    public void A_snapshot_carries_counter_comparators_and_routing() =>
        SnapshotContract.Holds(
            () => new HpetTests(),
            bench => bench.hpet,
            bench =>
            {
                bench[0x100] = 20 << 9 | 0x4C;
                bench[0x108] = 7;
                bench[0x108] = 11;
                bench[0x140] = 23 << 9 | 6;
                bench[0x148] = 30;
                bench[0x10] = 3;
                bench.hpet.ReplaceRtc.Set(true);
            },
            bench => bench[0x128] = 99,
            bench =>
            {
                var log = "";
                for (var i = 0; i < 10; i++)
                {
                    bench.clock.Pass(7 * Tick);
                    log += $"{bench[0xF0]} {bench[0x108]} {bench[0x20]} {bench.irq0.Level} {bench.lines[23].Level};";
                }

                return log;
            });
}
