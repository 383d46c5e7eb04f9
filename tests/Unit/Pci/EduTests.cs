using Vmm.Chipset;
using Vmm.Platform.Interrupts;
using Vmm.Platform.Memory;
using Vmm.Platform.Snapshots;
using Vmm.Platform.Time;
using Vmm.Unit.Dma;
using Xunit;

namespace Vmm.Unit.Pci;

public sealed class EduTests : IDisposable
{
    readonly PciTestBench bench = new();
    readonly VirtualClock clock = new();
    readonly Line line = new();
    readonly Edu edu;
    readonly ulong bar;

    public EduTests()
    {
        edu = new("edu0", new(0, 4, 0), bench.Fabric, clock);
        bench.Host.Add(edu.Function);
        bench.Host.Interrupts.ConnectLine(20, line);
        bench.Host.AssignResources(PciWindows.Default);
        bench.Set(edu.Function, 4, 6, 2);
        bar = edu.Function.Bars[0].Address;
    }

    public void Dispose() => bench.Dispose();

    void Pass(ulong nanoseconds)
    {
        clock.Charge(clock.ToCycles(nanoseconds, 1_000_000_000));
        clock.RunDue();
    }

    void Dma(ulong from, ulong to, ulong bytes, ulong command)
    {
        bench.Store(bar + 0x80, from, 8);
        bench.Store(bar + 0x88, to, 8);
        bench.Store(bar + 0x90, bytes, 8);
        bench.Store(bar + 0x98, command, 4);
    }

    [Fact]
    public void It_identifies_itself_as_QEMUs_device()
    {
        Assert.Equal(0x11E8_1234ul, bench.Get(edu.Function, 0, 4));
        Assert.Equal(0x00FF_0010ul, bench.Get(edu.Function, 8, 4));
        Assert.Equal(0x0100_00EDul, bench.Load(bar, 4));
    }

    [Fact]
    public void The_liveness_check_inverts()
    {
        bench.Store(bar + 4, 0x1234_5678, 4);
        Assert.Equal(0xEDCB_A987ul, bench.Load(bar + 4, 4));
    }

    [Theory]
    [InlineData(0u, 1u)]
    [InlineData(1u, 1u)]
    [InlineData(5u, 120u)]
    [InlineData(13u, 1932053504u)]
    [InlineData(33u, 2147483648u)]
    [InlineData(34u, 0u)]
    [InlineData(uint.MaxValue, 0u)]
    public void The_factorial_is_ready_after_a_while(uint n, uint expected)
    {
        bench.Store(bar + 8, n, 4);
        Assert.Equal(1ul, bench.Load(bar + 0x20, 4));
        Assert.Equal(n, bench.Load(bar + 8, 4));
        Pass(9_000);
        bench.Store(bar + 8, 7, 4);
        Assert.Equal(1ul, bench.Load(bar + 0x20, 4));
        Pass(1_001);
        Assert.Equal(0ul, bench.Load(bar + 0x20, 4));
        Assert.Equal(expected, bench.Load(bar + 8, 4));
        Assert.False(line.Level);
    }

    [Fact]
    public void The_factorial_interrupts_when_asked_to()
    {
        bench.Store(bar + 0x20, 0xFF, 4);
        bench.Store(bar + 8, 4, 4);
        Assert.Equal(0x81ul, bench.Load(bar + 0x20, 4));
        Pass(10_001);
        Assert.True(line.Level);
        Assert.Equal(1ul, bench.Load(bar + 0x24, 4));
        bench.Store(bar + 0x64, 1, 4);
        Assert.False(line.Level);
    }

    [Fact]
    public void Raised_causes_stay_until_each_is_acknowledged()
    {
        bench.Store(bar + 0x60, 0x30, 4);
        bench.Store(bar + 0x60, 0x01, 4);
        Assert.Equal(0x31ul, bench.Load(bar + 0x24, 4));
        bench.Store(bar + 0x64, 0x11, 4);
        Assert.True(line.Level);
        bench.Store(bar + 0x64, 0x20, 4);
        Assert.False(line.Level);
    }

    [Fact]
    public void With_msi_each_raise_is_a_message()
    {
        var msi = bench.Capability(edu.Function, 0x05);
        bench.Set(edu.Function, msi + 4, 0xFEE0_0000, 4);
        bench.Set(edu.Function, msi + 0xC, 0x55, 2);
        bench.Set(edu.Function, msi + 2, 1, 2);
        bench.Store(bar + 0x60, 1, 4);
        bench.Store(bar + 0x60, 1, 4);
        Assert.Equal([new MsiMessage(0xFEE0_0000, 0x55), new(0xFEE0_0000, 0x55)], bench.Sink.Messages);
        Assert.False(line.Level);
    }

    [Fact]
    public void Dma_moves_bytes_both_ways_and_interrupts_at_the_end()
    {
        bench.Memory.TryWrite(new Gpa(0x2000), 0x1122_3344_5566_7788ul);
        Dma(0x2000, 0x40000, 8, 1);
        Assert.Equal(1ul, bench.Load(bar + 0x98, 8));
        bench.Store(bar + 0x80, 0, 8);
        Assert.Equal(0x2000ul, bench.Load(bar + 0x80, 8));
        Pass(100_001);
        Assert.Equal(0ul, bench.Load(bar + 0x98, 8));
        Dma(0x40002, 0x3000, 6, 7);
        Pass(100_001);
        Assert.Equal(0x100ul, bench.Load(bar + 0x24, 4));
        Assert.True(bench.Memory.TryRead(new Gpa(0x3000), out ulong moved));
        Assert.Equal(0x1122_3344_5566ul, moved);
        Assert.Equal(1ul, bench.Load(bar + 0xA0, 4));
    }

    [Theory]
    [InlineData(0x40000ul, 4097ul)]
    [InlineData(0x40FFFul, 2ul)]
    [InlineData(0x3FFFFul, 1ul)]
    [InlineData(0x40000ul, ulong.MaxValue)]
    [InlineData(ulong.MaxValue, 2ul)]
    public void A_transfer_outside_the_buffer_moves_nothing(ulong address, ulong bytes)
    {
        Dma(address, 0x3000, bytes, 3);
        Pass(100_001);
        Assert.Equal((ulong)EduDmaResult.OutOfBuffer, bench.Load(bar + 0xA0, 8));
        Assert.Equal(0ul, edu.Function.Dma.Counters.Writes);
    }

    [Fact]
    public void The_dma_mask_clamps_unless_the_device_is_rogue()
    {
        var table = new TableTranslator();
        table.Pages[0x3] = (0x3, true, true);
        table.Pages[0xDEAD_BEEF_0000_3] = (0x5, true, true);
        edu.Function.Dma.Translator = table;
        Dma(0x40000, 0xDEAD_BEEF_0000_3000, 4, 3);
        Pass(100_001);
        Assert.Equal(0x3000ul, table.Requests[^1].Address.Value);
        edu.Rogue = true;
        Dma(0x40000, 0xDEAD_BEEF_0000_3000, 4, 3);
        Pass(100_001);
        Assert.Equal(0xDEAD_BEEF_0000_3000ul, table.Requests[^1].Address.Value);
        Dma(0x40000, 0xDEAD_BEEF_0000_4000, 4, 3);
        Pass(100_001);
        Assert.Equal(EduDmaResult.Blocked, edu.LastResult);
    }

    [Fact]
    public void Dma_into_the_interrupt_range_is_a_message()
    {
        edu.Rogue = true;
        bench.Memory.TryWrite(new Gpa(0x2000), 0x61u);
        Dma(0x2000, 0x40000, 4, 1);
        Pass(100_001);
        Dma(0x40000, 0xFEE0_0000, 4, 3);
        Pass(100_001);
        Assert.Equal([new MsiMessage(0xFEE0_0000, 0x61)], bench.Sink.Messages);
    }

    [Fact]
    public void Dma_to_its_own_registers_is_refused()
    {
        edu.Rogue = true;
        Dma(0x40000, bar + 0x98, 4, 3);
        Pass(100_001);
        Assert.Equal(EduDmaResult.Blocked, edu.LastResult);
        Assert.Equal(1ul, edu.Function.Dma.Counters.BlockedOwnBar);
    }

    [Theory]
    [InlineData(0x00ul, 1)]
    [InlineData(0x00ul, 2)]
    [InlineData(0x08ul, 8)]
    [InlineData(0x0Cul, 4)]
    [InlineData(0x60ul, 4)]
    [InlineData(0x80ul, 2)]
    [InlineData(0x84ul, 4)]
    [InlineData(0x40000ul, 4)]
    [InlineData(0xFFFFCul, 4)]
    public void Odd_accesses_read_ones_and_write_nothing(ulong offset, int width)
    {
        bench.Store(bar + offset, 0, width);
        Assert.Equal(ulong.MaxValue >> 64 - width * 8, bench.Load(bar + offset, width));
    }

    [Fact]
    public void A_transfer_in_flight_survives_a_snapshot()
    {
        bench.Memory.TryWrite(new Gpa(0x2000), 0xABCDu);
        Dma(0x2000, 0x40010, 4, 5);
        bench.Store(bar + 8, 5, 4);
        Pass(5_000);
        SnapshotWriter device = new(), function = new(), host = new();
        bench.Host.Save(host);
        edu.Save(device);
        edu.Function.Save(function);
        edu.Function.Reset();
        Pass(200_000);
        Assert.Equal(EduDmaResult.None, edu.LastResult);
        bench.Host.Load(new SnapshotReader("h", 1, host.Written.ToArray()));
        edu.Function.Load(new SnapshotReader("f", 1, function.Written.ToArray()));
        edu.Load(new SnapshotReader("d", 1, device.Written.ToArray()));
        Pass(1);
        Assert.Equal(120ul, bench.Load(bar + 8, 4));
        Assert.Equal(EduDmaResult.Done, edu.LastResult);
        Assert.True(line.Level);
    }

    [Fact]
    public void A_reset_forgets_a_transfer_in_flight()
    {
        Dma(0x40000, 0x3000, 4, 7);
        edu.Function.Reset();
        Pass(200_000);
        Assert.Equal(EduDmaResult.None, edu.LastResult);
        Assert.False(line.Level);
        Assert.Equal(0ul, edu.Function.Dma.Counters.Blocked);
    }
}
