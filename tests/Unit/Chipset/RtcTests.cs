using Vmm.Chipset;
using Vmm.Platform.Time;
using Xunit;

namespace Vmm.Unit.Chipset;

public class RtcTests
{
    const ulong Second = 32_768 * 100;

    /// <summary>2024-02-28 23:59:58, a Wednesday before a leap day.</summary>
    const long Epoch = 1_709_164_798;

    readonly VirtualClock clock = new(Second);
    readonly TestLine irq = new();
    readonly Rtc rtc;

    public RtcTests() => rtc = new(clock, irq, new()
    {
        Epoch = Epoch,
        MemoryBelow4G = 3ul << 30,
        MemoryAbove4G = 5ul << 30,
        Processors = 4,
    });

    byte this[int index]
    {
        get
        {
            rtc.Ports.Write8(0, (byte)index);
            return rtc.Ports.Read8(1);
        }

        set
        {
            rtc.Ports.Write8(0, (byte)index);
            rtc.Ports.Write8(1, value);
        }
    }

    string Time => $"{this[0x32]:x2}{this[9]:x2}-{this[8]:x2}-{this[7]:x2} {this[4]:x2}:{this[2]:x2}:{this[0]:x2} {this[6]}";

    [Fact]
    public void Time_is_the_epoch_plus_virtual_time_and_rolls_over_dates()
    {
        Assert.Equal("2024-02-28 23:59:58 4", Time);
        clock.Pass(2 * Second);
        Assert.Equal("2024-02-29 00:00:00 5", Time);
        clock.Pass(86_400 * Second);
        Assert.Equal("2024-03-01 00:00:00 6", Time);
        clock.Pass(306ul * 86_400 * Second);
        Assert.Equal("2025-01-01 00:00:00 4", Time);
    }

    [Fact]
    public void Calendar_and_seconds_agree_with_the_framework_over_four_centuries()
    {
        var from = new DateTime(1900, 1, 1, 0, 0, 0, DateTimeKind.Utc);
        for (var day = 0; day < 146_097; day += 13)
        {
            var date = from.AddDays(day);
            var seconds = (long)(date - DateTime.UnixEpoch).TotalSeconds;
            Assert.Equal(seconds, CivilTime.ToSeconds(date.Year, date.Month, date.Day, 0, 0, 0));
            Assert.Equal((date.Year, date.Month, date.Day), CivilTime.FromDays((long)(date - DateTime.UnixEpoch).TotalDays));
        }
    }

    [Fact]
    public void Binary_and_12_hour_formats()
    {
        this[11] = 0x06;
        Assert.Equal(23, this[4]);
        Assert.Equal(58, this[0]);
        this[11] = 0x00;
        Assert.Equal(0x91, this[4]);
        clock.Pass(2 * Second);
        Assert.Equal(0x12, this[4]);
        this[11] = 0x04;
        clock.Pass(12 * 3600 * Second);
        Assert.Equal(0x8C, this[4]);
    }

    [Fact]
    public void SET_freezes_the_registers_while_they_are_written()
    {
        this[11] = 0x82;
        clock.Pass(10 * Second);
        Assert.Equal(0x58, this[0]);
        this[9] = 0x30;
        this[8] = 0x12;
        this[7] = 0x31;
        this[4] = 0x10;
        this[2] = 0x20;
        this[0] = 0x30;
        this[6] = 3;
        this[11] = 0x02;
        Assert.Equal("2030-12-31 10:20:30 3", Time);
        clock.Pass(Second);
        Assert.Equal("2030-12-31 10:20:31 3", Time);
        clock.Pass(86_400 * Second);
        Assert.Equal("2031-01-01 10:20:31 4", Time);
    }

    [Fact]
    public void A_running_clock_takes_single_registers()
    {
        this[0] = 0x10;
        this[0x37] = 0x19;
        Assert.Equal("1924-02-28 23:59:10 4", Time);
    }

    [Theory]
    [InlineData(0xFF)]
    [InlineData(0x9F)]
    [InlineData(0x00)]
    public void Nonsense_in_the_time_registers_harms_nobody(byte value)
    {
        foreach (var mode in new byte[] { 0x00, 0x02, 0x04, 0x06 })
        {
            this[11] = (byte)(mode | 0xF0);
            for (var i = 0; i < 10; i++)
            {
                this[i] = value;
            }

            this[0x32] = value;
            this[11] = (byte)(mode | 0x70);
            clock.Pass(3 * Second);
            Assert.NotEqual("", Time);
        }
    }

    [Fact]
    public void UIP_is_up_for_the_last_244_microseconds_of_a_second()
    {
        clock.Pass(Second - 9 * 100);
        Assert.Equal(0x26, this[10]);
        clock.Pass(100);
        Assert.Equal(0xA6, this[10]);
        clock.Pass(800);
        Assert.Equal(0x26, this[10]);
    }

    [Fact]
    public void The_periodic_interrupt_runs_at_the_selected_rate_and_C_acknowledges()
    {
        this[11] = 0x42;
        var taken = 0;
        for (var i = 0; i < 2048; i++)
        {
            clock.Pass(Second / 2048);
            if (irq.Level)
            {
                Assert.Equal(0xC0, this[12] & 0xC0);
                Assert.False(irq.Level);
                taken++;
            }
        }

        Assert.Equal(1024, taken);
        this[10] = 0x2F;
        clock.Pass(5 * Second);
        Assert.Equal(0xC0, this[12] & 0xC0);
    }

    [Fact]
    public void Flags_are_set_without_their_interrupts_enabled()
    {
        clock.Pass(2 * Second);
        Assert.Equal(0x70, this[12]);
        Assert.Equal(0, this[12]);
        Assert.Equal(ulong.MaxValue, clock.NextDue);
    }

    [Fact]
    public void The_update_ended_interrupt_comes_with_each_second()
    {
        this[11] = 0x12;
        clock.Pass(Second - 1);
        Assert.False(irq.Level);
        clock.Pass(1);
        Assert.True(irq.Level);
        Assert.Equal(0x90, this[12] & 0x90);
        clock.Pass(Second);
        Assert.True(irq.Level);
        this[11] = 0x92;
        Assert.False(irq.Level);
        Assert.Equal(0x82, this[11]);
    }

    [Theory]
    [InlineData(0x00, 0x00, 0x05, 7)]
    [InlineData(0xFF, 0xFF, 0x03, 5)]
    [InlineData(0xFF, 0x02, 0xC0, 122)]
    [InlineData(0x23, 0x59, 0x59, 1)]
    [InlineData(0x23, 0x59, 0x58, 86_400)]
    [InlineData(0xFF, 0xFF, 0xFF, 1)]
    public void The_alarm_rings_at_the_next_match(byte hour, byte minute, byte second, int wait)
    {
        (this[5], this[3], this[1]) = (hour, minute, second);
        this[11] = 0x22;
        clock.Pass((ulong)wait * Second - 1);
        Assert.False(irq.Level);
        clock.Pass(1);
        Assert.True(irq.Level);
        Assert.Equal(0xA0, this[12] & 0xA0);
    }

    [Fact]
    public void An_impossible_alarm_never_rings()
    {
        this[1] = 0x75;
        this[11] = 0x22;
        Assert.Equal(ulong.MaxValue, clock.NextDue);
    }

    [Fact]
    public void Releasing_the_divider_starts_half_a_second_before_the_first_update()
    {
        this[10] = 0x76;
        clock.Pass(3 * Second + 12345);
        Assert.Equal(0x58, this[0]);
        this[10] = 0x26;
        clock.Pass(Second / 2 - 1);
        Assert.Equal(0x58, this[0]);
        clock.Pass(1);
        Assert.Equal(0x59, this[0]);
    }

    [Fact]
    public void CMOS_tells_memory_size_and_processor_count()
    {
        Assert.Equal(640, this[0x15] | this[0x16] << 8);
        Assert.Equal(0xFFFF, this[0x17] | this[0x18] << 8);
        Assert.Equal(0xFFFF, this[0x30] | this[0x31] << 8);
        Assert.Equal((3072 - 16) * 16, this[0x34] | this[0x35] << 8);
        Assert.Equal(5 * 1024 * 16, this[0x5B] | this[0x5C] << 8 | this[0x5D] << 16);
        Assert.Equal(3, this[0x5F]);
        Assert.Equal(0x80, this[13]);
        this[0x0F] = 0x0A;
        Assert.Equal(0x0A, this[0x0F]);
        Assert.Equal(0xFF, rtc.Ports.Read8(0));
    }

    [Fact]
    public void Reset_keeps_time_and_memory_and_drops_interrupts()
    {
        this[0x0F] = 0x0A;
        this[11] = 0x72;
        clock.Pass(2 * Second);
        rtc.Reset();
        Assert.False(irq.Level);
        Assert.Equal(0x02, this[11]);
        Assert.Equal(0x0A, this[0x0F]);
        Assert.Equal("2024-02-29 00:00:00 5", Time);
    }

    [Fact]
    public void A_snapshot_carries_memory_time_and_alarms() =>
        SnapshotContract.Holds(
            () => new RtcTests(),
            bench => bench.rtc,
            bench =>
            {
                bench[0] = 0x20;
                bench[6] = 2;
                (bench[5], bench[3], bench[1]) = (0xFF, 0xFF, 0x23);
                bench[0x50] = 0x99;
                bench[10] = 0x2E;
                bench[11] = 0x72;
            },
            bench => bench[0x50] = 1,
            bench =>
            {
                var log = "";
                for (var i = 0; i < 30; i++)
                {
                    bench.clock.Pass(Second / 8);
                    log += $"{bench.irq.Level} {bench[12]:x} {bench.Time};";
                }

                return log;
            });
}
