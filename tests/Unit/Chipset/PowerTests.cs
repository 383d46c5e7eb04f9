using Vmm.Chipset;
using Vmm.Platform.Bus;
using Vmm.Platform.Time;
using Xunit;

namespace Vmm.Unit.Chipset;

public class PowerTests
{
    const ulong Tick = 3;

    readonly VirtualClock clock = new(3_579_545 * Tick);
    readonly TestLine sci = new();
    readonly TestPower power = new();
    readonly AcpiPm pm;

    public PowerTests()
        : this(new())
    {
    }

    PowerTests(AcpiPmOptions options) => pm = new(clock, sci, power, options);

    [Fact]
    public void Linux_powers_off_through_PM1_control()
    {
        pm.Ports.Write16(4, 0x0001);
        Assert.Empty(power.Events);
        pm.Ports.Write16(4, 0x2001);
        Assert.Equal(["off"], power.Events);
        Assert.Equal(0x0001, pm.Ports.Read16(4));
    }

    [Fact]
    public void Only_the_sleep_type_of_S5_powers_off()
    {
        var bench = new PowerTests(new() { SoftOffType = 5 });
        bench.pm.Ports.Write16(4, 0x2001);
        bench.pm.Ports.Write16(4, 0x1401);
        Assert.Empty(bench.power.Events);
        bench.pm.Ports.Write16(4, 0x3401);
        Assert.Equal(["off"], bench.power.Events);
    }

    [Fact]
    public void The_power_button_raises_SCI_until_its_status_is_cleared()
    {
        pm.PressPowerButton();
        Assert.False(sci.Level);
        pm.Ports.Write16(2, 0xFFFF);
        Assert.Equal(0x0721, pm.Ports.Read16(2));
        Assert.True(sci.Level);
        pm.Ports.Write16(0, 0x0100);
        Assert.False(sci.Level);
        pm.PressSleepButton();
        Assert.Equal(0x0200, pm.Ports.Read16(0) & 0x0300);
        pm.Ports.Write16(4, 0);
        Assert.False(sci.Level);
    }

    [Fact]
    public void General_purpose_events_raise_SCI()
    {
        pm.RaiseGpe(9);
        pm.Ports.Write8(0x29, 0x02);
        Assert.True(sci.Level);
        Assert.Equal(0x02, pm.Ports.Read8(0x21));
        pm.Ports.Write8(0x21, 0x02);
        Assert.False(sci.Level);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void The_timer_counts_at_3579545_Hz_and_wraps(bool extended)
    {
        var bench = new PowerTests(new() { ExtendedTimer = extended });
        bench.clock.Pass(1000 * Tick);
        Assert.Equal(1000u, bench.pm.Ports.Read32(8));
        bench.clock.Pass((1 << 24) * Tick);
        Assert.Equal(extended ? (1u << 24) + 1000 : 1000, bench.pm.Ports.Read32(8));
        Assert.Equal(0x03, bench.pm.Ports.Read8(9));
    }

    [Fact]
    public void A_carry_sets_timer_status_and_SCI()
    {
        var bench = new PowerTests(new() { ExtendedTimer = false });
        bench.pm.Ports.Write16(2, 1);
        bench.clock.Pass((1 << 23) * Tick - 1);
        Assert.False(bench.sci.Level);
        bench.clock.Pass(1);
        Assert.True(bench.sci.Level);
        bench.pm.Ports.Write16(0, 1);
        Assert.False(bench.sci.Level);
        bench.clock.Pass((1 << 23) * Tick);
        Assert.True(bench.sci.Level);
        bench.pm.Ports.Write16(2, 0);
        bench.pm.Ports.Write16(0, 1);
        bench.clock.Pass((1 << 23) * Tick);
        Assert.Equal(1, bench.pm.Ports.Read16(0));
    }

    [Fact]
    public void A_processor_whose_time_is_behind_sees_no_second_carry()
    {
        clock.SwitchTo((1ul << 31) * Tick);
        pm.Ports.Write16(0, 1);
        clock.SwitchTo(((1ul << 31) - 5) * Tick);
        Assert.Equal(0, pm.Ports.Read16(0));
        clock.SwitchTo((1ul << 31) * Tick);
        Assert.Equal(0, pm.Ports.Read16(0));
    }

    [Fact]
    public void Ports_without_a_register_read_zero()
    {
        pm.Ports.Write32(0x30, 0xFFFF_FFFF);
        Assert.Equal(0u, pm.Ports.Read32(0x30));
    }

    [Fact]
    public void A_snapshot_carries_status_enables_and_the_timer_event() =>
        SnapshotContract.Holds(
            () => new PowerTests(new() { ExtendedTimer = false }),
            bench => bench.pm,
            bench =>
            {
                bench.pm.Ports.Write16(2, 0x101);
                bench.pm.RaiseGpe(40);
                bench.pm.PressSleepButton();
            },
            bench => bench.pm.PressPowerButton(),
            bench =>
            {
                bench.clock.Pass((1 << 23) * Tick);
                return $"{bench.sci.Level} {bench.pm.Ports.Read16(0):x} {bench.pm.Ports.Read8(0x25):x}";
            });

    [Fact]
    public void Port_CF9_resets_on_bit_2_and_keeps_the_kind()
    {
        var reset = new ResetControl(power);
        reset.Write8(1, 0x02);
        Assert.Empty(power.Events);
        reset.Write8(1, 0x06);
        Assert.Equal(["reset ResetControl"], power.Events);
        Assert.Equal(0x02, reset.Read8(1));
        Assert.Equal(IoResult.Unclaimed, reset.Write(0, [6]));
        Assert.Equal(IoResult.Unclaimed, reset.Read(1, new byte[2]));
        SnapshotContract.Holds(
            () => new ResetControl(power), static r => r, static r => r.Write8(1, 8), static r => r.Write8(1, 2), static r => $"{r.Read8(1)}");
    }

    [Fact]
    public void The_keyboard_controller_pulses_reset()
    {
        var keyboard = new KeyboardController(power);
        keyboard.CommandPort.Write8(0, 0xFF);
        Assert.Empty(power.Events);
        keyboard.CommandPort.Write8(0, 0xFE);
        keyboard.CommandPort.Write8(0, 0xD1);
        keyboard.DataPort.Write8(0, 0x02);
        Assert.Equal(["reset KeyboardController", "reset KeyboardController"], power.Events);
    }

    [Fact]
    public void The_keyboard_controller_answers_those_who_probe_it()
    {
        var keyboard = new KeyboardController(power);
        Assert.Equal(0x14, keyboard.CommandPort.Read8(0));
        keyboard.CommandPort.Write8(0, 0xAA);
        Assert.Equal(0x1D, keyboard.CommandPort.Read8(0));
        Assert.Equal(0x55, keyboard.DataPort.Read8(0));
        Assert.Equal(0, keyboard.CommandPort.Read8(0) & 3);
        keyboard.CommandPort.Write8(0, 0x60);
        keyboard.DataPort.Write8(0, 0x47);
        keyboard.CommandPort.Write8(0, 0x20);
        Assert.Equal(0x47, keyboard.DataPort.Read8(0));
        keyboard.CommandPort.Write8(0, 0xD0);
        Assert.Equal(0x03, keyboard.DataPort.Read8(0));
        keyboard.CommandPort.Write8(0, 0xD1);
        keyboard.DataPort.Write8(0, 0x01);
        keyboard.CommandPort.Write8(0, 0xD0);
        Assert.Equal(0x01, keyboard.DataPort.Read8(0));
        keyboard.DataPort.Write8(0, 0xFF);
        Assert.Equal(0x41, keyboard.CommandPort.Read8(0) & 0x41);
        Assert.Equal(0xFE, keyboard.DataPort.Read8(0));
        SnapshotContract.Holds(
            () => new KeyboardController(power),
            static k => k,
            static k => k.CommandPort.Write8(0, 0xD2),
            static k => k.CommandPort.Write8(0, 0xAA),
            static k =>
            {
                k.DataPort.Write8(0, 0x5A);
                return $"{k.CommandPort.Read8(0)} {k.DataPort.Read8(0)}";
            });
    }

    [Fact]
    public void Port_92_resets_when_bit_0_rises()
    {
        var port = new SystemControlPortA(power);
        Assert.Equal(2, port.Ports.Read8(0));
        port.Ports.Write8(0, 3);
        port.Ports.Write8(0, 3);
        Assert.Equal(["reset FastReset"], power.Events);
        SnapshotContract.Holds(
            () => new SystemControlPortA(power), static p => p, static p => p.Ports.Write8(0, 0), static p => p.Ports.Write8(0, 3), static p => $"{p.Ports.Read8(0)}");
    }
}
