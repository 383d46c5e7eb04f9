using Vmm.Platform.Dma;

namespace Vmm.Platform.Faults;

/// <summary>A rule in a machine, with what it has seen so far.</summary>
public sealed class ArmedRule
{
    internal ArmedRule(FaultRule rule)
    {
        Rule = rule;
        Stream = rule.Match.Seed;
    }

    /// <summary>The rule.</summary>
    public FaultRule Rule { get; }

    /// <summary>Times the filters matched.</summary>
    public ulong Matched { get; internal set; }

    /// <summary>Times it fired.</summary>
    public ulong Fired { get; internal set; }

    internal ulong Stream { get; set; }

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

    internal bool Fires(in FaultRequest request, ulong nanoseconds, ulong instructions)
    {
        var match = Rule.Match;
        if (!Passes(match, request) ||
            Rule.Action is DmaFault { IsForWrites: true } && request.Direction != FaultDirection.Write ||
            match.Time is { } time && !time.Contains(nanoseconds) ||
            match.Instructions is { } window && !window.Contains(instructions))
        {
            return false;
        }

        Matched++;
        if (Matched < match.Nth || (Matched - match.Nth) % match.Interval != 0 || match.Count != 0 && Fired >= match.Count ||
            match.ProbabilityPpm < 1_000_000 && Draw() % 1_000_000 >= match.ProbabilityPpm)
        {
            return false;
        }

        Fired++;
        return true;
    }

    static bool Passes(FaultMatch match, in FaultRequest request) =>
        (match.Device is not { } device || request.Device == device) &&
        (match.Pasid is not { } pasid || request.Pasid == pasid) &&
        (match.Direction is not { } direction || request.Direction == direction) &&
        (match.Opcode is not { } opcode || request.Opcode == opcode) &&
        (match.Vector is not { } vector || request.Vector == vector) &&
        (match.Address is not { } range || range.Touches(request.Address, request.Length));
}
