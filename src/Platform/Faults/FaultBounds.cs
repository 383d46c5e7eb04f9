namespace Vmm.Platform.Faults;

/// <summary>
/// What the rules at a point can concern at most, of one device: most requests of a device with rules are none of
/// theirs, and this tells with two comparisons.
/// </summary>
/// <param name="First">Lowest address.</param>
/// <param name="Last">Highest address.</param>
/// <param name="Opcode">The opcode that all of them name; null: they name several, or none.</param>
readonly record struct FaultBounds(ulong First, ulong Last, uint? Opcode)
{
    /// <summary>Everything.</summary>
    public static FaultBounds All => new(0, ulong.MaxValue, null);

    /// <summary>The bounds of some rules.</summary>
    public static FaultBounds Of(IEnumerable<FaultMatch> matches)
    {
        var (first, last) = (ulong.MaxValue, 0ul);
        uint? opcode = null;
        var any = false;
        foreach (var match in matches)
        {
            var range = match.Address ?? new(0, ulong.MaxValue);
            (first, last) = (Math.Min(first, range.Start), Math.Max(last, match.Address == null ? ulong.MaxValue : range.Start + (range.Length - 1)));
            opcode = !any || opcode == match.Opcode ? match.Opcode : null;
            any = true;
        }

        return new(first, last, opcode);
    }

    /// <summary>False: no rule can match the bytes, which do not pass the end of the address space.</summary>
    public bool Covers(ulong address, int length, uint? opcode) =>
        address <= Last && address + (ulong)Math.Max(length - 1, 0) >= First && (Opcode == null || Opcode == opcode);
}
