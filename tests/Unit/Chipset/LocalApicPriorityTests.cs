using Vmm.Chipset;
using Vmm.Platform.Bus;
using Xunit;

namespace Vmm.Unit.Chipset;

public class LocalApicPriorityTests
{
    [Fact]
    public void After_power_up_it_is_software_disabled_and_every_local_interrupt_is_masked()
    {
        var bench = new ApicBench();
        Assert.Equal(0x0006_0014u, bench.Apic.Read32(0x30));
        Assert.Equal(0xFFu, bench.Apic.Read32(0xF0));
        Assert.Equal(0xFFFF_FFFFu, bench.Apic.Read32(0xE0));
        foreach (var offset in new ulong[] { 0x2F0, 0x320, 0x330, 0x340, 0x350, 0x360, 0x370 })
        {
            Assert.Equal(0x10000u, bench.Apic.Read32(offset));
        }

        Assert.Equal(0xFEE00900ul, bench.Msr(0x1B));
    }

    [Fact]
    public void A_fixed_interrupt_waits_in_IRR_moves_to_ISR_and_leaves_at_EOI()
    {
        var bench = new ApicBench().Enabled();
        bench.Msi(0x51);
        Assert.True(bench.Core.Intr);
        Assert.Equal(1u << 0x11, bench.Apic.Read32(0x220));

        Assert.Equal(0x51, bench.Apic.Acknowledge());
        Assert.False(bench.Core.Intr);
        Assert.Equal(0u, bench.Apic.Read32(0x220));
        Assert.Equal(1u << 0x11, bench.Apic.Read32(0x120));
        Assert.Equal(0x50u, bench.Apic.Read32(0xA0));

        bench.Apic.Write32(0xB0, 0);
        Assert.Equal(0u, bench.Apic.Read32(0x120));
        Assert.Equal(0u, bench.Apic.Read32(0xA0));
    }

    [Fact]
    public void The_same_class_waits_and_a_higher_class_nests()
    {
        var bench = new ApicBench().Enabled();
        bench.Msi(0x51);
        bench.Apic.Acknowledge();
        bench.Msi(0x5F);
        Assert.False(bench.Core.Intr);
        bench.Msi(0x60);
        Assert.True(bench.Core.Intr);
        Assert.Equal(0x60, bench.Apic.Acknowledge());
        bench.Apic.Write32(0xB0, 0);
        Assert.False(bench.Core.Intr);
        bench.Apic.Write32(0xB0, 0);
        Assert.Equal(0x5F, bench.Apic.Acknowledge());
    }

    [Theory]
    [InlineData(0x50, 0x5F, false)]
    [InlineData(0x4F, 0x50, true)]
    [InlineData(0xF0, 0xFF, false)]
    public void Task_priority_holds_back_its_own_class_and_lower_ones(byte tpr, byte vector, bool delivered)
    {
        var bench = new ApicBench().Enabled();
        bench.Apic.Write32(0x80, tpr);
        bench.Msi(vector);
        Assert.Equal(delivered, bench.Core.Intr);
        Assert.Equal(tpr, bench.Apic.Read32(0xA0));
        bench.Apic.TaskPriority = 0;
        Assert.True(bench.Core.Intr);
    }

    [Fact]
    public void The_core_and_the_guest_see_one_task_priority_register()
    {
        var bench = new ApicBench();
        bench.Apic.TaskPriority = 0xA0;
        Assert.Equal(0xA0u, bench.Apic.Read32(0x80));
        bench.Apic.Write32(0x80, 0x5C);
        Assert.Equal(0x5C, bench.Apic.TaskPriority);
    }

    [Fact]
    public void An_acknowledge_that_came_too_late_gives_the_spurious_vector_and_sets_no_ISR_bit()
    {
        var bench = new ApicBench().Enabled();
        bench.Msi(0x40);
        bench.Apic.Write32(0x80, 0x40);
        Assert.Equal(0xFF, bench.Apic.Acknowledge());
        Assert.Equal(0u, bench.Apic.Read32(0x170));
        Assert.Equal(1u, bench.Apic.Read32(0x220));
    }

    [Fact]
    public void Software_disable_masks_the_vector_table_and_drops_new_messages_but_keeps_waiting_ones()
    {
        var bench = new ApicBench().Enabled();
        bench.Apic.Write32(0x320, 0x30);
        bench.Msi(0x41);
        bench.Apic.Write32(0xF0, 0xFF);
        Assert.Equal(0x10030u, bench.Apic.Read32(0x320));
        bench.Apic.Write32(0x320, 0x31);
        Assert.Equal(0x10031u, bench.Apic.Read32(0x320));
        bench.Msi(0x42);
        Assert.Equal(0x41, bench.Apic.Acknowledge());
        Assert.False(bench.Core.Intr);
    }

    [Fact]
    public void EOI_of_a_level_interrupt_is_broadcast_and_of_an_edge_interrupt_is_not()
    {
        var bench = new ApicBench().Enabled();
        var listener = new Listener();
        bench.Bus.Attach(listener);
        bench.Msi(0x41);
        bench.Msi(0x52, data: 0xC000);
        Assert.Equal(1u << 18, bench.Apic.Read32(0x1A0));
        bench.Apic.Acknowledge();
        bench.Apic.Write32(0xB0, 0);
        Assert.Equal([0x52], listener.Ended);
        bench.Apic.Acknowledge();
        bench.Apic.Write32(0xB0, 0);
        Assert.Equal([0x52], listener.Ended);
    }

    [Fact]
    public void EOI_broadcasts_can_be_suppressed_only_where_it_is_advertised()
    {
        foreach (var can in new[] { true, false })
        {
            var bench = new ApicBench(options: new() { CanSuppressEoiBroadcast = can }).Enabled();
            var listener = new Listener();
            bench.Bus.Attach(listener);
            bench.Apic.Write32(0xF0, 0x11FF);
            bench.Msi(0x52, data: 0xC000);
            bench.Apic.Acknowledge();
            bench.Apic.Write32(0xB0, 0);
            Assert.Equal(can ? 0 : 1, listener.Ended.Count);
            Assert.Equal(can, (bench.Apic.Read32(0x30) & 1 << 24) != 0);
        }
    }

    [Fact]
    public void EOI_with_nothing_in_service_does_nothing()
    {
        var bench = new ApicBench().Enabled();
        bench.Apic.Write32(0xB0, 0);
        Assert.False(bench.Core.Intr);
    }

    [Fact]
    public void ExtINT_through_LINT0_takes_the_vector_of_the_8259()
    {
        var bench = new ApicBench();
        bench.ExtInt.Vector = 0x33;
        bench.Bus.Lint0.Set(true);
        Assert.False(bench.Core.Intr);
        bench.Apic.EnterVirtualWireMode();
        Assert.True(bench.Core.Intr);
        Assert.Equal(0x33, bench.Apic.Acknowledge());
        bench.Bus.Lint0.Set(false);
        Assert.False(bench.Core.Intr);
        Assert.Equal(0u, bench.Apic.Read32(0x110));
    }

    [Fact]
    public void LINT1_in_NMI_mode_strikes_on_the_rising_edge_only()
    {
        var bench = new ApicBench();
        bench.Apic.EnterVirtualWireMode();
        bench.Bus.Lint1.Set(true);
        bench.Bus.Lint1.Set(true);
        bench.Bus.Lint1.Set(false);
        bench.Bus.Lint1.Set(true);
        Assert.Equal(["nmi", "nmi"], bench.Core.Events);
    }

    [Fact]
    public void A_fixed_level_on_LINT0_asks_again_after_EOI_while_it_lasts()
    {
        var bench = new ApicBench().Enabled();
        bench.Apic.Write32(0x350, 0x8044);
        bench.Bus.Lint0.Set(true);
        Assert.Equal(0x44, bench.Apic.Acknowledge());
        Assert.Equal(0xC044u, bench.Apic.Read32(0x350));
        bench.Apic.Write32(0xB0, 0);
        Assert.Equal(0x44, bench.Apic.Acknowledge());
        bench.Bus.Lint0.Set(false);
        bench.Apic.Write32(0xB0, 0);
        Assert.False(bench.Core.Intr);
        Assert.Equal(0x8044u, bench.Apic.Read32(0x350));
    }

    [Fact]
    public void A_performance_interrupt_masks_its_entry()
    {
        var bench = new ApicBench().Enabled();
        bench.Apic.Write32(0x340, 0x400);
        bench.Apic.RaiseLocal(LocalInterrupt.Performance);
        bench.Apic.RaiseLocal(LocalInterrupt.Performance);
        Assert.Equal(["nmi"], bench.Core.Events);
        Assert.Equal(0x10400u, bench.Apic.Read32(0x340));
    }

    [Fact]
    public void CMCI_delivers_its_vector()
    {
        var bench = new ApicBench().Enabled();
        bench.Apic.Write32(0x2F0, 0x77);
        bench.Apic.RaiseLocal(LocalInterrupt.Cmci);
        Assert.Equal(0x77, bench.Apic.Acknowledge());
    }

    [Fact]
    public void Illegal_vectors_and_registers_show_in_ESR_after_a_write_and_raise_the_error_interrupt()
    {
        var bench = new ApicBench().Enabled();
        bench.Apic.Write32(0x370, 0x39);
        bench.Msi(0x0F);
        bench.Apic.Write32(0x300, 0x0004_0005);
        bench.Apic.Read32(0x40);
        Assert.Equal(0u, bench.Apic.Read32(0x280));
        bench.Apic.Write32(0x280, 0);
        Assert.Equal(0xE0u, bench.Apic.Read32(0x280));
        bench.Apic.Write32(0x280, 0);
        Assert.Equal(0u, bench.Apic.Read32(0x280));
        Assert.Equal(0x39, bench.Apic.Acknowledge());
    }

    [Fact]
    public void An_illegal_vector_in_the_error_entry_itself_ends_there()
    {
        var bench = new ApicBench().Enabled();
        bench.Apic.Write32(0x370, 0x03);
        bench.Msi(0x01);
        bench.Apic.Write32(0x280, 0);
        Assert.Equal(0x40u, bench.Apic.Read32(0x280));
        Assert.False(bench.Core.Intr);
    }

    [Fact]
    public void Narrow_reads_see_the_register_bytes_and_odd_writes_are_dropped()
    {
        var bench = new ApicBench().Enabled();
        Assert.Equal(0x14, bench.Apic.Read8(0x30));
        Assert.Equal(0x06, bench.Apic.Read8(0x32));
        Assert.Equal(0, bench.Apic.Read8(0x34));
        bench.Apic.Write8(0x80, 0x50);
        bench.Apic.Write32(0x84, 0x50);
        Assert.Equal(0u, bench.Apic.Read32(0x80));
        var wide = new byte[8];
        Assert.Equal(IoResult.Ok, bench.Apic.Read(0x30, wide));
        Assert.Equal([0x14, 0, 6, 0, 0, 0, 0, 0], wide);
    }

    sealed class Listener : IEoiListener
    {
        public List<int> Ended { get; } = [];

        public void EndOfInterrupt(byte vector) => Ended.Add(vector);
    }
}
