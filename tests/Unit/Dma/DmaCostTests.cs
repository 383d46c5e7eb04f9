using Vmm.Platform.Bus;
using Vmm.Platform.Dma;
using Vmm.Platform.Memory;
using Vmm.Platform.Snapshots;
using Vmm.Platform.Time;
using Xunit;

namespace Vmm.Unit.Dma;

public sealed class DmaCostTests : IDisposable
{
    readonly VirtualClock clock = new();
    readonly GuestMemory memory = new(16 << 20);
    readonly RecordingSink sink = new();
    readonly SystemBus bus = new();
    readonly DmaFabric fabric;
    readonly DmaPort port;
    readonly ulong line = CostModel.Default[CostKind.DmaLine];

    public DmaCostTests()
    {
        fabric = new(memory, bus.Mmio, sink, clock);
        port = new(fabric, new(0, 4, 0)) { Account = clock.Ledger.Account("dev") };
    }

    public void Dispose() => memory.Dispose();

    sealed class Event(Action<ClockTimer> action) : ITimerTarget
    {
        public void Expired(ClockTimer timer, ulong due) => action(timer);
    }

    void At(ulong due, Action action) => clock.CreateTimer("t", new Event(_ => action())).Arm(due);

    void RunTo(ulong now)
    {
        while (clock.NextDue <= now)
        {
            clock.SwitchTo(clock.NextDue);
            clock.RunDue();
        }

        clock.SwitchTo(now);
    }

    [Theory]
    [InlineData(0x1000, 1, 1)]
    [InlineData(0x1000, 64, 1)]
    [InlineData(0x1000, 65, 2)]
    [InlineData(0x1FFF, 2, 2)]
    [InlineData(0x1000, 8192, 128)]
    public void A_transfer_costs_its_lines(ulong address, int length, ulong lines)
    {
        Assert.True(port.TryWrite(new Iova(address), new byte[length]));
        Assert.Equal(lines * line, clock.Now);
        Assert.True(port.TryRead(new Iova(address), new byte[length]));
        Assert.Equal(2 * lines, clock.Ledger.Account("dev").Table[CostKind.DmaLine].Count);
    }

    [Fact]
    public void A_blocked_transfer_costs_nothing()
    {
        port.BusMaster = false;
        Assert.False(port.TryWrite(new Iova(0x1000), new byte[64]));
        Assert.Equal(0ul, clock.Now);
    }

    [Fact]
    public void An_interrupt_comes_when_the_transfers_before_it_are_over()
    {
        At(1000, () =>
        {
            port.TryWrite(new Iova(0x1000), new byte[4096]);
            port.Raise(new(0xFEE00000, 0x40));
        });
        RunTo(1000 + 64 * line - 1);
        Assert.Empty(sink.Messages);
        RunTo(1000 + 64 * line);
        Assert.Equal(0x40u, Assert.Single(sink.Messages).Data);
    }

    [Fact]
    public void An_interrupt_without_work_before_it_comes_at_once()
    {
        At(1000, () => port.Raise(new(0xFEE00000, 0x40)));
        RunTo(1000);
        Assert.Single(sink.Messages);
        port.TryWrite(new Iova(0x1000), new byte[4096]);
        port.Raise(new(0xFEE00000, 0x41));
        Assert.Equal(2, sink.Messages.Count);
    }

    [Fact]
    public void The_work_of_one_event_does_not_delay_another()
    {
        var seen = 0ul;
        At(1000, () => port.TryWrite(new Iova(0x1000), new byte[4096]));
        At(1000, () => seen = clock.Now);
        RunTo(1000);
        Assert.Equal(1000ul, seen);
        Assert.Equal(1000ul, clock.Now);
    }

    [Fact]
    public void Messages_do_not_overtake_each_other()
    {
        At(1000, () =>
        {
            port.TryWrite(new Iova(0x1000), new byte[4096]);
            port.Raise(new(0xFEE00000, 1));
        });
        At(1001, () =>
        {
            port.TryWrite(new Iova(0x1000), new byte[64]);
            port.Raise(new(0xFEE00000, 2));
        });
        RunTo(10_000);
        Assert.Equal([1u, 2u], sink.Messages.Select(m => m.Data));
    }

    [Fact]
    public void A_snapshot_keeps_messages_on_their_way()
    {
        At(1000, () =>
        {
            port.TryWrite(new Iova(0x1000), new byte[4096]);
            port.Raise(new(0xFEE00000, 7));
        });
        RunTo(1001);
        var writer = new SnapshotWriter();
        fabric.Save(writer);
        var other = new DmaCostTests();
        other.clock.SwitchTo(1001);
        var reader = new SnapshotReader("dma", 2, writer.Written.ToArray());
        other.fabric.Load(reader);
        reader.End();
        Assert.Empty(other.sink.Messages);
        other.RunTo(1000 + 64 * line);
        Assert.Empty(sink.Messages);
        Assert.Equal(7u, Assert.Single(other.sink.Messages).Data);
        other.Dispose();
    }

    [Fact]
    public void More_messages_than_fit_arrive_at_once()
    {
        At(1000, () =>
        {
            port.TryWrite(new Iova(0x1000), new byte[64]);
            for (var i = 0u; i < 2000; i++)
            {
                port.Raise(new(0xFEE00000, i));
            }
        });
        RunTo(1000);
        Assert.Equal(2000 - 1024, sink.Messages.Count);
        RunTo(2000);
        Assert.Equal(2000, sink.Messages.Count);
    }
}
