using Vmm.Chipset;
using Xunit;

namespace Vmm.Unit.Chipset;

public class PicTests
{
    readonly TestLine intr = new();
    readonly Pic pic;

    public PicTests()
    {
        pic = new(intr);
        Initialise(0x30, 0x38, 0x01);
    }

    void Initialise(byte master, byte slave, byte icw4, byte icw1 = 0x11)
    {
        foreach (var (ports, vector, cascade) in new[] { (pic.MasterPorts, master, (byte)4), (pic.SlavePorts, slave, (byte)2) })
        {
            ports.Write8(0, icw1);
            ports.Write8(1, vector);
            ports.Write8(1, cascade);
            ports.Write8(1, icw4);
        }
    }

    void Pulse(int input)
    {
        pic.SetInput(input, false);
        pic.SetInput(input, true);
    }

    byte Isr(bool slave = false)
    {
        var ports = slave ? pic.SlavePorts : pic.MasterPorts;
        ports.Write8(0, 0x0B);
        return ports.Read8(0);
    }

    byte Irr(bool slave = false)
    {
        var ports = slave ? pic.SlavePorts : pic.MasterPorts;
        ports.Write8(0, 0x0A);
        return ports.Read8(0);
    }

    [Fact]
    public void The_mask_register_reads_back_as_Linux_probes_it()
    {
        pic.SlavePorts.Write8(1, 0xFF);
        pic.MasterPorts.Write8(1, 0xFB);
        Assert.Equal(0xFB, pic.MasterPorts.Read8(1));
        Assert.Equal(0xFF, pic.SlavePorts.Read8(1));
    }

    [Fact]
    public void An_edge_interrupts_once_until_EOI_and_the_next_rise()
    {
        pic.SetInput(4, true);
        Assert.True(intr.Level);
        Assert.Equal(0x34, pic.Acknowledge());
        Assert.False(intr.Level);
        Assert.Equal(0x10, Isr());
        pic.MasterPorts.Write8(0, 0x20);
        Assert.Equal(0, Isr());
        Assert.False(intr.Level);
        Pulse(4);
        Assert.True(intr.Level);
    }

    [Fact]
    public void A_request_that_goes_away_gives_the_spurious_vector_7()
    {
        pic.SetInput(4, true);
        pic.SetInput(4, false);
        Assert.False(intr.Level);
        Assert.Equal(0x37, pic.Acknowledge());
        Assert.Equal(0, Isr());
    }

    [Fact]
    public void The_slave_goes_through_input_2_and_needs_two_EOIs()
    {
        pic.SetInput(8, true);
        pic.SetInput(12, true);
        Assert.Equal(0x38, pic.Acknowledge());
        Assert.Equal(0x04, Isr());
        Assert.Equal(0x01, Isr(slave: true));
        pic.SlavePorts.Write8(0, 0x20);
        pic.MasterPorts.Write8(0, 0x20);
        Assert.True(intr.Level);
        Assert.Equal(0x3C, pic.Acknowledge());
    }

    [Fact]
    public void A_second_request_of_a_slave_with_automatic_EOI_makes_a_new_edge_on_the_master()
    {
        foreach (var (port, value) in new[] { (0, 0x11), (1, 0x38), (1, 2), (1, 3) })
        {
            pic.SlavePorts.Write8((ulong)port, (byte)value);
        }

        pic.SetInput(8, true);
        pic.SetInput(12, true);
        Assert.Equal(0x38, pic.Acknowledge());
        Assert.Equal(0x04, Irr());
        pic.MasterPorts.Write8(0, 0x20);
        Assert.Equal(0x3C, pic.Acknowledge());
    }

    [Fact]
    public void A_spurious_slave_interrupt_sets_only_the_master_in_service()
    {
        pic.SetInput(9, true);
        pic.MasterPorts.Write8(0, 0x0C);
        Assert.Equal(0x82, pic.MasterPorts.Read8(0));
        pic.SetInput(9, false);
        Assert.Equal(0x04, Isr());
        Assert.Equal(0, Isr(slave: true));
    }

    [Fact]
    public void Higher_priorities_nest_and_lower_ones_wait()
    {
        pic.SetInput(3, true);
        pic.Acknowledge();
        pic.SetInput(5, true);
        Assert.False(intr.Level);
        pic.SetInput(1, true);
        Assert.True(intr.Level);
        Assert.Equal(0x31, pic.Acknowledge());
        pic.MasterPorts.Write8(0, 0x20);
        Assert.Equal(0x08, Isr());
        pic.MasterPorts.Write8(0, 0x63);
        Assert.Equal(0x35, pic.Acknowledge());
    }

    [Fact]
    public void Masked_inputs_keep_their_request()
    {
        pic.MasterPorts.Write8(1, 0x10);
        pic.SetInput(4, true);
        Assert.False(intr.Level);
        Assert.Equal(0x10, Irr());
        pic.MasterPorts.Write8(1, 0);
        Assert.True(intr.Level);
    }

    [Fact]
    public void Special_mask_mode_lets_lower_priorities_through_a_masked_level_in_service()
    {
        pic.SetInput(3, true);
        pic.Acknowledge();
        pic.SetInput(6, true);
        pic.MasterPorts.Write8(1, 0x08);
        Assert.False(intr.Level);
        pic.MasterPorts.Write8(0, 0x68);
        Assert.Equal(0x36, pic.Acknowledge());
        pic.MasterPorts.Write8(0, 0x20);
        Assert.Equal(0x08, Isr());
        pic.MasterPorts.Write8(0, 0x48);
        pic.MasterPorts.Write8(0, 0x20);
        Assert.Equal(0, Isr());
    }

    [Fact]
    public void Rotation_makes_the_input_just_served_the_lowest()
    {
        pic.SetInput(3, true);
        pic.Acknowledge();
        pic.MasterPorts.Write8(0, 0xA0);
        pic.SetInput(4, true);
        Pulse(3);
        Assert.Equal(0x34, pic.Acknowledge());
        pic.MasterPorts.Write8(0, 0xE4);
        Pulse(4);
        Assert.Equal(0x33, pic.Acknowledge());
        pic.MasterPorts.Write8(0, 0x63);
        pic.MasterPorts.Write8(0, 0xC1);
        pic.SetInput(1, true);
        Assert.Equal(0x34, pic.Acknowledge());
    }

    [Fact]
    public void Automatic_EOI_leaves_nothing_in_service_and_may_rotate()
    {
        Initialise(0x30, 0x38, 0x03);
        pic.MasterPorts.Write8(0, 0x80);
        pic.SetInput(3, true);
        Assert.Equal(0x33, pic.Acknowledge());
        Assert.Equal(0, Isr());
        Pulse(3);
        pic.SetInput(5, true);
        Assert.Equal(0x35, pic.Acknowledge());
    }

    [Fact]
    public void A_level_input_asks_as_long_as_it_is_up()
    {
        pic.ElcrPorts.Write16(0, 0xFFFF);
        Assert.Equal(0xDEF8, pic.ElcrPorts.Read16(0));
        pic.SetInput(5, true);
        Assert.Equal(0x35, pic.Acknowledge());
        pic.MasterPorts.Write8(0, 0x20);
        Assert.Equal(0x35, pic.Acknowledge());
        pic.SetInput(5, false);
        pic.MasterPorts.Write8(0, 0x20);
        Assert.False(intr.Level);
    }

    [Fact]
    public void Polling_takes_the_request_into_service()
    {
        pic.SetInput(6, true);
        pic.MasterPorts.Write8(0, 0x0C);
        Assert.Equal(0x86, pic.MasterPorts.Read8(0));
        Assert.Equal(0x40, Isr());
        pic.MasterPorts.Write8(0, 0x0C);
        Assert.Equal(0, pic.MasterPorts.Read8(1));
    }

    [Fact]
    public void Special_fully_nested_mode_admits_a_higher_slave_input()
    {
        Initialise(0x30, 0x38, 0x11);
        pic.SetInput(12, true);
        pic.Acknowledge();
        pic.SetInput(9, true);
        Assert.True(intr.Level);
        Assert.Equal(0x39, pic.Acknowledge());
    }

    [Fact]
    public void ICW1_clears_masks_requests_and_service()
    {
        pic.SetInput(3, true);
        pic.Acknowledge();
        pic.SetInput(4, true);
        pic.MasterPorts.Write8(1, 0x20);
        pic.MasterPorts.Write8(0, 0x11);
        Assert.Equal(0, Irr());
        Assert.Equal(0, Isr());
        pic.MasterPorts.Write8(1, 0x40);
        pic.MasterPorts.Write8(1, 4);
        pic.MasterPorts.Write8(1, 1);
        Assert.Equal(0, pic.MasterPorts.Read8(1));
        Pulse(4);
        Assert.Equal(0x44, pic.Acknowledge());
    }

    [Fact]
    public void Without_ICW4_the_fourth_word_is_a_mask()
    {
        Initialise(0x30, 0x38, 0x5A, icw1: 0x10);
        Assert.Equal(0x5A, pic.MasterPorts.Read8(1));
    }

    [Fact]
    public void Firmware_leaves_everything_masked_on_the_old_vectors()
    {
        pic.EnterFirmwareState();
        pic.SetInput(0, true);
        Assert.False(intr.Level);
        pic.MasterPorts.Write8(1, 0xFE);
        Assert.Equal(0x08, pic.Acknowledge());
    }

    [Fact]
    public void The_router_joins_sources_and_splits_to_both_controllers()
    {
        var sink = new TestSink();
        var ioApic = new IoApic(sink);
        var router = new IrqRouter(pic, ioApic);
        ioApic.Write32(0, 0x14);
        ioApic.Write32(0x10, 0x20);
        ioApic.Write32(0, 0x10 + 2 * 20);
        ioApic.Write32(0x10, 0x21);
        router.Connect(0).Set(true);
        Assert.Equal(0x30, pic.Acknowledge());
        Assert.Equal(0x20, (byte)Assert.Single(sink.Messages).Data);
        var (a, b) = (router.Connect(20), router.Connect(20));
        a.Set(true);
        b.Set(true);
        a.Set(false);
        Assert.Equal(2, sink.Messages.Count);
        b.Set(false);
        a.Set(true);
        Assert.Equal(3, sink.Messages.Count);
        Assert.False(intr.Level);
        Assert.Throws<ArgumentOutOfRangeException>(() => router.Connect(24));
    }

    [Fact]
    public void The_router_remembers_who_asserts() =>
        SnapshotContract.Holds(
            () =>
            {
                var bench = new PicTests();
                var router = new IrqRouter(bench.pic, new(new TestSink()));
                return (Bench: bench, Router: router, A: router.Connect(5), B: router.Connect(5));
            },
            t => t.Router,
            t => t.A.Set(true),
            t => t.B.Set(true),
            t =>
            {
                t.A.Set(false);
                return $"{SnapshotContract.Save(t.Router).Sum(static x => x)}";
            });

    [Fact]
    public void A_snapshot_carries_requests_service_and_modes() =>
        SnapshotContract.Holds(
            () => new PicTests(),
            bench => bench.pic,
            bench =>
            {
                bench.pic.ElcrPorts.Write8(1, 0x02);
                bench.pic.SetInput(9, true);
                bench.pic.Acknowledge();
                bench.pic.SetInput(3, true);
                bench.pic.MasterPorts.Write8(0, 0xC5);
                bench.pic.SlavePorts.Write8(0, 0x11);
                bench.pic.SlavePorts.Write8(1, 0x60);
            },
            bench => bench.pic.SetInput(1, true),
            bench =>
            {
                bench.pic.SlavePorts.Write8(1, 2);
                bench.pic.SlavePorts.Write8(1, 1);
                bench.pic.MasterPorts.Write8(0, 0x62);
                return $"{bench.intr.Level} {bench.pic.Acknowledge():x} {bench.Isr():x} {bench.Irr(true):x} {bench.pic.Acknowledge():x}";
            });
}
