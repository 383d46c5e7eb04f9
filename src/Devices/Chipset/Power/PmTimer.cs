using Vmm.Platform.Time;

namespace Vmm.Chipset;

/// <summary>
/// ACPI power management timer: 3.579545 MHz, 24 or 32 bits, counted from virtual time zero (ACPI §4.8.3.3).
/// </summary>
sealed class PmTimer(VirtualClock clock, bool extended)
{
    /// <summary>Ticks per second.</summary>
    public const ulong Hertz = 3_579_545;

    readonly int topBit = extended ? 31 : 23;

    ulong Ticks => clock.FromCycles(clock.Now, Hertz);

    /// <summary>TMR_VAL.</summary>
    public uint Value => (uint)(Ticks & ((2ul << topBit) - 1));

    /// <summary>Number of top-bit changes so far: each sets TMR_STS.</summary>
    public ulong Carries => Ticks >> topBit;

    /// <summary>Cycle at which the next top-bit change falls.</summary>
    public ulong NextCarry => clock.ToCycles(Carries + 1 << topBit, Hertz);
}
