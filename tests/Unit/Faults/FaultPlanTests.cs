using Vmm.Platform.Dma;
using Vmm.Platform.Faults;
using Vmm.Platform.Snapshots;
using Vmm.Platform.Time;
using Vmm.Unit.Dma;
using Xunit;

namespace Vmm.Unit.Faults;

/// <summary>When rules fire, and what is refused.</summary>
public sealed class FaultPlanTests : IDisposable
{
    static readonly Bdf Device = new(0, 4, 0);

    readonly DmaTestBench bench = new();
    readonly VirtualClock clock = new();
    readonly FaultPlan plan;
    ulong instructions;

    public FaultPlanTests() => plan = new(clock, bench.Fabric) { Instructions = () => instructions };

    public void Dispose() => bench.Dispose();

    static FaultRule Rule(string name, FaultMatch match) => new(name, match, new CompletionFault(CompletionFaultKind.Timeout));

    static FaultRequest Request(ulong address = 0x1000, ulong length = 8) => new(FaultPoint.Completion, Device, address, length)
    {
        Pasid = 5, Opcode = 2, Vector = 0x41, Direction = FaultDirection.Write,
    };

    bool Fires() => plan.Fire(Request()) != null;

    [Fact]
    public void Each_filter_lets_through_what_it_names_and_stops_the_rest()
    {
        (FaultMatch Match, bool Fires)[] cases =
        [
            (new(), true),
            (new() { Device = Device }, true), (new() { Device = new(0, 5, 0) }, false),
            (new() { Pasid = 5 }, true), (new() { Pasid = 6 }, false),
            (new() { Opcode = 2 }, true), (new() { Opcode = 1 }, false),
            (new() { Vector = 0x41 }, true), (new() { Vector = 0x42 }, false),
            (new() { Direction = FaultDirection.Write }, true), (new() { Direction = FaultDirection.Read }, false),
            (new() { Address = new(0x1007, 1) }, true), (new() { Address = new(0x1008, 1) }, false),
            (new() { Address = new(0xFFF, 1) }, false), (new() { Address = new(0xF00, 0x101) }, true),
            (new() { Address = new(0, ulong.MaxValue) }, true),
            (new() { Time = new(0, 1) }, true), (new() { Time = new(1, 0) }, false),
            (new() { Instructions = new(0, 1) }, true), (new() { Instructions = new(1, 0) }, false),
        ];
        foreach (var (match, fires) in cases)
        {
            plan.Arm(Rule("r", match));
            Assert.True(fires == Fires(), match.ToString());
            plan.Disarm("r");
        }
    }

    [Fact]
    public void Windows_are_half_open()
    {
        plan.Arm(Rule("r", new() { Instructions = new(10, 20) }));
        var fired = new List<ulong>();
        for (instructions = 8; instructions < 24; instructions++)
        {
            if (Fires())
            {
                fired.Add(instructions);
            }
        }

        Assert.Equal([10, 11, 12, 13, 14, 15, 16, 17, 18, 19], fired);
    }

    [Fact]
    public void Nth_interval_and_count_choose_among_the_matches()
    {
        plan.Arm(Rule("r", new() { Nth = 3, Interval = 4, Count = 2 }));
        var fired = Enumerable.Range(1, 20).Where(_ => Fires()).ToArray();
        Assert.Equal([3, 7], fired);
        Assert.Equal((7ul, 2ul), (plan.Rules[0].Matched, plan.Rules[0].Fired));
        Assert.False(plan.IsArmed(FaultPoint.Completion));
    }

    [Fact]
    public void Probability_is_drawn_from_the_rules_own_stream_and_repeats()
    {
        int[] Run(ulong seed)
        {
            plan.Arm(Rule("r", new() { ProbabilityPpm = 250_000, Seed = seed }));
            var fired = Enumerable.Range(0, 4000).Where(_ => Fires()).ToArray();
            plan.Disarm("r");
            return fired;
        }

        var first = Run(1);
        Assert.InRange(first.Length, 900, 1100);
        Assert.Equal(first, Run(1));
        Assert.NotEqual(first, Run(2));
    }

    [Fact]
    public void The_first_rule_that_fires_acts_alone()
    {
        plan.Arm(Rule("never", new() { Opcode = 9 }));
        plan.Arm(Rule("first", new() { Count = 1 }));
        plan.Arm(Rule("second", new()));
        Assert.Equal("first", plan.Fire(Request())!.Rule.Name);
        Assert.Equal("second", plan.Fire(Request())!.Rule.Name);
        Assert.Equal(1ul, plan.Rules[2].Matched);
    }

    [Fact]
    public void All_errors_of_a_rule_are_named_at_once()
    {
        var bad = new FaultRule(
            "1bad",
            new() { Pasid = 1 << 20, Address = new(ulong.MaxValue, 2), Nth = 0, Interval = 0, ProbabilityPpm = 0, Time = new(5, 5), Vector = 256 },
            new DmaFault(DmaFaultKind.Overrun));
        var error = Assert.Throws<FaultRuleException>(() => plan.Arm(bad));
        Assert.Equal(
            ["name", "match.pasid", "match.address", "match.vector", "match.time", "match.nth", "match.interval", "match.probability_ppm", "action.dma.bytes"],
            error.Violations.Select(v => v.Field));
        Assert.Empty(plan.Rules);
    }

    public static TheoryData<FaultAction, string> BadActions => new()
    {
        { new TranslationFault(256, 0), "action.translation.reason" },
        { new TranslationFault(6, 6), "action.translation.level" },
        { new InvalidationFault(0), "action.invalidation.kind" },
        { new InvalidationFault(InvalidationFaultKind.Delay), "action.invalidation.delay_ns" },
        { new CacheFault(), "match.device" },
        { new InterruptFault(InterruptFaultKind.Storm, 0, 100), "action.interrupt.repeat" },
        { new InterruptFault(InterruptFaultKind.Storm, 1, 99), "action.interrupt.period_ns" },
        { new InterruptFault(InterruptFaultKind.WrongVector), "action.interrupt.data_xor" },
        { new InterruptFault(InterruptFaultKind.RemapFault, Reason: 0x1F), "action.interrupt.reason" },
        { new DmaFault(DmaFaultKind.Delay), "action.dma.delay_ns" },
        { new DmaFault(DmaFaultKind.Truncate, Bytes: 4096), "action.dma.bytes" },
        { new DmaFault(DmaFaultKind.FlipBits, Bits: 65), "action.dma.bits" },
        { new DmaFault(DmaFaultKind.WrongAddress), "action.dma.offset" },
        { new CompletionFault(CompletionFaultKind.Status), "action.completion.status_code" },
        { new CompletionFault(CompletionFaultKind.Status, 8, 1), "action.completion.status_code_type" },
    };

    [Theory]
    [MemberData(nameof(BadActions))]
    public void An_action_that_means_nothing_is_refused(FaultAction action, string field) =>
        Assert.Contains(FaultRuleCheck.Violations(new("r", new(), action)), v => v.Field == field);

    [Fact]
    public void A_name_is_armed_once()
    {
        plan.Arm(Rule("r", new()));
        Assert.Throws<FaultRuleException>(() => plan.Arm(Rule("r", new())));
        Assert.True(plan.Disarm("r"));
        Assert.False(plan.Disarm("r"));
        plan.Arm(Rule("r", new()));
    }

    [Fact]
    public void A_restored_plan_goes_on_as_the_saved_one()
    {
        plan.Arm(Rule("chance", new() { ProbabilityPpm = 300_000, Seed = 7, Device = Device, Address = new(0x1000, 8), Time = new(0, 99) }));
        plan.Arm(new("bits", new() { Direction = FaultDirection.Write }, new DmaFault(DmaFaultKind.FlipBits, Bits: 3, Requester: new(1, 2, 3))));
        for (var i = 0; i < 50; i++)
        {
            Fires();
        }

        var writer = new SnapshotWriter();
        plan.Save(writer);
        var restored = new FaultPlan(new(), new(bench.Memory, bench.Bus.Mmio, bench.Sink));
        restored.Load(new("faults", 1, writer.Written.ToArray()));
        Assert.Equal(plan.Rules.Select(r => r.Rule), restored.Rules.Select(r => r.Rule));
        Assert.Equal(
            Enumerable.Range(0, 100).Select(_ => Fires()),
            Enumerable.Range(0, 100).Select(_ => restored.Fire(Request()) != null));
    }

    [Fact]
    public void A_damaged_snapshot_is_refused()
    {
        plan.Arm(Rule("r", new()));
        var writer = new SnapshotWriter();
        plan.Save(writer);
        var bytes = writer.Written.ToArray();
        for (var i = 0; i < bytes.Length; i++)
        {
            var damaged = bytes.ToArray();
            damaged[i] ^= 0x55;
            var restored = new FaultPlan(new(), new(bench.Memory, bench.Bus.Mmio, bench.Sink));
            try
            {
                restored.Load(new("faults", 1, damaged));
            }
            catch (SnapshotException)
            {
            }
        }
    }
}
