using Vmm.Platform.Time;

namespace Vmm.Platform.Faults;

/// <summary>A rule in a machine, with what it has seen so far.</summary>
public sealed class ArmedRule
{
    const ulong Nanosecond = 1_000_000_000;

    bool isOver;

    internal ArmedRule(FaultRule rule, VirtualClock clock)
    {
        Rule = rule;
        Stream = rule.Match.Seed;
        var (from, until) = rule.Match.Time ?? new(0, 0);
        FirstCycle = clock.ToCycles(from, Nanosecond);
        // What is too far away to be a time of the clock is no end.
        LastCycle = until == 0 || clock.ToCycles(until, Nanosecond) is var end && end == ulong.MaxValue ? ulong.MaxValue : end - 1;
    }

    /// <summary>The rule.</summary>
    public FaultRule Rule { get; }

    /// <summary>Times the filters matched, until it was spent.</summary>
    public ulong Matched { get; internal set; }

    /// <summary>Times it fired.</summary>
    public ulong Fired { get; internal set; }

    /// <summary>It can not fire again: it fired as often as it may, or was asked after the end of its window of instructions.</summary>
    public bool IsSpent => isOver || Rule.Match.Count != 0 && Fired >= Rule.Match.Count;

    internal ulong Stream { get; set; }

    /// <summary>First cycle of the window of virtual time.</summary>
    internal ulong FirstCycle { get; }

    /// <summary>Last cycle of the window of virtual time.</summary>
    internal ulong LastCycle { get; }

    /// <summary>The next number of the rule's stream (SplitMix64).</summary>
    public ulong Draw()
    {
        unchecked
        {
            var z = Stream += 0x9E37_79B9_7F4A_7C15;
            z = (z ^ z >> 30) * 0xBF58_476D_1CE4_E5B9;
            z = (z ^ z >> 27) * 0x94D0_49BB_1331_11EB;
            return z ^ z >> 31;
        }
    }

    internal bool Fires(in FaultRequest request, ulong now, Func<ulong>? instructions)
    {
        var match = Rule.Match;
        if (IsSpent || now < FirstCycle || now > LastCycle || !Passes(match, request) ||
            Rule.Action is DmaFault { IsForWrites: true } && request.Direction != FaultDirection.Write ||
            match.Instructions is { } window && !IsInside(window, instructions?.Invoke() ?? 0))
        {
            return false;
        }

        Matched++;
        if (Matched < match.Nth || (Matched - match.Nth) % match.Interval != 0 ||
            match.ProbabilityPpm < 1_000_000 && Draw() % 1_000_000 >= match.ProbabilityPpm)
        {
            return false;
        }

        Fired++;
        return true;
    }

    /// <summary>Retired instructions are never taken back, so what is over stays so.</summary>
    bool IsInside(FaultWindow window, ulong instructions)
    {
        isOver = window.Until != 0 && instructions >= window.Until;
        return window.Contains(instructions);
    }

    static bool Passes(FaultMatch match, in FaultRequest request) =>
        (match.Device is not { } device || request.Device == device) &&
        (match.Pasid is not { } pasid || request.Pasid == pasid) &&
        (match.Direction is not { } direction || request.Direction == direction) &&
        (match.Opcode is not { } opcode || request.Opcode == opcode) &&
        (match.Vector is not { } vector || request.Vector == vector) &&
        (match.Address is not { } range || range.Touches(request.Address, request.Length));
}
