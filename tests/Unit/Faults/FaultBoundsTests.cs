using Vmm.Platform.Dma;
using Vmm.Platform.Faults;
using Vmm.Platform.Time;
using Xunit;

namespace Vmm.Unit.Faults;

/// <summary>Bounds of rules beside asking each rule. VMM_STEPS raises the number of sets of rules.</summary>
public sealed class FaultBoundsTests
{
    const int Requests = 40;

    static int Sets => int.TryParse(Environment.GetEnvironmentVariable("VMM_STEPS"), out var steps) ? Math.Max(steps / 40, 3_000) : 3_000;

    readonly VirtualClock clock = new(1_000_000_000);

    static FaultAction Action(RuleDice dice) => dice.Next(4) switch
    {
        0 => new CompletionFault(CompletionFaultKind.Timeout),
        1 => new InterruptFault(InterruptFaultKind.Drop),
        2 => new DmaFault(DmaFaultKind.Reorder),
        _ => new DmaFault(DmaFaultKind.Drop),
    };

    static FaultRequest Request(RuleDice dice, FaultPoint point) => new(point, RuleDice.Device, dice.Address, dice.Chance(20) ? dice.Address : (ulong)dice.Next(0x1800))
    {
        Pasid = dice.Maybe(5, 2), Opcode = dice.Maybe(1, 3), Direction = dice.Direction, Vector = point == FaultPoint.Interrupt ? 0x41u : null,
    };

    [Theory]
    [InlineData(1, 1)]
    [InlineData(2, 2)]
    [InlineData(3, 5)]
    public void What_a_rule_matches_is_covered_whatever_other_rules_there_are(int seed, int most)
    {
        var dice = new RuleDice(seed);
        int matched = 0, spared = 0;
        for (var i = 0; i < Sets; i++)
        {
            var action = Action(dice);
            var rules = Enumerable.Range(0, 1 + dice.Next(most)).Select(n => new FaultRule($"r{n}", dice.Match(), action)).ToArray();
            var bounds = FaultBounds.Of(rules.Where(r => r.Match.Device is not { } only || only == RuleDice.Device).Select(r => new ArmedRule(r, clock)));
            for (var j = 0; j < Requests; j++)
            {
                var (now, instructions, request) = ((ulong)dice.Next(200), (ulong)dice.Next(200), Request(dice, action.Point));
                var matches = rules.Any(r => RuleOracle.Matches(r, request, now, instructions));
                var covered = bounds.Covers(request, now, instructions);
                Assert.True(covered || !matches, $"{request} at {now}, {instructions}: {string.Join("; ", rules.Select(r => r.Match))}");
                matched += matches ? 1 : 0;
                spared += covered ? 0 : 1;
            }
        }

        Assert.True(matched > Sets * Requests / 40 && spared > Sets * Requests / 10, $"{matched} matched, {spared} spared");
    }

    [Fact]
    public void One_rule_covers_nothing_but_what_it_matches()
    {
        var dice = new RuleDice(4);
        for (var i = 0; i < Sets; i++)
        {
            var rule = new FaultRule("r", dice.Match() with { Instructions = null, Device = null }, Action(dice));
            var bounds = FaultBounds.Of([new(rule, clock)]);
            for (var j = 0; j < Requests; j++)
            {
                var request = Request(dice, rule.Action.Point);
                // What passes the end of the address space is covered without a closer look; a vector is looked at by the rule.
                if (FaultRuleCheck.Violations(rule).Count == 0 && request.Address + request.Length >= request.Address && (rule.Action.Point != FaultPoint.Interrupt || rule.Match.Vector == null))
                {
                    var now = (ulong)dice.Next(200);
                    Assert.True(RuleOracle.Matches(rule, request, now, 0) == bounds.Covers(request, now, 0), $"{rule} {request} at {now}");
                }
            }
        }
    }

    [Fact]
    public void The_oracle_and_the_rules_agree()
    {
        var dice = new RuleDice(5);
        var matched = 0;
        for (var i = 0; i < Sets; i++)
        {
            var rule = new FaultRule("r", dice.Match(), Action(dice));
            for (var j = 0; j < Requests; j++)
            {
                var (now, instructions, request) = ((ulong)dice.Next(200), (ulong)dice.Next(200), Request(dice, rule.Action.Point));
                var matches = RuleOracle.Matches(rule, request, now, instructions);
                Assert.Equal(matches, new ArmedRule(rule, clock).Fires(request, now, () => instructions));
                matched += matches ? 1 : 0;
            }
        }

        Assert.True(matched > Sets * Requests / 40, $"only {matched} matched");
    }

    [Fact]
    public void Windows_of_time_are_those_of_the_clocks_nanoseconds()
    {
        var odd = new VirtualClock(2_112_000_001);
        var rule = new ArmedRule(new("r", new() { Time = new(1_000, 1_001) }, new CompletionFault(CompletionFaultKind.Timeout)), odd);
        for (var cycle = 2_000ul; cycle < 2_200; cycle++)
        {
            Assert.Equal(odd.CyclesToNanoseconds(cycle) == 1_000, cycle >= rule.FirstCycle && cycle <= rule.LastCycle);
        }
    }

    [Fact]
    public void A_spent_rule_covers_nothing()
    {
        var rule = new ArmedRule(new("r", new() { Count = 1 }, new CompletionFault(CompletionFaultKind.Timeout)), clock);
        Assert.False(FaultBounds.Of([rule]).IsNone);
        Assert.True(rule.Fires(new(FaultPoint.Completion, null, 0, 1), 0, null));
        Assert.True(FaultBounds.Of([rule]).IsNone);
    }
}
