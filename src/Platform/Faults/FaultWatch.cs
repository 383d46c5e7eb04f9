using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;

namespace Vmm.Platform.Faults;

/// <summary>
/// What rules can concern while a device works on a command: pages, for reads and for writes, and a time. Nothing armed and
/// only what is elsewhere come out the same, at the first comparison. The opcode is looked at once for a command.
/// </summary>
struct FaultWatch
{
    FaultBounds bounds;
    ulong first, pages, reads, writes, duration;

    /// <summary>The bounds of all rules.</summary>
    public readonly ref readonly FaultBounds Bounds
    {
        [UnscopedRef]
        get => ref bounds;
    }

    /// <summary>Watches from now on what may concern some rules.</summary>
    public void Set(in FaultBounds rules, uint? opcode)
    {
        bounds = rules;
        first = rules.First >> 12;
        pages = (rules.Last >> 12) - first + 1;
        duration = rules.LastCycle - rules.FirstCycle;
        Focus(opcode);
    }

    /// <summary>The device goes on to a command with another opcode, or to something else.</summary>
    public void Focus(uint? opcode)
    {
        var now = bounds.HasOpcode(opcode) ? pages : 0;
        reads = bounds.HasDirection(FaultDirection.Read) ? now : 0;
        writes = bounds.HasDirection(FaultDirection.Write) ? now : 0;
    }

    /// <summary>False: no rule can match a read in the page now.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly bool TouchesRead(ulong address) => (address >> 12) - first < reads;

    /// <summary>False: no rule can match a write in the page now.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly bool TouchesWrite(ulong address) => (address >> 12) - first < writes;

    /// <summary>False: no rule can match at that time.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly bool TouchesTime(ulong now) => now - bounds.FirstCycle <= duration;
}
