namespace Vmm.Platform.Faults;

/// <summary>
/// What some rules of one point can concern at most, of one device: most requests of a device with rules are none of theirs,
/// and this tells without asking the rules. Ends of windows of instructions and choices among matches are not looked at.
/// </summary>
/// <param name="First">Lowest address.</param>
/// <param name="Last">Highest address.</param>
/// <param name="FirstCycle">Earliest virtual time.</param>
/// <param name="LastCycle">Latest virtual time.</param>
/// <param name="FirstInstruction">Fewest instructions retired.</param>
/// <param name="Opcode">The opcode that all of them name, or <see cref="Any"/>.</param>
/// <param name="Pasid">The PASID that all of them name, or <see cref="Any"/>.</param>
/// <param name="Directions">Directions that can concern them: bit n is the one whose number is n; bit 0, what has none.</param>
readonly record struct FaultBounds(
    ulong First, ulong Last, ulong FirstCycle, ulong LastCycle, ulong FirstInstruction, long Opcode, long Pasid, int Directions)
{
    /// <summary>The rules name several, or none.</summary>
    public const long Any = -2;

    const int EveryDirection = 1 << 0 | 1 << (int)FaultDirection.Read | 1 << (int)FaultDirection.Write;

    /// <summary>A request without opcode or PASID.</summary>
    public const long Without = -1;

    /// <summary>Everything.</summary>
    public static FaultBounds All => new(0, ulong.MaxValue, 0, ulong.MaxValue, 0, Any, Any, EveryDirection);

    /// <summary>Nothing.</summary>
    public static FaultBounds None => default;

    /// <summary>No rule can match anything.</summary>
    public bool IsNone => Directions == 0;

    /// <summary>It depends on the opcode whether rules can match.</summary>
    public bool NamesOpcode => !IsNone && Opcode != Any;

    /// <summary>The bounds of some rules.</summary>
    public static FaultBounds Of(IEnumerable<ArmedRule> rules) => rules.Select(Of).Where(static b => !b.IsNone).DefaultIfEmpty().Aggregate(Join);

    /// <summary>An opcode or PASID of a request as it is compared.</summary>
    public static long Code(uint? value) => value ?? Without;

    /// <summary>True when rules can concern requests with an opcode, whatever they are otherwise.</summary>
    public bool HasOpcode(uint? opcode) => Opcode == Any || Opcode == Code(opcode);

    /// <summary>False: no rule can match such a request now.</summary>
    public bool Covers(in FaultRequest request, ulong now, ulong instructions) =>
        HasTime(now) && instructions >= FirstInstruction && HasOpcode(request.Opcode) && HasDirection(request.Direction) && Covers(request.Address, request.Length, Code(request.Pasid));

    /// <summary>The same of a request whose time, instructions, opcode and direction were looked at.</summary>
    public bool Covers(ulong address, ulong length, long pasid) => (Pasid == Any || Pasid == pasid) && Covers(address, length);

    /// <summary>True when rules can concern requests at a time.</summary>
    public bool HasTime(ulong now) => now >= FirstCycle && now <= LastCycle;

    /// <summary>What passes the end of the address space is covered.</summary>
    public bool Covers(ulong address, ulong length)
    {
        var last = address + (Math.Max(length, 1) - 1);
        return address <= Last && last >= First || last < address;
    }

    /// <summary>True when rules can concern requests with a direction.</summary>
    public bool HasDirection(FaultDirection? direction) => (Directions >> (int)direction.GetValueOrDefault() & 1) != 0;

    static FaultBounds Of(ArmedRule rule)
    {
        var match = rule.Rule.Match;
        if (rule.IsSpent || match.Vector != null && rule.Rule.Action.Point != FaultPoint.Interrupt)
        {
            return None;
        }

        var range = match.Address ?? new(0, ulong.MaxValue);
        var only = rule.Rule.Action is DmaFault { IsForWrites: true } ? FaultDirection.Write : match.Direction;
        return new(
            range.Start, match.Address == null ? ulong.MaxValue : range.Start + (range.Length - 1), rule.FirstCycle, rule.LastCycle, match.Instructions?.From ?? 0,
            match.Opcode ?? Any, match.Pasid ?? Any, only is { } one ? 1 << (int)one : EveryDirection);
    }

    static FaultBounds Join(FaultBounds a, FaultBounds b) => new(
        Math.Min(a.First, b.First), Math.Max(a.Last, b.Last), Math.Min(a.FirstCycle, b.FirstCycle), Math.Max(a.LastCycle, b.LastCycle), Math.Min(a.FirstInstruction, b.FirstInstruction),
        a.Opcode == b.Opcode ? a.Opcode : Any, a.Pasid == b.Pasid ? a.Pasid : Any, a.Directions | b.Directions);
}
