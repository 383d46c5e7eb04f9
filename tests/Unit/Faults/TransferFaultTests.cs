using Vmm.Platform.Dma;
using Vmm.Platform.Faults;
using Vmm.Platform.Interrupts;
using Vmm.Platform.Memory;
using Vmm.Platform.Snapshots;
using Vmm.Platform.Time;
using Vmm.Unit.Dma;
using Xunit;

namespace Vmm.Unit.Faults;

/// <summary>Transfers and interrupts that go wrong, one action each, with everything else left as it was.</summary>
public sealed class TransferFaultTests : IDisposable
{
    const ulong At = 0x3000;

    readonly DmaTestBench bench = new();
    readonly VirtualClock clock = new();
    readonly FaultPlan plan;
    readonly TableTranslator table;

    public TransferFaultTests()
    {
        plan = new(clock, bench.Fabric);
        table = bench.Translate();
        for (var page = 0ul; page < 16; page++)
        {
            table.Pages[page] = (page, true, true);
        }
    }

    public void Dispose() => bench.Dispose();

    static readonly byte[] Bytes = [.. Enumerable.Range(1, 64).Select(i => (byte)i)];

    void Arm(DmaFault fault, FaultMatch? match = null) => plan.Arm(new("r", match ?? new() { Count = 1 }, fault));

    byte[] Ram(ulong at = At, int length = 64)
    {
        var bytes = new byte[length];
        bench.Memory.TryRead(new Gpa(at), bytes);
        return bytes;
    }

    void Pass(ulong nanoseconds)
    {
        clock.Charge(clock.ToCycles(nanoseconds, 1_000_000_000));
        clock.RunDue();
    }

    FaultFiring Fired => Assert.Single(plan.Firings);

    [Fact]
    public void A_dropped_write_is_not_noticed_and_a_dropped_read_is()
    {
        Arm(new(DmaFaultKind.Drop), new() { Count = 2 });
        Assert.True(bench.Port.TryWrite(new Iova(At), Bytes));
        Assert.Equal(new byte[64], Ram());
        Assert.False(bench.Port.TryRead(new Iova(At), new byte[64]));
        Assert.Equal([false, true], plan.Firings.Select(f => f.SuppressedBy == null));
        Assert.True(bench.Port.TryWrite(new Iova(At), Bytes));
        Assert.Equal(Bytes, Ram());
    }

    [Fact]
    public void A_delayed_write_arrives_when_its_time_is_over()
    {
        Arm(new(DmaFaultKind.Delay, 500));
        Assert.True(bench.Port.TryWrite(new Iova(At), Bytes));
        Pass(499);
        Assert.Equal(new byte[64], Ram());
        Pass(2);
        Assert.Equal(Bytes, Ram());
        Assert.Equal(0, plan.HeldCount);
    }

    [Fact]
    public void A_delayed_write_is_translated_when_it_arrives()
    {
        Arm(new(DmaFaultKind.Delay, 500));
        bench.Port.TryWrite(new Iova(At), Bytes);
        table.Pages.Remove(At >> 12);
        table.Generation++;
        Pass(600);
        Assert.Equal(new byte[64], Ram());
        Assert.Equal(1ul, bench.Port.Counters.BlockedByTranslator);
    }

    [Fact]
    public void A_truncated_write_moves_the_first_bytes_and_a_truncated_read_ends_in_ones()
    {
        Arm(new(DmaFaultKind.Truncate, Bytes: 10), new() { Count = 2 });
        bench.Port.TryWrite(new Iova(At), Bytes);
        Assert.Equal([.. Bytes[..10], .. new byte[54]], Ram());
        var read = new byte[64];
        bench.Port.TryRead(new Iova(At), read);
        Assert.Equal([.. Bytes[..10], .. Enumerable.Repeat((byte)0xFF, 54)], read);
    }

    [Fact]
    public void A_duplicated_write_arrives_again_over_what_came_between()
    {
        Arm(new(DmaFaultKind.Duplicate, 500));
        bench.Port.TryWrite(new Iova(At), Bytes);
        Assert.Equal(Bytes, Ram());
        bench.Memory.TryWrite(new Gpa(At), new byte[64]);
        Pass(501);
        Assert.Equal(Bytes, Ram());
    }

    [Fact]
    public void A_reordered_write_arrives_after_the_next_one()
    {
        Arm(new(DmaFaultKind.Reorder));
        bench.Port.TryWrite(new Iova(At), Bytes);
        Assert.Equal(new byte[64], Ram());
        bench.Port.TryWrite(new Iova(At), new byte[] { 0xAA });
        Assert.Equal(Bytes, Ram());
        Assert.Equal(0, plan.HeldCount);
    }

    [Fact]
    public void Flipped_bits_are_as_many_as_asked_and_drawn_from_the_seed()
    {
        Arm(new(DmaFaultKind.FlipBits, Bits: 1), new() { Count = 1, Seed = 3 });
        bench.Port.TryWrite(new Iova(At), Bytes);
        Assert.Equal(1, Ram().Zip(Bytes, (a, b) => System.Numerics.BitOperations.PopCount((uint)(a ^ b))).Sum());
    }

    [Fact]
    public void A_wrong_address_is_translated_like_any_other()
    {
        Arm(new(DmaFaultKind.WrongAddress, Offset: 0x1000), new() { Count = 2 });
        bench.Port.TryWrite(new Iova(At), Bytes);
        Assert.Equal(new byte[64], Ram());
        Assert.Equal(Bytes, Ram(At + 0x1000));
        table.Pages.Remove((At >> 12) + 1);
        Assert.False(bench.Port.TryWrite(new Iova(At), Bytes));
        Assert.Equal([false, true], plan.Firings.Select(f => f.SuppressedBy == null));
    }

    [Fact]
    public void A_wrong_requester_is_what_the_unit_sees()
    {
        Arm(new(DmaFaultKind.WrongRequester, Requester: new(0, 0x1E, 7)));
        bench.Port.TryWrite(new Iova(At), Bytes);
        Assert.Equal(new Bdf(0, 0x1E, 7), table.Requests[^1].Requester);
        bench.Port.TryWrite(new Iova(At), Bytes);
        Assert.Equal(bench.Port.Requester, table.Requests[^1].Requester);
    }

    [Fact]
    public void An_access_after_unmap_follows_the_next_invalidation()
    {
        Arm(new(DmaFaultKind.AfterUnmap));
        bench.Port.TryWrite(new Iova(At), Bytes);
        table.Pages.Remove(At >> 12);
        table.Generation++;
        bench.Memory.TryWrite(new Gpa(At), new byte[64]);
        Pass(1_000_000);
        Assert.Equal(0ul, bench.Port.Counters.BlockedByTranslator);
        plan.InvalidationDone();
        Pass(1);
        Assert.Equal(1ul, bench.Port.Counters.BlockedByTranslator);
        Assert.Equal(new byte[64], Ram());
    }

    [Fact]
    public void An_overrun_ends_with_its_page()
    {
        Arm(new(DmaFaultKind.Overrun, Bytes: 100));
        bench.Port.TryWrite(new Iova(At + 4096 - 96), Bytes);
        Assert.Equal(Bytes, Ram(At + 4096 - 96));
        Assert.NotEqual(new byte[32], Ram(At + 4096 - 32, 32));
        Assert.Equal(new byte[64], Ram(At + 4096));
        Assert.Contains("32 bytes too many", Fired.Effect, StringComparison.Ordinal);
    }

    [Fact]
    public void Writes_alone_are_held_back()
    {
        Arm(new(DmaFaultKind.Delay, 500));
        var read = new byte[64];
        Assert.True(bench.Port.TryRead(new Iova(At), read));
        Assert.Empty(plan.Firings);
        Assert.Equal(0ul, plan.Rules[0].Matched);
    }

    [Fact]
    public void Disarming_lets_go_what_is_held_back()
    {
        Arm(new(DmaFaultKind.Reorder));
        bench.Port.TryWrite(new Iova(At), Bytes);
        plan.Disarm("r");
        Pass(1);
        Assert.Equal(Bytes, Ram());
    }

    [Fact]
    public void No_more_is_held_back_than_there_is_room_for()
    {
        Arm(new(DmaFaultKind.Reorder), new() { Direction = FaultDirection.Write });
        for (var i = 0; i < 1000; i++)
        {
            Assert.True(bench.Port.TryWrite(new Iova(At), new byte[] { (byte)i }));
        }

        Assert.InRange(plan.HeldCount, 1, 256);
    }

    [Fact]
    public void A_held_write_survives_a_snapshot()
    {
        Arm(new(DmaFaultKind.Delay, 500));
        bench.Port.TryWrite(new Iova(At), Bytes);
        var writer = new SnapshotWriter();
        plan.Save(writer);
        using var other = new DmaTestBench();
        var time = new VirtualClock();
        var restored = new FaultPlan(time, other.Fabric);
        restored.Load(new("faults", 1, writer.Written.ToArray()));
        time.Charge(time.ToCycles(501, 1_000_000_000));
        time.RunDue();
        var bytes = new byte[64];
        other.Memory.TryRead(new Gpa(At), bytes);
        Assert.Equal(Bytes, bytes);
    }

    [Fact]
    public void A_translation_fault_is_raised_past_a_kept_translation()
    {
        bench.Port.TryWrite(new Iova(At), Bytes);
        plan.Arm(new("r", new() { Count = 1, Address = new(At, 4096) }, new TranslationFault(6, 0)));
        Assert.False(bench.Port.TryRead(new Iova(At), new byte[64]));
        Assert.True(bench.Port.TryRead(new Iova(At), new byte[64]));
        Assert.Null(Fired.SuppressedBy);
    }

    [Fact]
    public void Without_a_unit_a_translation_fault_is_suppressed_and_said_so()
    {
        bench.Port.Translator = null;
        plan.Arm(new("r", new(), new TranslationFault(6, 0)));
        Assert.True(bench.Port.TryWrite(new Iova(At), Bytes));
        Assert.NotNull(Fired.SuppressedBy);
    }

    [Fact]
    public void A_rule_for_another_device_leaves_the_short_way_open()
    {
        plan.Arm(new("r", new() { Device = new(0, 9, 0) }, new TranslationFault(6, 0)));
        var cursor = default(DmaCursor);
        Assert.True(bench.Port.TryGetWindow(ref cursor, new Iova(At), 64, DmaAccess.Write, out _));
        var asked = table.Requests.Count;
        Assert.True(bench.Port.TryGetWindow(ref cursor, new Iova(At), 64, DmaAccess.Write, out _));
        Assert.Equal(asked, table.Requests.Count);
    }

    [Theory]
    [InlineData(InterruptFaultKind.Drop, 0)]
    [InlineData(InterruptFaultKind.Duplicate, 2)]
    [InlineData(InterruptFaultKind.Storm, 4)]
    [InlineData(InterruptFaultKind.WrongVector, 1)]
    [InlineData(InterruptFaultKind.RemapFault, 0)]
    public void Interrupts_go_wrong_as_told(InterruptFaultKind kind, int delivered)
    {
        plan.Arm(new("r", new() { Count = 1, Vector = 0x41 }, new InterruptFault(kind, 3, 100, 6, 0x22)));
        Assert.Equal(kind != InterruptFaultKind.RemapFault, bench.Port.Raise(new(0xFEE0_0000, 0x41)));
        for (var i = 0; i < 10; i++)
        {
            Pass(101);
        }

        Assert.Equal(delivered, bench.Sink.Messages.Count);
        Assert.All(bench.Sink.Messages, m => Assert.Equal(kind == InterruptFaultKind.WrongVector ? 0x147u : 0x141u, m.Data));
        Assert.Equal(kind == InterruptFaultKind.RemapFault, Fired.SuppressedBy == null);
    }
}
