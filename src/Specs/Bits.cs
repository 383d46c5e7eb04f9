using System.Runtime.CompilerServices;

namespace Vmm.Specs;

/// <summary>Reads and replaces bit fields of register words. Bit 0 is the least significant one.</summary>
public static class Bits
{
    /// <summary>True when <paramref name="bit"/> of <paramref name="word"/> is set.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Get(uint word, int bit) => (word >> bit & 1) != 0;

    /// <summary>True when <paramref name="bit"/> of <paramref name="word"/> is set.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Get(ulong word, int bit) => (word >> bit & 1) != 0;

    /// <summary>The field of <paramref name="width"/> bits that starts at <paramref name="low"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Field(ulong word, int low, int width) => word >> low & Mask(width);

    /// <summary><paramref name="word"/> with one bit replaced.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint Set(uint word, int bit, bool value) => value ? word | 1u << bit : word & ~(1u << bit);

    /// <summary><paramref name="word"/> with one bit replaced.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Set(ulong word, int bit, bool value) => value ? word | 1ul << bit : word & ~(1ul << bit);

    /// <summary><paramref name="word"/> with the field of <paramref name="width"/> bits at <paramref name="low"/> replaced.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong SetField(ulong word, int low, int width, ulong value) =>
        word & ~(Mask(width) << low) | (value & Mask(width)) << low;

    /// <summary>A word with the lowest <paramref name="width"/> bits set; <paramref name="width"/> is 0 to 64.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Mask(int width) => width >= 64 ? ulong.MaxValue : (1ul << width) - 1;
}
