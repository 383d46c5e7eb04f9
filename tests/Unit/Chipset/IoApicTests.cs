using Vmm.Chipset;
using Xunit;

namespace Vmm.Unit.Chipset;

public class IoApicTests
{
    readonly TestSink sink = new();
    readonly IoApic ioApic;

    public IoApicTests() => ioApic = new(sink, 5);

    uint Read(byte register)
    {
        ioApic.Write32(0, register);
        return ioApic.Read32(0x10);
    }

    void Write(byte register, uint value)
    {
        ioApic.Write32(0, register);
        ioApic.Write32(0x10, value);
    }

    void Route(int pin, uint low, uint high = 0)
    {
        Write((byte)(0x11 + pin * 2), high);
        Write((byte)(0x10 + pin * 2), low);
    }

    [Fact]
    public void It_is_version_0x20_with_24_entries_all_masked()
    {
        Assert.Equal(0x0017_0020u, Read(1));
        Assert.Equal(0x0500_0000u, Read(0));
        Write(0, 0xFFFF_FFFF);
        Assert.Equal(0x0F00_0000u, Read(0));
        Assert.Equal(0x0F00_0000u, Read(2));
        for (byte register = 0x10; register < 0x40; register += 2)
        {
            Assert.Equal(0x10000u, Read(register));
        }

        Assert.Equal(0u, Read(0x40));
        Assert.Equal(0u, Read(0xFF));
    }

    [Fact]
    public void Status_bits_of_an_entry_are_read_only()
    {
        Route(3, 0xFFFF_FFFF, 0xFFFF_FFFF);
        Assert.Equal(0x1AFFFu, Read(0x16));
        Assert.Equal(0xFFFF_0000u, Read(0x17));
    }

    [Fact]
    public void An_edge_sends_one_message_per_rise()
    {
        Route(14, 0x0077, 0x0300_0000);
        var line = ioApic.Input(14);
        line.Set(true);
        line.Set(true);
        line.Set(false);
        line.Set(true);
        Assert.Equal(2, sink.Messages.Count);
        Assert.Equal(new(0xFEE0_3000, 0x4077), sink.Messages[0]);
    }

    [Fact]
    public void An_edge_on_a_masked_input_is_lost()
    {
        Route(14, 0x10077);
        ioApic.Input(14).Set(true);
        Route(14, 0x00077);
        Assert.Empty(sink.Messages);
    }

    [Fact]
    public void A_level_is_sent_once_until_its_EOI_and_again_while_it_lasts()
    {
        Route(9, 0x8052);
        ioApic.Input(9).Set(true);
        Assert.Equal(0xC052u, Read(0x22));
        Assert.Equal(new(0xFEE0_0000, 0xC052), Assert.Single(sink.Messages));
        ioApic.EndOfInterrupt(0x51);
        Assert.Single(sink.Messages);
        ioApic.EndOfInterrupt(0x52);
        Assert.Equal(2, sink.Messages.Count);
        ioApic.Input(9).Set(false);
        ioApic.Write32(0x40, 0x52);
        Assert.Equal(2, sink.Messages.Count);
        Assert.Equal(0x8052u, Read(0x22));
    }

    [Fact]
    public void A_masked_level_is_sent_when_it_is_unmasked()
    {
        Route(9, 0x18052);
        ioApic.Input(9).Set(true);
        Assert.Empty(sink.Messages);
        Route(9, 0x8052);
        Assert.Single(sink.Messages);
    }

    [Fact]
    public void Remote_IRR_survives_a_new_destination_and_goes_with_edge_mode()
    {
        Route(9, 0x8052);
        ioApic.Input(9).Set(true);
        Write(0x23, 0x0100_0000);
        Assert.Equal(0xC052u, Read(0x22));
        Assert.Single(sink.Messages);
        Write(0x22, 0x10052);
        Assert.Equal(0x10052u, Read(0x22));
        Write(0x22, 0x18052);
        Write(0x22, 0x8052);
        Assert.Equal(2, sink.Messages.Count);
        Assert.Equal(0xFEE0_1000ul, sink.Messages[1].Address);
    }

    [Fact]
    public void Logical_lowest_priority_sets_mode_and_redirection_bits()
    {
        Route(4, 0x0931, 0x0300_0000);
        ioApic.Input(4).Set(true);
        Assert.Equal(new(0xFEE0_300C, 0x4931), Assert.Single(sink.Messages));
    }

    [Fact]
    public void A_remappable_entry_puts_handle_and_format_where_VTd_looks()
    {
        // Handle 0x8123: bits 14:0 in the entry's 63:49, bit 15 in its bit 11.
        Route(4, 0x8000 | 1 << 11 | 0x31, 0x0123u << 17 | 1 << 16);
        ioApic.Input(4).Set(true);
        var message = Assert.Single(sink.Messages);
        Assert.Equal(0xFEE0_0000ul | 0x0123u << 5 | 1 << 4 | 1 << 2, message.Address);
        Assert.Equal(0xC031u, message.Data);
    }

    [Fact]
    public void Accesses_outside_the_registers_change_nothing()
    {
        Route(4, 0x31);
        ioApic.Write32(0x14, 0x10000);
        ioApic.Write8(0x10, 0xFF);
        Assert.Equal(0x31u, Read(0x18));
        Assert.Equal(0u, ioApic.Read32(0x800));
        Assert.Equal(0x18, ioApic.Read8(0));
    }

    [Fact]
    public void Level_interrupts_travel_to_a_local_APIC_and_their_EOI_back()
    {
        var bench = new ApicBench().Enabled();
        ioApic.Output = bench.Bus;
        bench.Bus.Attach(ioApic);
        Route(9, 0x8052);
        ioApic.Input(9).Set(true);
        Assert.Equal(0x52, bench.Apic.Acknowledge());
        ioApic.Input(9).Set(false);
        bench.Apic.Write32(0xB0, 0);
        Assert.Equal(0x8052u, Read(0x22));
        ioApic.Input(9).Set(true);
        Assert.True(bench.Core.Intr);
    }

    [Fact]
    public void A_snapshot_carries_table_levels_and_selection() =>
        SnapshotContract.Holds(
            () => new IoApicTests(),
            bench => bench.ioApic,
            bench =>
            {
                bench.Route(9, 0x8052, 0x0200_0000);
                bench.ioApic.Input(9).Set(true);
                bench.ioApic.Input(4).Set(true);
                bench.ioApic.Write32(0, 0x22);
            },
            bench => bench.Route(9, 0x18099),
            bench =>
            {
                bench.sink.Messages.Clear();
                var log = $"{bench.ioApic.Read32(0x10):x}";
                bench.ioApic.EndOfInterrupt(0x52);
                bench.Route(4, 0x8061);
                return log + string.Join(',', bench.sink.Messages);
            });
}
