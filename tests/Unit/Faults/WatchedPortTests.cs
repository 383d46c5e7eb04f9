using Vmm.Platform.Dma;
using Vmm.Platform.Faults;
using Vmm.Platform.Memory;
using Vmm.Platform.Time;
using Vmm.Unit.Dma;
using Xunit;

namespace Vmm.Unit.Faults;

/// <summary>A port asks every rule that could match, whatever it does to spare itself the asking. VMM_STEPS raises the number of requests.</summary>
public sealed class WatchedPortTests : IDisposable
{
    const int Rules = 3, RequestsPerSet = 60;

    static int Sets => int.TryParse(Environment.GetEnvironmentVariable("VMM_STEPS"), out var steps) ? Math.Max(steps / 200, 800) : 800;

    readonly DmaTestBench bench = new();
    readonly VirtualClock clock = new(1_000_000_000);
    readonly FaultPlan plan;
    readonly byte[] buffer = new byte[8192];
    ulong instructions;

    public WatchedPortTests()
    {
        plan = new(clock, bench.Fabric) { Instructions = () => instructions };
        var table = bench.Translate();
        for (var page = 0ul; page < 16; page++)
        {
            table.Pages[page] = (page, true, true);
        }
    }

    public void Dispose() => bench.Dispose();

    /// <summary>What a rule should have counted.</summary>
    sealed class Expected(FaultRule rule)
    {
        public FaultRule Rule => rule;

        public ulong Matched, Fired;

        /// <summary>True when its filters hold and it may still fire.</summary>
        public bool Matches(in FaultRequest request, ulong now, ulong instructions) =>
            (rule.Match.Count == 0 || Fired < rule.Match.Count) && RuleOracle.Matches(rule, request, now, instructions);

        /// <summary>True when it fires.</summary>
        public bool Ask(in FaultRequest request, ulong now, ulong instructions)
        {
            if (!Matches(request, now, instructions) || ++Matched < rule.Match.Nth)
            {
                return false;
            }

            Fired++;
            return true;
        }
    }

    /// <summary>A rule without effect: it never gets as far as firing, or it shortens what is no longer than that.</summary>
    static FaultRule Harmless(RuleDice dice, int number) => dice.Chance(30)
        ? new($"r{number}", dice.Match() with { Nth = 1ul << 40 }, new TranslationFault(5, 0))
        : new($"r{number}", dice.Match() with { Nth = dice.Chance(50) ? 1ul << 40 : 1, Count = 1 + (ulong)dice.Next(20) }, new DmaFault(DmaFaultKind.Truncate, Bytes: 4095));

    [Fact]
    public void Every_rule_counts_what_it_would_if_it_was_always_asked()
    {
        var dice = new RuleDice(1);
        int windows = 0, refused = 0;
        ulong matched = 0, fired = 0;
        for (var i = 0; i < Sets; i++)
        {
            var expected = Enumerable.Range(0, 1 + dice.Next(Rules)).Select(n => new Expected(Harmless(dice, n))).ToList();
            expected.ForEach(e => plan.Arm(e.Rule));
            clock.SwitchTo((ulong)dice.Next(100));
            for (var j = 0; j < RequestsPerSet; j++)
            {
                clock.Charge((ulong)dice.Next(4));
                instructions += (ulong)dice.Next(4);
                bench.Port.Opcode = dice.Maybe(1, 3);
                var cursor = dice.Chance(30) ? new DmaCursor(5 + (uint)dice.Next(2)) : default;
                var (address, length, write) = (new Iova((ulong)dice.Next(0x6000)), 1 + dice.Next(4000), dice.Chance(50));
                if (dice.Chance(30))
                {
                    var granted = bench.Port.TryGetWindow(ref cursor, address, length, write ? DmaAccess.Write : DmaAccess.Read, out var window);
                    var request = Request(FaultPoint.Transfer, cursor, address.Value, Math.Min(length, 4096 - address.PageOffset), write);
                    Assert.False(granted && expected.Exists(e => e.Matches(request, clock.Now, instructions)), request.ToString());
                    if (granted)
                    {
                        expected.ForEach(e => e.Ask(request with { Point = FaultPoint.Translation, Length = 1 }, clock.Now, instructions));
                    }

                    windows += granted ? 1 : 0;
                    refused += granted ? 0 : 1;
                    continue;
                }

                Assert.True(write ? bench.Port.TryWrite(ref cursor, address, buffer.AsSpan(0, length)) : bench.Port.TryRead(ref cursor, address, buffer.AsSpan(0, length)));
                for (int done = 0, piece; done < length; done += piece)
                {
                    piece = Math.Min(length - done, 4096 - (int)((address.Value + (ulong)done) & 0xFFF));
                    var request = Request(FaultPoint.Transfer, cursor, address.Value + (ulong)done, piece, write);
                    _ = expected.Exists(e => e.Ask(request, clock.Now, instructions));
                    expected.ForEach(e => e.Ask(request with { Point = FaultPoint.Translation, Length = 1 }, clock.Now, instructions));
                }
            }

            Assert.Equal(expected.Select(e => (e.Matched, e.Fired)), plan.Rules.Select(r => (r.Matched, r.Fired)));
            matched += expected.Aggregate(0ul, (sum, e) => sum + e.Matched);
            fired += expected.Aggregate(0ul, (sum, e) => sum + e.Fired);
            plan.Clear();
            instructions = 0;
        }

        Assert.True(matched > 4ul * (ulong)Sets && fired > (ulong)Sets / 2 && windows > 5 * Sets && refused > Sets / 2, $"{matched} matched, {fired} fired, {windows} windows, {refused} refused");
    }

    FaultRequest Request(FaultPoint point, in DmaCursor cursor, ulong address, int length, bool write) => new(point, RuleDice.Device, address, (ulong)length)
    {
        Pasid = cursor.HasPasid ? cursor.Pasid : null, Opcode = bench.Port.Opcode, Direction = write ? FaultDirection.Write : FaultDirection.Read,
    };

    public static TheoryData<FaultMatch> OutOfReach => new()
    {
        new FaultMatch { Address = new(0x4000, 0x1000) }, new FaultMatch { Address = new(0x3010, 0x100) }, new FaultMatch { Opcode = 1 }, new FaultMatch { Direction = FaultDirection.Read },
        new FaultMatch { Pasid = 5 }, new FaultMatch { Time = new(1_000_000, 0) }, new FaultMatch { Time = new(0, 1) }, new FaultMatch { Vector = 0x41 },
        new FaultMatch { Device = new(0, 5, 0) }, new FaultMatch { Instructions = new(1_000, 0) },
    };

    [Theory]
    [MemberData(nameof(OutOfReach))]
    public void A_rule_out_of_reach_leaves_the_device_its_windows(FaultMatch match)
    {
        clock.Charge(100);
        plan.Arm(new("r", match, new DmaFault(DmaFaultKind.Drop)));
        bench.Port.Opcode = 2;
        Assert.True(TryGetWindow());
    }

    [Fact]
    public void A_rule_within_reach_takes_the_window_away_until_it_is_spent()
    {
        plan.Arm(new("r", new() { Address = new(0x3000, 8), Opcode = 2, Direction = FaultDirection.Write, Count = 1 }, new DmaFault(DmaFaultKind.Drop)));
        Assert.True(TryGetWindow());
        bench.Port.Opcode = 2;
        Assert.False(TryGetWindow());
        bench.Port.Opcode = 3;
        Assert.True(TryGetWindow());
        bench.Port.Opcode = 2;
        Assert.True(bench.Port.TryWrite(new Iova(0x3000), 0x55));
        Assert.Equal(1ul, plan.Rules[0].Fired);
        Assert.True(TryGetWindow());
        bench.Memory.TryRead(new Gpa(0x3000), out int kept);
        Assert.Equal(0, kept);
    }

    bool TryGetWindow()
    {
        var cursor = default(DmaCursor);
        return bench.Port.TryGetWindow(ref cursor, new Iova(0x3000), 16, DmaAccess.Write, out _);
    }
}
