using Vmm.Differential.Cases;

namespace Vmm.Differential.Generation;

/// <summary>Where in the sandbox an operand lies.</summary>
internal static class Places
{
    const int Boundary = 2 * Sandbox.PageBytes;

    /// <summary>A sandbox offset in the window, at least <paramref name="margin"/> bytes from its ends; sometimes across the page boundary.</summary>
    public static int Ordinary(Prng random, in Pin pin, int margin)
    {
        var offset = Sandbox.Window + margin + random.Below(Sandbox.WindowBytes - pin.Bytes - 2 * margin + 1);
        if (pin.Bytes > 1 && pin.Bytes <= 64 && random.Percent(pin.Locked ? 1 : 8))
        {
            offset = Boundary - 1 - random.Below(pin.Bytes - 1);
        }

        if (pin.Aligned)
        {
            return random.Percent(96) ? offset & ~15 : offset;
        }

        var natural = pin.Bytes > 16 ? 8 : (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)pin.Bytes);
        return random.Percent(pin.Locked ? 96 : 50) ? Math.Max(offset & ~(natural - 1), Sandbox.Window + margin) : offset;
    }

    /// <summary>A sandbox offset at or beyond the edge of what may be read or written.</summary>
    public static int Edge(Prng random, in Pin pin)
    {
        var reach = pin.Bytes > 64 ? 0 : random.Below(pin.Bytes + 1);
        var offset = random.Below(pin.Bytes > 64 ? 2 : 7) switch
        {
            0 => Sandbox.Hole + 1024 + random.Below(1024),
            1 => Sandbox.ReadOnly + 1024 + random.Below(1024),
            2 or 3 => Sandbox.ReadOnly - reach,
            4 => Sandbox.Hole - reach,
            5 => Sandbox.Last - reach,
            _ => Sandbox.End - reach,
        };
        return pin.Aligned && random.Percent(90) ? offset & ~15 : offset;
    }

    /// <summary>An address that is not canonical.</summary>
    public static ulong NonCanonical(Prng random) => (random.Next() & 0x7FFF_FFFF_FFFF_FFFF) | 1ul << 47;
}
