using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Vmm.Cpu.State;

namespace Vmm.Cpu.Interpreter;

#pragma warning disable SA1649 // One operation per struct.

/// <summary>
/// The byte permutation that a shuffle performs, kept in the operation: Imm holds bytes 7:0 and Link bytes 15:8.
/// An index with bit 7 set gives zero.
/// </summary>
internal static unsafe class SseControl
{
    const byte Zero = 0x80;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Of(Op* op) => Vector128.Create(op->Imm, (long)op->Link).AsByte();

    public static void Set(Op* op, ReadOnlySpan<byte> control)
    {
        op->Imm = BitConverter.ToInt64(control);
        op->Link = (Block*)BitConverter.ToInt64(control[8..]);
    }

    /// <summary>Elements of <paramref name="size"/> bytes: <paramref name="first"/> of them stay, then as many as fit two bits of the immediate each.</summary>
    public static void SetElements(Op* op, int size, int imm, int first, int count)
    {
        Span<byte> control = stackalloc byte[16];
        for (var i = 0; i < 16; i++)
        {
            var element = i / size;
            var from = element >= first && element < first + count ? first + (imm >> 2 * (element - first) & 3) : element;
            control[i] = (byte)(from * size + i % size);
        }

        Set(op, control);
    }

    /// <summary>A shift by whole bytes: towards higher places when positive.</summary>
    public static void SetByteShift(Op* op, int left)
    {
        Span<byte> control = stackalloc byte[16];
        for (var i = 0; i < 16; i++)
        {
            control[i] = (uint)(i - left) < 16 ? (byte)(i - left) : Zero;
        }

        Set(op, control);
    }

    /// <summary>SHUFPS (4) and SHUFPD (8): the lower half chosen from the destination, the upper half from the source.</summary>
    public static void SetTwoSource(Op* op, int size, int imm)
    {
        Span<byte> control = stackalloc byte[16];
        var bits = size == 4 ? 2 : 1;
        for (var i = 0; i < 16; i++)
        {
            control[i] = (byte)((imm >> bits * (i / size) & (1 << bits) - 1) * size + i % size);
        }

        Set(op, control);
    }

    /// <summary>BLENDPS, BLENDPD, PBLENDW: all ones where the source's element is taken.</summary>
    public static void SetBlend(Op* op, int size, int imm)
    {
        Span<byte> control = stackalloc byte[16];
        for (var i = 0; i < 16; i++)
        {
            control[i] = (imm >> i / size & 1) != 0 ? (byte)0xFF : (byte)0;
        }

        Set(op, control);
    }

    /// <summary>PALIGNR: index into source (0 to 15) and destination (16 to 31), beyond that zero.</summary>
    public static void SetAlign(Op* op, int imm)
    {
        Span<byte> control = stackalloc byte[16];
        for (var i = 0; i < 16; i++)
        {
            control[i] = (byte)Math.Min(i + imm, 0x7F);
        }

        Set(op, control);
    }
}

/// <summary>PSHUFD, PSHUFLW, PSHUFHW, PSLLDQ, PSRLDQ, MOVDDUP, MOVSLDUP, MOVSHDUP.</summary>
internal readonly unsafe struct SsePermute : ISse
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Apply(CpuState* s, Op* op, Vector128<byte> a, Vector128<byte> b) => Vector128.ShuffleNative(b, SseControl.Of(op));
}

/// <summary>PSHUFB: bit 7 of an index gives zero, bits 6:4 do not count.</summary>
internal readonly unsafe struct SseShuffleBytes : ISse
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Apply(CpuState* s, Op* op, Vector128<byte> a, Vector128<byte> b) =>
        Ssse3.IsSupported ? Ssse3.Shuffle(a, b) : Vector128.Shuffle(a, b & Vector128.Create((byte)0x8F));
}

/// <summary>SHUFPS, SHUFPD.</summary>
internal readonly unsafe struct SseShuffleTwo : ISse
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Apply(CpuState* s, Op* op, Vector128<byte> a, Vector128<byte> b)
    {
        var control = SseControl.Of(op);
        return Vector128.Create(Vector128.ShuffleNative(a, control).GetLower(), Vector128.ShuffleNative(b, control).GetUpper());
    }
}

/// <summary>PALIGNR: 16 bytes out of the 32 of destination and source.</summary>
internal readonly unsafe struct SseAlign : ISse
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Apply(CpuState* s, Op* op, Vector128<byte> a, Vector128<byte> b)
    {
        var control = SseControl.Of(op);
        return Vector128.Shuffle(b, control) | Vector128.Shuffle(a, control - Vector128.Create((byte)16));
    }
}

/// <summary>BLENDPS, BLENDPD, PBLENDW.</summary>
internal readonly unsafe struct SseBlend : ISse
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Apply(CpuState* s, Op* op, Vector128<byte> a, Vector128<byte> b) =>
        Vector128.ConditionalSelect(SseControl.Of(op), b, a);
}

/// <summary>PBLENDVB, BLENDVPS, BLENDVPD: the sign bits of XMM0's elements choose.</summary>
internal readonly unsafe struct SseBlendVariable<T> : ISse
    where T : unmanaged
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Apply(CpuState* s, Op* op, Vector128<byte> a, Vector128<byte> b) =>
        Vector128.ConditionalSelect(Vector128.LessThan(Vector128.Load((T*)s->Xmm), Vector128<T>.Zero).AsByte(), b, a);
}

/// <summary>PUNPCKLxx, UNPCKLPS, UNPCKLPD.</summary>
internal readonly unsafe struct SseUnpackLow<T> : ISse
    where T : unmanaged
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Apply(CpuState* s, Op* op, Vector128<byte> a, Vector128<byte> b)
    {
        if (Sse2.IsSupported)
        {
            return sizeof(T) == 1 ? Sse2.UnpackLow(a, b)
                : sizeof(T) == 2 ? Sse2.UnpackLow(a.AsUInt16(), b.AsUInt16()).AsByte()
                : sizeof(T) == 4 ? Sse2.UnpackLow(a.AsUInt32(), b.AsUInt32()).AsByte()
                : Sse2.UnpackLow(a.AsUInt64(), b.AsUInt64()).AsByte();
        }

        return SsePortable.UnpackLow<T>(a, b);
    }
}

/// <summary>PUNPCKHxx, UNPCKHPS, UNPCKHPD.</summary>
internal readonly unsafe struct SseUnpackHigh<T> : ISse
    where T : unmanaged
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Apply(CpuState* s, Op* op, Vector128<byte> a, Vector128<byte> b)
    {
        if (Sse2.IsSupported)
        {
            return sizeof(T) == 1 ? Sse2.UnpackHigh(a, b)
                : sizeof(T) == 2 ? Sse2.UnpackHigh(a.AsUInt16(), b.AsUInt16()).AsByte()
                : sizeof(T) == 4 ? Sse2.UnpackHigh(a.AsUInt32(), b.AsUInt32()).AsByte()
                : Sse2.UnpackHigh(a.AsUInt64(), b.AsUInt64()).AsByte();
        }

        return SsePortable.UnpackHigh<T>(a, b);
    }
}
