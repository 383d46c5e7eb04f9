namespace Vmm.Cpu.Float;

/// <summary>Integer arithmetic on significands wider than 64 bits.</summary>
internal static class Significands
{
    /// <summary>Shifts hi:lo right by any count, keeping in bit 0 whether anything but zeros was lost.</summary>
    public static void ShiftRightSticky(ref ulong hi, ref ulong lo, int count)
    {
        if (count <= 0)
        {
            return;
        }

        if (count >= 128)
        {
            lo = (hi | lo) != 0 ? 1UL : 0;
            hi = 0;
        }
        else if (count >= 64)
        {
            int n = count - 64;
            bool lost = lo != 0 || (n != 0 && (hi << (64 - n)) != 0);
            lo = (hi >> n) | (lost ? 1UL : 0);
            hi = 0;
        }
        else
        {
            bool lost = (lo << (64 - count)) != 0;
            lo = (lo >> count) | (hi << (64 - count)) | (lost ? 1UL : 0);
            hi >>= count;
        }
    }

    /// <summary>Quotient of hi:lo by <paramref name="divisor"/>, whose bit 63 is set and which is greater than <paramref name="hi"/>.</summary>
    public static ulong Divide(ulong hi, ulong lo, ulong divisor, out ulong remainder)
    {
        // Two digits of base 2^32 (schoolbook division with a normalised divisor).
        ulong upper = DivideDigit(hi, (uint)(lo >> 32), divisor, out ulong rest);
        ulong lower = DivideDigit(rest, (uint)lo, divisor, out remainder);
        return (upper << 32) | lower;
    }

    /// <summary>Largest integer whose square does not exceed hi:lo, for hi of at least 2^62, and what is left over (at most twice the root).</summary>
    public static ulong SquareRoot(ulong hi, ulong lo, out UInt128 remainder)
    {
        // The estimate need not be exact: the loop below ends at the one integer that fits.
        UInt128 value = new(hi, lo);
        double estimate = Math.Sqrt(hi) * 4294967296.0;
        ulong root = estimate >= 18446744073709551615.0 ? ulong.MaxValue : (ulong)estimate;
        root = root > hi ? root : ulong.MaxValue;
        if (root > hi)
        {
            // One Newton step: the estimate has 50 good bits, its mean with the quotient has them all but the last.
            ulong quotient = Divide(hi, lo, root, out _);
            root = (ulong)(((UInt128)root + quotient) >> 1);
        }

        UInt128 square = Math.BigMul(root, root);
        while (square > value)
        {
            square -= ((UInt128)root << 1) - 1;
            root--;
        }

        remainder = value - square;
        while (remainder > ((UInt128)root << 1))
        {
            remainder -= ((UInt128)root << 1) + 1;
            root++;
        }

        return root;
    }

    private static ulong DivideDigit(ulong high, uint next, ulong divisor, out ulong remainder)
    {
        ulong top = divisor >> 32;
        ulong bottom = (uint)divisor;
        ulong digit = high / top;
        ulong rest = high - (digit * top);
        ulong product = digit * bottom;
        while (digit >> 32 != 0 || product > ((rest << 32) | next))
        {
            digit--;
            product -= bottom;
            rest += top;
            if (rest >> 32 != 0)
            {
                break;
            }
        }

        remainder = (high << 32) + next - (digit * divisor);
        return digit;
    }
}
