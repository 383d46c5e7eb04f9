using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Vmm.Cpu.Float;

/// <summary>Packed SSE operations: all elements on the host when that gives the same result and flags, else one by one.</summary>
internal static class PackedFloat
{
    /// <summary>Four single precision elements.</summary>
    public static Vector128<uint> Run32<T>(Vector128<uint> a, Vector128<uint> b, ref FloatContext c)
        where T : struct, IFloatOperation
    {
        Vector128<uint> host = T.Host(a.AsSingle(), b.AsSingle()).AsUInt32();
        return c.InexactIsSilent && IsHostResult<T>(a, b, host) ? host : Vector128.Create(
            T.Single(a[0], b[0], ref c), T.Single(a[1], b[1], ref c), T.Single(a[2], b[2], ref c), T.Single(a[3], b[3], ref c));
    }

    /// <summary>Two double precision elements.</summary>
    public static Vector128<ulong> Run64<T>(Vector128<ulong> a, Vector128<ulong> b, ref FloatContext c)
        where T : struct, IFloatOperation
    {
        Vector128<ulong> host = T.Host(a.AsDouble(), b.AsDouble()).AsUInt64();
        return c.InexactIsSilent && IsHostResult<T>(a, b, host)
            ? host : Vector128.Create(T.Double(a[0], b[0], ref c), T.Double(a[1], b[1], ref c));
    }

    /// <summary>Whether what the host made of <paramref name="a"/> and <paramref name="b"/> is the result, given that inexactness is silent.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool IsHostResult<T>(Vector128<uint> a, Vector128<uint> b, Vector128<uint> result)
        where T : struct, IFloatOperation
    {
        Vector128<uint> zero = T.ZeroIsExact(Vector128.Equals(a << 1, default), Vector128.Equals(b << 1, default))
            & Vector128.Equals(result << 1, default);
        return Vector128.EqualsAll(Plain(a) & Plain(b) & (Safe(result) | zero), Vector128<uint>.AllBitsSet);
    }

    /// <summary>The same for double precision.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool IsHostResult<T>(Vector128<ulong> a, Vector128<ulong> b, Vector128<ulong> result)
        where T : struct, IFloatOperation
    {
        Vector128<ulong> zero = T.ZeroIsExact(Vector128.Equals(a << 1, default), Vector128.Equals(b << 1, default))
            & Vector128.Equals(result << 1, default);
        return Vector128.EqualsAll(Plain(a) & Plain(b) & (Safe(result) | zero), Vector128<ulong>.AllBitsSet);
    }

    // Zero or normal.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<uint> Plain(Vector128<uint> a)
        => Within(a, 0x0080_0000) | Vector128.Equals(a << 1, default);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<ulong> Plain(Vector128<ulong> a)
        => Within(a, 1UL << 52) | Vector128.Equals(a << 1, default);

    // Normal, and not the least exponent, into which a tiny result can round.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<uint> Safe(Vector128<uint> a) => Within(a, 0x0100_0000);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<ulong> Safe(Vector128<ulong> a) => Within(a, 2UL << 52);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<uint> Within(Vector128<uint> a, uint least)
        => Vector128.LessThan(
            (a & Vector128.Create(0x7FFF_FFFFu)) - Vector128.Create(least), Vector128.Create(0x7F80_0000 - least));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<ulong> Within(Vector128<ulong> a, ulong least)
        => Vector128.LessThan(
            (a & Vector128.Create(ulong.MaxValue >> 1)) - Vector128.Create(least), Vector128.Create((0x7FFUL << 52) - least));
}
