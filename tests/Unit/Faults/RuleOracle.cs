using Vmm.Platform.Dma;
using Vmm.Platform.Faults;

namespace Vmm.Unit.Faults;

/// <summary>What a rule's filters mean, said once more: number by number, in integers that do not wrap.</summary>
static class RuleOracle
{
    static readonly UInt128 Space = (UInt128)1 << 64;

    /// <summary>True when all filters hold.</summary>
    public static bool Matches(FaultRule rule, in FaultRequest request, ulong nanoseconds, ulong instructions)
    {
        var match = rule.Match;
        return rule.Action.Point == request.Point &&
            Is(match.Device, request.Device) && Is(match.Pasid, request.Pasid) && Is(match.Opcode, request.Opcode) && Is(match.Vector, request.Vector) && Is(match.Direction, request.Direction) &&
            (rule.Action is not DmaFault { IsForWrites: true } || request.Direction == FaultDirection.Write) &&
            IsInside(match.Time, nanoseconds) && IsInside(match.Instructions, instructions) &&
            (match.Address is not { } range || Meets(range, request.Address, request.Length) || Meets(range, request.Address, request.Length, Space));
    }

    static bool Is<T>(T? wanted, T? found)
        where T : struct, IEquatable<T> => wanted is not { } value || found is { } other && value.Equals(other);

    static bool Is(FaultDirection? wanted, FaultDirection? found) => wanted == null || wanted == found;

    static bool IsInside(FaultWindow? window, ulong value) => window is not { } w || value >= w.From && (w.Until == 0 || value < w.Until);

    /// <summary>Closed intervals that have a number in common; what passes 2^64 goes on at 0.</summary>
    static bool Meets(AddressRange range, UInt128 address, ulong length, UInt128 shift = default) =>
        address <= shift + range.Start + range.Length - 1 && address + Math.Max(length, 1) - 1 >= shift + range.Start;
}

/// <summary>Rules and requests that meet often.</summary>
sealed class RuleDice(int seed)
{
    static readonly ulong[] Edges = [0, 1, 0xFFF, 0x1000, 0x1800, 0x1FFF, 0x2000, 0x3000, 0x5FFF, ulong.MaxValue - 0x1000, ulong.MaxValue];

    readonly Random random = new(seed);

    public static Bdf Device => new(0, 4, 0);

    public bool Chance(int percent) => random.Next(100) < percent;

    public int Next(int limit) => random.Next(limit);

    public uint? Maybe(uint first, uint count) => Chance(50) ? null : first + (uint)random.Next((int)count);

    public ulong Address => unchecked(Edges[random.Next(Edges.Length)] + (ulong)random.Next(3) - 1);

    public FaultDirection? Direction => Chance(50) ? null : Chance(50) ? FaultDirection.Read : FaultDirection.Write;

    /// <summary>Filters, each of them there in some of the rules.</summary>
    public FaultMatch Match() => new()
    {
        Device = Chance(70) ? null : Chance(70) ? Device : new(0, 5, 0),
        Pasid = Chance(70) ? null : 5 + (uint)random.Next(2),
        Opcode = Chance(50) ? null : 1 + (uint)random.Next(3),
        Vector = Chance(95) ? null : 0x41,
        Direction = Chance(60) ? null : Direction,
        Address = Chance(40) ? null : Range(),
        Time = Chance(70) ? null : Window(),
        Instructions = Chance(80) ? null : Window(),
    };

    AddressRange Range()
    {
        var start = Address;
        var most = ulong.MaxValue - start;
        return new(start, Chance(10) ? Math.Max(most, 1) : 1 + Math.Min(most, (ulong)random.Next(0x2800)));
    }

    FaultWindow Window()
    {
        var from = (ulong)random.Next(100);
        return new(from, Chance(40) ? 0 : Chance(10) ? ulong.MaxValue : from + 1 + (ulong)random.Next(50));
    }
}
