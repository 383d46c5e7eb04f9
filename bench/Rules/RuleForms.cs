using Vmm.Platform.Dma;
using Vmm.Platform.Faults;

namespace Vmm.Bench.Rules;

/// <summary>A rule that is armed and never matches what the driver's controller does.</summary>
/// <param name="Point">Where it is asked.</param>
/// <param name="Why">Why it never matches.</param>
/// <param name="Rule">The rule; null: none, which shows what the measurement itself is worth.</param>
/// <param name="IsUsedUp">It fires once before it is measured, and then its count is used up.</param>
/// <param name="IsAsked">Its filters do match, and only its turn never comes: not what the goal is about.</param>
internal sealed record RuleForm(string Point, string Why, FaultRule? Rule, bool IsUsedUp = false, bool IsAsked = false);

/// <summary>Every way in which a rule can be out of reach of NVMe reads, at every point that they pass.</summary>
internal static class RuleForms
{
    const ulong Day = 86_400_000_000_000;

    /// <summary>The controller under test.</summary>
    public static readonly Bdf Controller = new(0, 4, 0);

    /// <summary>All of them.</summary>
    public static IReadOnlyList<RuleForm> All { get; } =
    [
        new("none", "no rule at all", null),
        .. At("transfer", new DmaFault(DmaFaultKind.Drop)),
        .. Ways("transfer", new DmaFault(DmaFaultKind.Drop), ("vector", new() { Vector = 0x41 })),
        UsedUp("transfer", new DmaFault(DmaFaultKind.Truncate, Bytes: 4095), new() { Opcode = 2 }),
        .. At("translation", new TranslationFault(5, 0)),
        UsedUp("translation", new TranslationFault(5, 0), new() { Opcode = 2 }),
        .. At("completion", new CompletionFault(CompletionFaultKind.Timeout)),
        UsedUp("completion", new CompletionFault(CompletionFaultKind.Status, 0, 6), new() { Opcode = 2 }),
        .. Ways("interrupt", new InterruptFault(InterruptFaultKind.Drop), ("address", Far), ("vector", new() { Vector = 0xEE }), ("time to come", Later), ("another device", Other)),
        InVain("transfer", new DmaFault(DmaFaultKind.Drop)),
        InVain("translation", new TranslationFault(5, 0)),
        InVain("completion", new CompletionFault(CompletionFaultKind.Timeout)),
        UsedUp("interrupt", new InterruptFault(InterruptFaultKind.Drop), new() { Vector = 0x41 }),
    ];

    static FaultMatch Far => new() { Address = new(1ul << 60, 4096) };

    static FaultMatch Later => new() { Time = new(Day * 365, 0) };

    static FaultMatch Other => new() { Device = new(0, 9, 0) };

    /// <summary>The filters that NVMe's data pass. A read command writes memory, so one that reads it moves no data.</summary>
    static IEnumerable<RuleForm> At(string point, FaultAction action) => Ways(
        point, action,
        ("address", Far), ("opcode", new() { Opcode = 1 }), ("direction", new() { Opcode = 2, Direction = FaultDirection.Read }), ("PASID", new() { Pasid = 5 }),
        ("time to come", Later), ("time over", new() { Time = new(0, 1) }), ("instructions to come", new() { Instructions = new(1ul << 60, 0) }), ("instructions over", new() { Instructions = new(0, 1) }), ("another device", Other));

    static IEnumerable<RuleForm> Ways(string point, FaultAction action, params (string Why, FaultMatch Match)[] ways) =>
        ways.Select(w => new RuleForm(point, w.Why, Named(w.Match, action)));

    static RuleForm UsedUp(string point, FaultAction action, FaultMatch match) => new(point, "count used up", Named(match with { Count = 1 }, action), true);

    static RuleForm InVain(string point, FaultAction action) => new(point, "nothing: asked each time, nth to come", Named(new() { Nth = 1ul << 60 }, action), IsAsked: true);

    static FaultRule Named(FaultMatch match, FaultAction action) => new("never", match.Device == null ? match with { Device = Controller } : match, action);
}
