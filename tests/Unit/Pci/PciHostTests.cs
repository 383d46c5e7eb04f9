using Vmm.Chipset;
using Vmm.Platform.Pci;
using Vmm.Platform.Snapshots;
using Vmm.Unit.Dma;
using Xunit;

namespace Vmm.Unit.Pci;

public sealed class PciHostTests : IDisposable
{
    readonly PciTestBench bench = new();

    public void Dispose() => bench.Dispose();

    [Fact]
    public void Configuration_mechanism_1_reads_the_bridges()
    {
        bench.Out(0xCF8, 0x8000_0000, 4);
        Assert.Equal(0x8000_0000ul, bench.In(0xCF8, 4));
        Assert.Equal(0x29C0_8086ul, bench.In(0xCFC, 4));
        Assert.Equal(0x29C0ul, bench.In(0xCFE, 2));
        Assert.Equal(0x80ul, bench.In(0xCFD, 1));
        bench.Out(0xCF8, 0x8000_F808, 4);
        Assert.Equal(0x0601_0002ul, bench.In(0xCFC, 4));
    }

    [Fact]
    public void A_disabled_config_address_answers_ones()
    {
        bench.Out(0xCF8, 0x0000_0000, 4);
        Assert.Equal(0xFFFF_FFFFul, bench.In(0xCFC, 4));
        bench.Out(0xCFC, 0, 4);
    }

    [Theory]
    [InlineData(0x8000_2000u)]
    [InlineData(0x8001_0000u)]
    [InlineData(0x80FF_FFFCu)]
    public void Absent_functions_and_buses_read_ones(uint address)
    {
        bench.Out(0xCF8, address, 4);
        Assert.Equal(0xFFFF_FFFFul, bench.In(0xCFC, 4));
        bench.Out(0xCFC, 0, 4);
    }

    [Fact]
    public void Accesses_of_0xCF8_narrower_than_4_bytes_pass_through()
    {
        var other = new RecordingTarget();
        bench.Out(0xCF8, 0x8000_0000, 4);
        bench.Out(0xCF9, 6, 1);
        Assert.Equal(0xFFul, bench.In(0xCF9, 1));
        bench.Host.OtherPorts = other;
        bench.Out(0xCF9, 6, 1);
        bench.Out(0xCF8, 0xFFFF, 2);
        Assert.Equal([(1ul, 1), (0ul, 2)], other.Writes.Select(static w => (w.Offset, w.Data.Length)));
        Assert.Equal(0ul, bench.In(0xCF9, 1));
        Assert.Equal(0x8000_0000ul, bench.In(0xCF8, 4));
    }

    [Fact]
    public void Partial_writes_through_the_data_port_touch_only_their_bytes()
    {
        var function = bench.Plug();
        bench.Out(0xCF8, 0x8000_0000 | (uint)function.Address.Value << 8 | 0x3C, 4);
        bench.Out(0xCFC, 0x0B, 1);
        bench.Out(0xCFD, 0xFF, 1);
        Assert.Equal(0x010Bul, bench.Get(function, 0x3C, 2));
        bench.Out(0xCF8, 0x8000_0000 | (uint)function.Address.Value << 8 | 0x04, 4);
        bench.Out(0xCFD, 0x04, 1);
        Assert.Equal(0x0400ul, bench.Get(function, 0x04, 2));
    }

    [Fact]
    public void Ecam_sees_the_same_registers_and_ends_at_4_KiB()
    {
        Assert.Equal(0x29C0_8086ul, bench.Load(PciHost.EcamBase, 4));
        Assert.Equal(0x2918_8086ul, bench.Load(PciHost.EcamBase + 0xF8000, 4));
        Assert.Equal(0xFFFF_FFFFul, bench.Load(PciHost.EcamBase + 0x1000, 4));
        Assert.Equal(0ul, bench.Load(PciHost.EcamBase + 0xFFC, 4));
        Assert.Equal(0xFFFF_FFFFul, bench.Load(PciHost.EcamBase + 0xFFE, 4));
        Assert.Equal(0xFFFF_FFFFul, bench.Load(PciHost.EcamBase + 0x10_0000, 4));
    }

    [Fact]
    public void Two_functions_of_one_device_are_marked_as_several()
    {
        var first = bench.Plug(5, "a");
        Assert.Equal(0ul, bench.Get(first, 0x0E, 1));
        var second = new PciFunction(new("b", 1, 2, 3), new(0, 5, 1), bench.Fabric, null);
        bench.Host.Add(second);
        Assert.Equal(0x80ul, bench.Get(first, 0x0E, 1));
        bench.Host.Reset();
        Assert.Equal(0x80ul, bench.Get(first, 0x0E, 1));
    }

    [Fact]
    public void An_address_is_given_out_once()
    {
        bench.Plug(5, "a");
        Assert.Throws<ArgumentException>(() => bench.Plug(5, "b"));
    }

    [Fact]
    public void Resources_are_assigned_aligned_disjoint_and_in_their_windows()
    {
        for (var slot = 1; slot < 12; slot++)
        {
            var function = bench.Bare(slot, $"d{slot}");
            function.AddMemoryBar(0, 0x1000ul << slot % 5 * 2);
            function.AddMemoryBar(2, 0x10_0000, is64: true, isPrefetchable: true);
            function.AddMemoryBar(4, 0x1000, is64: false);
            function.AddIoBar(5, 0x40);
            function.SetInterruptPin(slot % 4 + 1);
            bench.Host.Add(function);
        }

        Assert.Empty(bench.Host.AssignResources(PciWindows.Default));
        var bars = bench.Host.Pci.Functions.SelectMany(static f => f.Bars).ToArray();
        Assert.Equal(44, bars.Length);
        foreach (var bar in bars)
        {
            Assert.Equal(0ul, bar.Address % bar.Size);
            Assert.Equal(bar.Address, bar.Region!.Start);
            var (low, high) = bar.IsIo ? (0xC000ul, 0xFFFFul) : bar.IsPrefetchable ? (0x80_0000_0000ul, 0xFF_FFFF_FFFFul) : (0xC000_0000ul, 0xFEBF_FFFFul);
            Assert.InRange(bar.Address, low, high - bar.Size + 1);
        }

        var third = bench.Host.Pci.Find(3 << 3)!;
        Assert.Equal(22, third.Config.Get8(0x3C));
        Assert.Equal(3, third.Config.Get16(4));
    }

    [Fact]
    public void Large_bars_spill_into_the_upper_window_and_what_fits_nowhere_is_reported()
    {
        var function = bench.Bare(3, "big");
        function.AddMemoryBar(0, 1ul << 30);
        function.AddMemoryBar(2, 1ul << 40);
        function.AddMemoryBar(4, 1ul << 29, is64: false);
        bench.Host.Add(function);
        var other = bench.Bare(4, "none");
        other.AddMemoryBar(0, 1ul << 29, is64: false);
        bench.Host.Add(other);
        var homeless = bench.Host.AssignResources(PciWindows.Default);
        Assert.Equal(["big.bar2", "none.bar0"], homeless.Select(static b => b.Name));
        Assert.Equal(0x80_0000_0000ul, function.Bars[0].Address);
        Assert.Equal(0xC000_0000ul, function.Bars[2].Address);
        Assert.Equal(0, function.Config.Get16(4));
    }

    [Fact]
    public void Pins_are_swizzled_over_gsis_16_to_23()
    {
        var routes = PciInterruptRouter.Routes.ToArray();
        Assert.Equal(128, routes.Length);
        Assert.Contains(new PciRoute(0, 0, 16), routes);
        Assert.Contains(new PciRoute(4, 3, 23), routes);
        Assert.Contains(new PciRoute(5, 3, 16), routes);
        Assert.Contains(new PciRoute(31, 0, 23), routes);
        Assert.All(routes, static r => Assert.InRange(r.Gsi, 16, 23));
    }

    [Fact]
    public void Pins_that_share_an_input_are_ored()
    {
        var line = new Line();
        bench.Host.Interrupts.ConnectLine(20, line);
        PciFunction a = bench.Plug(4, "a"), b = bench.Plug(12, "b");
        a.SetIntx(true);
        Assert.True(line.Level);
        b.SetIntx(true);
        a.SetIntx(false);
        Assert.True(line.Level);
        b.SetIntx(false);
        Assert.False(line.Level);
    }

    [Fact]
    public void The_config_address_survives_a_snapshot()
    {
        bench.Out(0xCF8, 0x8000_F800, 4);
        var writer = new SnapshotWriter();
        bench.Host.Save(writer);
        bench.Host.Reset();
        Assert.Equal(0ul, bench.In(0xCF8, 4));
        bench.Host.Load(new SnapshotReader("pcihost", 1, writer.Written.ToArray()));
        Assert.Equal(0x2918_8086ul, bench.In(0xCFC, 4));
    }

    [Fact]
    public void Every_byte_value_in_every_config_byte_is_survived()
    {
        for (var slot = 0; slot < 3; slot++)
        {
            bench.Plug(slot + 2, $"d{slot}");
        }

        bench.Host.AssignResources(PciWindows.Default);
        foreach (var function in bench.Host.Pci.Functions)
        {
            for (var register = 0; register < 0x110; register++)
            {
                for (var value = 0; value < 256; value += register < 0x40 ? 1 : 5)
                {
                    bench.Set(function, register, (ulong)value, 1);
                }
            }
        }

        bench.Host.Reset();
        Assert.Empty(bench.Host.AssignResources(PciWindows.Default));
    }
}
