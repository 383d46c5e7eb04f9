using System.Text;
using Vmm.Chipset;
using Vmm.Platform.Bus;
using Vmm.Platform.Time;
using Xunit;

namespace Vmm.Unit.Chipset;

public class Uart16550Tests
{
    readonly VirtualClock clock = new(1_843_200 * 10);
    readonly TestLine irq = new();
    readonly TestConsole console = new();
    readonly Uart16550 uart;

    public Uart16550Tests()
        : this(UartPacing.Immediate)
    {
    }

    Uart16550Tests(UartPacing pacing)
    {
        uart = new("uart0", clock, irq, console, pacing, 64);
        // 115200 8N1, OUT2.
        Write(3, 0x83);
        Write(0, 1);
        Write(1, 0);
        Write(3, 0x03);
        Write(4, 0x08);
    }

    /// <summary>Ten bits of 16 clocks, 10 cycles each.</summary>
    const ulong CharacterTime = 1600;

    void Write(int port, byte value) => uart.Ports.Write8((ulong)port, value);

    byte Read(int port) => uart.Ports.Read8((ulong)port);

    [Fact]
    public void The_divisor_latch_hides_behind_DLAB()
    {
        Write(1, 0x05);
        Write(3, 0x83);
        Assert.Equal(1, Read(0));
        Assert.Equal(0, Read(1));
        Write(3, 0x03);
        Assert.Equal(5, Read(1));
        Write(7, 0xA5);
        Assert.Equal(0xA5, Read(7));
    }

    [Fact]
    public void Characters_go_out_at_once_and_the_transmitter_is_always_empty()
    {
        foreach (var c in "hello"u8)
        {
            Assert.Equal(0x60, Read(5) & 0x60);
            Write(0, c);
        }

        Assert.Equal("hello", console.Text);
    }

    [Fact]
    public void THRE_interrupts_when_enabled_after_each_write_and_is_cleared_by_IIR()
    {
        Write(1, 2);
        Assert.True(irq.Level);
        Assert.Equal(0x02, Read(2));
        Assert.False(irq.Level);
        Assert.Equal(0x01, Read(2));
        Write(0, (byte)'x');
        Assert.True(irq.Level);
        Assert.Equal(0x02, Read(2));
        Write(1, 0);
        Write(1, 2);
        Assert.True(irq.Level);
    }

    [Fact]
    public void OUT2_gates_the_interrupt_line()
    {
        Write(4, 0);
        Write(1, 2);
        Assert.False(irq.Level);
        Write(4, 8);
        Assert.True(irq.Level);
    }

    [Fact]
    public void Without_FIFO_one_character_waits_and_the_rest_queue()
    {
        Write(1, 1);
        Assert.Equal(2, uart.Receive("ab"u8));
        Assert.True(irq.Level);
        Assert.Equal(0x04, Read(2));
        Assert.Equal((byte)'a', Read(0));
        Assert.True(irq.Level);
        Assert.Equal((byte)'b', Read(0));
        Assert.False(irq.Level);
        Assert.Equal(0, Read(5) & 1);
        Assert.Equal(0, Read(0));
    }

    [Fact]
    public void The_host_queue_is_bounded()
    {
        Assert.Equal(65, uart.Receive(new byte[40]) + uart.Receive(new byte[1000]));
        Read(0);
        Assert.Equal(1, uart.Receive(new byte[5]));
    }

    [Theory]
    [InlineData(0x01, 1)]
    [InlineData(0x41, 4)]
    [InlineData(0x81, 8)]
    [InlineData(0xC1, 14)]
    public void The_trigger_level_decides_when_data_interrupts(byte fcr, int trigger)
    {
        Write(2, fcr);
        Write(1, 1);
        uart.Receive(new byte[trigger - 1]);
        Assert.False(irq.Level);
        uart.Receive(new byte[1]);
        Assert.Equal(0xC4, Read(2));
        Read(0);
        Assert.False(irq.Level);
    }

    [Fact]
    public void Characters_below_the_trigger_time_out_after_four_character_times()
    {
        Write(2, 0xC1);
        Write(1, 1);
        uart.Receive("a"u8);
        clock.Pass(4 * CharacterTime - 1);
        Assert.False(irq.Level);
        clock.Pass(1);
        Assert.Equal(0xCC, Read(2));
        Assert.Equal((byte)'a', Read(0));
        Assert.False(irq.Level);
    }

    [Fact]
    public void Interrupt_sources_are_reported_by_priority()
    {
        Write(2, 0x01);
        Write(1, 0x0F);
        Write(0, 1);
        Write(4, 0x18);
        uart.Receive("a"u8);
        Write(4, 0x08);
        uart.Receive("a"u8);
        uart.ReceiveBreak();
        Assert.Equal(0xC4, Read(2));
        Read(0);
        Read(0);
        Assert.Equal(0xC6, Read(2));
        Assert.Equal(0xF1, Read(5));
        Assert.Equal(0x61, Read(5));
        Assert.Equal(0xC4, Read(2));
        Assert.Equal(0, Read(0));
        Assert.Equal(0xC2, Read(2));
        Assert.Equal(0xC0, Read(2));
        Assert.NotEqual(0, Read(6) & 0x0F);
        Assert.Equal(0xC1, Read(2));
    }

    [Fact]
    public void A_break_arrives_as_a_zero_with_BI()
    {
        Assert.True(uart.ReceiveBreak());
        uart.Receive("h"u8);
        Assert.Equal(0x11, Read(5) & 0x1F);
        Assert.Equal(0, Read(0));
        Assert.Equal(0x01, Read(5) & 0x1F);
        Assert.Equal((byte)'h', Read(0));
    }

    [Fact]
    public void Loopback_returns_characters_and_modem_lines_as_Linux_probes_them()
    {
        Write(4, 0x1A);
        Assert.Equal(0x90, Read(6) & 0xF0);
        Write(0, (byte)'z');
        Assert.Equal("", console.Text);
        Assert.Equal((byte)'z', Read(0));
        uart.Receive("q"u8);
        Assert.Equal(0, Read(5) & 1);
        Write(4, 0x08);
        Assert.Equal((byte)'q', Read(0));
        Assert.Equal(0xB0, Read(6) & 0xF0);
    }

    [Fact]
    public void A_full_FIFO_in_loopback_loses_characters_and_reports_it()
    {
        Write(2, 0x01);
        Write(4, 0x10);
        for (var i = 0; i < 20; i++)
        {
            Write(0, (byte)i);
        }

        Assert.Equal(0x63, Read(5));
        Assert.Equal(0x61, Read(5));
        for (var i = 0; i < 16; i++)
        {
            Assert.Equal(i, Read(0));
        }

        Assert.Equal(0x60, Read(5));
    }

    [Fact]
    public void A_break_sent_in_loopback_comes_back()
    {
        Write(4, 0x10);
        Write(3, 0x43);
        Assert.Equal(0x11, Read(5) & 0x1F);
    }

    [Fact]
    public void FCR_clears_the_receiver()
    {
        Write(2, 0x01);
        uart.Receive("abc"u8);
        Write(2, 0x03);
        Assert.Equal(0, Read(5) & 1);
        Assert.Equal(0xC1, Read(2));
        Write(2, 0x00);
        Assert.Equal(0x01, Read(2));
    }

    [Fact]
    public void At_line_rate_a_character_takes_its_time_out()
    {
        var bench = new Uart16550Tests(UartPacing.LineRate);
        bench.Write(1, 2);
        bench.Read(2);
        bench.Write(0, (byte)'a');
        bench.Write(0, (byte)'b');
        Assert.Equal(0x00, bench.Read(5) & 0x60);
        bench.clock.Pass(CharacterTime);
        Assert.Equal("a", bench.console.Text);
        Assert.Equal(0x20, bench.Read(5) & 0x60);
        Assert.Equal(0x02, bench.Read(2));
        bench.clock.Pass(CharacterTime);
        Assert.Equal("ab", bench.console.Text);
        Assert.Equal(0x60, bench.Read(5) & 0x60);
    }

    [Fact]
    public void At_line_rate_a_slow_guest_overruns()
    {
        var bench = new Uart16550Tests(UartPacing.LineRate);
        bench.uart.Receive("abc"u8);
        Assert.Equal(0, bench.Read(5) & 1);
        bench.clock.Pass(CharacterTime);
        Assert.Equal(0x01, bench.Read(5) & 3);
        bench.clock.Pass(2 * CharacterTime);
        Assert.Equal(0x03, bench.Read(5) & 3);
        Assert.Equal((byte)'c', bench.Read(0));
    }

    [Fact]
    public void Wide_accesses_become_byte_cycles()
    {
        uart.Ports.Write16(0, (ushort)'w');
        Assert.Equal("w", console.Text);
        Assert.Equal(IoResult.Ok, uart.Ports.Read(4, new byte[4]));
    }

    [Theory]
    [InlineData(UartPacing.Immediate)]
    [InlineData(UartPacing.LineRate)]
    public void A_snapshot_carries_registers_queues_and_timers(UartPacing pacing) =>
        SnapshotContract.Holds(
            () => new Uart16550Tests(pacing),
            bench => bench.uart,
            bench =>
            {
                bench.Write(2, 0x81);
                bench.Write(1, 0x07);
                bench.uart.Receive(Encoding.ASCII.GetBytes("some characters that overflow the fifo"));
                bench.uart.ReceiveBreak();
                bench.Write(0, (byte)'x');
                bench.Write(0, (byte)'y');
            },
            bench => bench.Write(7, 0x77),
            bench =>
            {
                var log = new StringBuilder();
                bench.clock.SwitchTo(0);
                bench.console.Bytes.Clear();
                for (var i = 0; i < 60; i++)
                {
                    bench.clock.Pass(CharacterTime);
                    log.Append($"{bench.Read(2):x} {bench.Read(5):x} {bench.irq.Level} {bench.Read(0):x};");
                }

                return log + bench.console.Text;
            });
}
