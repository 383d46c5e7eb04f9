using System.Numerics;
using System.Runtime.CompilerServices;

namespace Vmm.Cpu.State;

/// <summary>
/// Lazy arithmetic flags: instructions store the sign-extended result and the carry vector; flags are computed when read.
/// </summary>
public static unsafe class Flags
{
    const ulong TopTwo = 0xC000_0000_0000_0000;

    /// <summary>Bits of operand type <typeparamref name="T"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Width<T>()
        where T : unmanaged => sizeof(T) * 8;

    /// <summary>Truncates to <typeparamref name="T"/> and zero-extends.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Zx<T>(ulong value)
        where T : unmanaged =>
        sizeof(T) == 8 ? value : sizeof(T) == 4 ? (uint)value : sizeof(T) == 2 ? (ushort)value : (byte)value;

    /// <summary>Truncates to <typeparamref name="T"/> and sign-extends.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Sx<T>(ulong value)
        where T : unmanaged =>
        sizeof(T) == 8 ? value : sizeof(T) == 4 ? (ulong)(int)value : sizeof(T) == 2 ? (ulong)(short)value : (ulong)(sbyte)value;

    /// <summary>Aligns a carry vector of operand type <typeparamref name="T"/> to the auxiliary word's form.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static ulong Align<T>(ulong carries)
        where T : unmanaged =>
        sizeof(T) == 8 ? carries & (TopTwo | 8) : (carries << 64 - sizeof(T) * 8 & TopTwo) | carries & 8;

    /// <summary>Flags of r = a + b (+ carry).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Add<T>(CpuState* s, ulong a, ulong b, ulong r)
        where T : unmanaged
    {
        s->FlagRes = Sx<T>(r);
        s->FlagAux = Align<T>((a & b) | ((a | b) & ~r));
    }

    /// <summary>Flags of r = a - b (- borrow).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Sub<T>(CpuState* s, ulong a, ulong b, ulong r)
        where T : unmanaged
    {
        s->FlagRes = Sx<T>(r);
        s->FlagAux = Align<T>((~a & b) | (~(a ^ b) & r));
    }

    /// <summary>Flags of a logical result: CF, OF and AF clear.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Logic<T>(CpuState* s, ulong r)
        where T : unmanaged
    {
        s->FlagRes = Sx<T>(r);
        s->FlagAux = 0;
    }

    /// <summary>Result flags, with CF and OF given and AF clear.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Result<T>(CpuState* s, ulong r, bool cf, bool of)
        where T : unmanaged
    {
        s->FlagRes = Sx<T>(r);
        s->FlagAux = (cf ? 1ul << 63 : 0) | (cf != of ? 1ul << 62 : 0);
    }

    /// <summary>Result flags, with CF and OF given as 0 or 1 and AF clear.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Result<T>(CpuState* s, ulong r, ulong cf, ulong of)
        where T : unmanaged
    {
        s->FlagRes = Sx<T>(r);
        s->FlagAux = cf << 63 | (cf ^ of) << 62;
    }

    /// <summary>CF as 0 or 1.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Carry(CpuState* s) => s->FlagAux >> 63;

    /// <summary>Replaces CF, keeping OF.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void SetCarry(CpuState* s, bool cf)
    {
        var flip = (s->FlagAux >> 63 ^ (cf ? 1ul : 0)) * TopTwo;
        s->FlagAux ^= flip;
    }

    /// <summary>Replaces CF and OF, given as 0 or 1, keeping the rest.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void SetCarryOverflow(CpuState* s, ulong cf, ulong of) =>
        s->FlagAux = s->FlagAux & ~TopTwo | cf << 63 | (cf ^ of) << 62;

    /// <summary>Replaces CF and OF, keeping the rest.</summary>
    public static void SetCarryOverflow(CpuState* s, bool cf, bool of) =>
        s->FlagAux = s->FlagAux & ~TopTwo | (cf ? 1ul << 63 : 0) | (cf != of ? 1ul << 62 : 0);

    /// <summary>OF.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Overflow(CpuState* s) => (long)(s->FlagAux ^ s->FlagAux << 1) < 0;

    /// <summary>ZF.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Zero(CpuState* s) => s->FlagRes == 0;

    /// <summary>SF.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Sign(CpuState* s) => (long)(s->FlagRes ^ s->FlagAux << 63) < 0;

    /// <summary>SF differs from OF.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Less(CpuState* s) => (long)(s->FlagRes ^ s->FlagAux << 63 ^ s->FlagAux ^ s->FlagAux << 1) < 0;

    /// <summary>PF.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Parity(CpuState* s) => (BitOperations.PopCount((byte)(s->FlagRes ^ s->FlagAux >> 8)) & 1) == 0;

    /// <summary>AF.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Adjust(CpuState* s) => (s->FlagAux & 8) != 0;

    /// <summary>The full RFLAGS value, bit 1 set.</summary>
    public static ulong Read(CpuState* s) =>
        s->FlagRest | 2
        | (s->FlagAux >> 63)
        | (Parity(s) ? Cr.PF : 0)
        | (Adjust(s) ? Cr.AF : 0)
        | (Zero(s) ? Cr.ZF : 0)
        | (Sign(s) ? Cr.SF : 0)
        | (Overflow(s) ? Cr.OF : 0);

    /// <summary>Sets the six arithmetic flags from an RFLAGS value.</summary>
    public static void WriteArithmetic(CpuState* s, ulong value)
    {
        var zero = (value & Cr.ZF) != 0;
        s->FlagRes = zero ? 0ul : 1ul;
        // The parity of 0 is even and of 1 odd: the delta corrects whichever does not fit.
        var parityDelta = zero == ((value & Cr.PF) != 0) ? 0ul : 0x100ul;
        var cf = (value & Cr.CF) != 0;
        var of = (value & Cr.OF) != 0;
        s->FlagAux = (cf ? 1ul << 63 : 0) | (cf != of ? 1ul << 62 : 0)
            | ((value & Cr.AF) != 0 ? 8ul : 0) | ((value & Cr.SF) != 0 ? 1ul : 0) | parityDelta;
    }

    /// <summary>Sets all of RFLAGS.</summary>
    public static void Write(CpuState* s, ulong value)
    {
        s->FlagRest = value & ~(Cr.Arithmetic | 2);
        WriteArithmetic(s, value);
    }
}
