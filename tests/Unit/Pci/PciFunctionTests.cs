using Vmm.Chipset;
using Vmm.Platform.Memory;
using Vmm.Platform.Pci;
using Vmm.Platform.Snapshots;
using Xunit;

namespace Vmm.Unit.Pci;

public sealed class PciFunctionTests : IDisposable
{
    readonly PciTestBench bench = new();

    public void Dispose() => bench.Dispose();

    [Fact]
    public void The_header_says_who_it_is_and_ids_are_read_only()
    {
        var function = bench.Plug();
        bench.Set(function, 0, 0, 4);
        Assert.Equal(0x1234_1AF4ul, bench.Get(function, 0x00, 4));
        Assert.Equal(0x0108_0200ul, bench.Get(function, 0x08, 4));
        Assert.Equal(0x1100_1AF4ul, bench.Get(function, 0x2C, 4));
        Assert.Equal(0x0010ul, bench.Get(function, 0x06, 2));
        Assert.Equal(0ul, bench.Get(function, 0x30, 4));
        Assert.Equal(1ul, bench.Get(function, 0x3D, 1));
    }

    [Fact]
    public void Sizing_returns_the_size_mask_and_the_type()
    {
        var function = bench.Plug();
        foreach (var register in new[] { 0x10, 0x14, 0x18, 0x1C, 0x20, 0x24 })
        {
            bench.Set(function, register, 0xFFFF_FFFF, 4);
        }

        Assert.Equal(0xFFFF_C004ul, bench.Get(function, 0x10, 4));
        Assert.Equal(0xFFFF_FFFFul, bench.Get(function, 0x14, 4));
        Assert.Equal(0xFFFF_F000ul, bench.Get(function, 0x18, 4));
        Assert.Equal(0ul, bench.Get(function, 0x1C, 4));
        Assert.Equal(0xFFFF_FFE1ul, bench.Get(function, 0x20, 4));
        Assert.Equal(0ul, bench.Get(function, 0x24, 4));
    }

    [Fact]
    public void Sizing_while_decoding_is_enabled_opens_no_window()
    {
        var function = bench.Plug();
        bench.Set(function, 4, 3, 2);
        bench.Set(function, 0x10, 0xFFFF_FFFF, 4);
        bench.Set(function, 0x18, 0xFFFF_FFFF, 4);
        bench.Set(function, 0x20, 0xFFFF_FFFF, 4);
        Assert.All(function.Bars, static b => Assert.Null(b.Region));
        bench.Set(function, 0x14, 0xFFFF_FFFF, 4);
        Assert.All(function.Bars, static b => Assert.Null(b.Region));
    }

    [Fact]
    public void Windows_follow_the_command_register_and_the_bars()
    {
        var function = bench.Plug();
        bench.Set(function, 0x10, 0xC000_4000, 4);
        bench.Set(function, 0x20, 0xC000, 4);
        Assert.Equal(0xFFul, bench.Load(0xC000_4010, 1));
        bench.Set(function, 4, 2, 2);
        Assert.Equal(0x10ul, bench.Load(0xC000_4010, 1));
        Assert.Equal(0xFFul, bench.In(0xC008, 1));
        bench.Set(function, 4, 3, 2);
        Assert.Equal(0x08ul, bench.In(0xC008, 1));
        bench.Set(function, 0x14, 0x90, 4);
        Assert.Equal(0xFFul, bench.Load(0xC000_4010, 1));
        Assert.Equal(0x10ul, bench.Load(0x90_C000_4010, 1));
        bench.Set(function, 4, 0, 2);
        Assert.Equal(0xFFul, bench.Load(0x90_C000_4010, 1));
    }

    [Fact]
    public void Of_overlapping_windows_the_lowest_function_answers_whatever_the_order()
    {
        PciFunction low = bench.Plug(4, "low"), high = bench.Plug(5, "high");
        foreach (var function in new[] { high, low })
        {
            bench.Set(function, 0x18, 0xC000_0000, 4);
            bench.Set(function, 4, 2, 2);
        }

        Assert.NotNull(low.Bars[1].Region);
        Assert.Null(high.Bars[1].Region);
        bench.Set(low, 0x18, 0xC100_0000, 4);
        Assert.NotNull(low.Bars[1].Region);
        Assert.NotNull(high.Bars[1].Region);
        bench.Set(low, 0x18, 0xC000_0000, 4);
        Assert.Null(high.Bars[1].Region);
    }

    [Fact]
    public void Overlapping_windows_of_one_function_are_survived()
    {
        var function = bench.Plug();
        bench.Set(function, 4, 2, 2);
        bench.Set(function, 0x10, 0xC000_0000, 4);
        bench.Set(function, 0x18, 0xC000_1000, 4);
        Assert.NotNull(function.Bars[0].Region);
        Assert.Null(function.Bars[1].Region);
    }

    [Theory]
    [InlineData(0xE000_0000u)]
    [InlineData(0xFEE0_0000u)]
    public void A_window_over_the_platforms_own_addresses_does_not_answer(uint address)
    {
        bench.Bus.Mmio.Map("lapic", 0xFEE0_0000, 0x1000, new Dma.RecordingTarget());
        var function = bench.Plug();
        bench.Set(function, 4, 2, 2);
        bench.Set(function, 0x18, address, 4);
        Assert.Null(function.Bars[1].Region);
        bench.Set(function, 0x18, 0xC000_0000, 4);
        Assert.NotNull(function.Bars[1].Region);
    }

    [Fact]
    public void A_64_bit_bar_past_the_address_width_does_not_answer()
    {
        var function = bench.Plug();
        bench.Set(function, 4, 2, 2);
        bench.Set(function, 0x14, 0x8000_0000, 4);
        Assert.Null(function.Bars[0].Region);
    }

    [Fact]
    public void The_bus_master_bit_gates_dma()
    {
        var function = bench.Plug();
        Assert.False(function.Dma.TryWrite(new Iova(0x1000), 1u));
        bench.Set(function, 4, 4, 2);
        Assert.True(function.Dma.TryWrite(new Iova(0x1000), 1u));
        bench.Set(function, 4, 0, 2);
        Assert.False(function.Dma.TryWrite(new Iova(0x1000), 1u));
    }

    [Fact]
    public void Dma_into_the_functions_own_window_is_refused_wherever_it_moves()
    {
        var function = bench.Plug();
        bench.Set(function, 4, 6, 2);
        foreach (var address in new[] { 0xC000_0000u, 0xC800_0000u })
        {
            bench.Set(function, 0x10, address, 4);
            Assert.False(function.Dma.TryWrite(new Iova(address + 0x1000), 1u));
        }

        Assert.Equal(2ul, function.Dma.Counters.BlockedOwnBar);
        var peer = bench.Plug(5, "peer");
        bench.Set(peer, 4, 4, 2);
        Assert.True(peer.Dma.TryWrite(new Iova(0xC800_1000), 1u));
        Assert.Empty(bench.Device.Writes);
        bench.Fabric.RunPeerWrites();
        Assert.Equal(0x1000ul, Assert.Single(bench.Device.Writes).Offset);
    }

    [Fact]
    public void Intx_obeys_interrupt_disable_and_shows_in_the_status()
    {
        var function = bench.Plug();
        var line = new Line();
        bench.Host.Interrupts.ConnectLine(20, line);
        function.SetIntx(true);
        Assert.True(line.Level);
        Assert.Equal(0x0018ul, bench.Get(function, 6, 2));
        bench.Set(function, 4, 0x400, 2);
        Assert.False(line.Level);
        Assert.Equal(0x0018ul, bench.Get(function, 6, 2));
        bench.Set(function, 4, 0, 2);
        Assert.True(line.Level);
        function.SetIntx(false);
        Assert.False(line.Level);
        Assert.Equal(0x0010ul, bench.Get(function, 6, 2));
    }

    [Fact]
    public void Intx_is_silent_while_messages_are_enabled()
    {
        var function = bench.Plug();
        var line = new Line();
        bench.Host.Interrupts.ConnectLine(20, line);
        function.SetIntx(true);
        bench.Set(function, bench.Capability(function, 0x11) + 2, 0x8000, 2);
        Assert.False(line.Level);
        bench.Set(function, bench.Capability(function, 0x11) + 2, 0, 2);
        Assert.True(line.Level);
    }

    [Fact]
    public void A_function_level_reset_forgets_everything_but_who_it_is()
    {
        var function = bench.Plug();
        bench.Host.AssignResources(Vmm.Chipset.PciWindows.Default);
        bench.Set(function, 4, 7, 2);
        bench.Set(function, 0x3C, 0x0B, 1);
        function.SetIntx(true);
        var control = bench.Capability(function, 0x10) + 8;
        bench.Set(function, control, 0x8000, 2);
        Assert.Equal(1, bench.Device.Resets);
        Assert.Equal(0ul, bench.Get(function, 4, 2));
        Assert.Equal(4ul, bench.Get(function, 0x10, 4));
        Assert.Equal(0ul, bench.Get(function, control, 2) & 0x8000);
        Assert.Equal(0x2810ul, bench.Get(function, control, 2));
        Assert.Equal(0x1234_1AF4ul, bench.Get(function, 0, 4));
        Assert.All(function.Bars, static b => Assert.Null(b.Region));
        Assert.False(function.Dma.BusMaster);
    }

    [Fact]
    public void D3hot_silences_the_function_and_D0_wakes_it_unchanged()
    {
        var function = bench.Plug();
        bench.Host.AssignResources(Vmm.Chipset.PciWindows.Default);
        bench.Set(function, 4, 7, 2);
        var control = bench.Capability(function, 0x01) + 4;
        Assert.Equal(8ul, bench.Get(function, control, 2));
        bench.Set(function, control, 3, 2);
        Assert.All(function.Bars, static b => Assert.Null(b.Region));
        Assert.False(function.Dma.BusMaster);
        Assert.Equal(0x0Bul, bench.Get(function, control, 2));
        bench.Set(function, control, 1, 2);
        Assert.Equal(0x0Bul, bench.Get(function, control, 2));
        bench.Set(function, control, 0, 2);
        Assert.All(function.Bars, static b => Assert.NotNull(b.Region));
        Assert.True(function.Dma.BusMaster);
        Assert.Equal(0, bench.Device.Resets);
    }

    [Fact]
    public void The_capability_list_links_all_capabilities()
    {
        var function = bench.Plug();
        foreach (var id in new byte[] { 0x01, 0x05, 0x10, 0x11 })
        {
            Assert.NotEqual(0, bench.Capability(function, id));
        }

        Assert.Equal(0, bench.Capability(function, 0x09));
    }

    [Fact]
    public void Extended_capabilities_are_linked_from_0x100()
    {
        var function = bench.Bare(9, "x");
        Assert.Equal(0x100, function.AddExtendedCapability(0x000F, 1, 8));
        Assert.Equal(0x108, function.AddExtendedCapability(0x001B, 1, 8));
        bench.Host.Add(function);
        Assert.Equal(0x1081_000Ful, bench.Get(function, 0x100, 4));
        Assert.Equal(0x0001_001Bul, bench.Get(function, 0x108, 4));
    }

    [Fact]
    public void Device_specific_registers_are_reported_to_the_device()
    {
        var function = bench.Bare(9, "x");
        var at = function.AddCapability(0x09, 8);
        function.Config.Define(new("VENDOR", at + 4, 4, Write: 0xFF));
        bench.Host.Add(function);
        bench.Set(function, at + 4, 0x1FF, 4);
        Assert.Equal([at + 4], bench.Device.ConfigWrites);
        Assert.Equal(0xFFul, bench.Get(function, at + 4, 4));
    }

    [Fact]
    public void A_snapshot_restores_windows_and_gates_and_drives_no_line()
    {
        var function = bench.Plug();
        var line = new Line();
        bench.Host.Interrupts.ConnectLine(20, line);
        bench.Host.AssignResources(PciWindows.Default);
        bench.Set(function, 4, 7, 2);
        function.SetIntx(true);
        var start = function.Bars[0].Region!.Start;
        SnapshotWriter writer = new(), host = new();
        function.Save(writer);
        bench.Host.Save(host);
        bench.Host.Reset();
        Assert.False(line.Level);
        bench.Host.Load(new SnapshotReader("h", 1, host.Written.ToArray()));
        function.Load(new SnapshotReader(function.SectionName, 1, writer.Written.ToArray()));
        Assert.Equal(start, function.Bars[0].Region!.Start);
        Assert.True(function.Dma.BusMaster);
        Assert.Equal(0x0018ul, bench.Get(function, 6, 2));
        Assert.False(line.Level);
        line.Set(true);
        function.SetIntx(false);
        Assert.False(line.Level);
    }

    [Fact]
    public void State_of_another_kind_of_device_is_refused()
    {
        var writer = new SnapshotWriter();
        bench.Plug().Save(writer);
        var other = new PciFunction(new("other", 1, 2, 3), new(0, 6, 0), bench.Fabric, null);
        Assert.Throws<SnapshotException>(() => other.Load(new SnapshotReader("x", 1, writer.Written.ToArray())));
    }

    [Fact]
    public void A_function_that_is_pulled_out_stops_answering()
    {
        var function = bench.Plug();
        bench.Host.AssignResources(Vmm.Chipset.PciWindows.Default);
        var start = function.Bars[0].Region!.Start;
        bench.Host.Pci.Remove(function);
        Assert.Equal(0xFFul, bench.Load(start + 0x10, 1));
        Assert.Equal(0xFFFF_FFFFul, bench.Get(function, 0, 4));
    }
}
