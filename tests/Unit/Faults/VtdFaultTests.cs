using Vmm.Iommu;
using Vmm.Platform.Bus;
using Vmm.Platform.Dma;
using Vmm.Platform.Faults;
using Vmm.Platform.Memory;
using Vmm.Platform.Snapshots;
using Vmm.Platform.Time;
using Vmm.Specs.VtD;
using Vmm.Unit.Iommu;
using Xunit;

namespace Vmm.Unit.Faults;

/// <summary>What rules make of translations, interrupts and invalidations of a VT-d unit.</summary>
public sealed class VtdFaultTests : IDisposable
{
    const uint IQE = 1 << 4, ICE = 1 << 5, ITE = 1 << 6;
    const ulong Iova = 0x7000, Page = 0x20_0000;

    readonly VtdBench bench = new();
    readonly VirtualClock clock = new();
    readonly FaultPlan plan;
    readonly DmaPort port;
    readonly ulong root;
    readonly ulong status;

    public VtdFaultTests()
    {
        var fabric = new DmaFabric(bench.Memory, new SystemBus().Mmio, bench.Sink);
        plan = new(clock, fabric);
        bench.Unit.Faults = plan;
        port = new(fabric, VtdBench.Device) { Translator = bench.Unit };
        status = bench.Page();
        root = bench.AttachLegacy(VtdBench.Device, 5);
        bench.Map(root, Iova, Page | 3);
        bench.EnableQueue();
        bench.EnableLegacy();
    }

    public void Dispose() => bench.Dispose();

    void Arm(FaultAction action, FaultMatch? match = null) => plan.Arm(new("r", match ?? new() { Count = 1 }, action));

    bool Read() => port.TryRead(new Iova(Iova), new byte[64]);

    void Flush() => bench.Submit(0x02 | 3 << 4 | 5ul << 16, Iova);

    void Wait(uint data) => bench.Submit(0x25 | (ulong)data << 32, status);

    FaultFiring Fired => Assert.Single(plan.Firings);

    public static TheoryData<FaultReason> Reasons => [.. Enum.GetValues<FaultReason>().Where(r => r is > FaultReason.None and < FaultReason.InterruptReserved or >= FaultReason.RootAddressInvalid)];

    [Theory]
    [MemberData(nameof(Reasons))]
    public void Every_reason_reaches_the_fault_record(FaultReason reason)
    {
        Arm(new TranslationFault((uint)reason, 0));
        Assert.False(Read());
        var record = bench.TakeFault();
        Assert.Equal((reason, VtdBench.Device.Value, Iova), (record.FR, record.SID, record.Page));
        Assert.Null(Fired.SuppressedBy);
        Assert.True(Read());
    }

    [Fact]
    public void A_level_makes_the_unit_walk_past_its_caches()
    {
        Assert.True(Read());
        var walked = bench.Unit.Counters.ForDevice(VtdBench.Device).Walks;
        Arm(new TranslationFault(6, 2));
        Assert.False(Read());
        Assert.Equal(FaultReason.NoReadPermission, bench.TakeFault().FR);
        Assert.Equal(walked + 1, bench.Unit.Counters.ForDevice(VtdBench.Device).Walks);
    }

    [Fact]
    public void With_translation_off_the_request_passes_and_the_firing_says_why()
    {
        bench.Write32(0x18, 1u << 26);
        Arm(new TranslationFault(6, 0));
        Assert.True(Read());
        Assert.Contains("TES", Fired.SuppressedBy, StringComparison.Ordinal);
    }

    [Fact]
    public void A_fault_that_FPD_hides_is_listed_as_suppressed()
    {
        bench.SetLegacy(VtdBench.Device, root | 3, 2 | 5ul << 8);
        Arm(new TranslationFault(6, 0));
        Assert.False(Read());
        Assert.Contains("FPD", Fired.SuppressedBy, StringComparison.Ordinal);
        Assert.Equal(0u, bench.Read32(0x34) & 2);
    }

    [Fact]
    public void Faults_past_the_last_record_are_listed_as_overflowed()
    {
        Arm(new TranslationFault(6, 0), new() { Count = 100 });
        for (var i = 0; i < 100; i++)
        {
            Assert.False(Read());
        }

        Assert.Equal(100, plan.Firings.Count);
        Assert.Equal(bench.Unit.Counters.RecordedFaults, (ulong)plan.Firings.Count(f => f.SuppressedBy == null));
    }

    [Theory]
    [InlineData(0x20)]
    [InlineData(0x22)]
    [InlineData(0x26)]
    public void An_interrupt_is_blocked_with_its_reason(uint reason)
    {
        bench.Write64(0xB8, bench.Page() | 7);
        bench.Command(1u << 24);
        bench.Command(1u << 25);
        Arm(new InterruptFault(InterruptFaultKind.RemapFault, Reason: reason));
        Assert.False(port.Raise(new(0xFEE0_0010 | 5 << 5, 0)));
        var record = bench.TakeFault();
        Assert.Equal(((FaultReason)reason, (ushort)5), (record.FR, record.InterruptIndex));
    }

    [Fact]
    public void A_skipped_invalidation_leaves_the_stale_translation()
    {
        Assert.True(Read());
        bench.Map(root, Iova, 0);
        Arm(new InvalidationFault(InvalidationFaultKind.Skip));
        Flush();
        Wait(1);
        Assert.Equal(1ul, bench.Peek(status));
        Assert.True(Read());
        Flush();
        Assert.False(Read());
    }

    [Fact]
    public void A_cached_translation_survives_the_invalidation_that_names_it()
    {
        bench.Map(root, Iova + 0x1000, Page + 0x1000 | 3);
        Assert.True(Read());
        Assert.True(port.TryRead(new Iova(Iova + 0x1000), new byte[8]));
        bench.Map(root, Iova, 0);
        bench.Map(root, Iova + 0x1000, 0);
        Arm(new CacheFault(), new() { Device = VtdBench.Device, Address = new(Iova, 4096), Count = 1 });
        bench.Submit(0x02 | 1 << 4);
        Assert.True(Read());
        Assert.False(port.TryRead(new Iova(Iova + 0x1000), new byte[8]));
        bench.Submit(0x02 | 1 << 4);
        Assert.False(Read());
        Assert.Single(plan.Firings);
    }

    [Fact]
    public void A_delayed_invalidation_holds_everything_behind_it()
    {
        Assert.True(Read());
        bench.Map(root, Iova, 0);
        Arm(new InvalidationFault(InvalidationFaultKind.Delay, 1000));
        Flush();
        Wait(7);
        Assert.Equal(0ul, bench.Peek(status));
        Assert.True(Read());
        clock.Charge(clock.ToCycles(999, 1_000_000_000));
        clock.RunDue();
        Assert.Equal(0ul, bench.Peek(status));
        clock.Charge(clock.ToCycles(2, 1_000_000_000));
        clock.RunDue();
        Assert.Equal(7ul, bench.Peek(status));
        Assert.False(Read());
    }

    [Fact]
    public void An_invalidation_that_never_completes_ends_with_the_queue()
    {
        Arm(new InvalidationFault(InvalidationFaultKind.NeverComplete));
        Flush();
        Wait(7);
        clock.Charge(ulong.MaxValue / 4);
        clock.RunDue();
        Assert.Equal(0ul, bench.Peek(status));
        bench.Write32(0x18, bench.Read32(0x1C) & 0x92FF_FFFF);
        bench.EnableQueue();
        Wait(8);
        Assert.Equal(8ul, bench.Peek(status));
    }

    [Theory]
    [InlineData(InvalidationFaultKind.QueueError, IQE)]
    [InlineData(InvalidationFaultKind.TimeoutError, ITE)]
    [InlineData(InvalidationFaultKind.CompletionError, ICE)]
    public void Queue_errors_are_reported_and_the_queue_goes_on_when_they_are_cleared(InvalidationFaultKind kind, uint bit)
    {
        Arm(new InvalidationFault(kind));
        Flush();
        Wait(7);
        Assert.Equal(bit, bench.Read32(0x34) & (IQE | ITE | ICE));
        Assert.Null(Fired.SuppressedBy);
        bench.Write32(0x34, bit);
        Wait(9);
        Assert.Equal(9ul, bench.Peek(status));
        Assert.Equal(0u, bench.Read32(0x34) & (IQE | ITE | ICE));
    }

    [Fact]
    public void Waits_are_left_alone_unless_their_type_is_named()
    {
        Arm(new InvalidationFault(InvalidationFaultKind.Skip), new());
        Wait(1);
        Assert.Equal(1ul, bench.Peek(status));
        plan.Clear();
        Arm(new InvalidationFault(InvalidationFaultKind.Skip), new() { Opcode = 5 });
        Wait(2);
        Assert.Equal(1ul, bench.Peek(status));
    }

    [Fact]
    public void A_held_queue_survives_a_snapshot()
    {
        Arm(new InvalidationFault(InvalidationFaultKind.Delay, 1000));
        Flush();
        Wait(7);
        var writer = new SnapshotWriter();
        bench.Unit.Save(writer);
        bench.Unit.Reset();
        bench.Unit.Load(new("vtd0", bench.Unit.SectionVersion, writer.Written.ToArray()));
        clock.Charge(clock.ToCycles(1001, 1_000_000_000));
        clock.RunDue();
        Assert.Equal(7ul, bench.Peek(status));
    }
}
