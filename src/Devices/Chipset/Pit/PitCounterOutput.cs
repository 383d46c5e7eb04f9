namespace Vmm.Chipset;

/// <summary>Output and count as functions of time.</summary>
sealed partial class PitCounter
{
    /// <summary>OUT.</summary>
    public bool Out(ulong now)
    {
        if (!loaded || now < start && mode != 3)
        {
            return mode != 0;
        }

        var elapsed = Elapsed(now);
        return mode switch
        {
            0 or 1 => elapsed >= reload,
            2 => !gate || elapsed % reload != reload - 1,
            3 => !gate || HighNow(elapsed, out _),
            _ => elapsed != reload,
        };
    }

    /// <summary>The next clock after <paramref name="now"/> at which OUT changes; false when it stays.</summary>
    public bool TryNextChange(ulong now, out ulong at)
    {
        at = 0;
        if (!loaded || !gate && !TriggeredByGate)
        {
            return false;
        }

        var from = Math.Max(now, start);
        var elapsed = from - start;
        switch (mode)
        {
            case 0 or 1:
                at = start + reload;
                break;
            case 2:
                var low = start + elapsed / reload * reload + reload - 1;
                at = now < low ? low : low + 1;
                return reload > 1;
            case 3:
                HighNow(elapsed, out var left);
                at = from + left;
                return reload > 1;
            default:
                at = now < start + reload ? start + reload : start + reload + 1;
                break;
        }

        return at > now;
    }

    ulong Elapsed(ulong now) => !gate && !TriggeredByGate ? paused : now > start ? now - start : 0;

    /// <summary>End of the period (mode 2) or half (mode 3) that begins at <paramref name="origin"/>.</summary>
    ulong NextBoundary(ulong origin) => origin + (mode == 3 ? highHalfFirst ? HighLength : reload - HighLength : reload);

    uint HighLength => (reload + 1) / 2;

    /// <summary>Mode 3: level of OUT, and clocks left in this half.</summary>
    bool HighNow(ulong elapsed, out ulong left)
    {
        var position = elapsed % reload;
        var first = highHalfFirst ? HighLength : reload - HighLength;
        var inFirst = position < first;
        left = (inFirst ? first : reload) - position;
        return inFirst == highHalfFirst;
    }

    ushort Count(ulong now)
    {
        var elapsed = Elapsed(now);
        if (!loaded)
        {
            return Encode(next % Modulus);
        }

        switch (mode)
        {
            case 2:
                return Encode(reload - (uint)(elapsed % reload));
            case 3:
                var high = HighNow(elapsed, out var left);
                var length = high ? HighLength : reload - HighLength;
                var even = reload & ~1u;
                var passed = 2 * (length - (uint)left);
                return Encode(even > passed ? even - passed : 0);
            default:
                return Encode((reload + Modulus - (uint)(elapsed % Modulus)) % Modulus);
        }
    }
}
