using Vmm.Chipset;
using Vmm.Platform.Bus;
using Xunit;

namespace Vmm.Unit.Chipset;

public class LocalApicModeTests
{
    const ulong Base = 0xFEE00100, En = 0x800, Extd = 0x400;

    [Fact]
    public void Mode_transitions_follow_the_state_diagram()
    {
        var apic = new ApicBench().Apic;
        Assert.False(apic.TryWriteMsr(0x1B, Base | Extd));
        Assert.True(apic.TryWriteMsr(0x1B, Base | En | Extd));
        Assert.False(apic.TryWriteMsr(0x1B, Base | En));
        Assert.False(apic.TryWriteMsr(0x1B, Base | Extd));
        Assert.Equal(ApicMode.X2Apic, apic.Mode);
        Assert.True(apic.TryWriteMsr(0x1B, Base));
        Assert.Equal(ApicMode.Disabled, apic.Mode);
        Assert.False(apic.TryWriteMsr(0x1B, Base | Extd));
        Assert.False(apic.TryWriteMsr(0x1B, Base | En | Extd));
        Assert.True(apic.TryWriteMsr(0x1B, Base | En));
        Assert.Equal(ApicMode.XApic, apic.Mode);
    }

    [Theory]
    [InlineData(1ul)]
    [InlineData(0x200ul)]
    [InlineData(1ul << 46)]
    [InlineData(1ul << 63)]
    public void Reserved_bits_of_APIC_BASE_fault(ulong bit) =>
        Assert.False(new ApicBench().Apic.TryWriteMsr(0x1B, Base | En | bit));

    [Fact]
    public void EXTD_is_reserved_without_x2APIC() =>
        Assert.False(new ApicBench(options: new() { HasX2Apic = false }).Apic.TryWriteMsr(0x1B, Base | En | Extd));

    [Fact]
    public void The_page_moves_with_APIC_BASE()
    {
        var apic = new ApicBench().Apic;
        Assert.True(apic.TryWriteMsr(0x1B, 0xFED40900));
        Assert.Equal(0xFED40000ul, apic.MmioBase);
    }

    [Fact]
    public void The_page_answers_in_xAPIC_mode_only()
    {
        var apic = new ApicBench().Apic;
        var data = new byte[4];
        apic.TryWriteMsr(0x1B, Base | En | Extd);
        Assert.Equal(IoResult.Unclaimed, apic.Read(0x30, data));
        apic.TryWriteMsr(0x1B, Base);
        Assert.Equal(IoResult.Unclaimed, apic.Write(0x80, data));
    }

    [Fact]
    public void Global_disable_loses_the_registers_but_CR8_works_on()
    {
        var bench = new ApicBench().Enabled();
        bench.Apic.Write32(0x380, 1000);
        bench.Apic.Write32(0x20, 0x0500_0000);
        bench.Apic.TaskPriority = 0x30;
        bench.Apic.TryWriteMsr(0x1B, Base);
        Assert.Equal(0x30, bench.Apic.TaskPriority);
        bench.Msi(0x50);
        bench.Apic.TryWriteMsr(0x1B, Base | En);
        Assert.Equal(0xFFu, bench.Apic.Read32(0xF0));
        Assert.Equal(0u, bench.Apic.Read32(0x380));
        Assert.Equal(0u, bench.Apic.Read32(0x20));
        Assert.Equal(ulong.MaxValue, bench.Clock.NextDue);
    }

    [Fact]
    public void A_globally_disabled_APIC_passes_its_pins_through()
    {
        var bench = new ApicBench();
        bench.Apic.TryWriteMsr(0x1B, Base);
        bench.Bus.Lint0.Set(true);
        bench.Bus.Lint1.Set(true);
        Assert.True(bench.Core.Intr);
        Assert.Equal(0x20, bench.Apic.Acknowledge());
        Assert.Equal(["nmi"], bench.Core.Events);
    }

    [Fact]
    public void x2APIC_registers_fault_in_xAPIC_mode()
    {
        var apic = new ApicBench().Apic;
        Assert.False(apic.TryReadMsr(0x802, out _));
        Assert.False(apic.TryWriteMsr(0x808, 0));
    }

    [Theory]
    [InlineData(0x800u)]
    [InlineData(0x804u)]
    [InlineData(0x809u)]
    [InlineData(0x80Bu)]
    [InlineData(0x80Cu)]
    [InlineData(0x80Eu)]
    [InlineData(0x831u)]
    [InlineData(0x83Fu)]
    [InlineData(0x840u)]
    [InlineData(0x8FFu)]
    public void Reserved_and_write_only_MSRs_fault_on_read(uint msr) =>
        Assert.False(new ApicBench().InX2Apic().Apic.TryReadMsr(msr, out _));

    [Theory]
    [InlineData(0x802u, 0ul)]
    [InlineData(0x803u, 0ul)]
    [InlineData(0x80Au, 0ul)]
    [InlineData(0x80Du, 0ul)]
    [InlineData(0x80Eu, 0ul)]
    [InlineData(0x810u, 0ul)]
    [InlineData(0x81Fu, 0ul)]
    [InlineData(0x827u, 0ul)]
    [InlineData(0x831u, 0ul)]
    [InlineData(0x839u, 0ul)]
    [InlineData(0x808u, 0x100ul)]
    [InlineData(0x808u, 1ul << 32)]
    [InlineData(0x80Bu, 1ul)]
    [InlineData(0x80Fu, 0x1000ul)]
    [InlineData(0x80Fu, 0x400ul)]
    [InlineData(0x828u, 1ul)]
    [InlineData(0x82Fu, 0x2000ul)]
    [InlineData(0x830u, 0x2000ul)]
    [InlineData(0x830u, 0x10000ul)]
    [InlineData(0x830u, 0x100000ul)]
    [InlineData(0x832u, 0x100ul)]
    [InlineData(0x832u, 0x80000ul)]
    [InlineData(0x835u, 0x800ul)]
    [InlineData(0x837u, 0x400ul)]
    [InlineData(0x838u, 1ul << 32)]
    [InlineData(0x83Eu, 4ul)]
    [InlineData(0x83Fu, 0x100ul)]
    public void Read_only_MSRs_and_reserved_bits_fault_on_write(uint msr, ulong value) =>
        Assert.False(new ApicBench().InX2Apic().Apic.TryWriteMsr(msr, value));

    [Fact]
    public void x2APIC_id_and_logical_id_follow_from_the_initial_id()
    {
        var bench = new ApicBench();
        var apic = new LocalApic(0x123, false, bench.Clock, bench.Bus, new TestCore(), bench.ExtInt, new());
        apic.TryWriteMsr(0x1B, 0xFEE00C00);
        Assert.True(apic.TryReadMsr(0x802, out var id));
        Assert.True(apic.TryReadMsr(0x80D, out var logical));
        Assert.Equal(0x123ul, id);
        Assert.Equal(0x0012_0008ul, logical);
    }

    [Fact]
    public void The_common_registers_survive_the_change_to_x2APIC()
    {
        var bench = new ApicBench().Enabled();
        bench.Apic.Write32(0x80, 0x30);
        bench.Apic.Write32(0x350, 0x700);
        bench.Apic.Write32(0x310, 0x0500_0000);
        bench.Msi(0x20);
        bench.InX2Apic();
        Assert.Equal(0x30ul, bench.Msr(0x808));
        Assert.Equal(0x1FFul, bench.Msr(0x80F));
        Assert.Equal(0x700ul, bench.Msr(0x835));
        Assert.Equal(1ul, bench.Msr(0x821));
        Assert.Equal(0ul, bench.Msr(0x830));
    }

    [Fact]
    public void Self_IPI_needs_no_destination()
    {
        var bench = new ApicBench(2).Enabled().InX2Apic();
        Assert.True(bench.Apic.TryWriteMsr(0x83F, 0x66));
        Assert.Equal(0x66, bench.Apic.Acknowledge());
        Assert.False(bench.Cores[1].Intr);
    }

    [Fact]
    public void INIT_keeps_mode_and_id_and_clears_the_rest()
    {
        var bench = new ApicBench(2).Enabled().InX2Apic();
        bench.Apics[1].TryWriteMsr(0x808, 0x40);
        Assert.True(bench.Apic.TryWriteMsr(0x830, 1ul << 32 | 0x4500));
        Assert.Equal(["init"], bench.Cores[1].Events);
        Assert.Equal(ApicMode.X2Apic, bench.Apics[1].Mode);
        Assert.Equal(0, bench.Apics[1].TaskPriority);
        Assert.False(bench.Apics[1].IsSoftwareEnabled);
    }
}
