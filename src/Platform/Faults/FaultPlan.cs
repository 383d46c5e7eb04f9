using Vmm.Platform.Dma;
using Vmm.Platform.Memory;
using Vmm.Platform.Snapshots;
using Vmm.Platform.Time;

namespace Vmm.Platform.Faults;

/// <summary>
/// The fault rules of one machine: which are armed, what they did, and what they hold back. Rules are asked in the order in
/// which they were armed, and the first that fires acts alone. All of it is state of the machine: a snapshot has it, and a run
/// with rules repeats exactly. While no rule is armed at a point, asking there costs one comparison.
/// </summary>
public sealed partial class FaultPlan : ISnapshotPart
{
    /// <summary>Rules at most.</summary>
    public const int RuleLimit = 1024;

    /// <summary>Firings that are remembered.</summary>
    public const int FiringLimit = 4096;

    static readonly int Points = Enum.GetValues<FaultPoint>().Length;

    readonly VirtualClock clock;
    readonly DmaFabric fabric;
    readonly List<ArmedRule> rules = [];
    readonly ArmedRule[][] byPoint = [.. Enumerable.Repeat(Array.Empty<ArmedRule>(), Points)];
    readonly Queue<FaultFiring> firings = [];
    readonly List<Bdf> removed = [];

    /// <param name="clock">The machine's clock.</param>
    /// <param name="fabric">The machine's DMA fabric, whose ports ask.</param>
    public FaultPlan(VirtualClock clock, DmaFabric fabric)
    {
        this.clock = clock;
        this.fabric = fabric;
        held = new(clock, fabric);
        fabric.Faults = this;
    }

    /// <summary>Instructions retired by all processors; asked only for rules with such a window.</summary>
    public Func<ulong>? Instructions { get; set; }

    /// <summary>True when rules within such bounds can match after the instructions retired by now.</summary>
    internal bool HasInstructions(in FaultBounds bounds) => bounds.FirstInstruction == 0 || (Instructions?.Invoke() ?? 0) >= bounds.FirstInstruction;

    /// <summary>Told of each firing, on the machine's thread.</summary>
    public Action<FaultFiring>? Fired { get; set; }

    /// <summary>Takes a device out of its slot. Set by the machine.</summary>
    public Action<Bdf>? Removal { get; set; }

    /// <summary>Devices that left their slots.</summary>
    public IReadOnlyList<Bdf> Removed => removed;

    /// <summary>Virtual time, for what units do late.</summary>
    public VirtualClock Clock => clock;

    /// <summary>Rules in the order in which they are asked.</summary>
    public IReadOnlyList<ArmedRule> Rules => rules;

    /// <summary>The latest firings, oldest first.</summary>
    public IReadOnlyCollection<FaultFiring> Firings => firings;

    /// <summary>Firings so far.</summary>
    public ulong FiringCount { get; private set; }

    /// <summary>Writes and interrupts that wait.</summary>
    public int HeldCount => held.Count;

    /// <summary>What rules at a point can concern of a device; everything while effects wait for its transfers.</summary>
    internal FaultBounds BoundsOf(FaultPoint point, Bdf device) => point == FaultPoint.Transfer && held.Count != 0
        ? FaultBounds.All
        : FaultBounds.Of(byPoint[(int)point].Where(r => r.Rule.Match.Device is not { } only || only == device));

    /// <summary>True when a rule is armed at a point that can fire.</summary>
    public bool IsArmed(FaultPoint point) => byPoint[(int)point].Length != 0;

    /// <summary>Rules at a point that can fire, in the order in which they are asked.</summary>
    public ReadOnlySpan<ArmedRule> At(FaultPoint point) => byPoint[(int)point];

    /// <summary>Arms a rule.</summary>
    /// <exception cref="FaultRuleException">The rule has errors, or its name is taken, or there are too many.</exception>
    public ArmedRule Arm(FaultRule rule)
    {
        var violations = FaultRuleCheck.Violations(rule);
        if (violations.Count == 0 && rules.Exists(r => r.Rule.Name == rule.Name))
        {
            violations.Add(new("name", $"'{rule.Name}' is armed already"));
        }

        if (violations.Count == 0 && rules.Count == RuleLimit)
        {
            violations.Add(new("name", $"{RuleLimit} rules are armed already"));
        }

        if (violations.Count != 0)
        {
            throw new FaultRuleException(violations);
        }

        var armed = new ArmedRule(rule, clock);
        rules.Add(armed);
        Rearm();
        return armed;
    }

    /// <summary>Disarms a rule and lets go what it holds back. False when there is none of that name.</summary>
    public bool Disarm(string name)
    {
        if (rules.RemoveAll(r => r.Rule.Name == name) == 0)
        {
            return false;
        }

        held.Release(name);
        Rearm();
        return true;
    }

    /// <summary>Disarms everything, and lets go what is held back.</summary>
    public void Clear()
    {
        foreach (var rule in rules.ToArray())
        {
            Disarm(rule.Rule.Name);
        }
    }

    /// <summary>The rule that fires for a request, or null. The caller carries it out and calls <see cref="Report"/>.</summary>
    public ArmedRule? Fire(in FaultRequest request)
    {
        foreach (var rule in byPoint[(int)request.Point])
        {
            if (Fires(rule, request))
            {
                return rule;
            }
        }

        return null;
    }

    /// <summary>True when one rule fires for a request.</summary>
    public bool Fires(ArmedRule rule, in FaultRequest request)
    {
        var fires = rule.Fires(request, clock.Now, Instructions);
        if (rule.IsSpent)
        {
            Rearm();
        }

        return fires;
    }

    /// <summary>Remembers a firing and tells of it.</summary>
    /// <param name="rule">The rule that fired.</param>
    /// <param name="request">What it fired for.</param>
    /// <param name="effect">What was done, in words.</param>
    /// <param name="suppressedBy">The rule of the specification because of which software is not told; null: it is told.</param>
    public void Report(ArmedRule rule, in FaultRequest request, string effect, string? suppressedBy)
    {
        var firing = new FaultFiring(rule.Rule.Name, ++FiringCount, clock.NowNanoseconds, request, effect, suppressedBy);
        if (firings.Count == FiringLimit)
        {
            firings.Dequeue();
        }

        firings.Enqueue(firing);
        Fired?.Invoke(firing);
    }

    /// <summary>A device leaves its slot, as a pulled card does, and does not come back.</summary>
    public void RemoveDevice(Bdf device)
    {
        if (!removed.Contains(device))
        {
            removed.Add(device);
            Removal?.Invoke(device);
        }
    }

    /// <summary>Platform reset: rules stay, what is held back is lost with the bus.</summary>
    public void Reset()
    {
        held.Clear();
        fabric.FaultsChanged();
    }

    void Rearm()
    {
        for (var i = 0; i < Points; i++)
        {
            byPoint[i] = [.. rules.Where(r => r.Rule.Action.Point == (FaultPoint)i && !r.IsSpent)];
        }

        fabric.FaultsChanged();
    }
}
