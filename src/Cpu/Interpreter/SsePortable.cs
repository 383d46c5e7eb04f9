using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Vmm.Cpu.Interpreter;

/// <summary>Operations that x86 hosts have an instruction for, for hosts that do not. Same bits.</summary>
internal static class SsePortable
{
    const MethodImplOptions Inline = MethodImplOptions.AggressiveInlining;

    [MethodImpl(Inline)]
    public static Vector128<byte> AverageBytes(Vector128<byte> a, Vector128<byte> b) => (a | b) - Vector128.ShiftRightLogical(a ^ b, 1);

    [MethodImpl(Inline)]
    public static Vector128<ushort> AverageWords(Vector128<ushort> a, Vector128<ushort> b) => (a | b) - Vector128.ShiftRightLogical(a ^ b, 1);

    [MethodImpl(Inline)]
    public static Vector128<byte> UnpackLow<T>(Vector128<byte> a, Vector128<byte> b)
        where T : unmanaged => Unsafe.SizeOf<T>() switch
        {
            1 => (Vector128.WidenLower(a) | Vector128.WidenLower(b) << 8).AsByte(),
            2 => (Vector128.WidenLower(a.AsUInt16()) | Vector128.WidenLower(b.AsUInt16()) << 16).AsByte(),
            4 => (Vector128.WidenLower(a.AsUInt32()) | Vector128.WidenLower(b.AsUInt32()) << 32).AsByte(),
            _ => Vector128.Create(a.GetLower(), b.GetLower()),
        };

    [MethodImpl(Inline)]
    public static Vector128<byte> UnpackHigh<T>(Vector128<byte> a, Vector128<byte> b)
        where T : unmanaged => Unsafe.SizeOf<T>() switch
        {
            1 => (Vector128.WidenUpper(a) | Vector128.WidenUpper(b) << 8).AsByte(),
            2 => (Vector128.WidenUpper(a.AsUInt16()) | Vector128.WidenUpper(b.AsUInt16()) << 16).AsByte(),
            4 => (Vector128.WidenUpper(a.AsUInt32()) | Vector128.WidenUpper(b.AsUInt32()) << 32).AsByte(),
            _ => Vector128.Create(a.GetUpper(), b.GetUpper()),
        };

    [MethodImpl(Inline)]
    public static Vector128<int> ClampToInt16(Vector128<int> v) => Clamp(v, short.MinValue, short.MaxValue);

    [MethodImpl(Inline)]
    static Vector128<int> Clamp(Vector128<int> v, int low, int high) => Vector128.Min(Vector128.Max(v, Vector128.Create(low)), Vector128.Create(high));

    [MethodImpl(Inline)]
    static Vector128<short> Clamp(Vector128<short> v, short low, short high) => Vector128.Min(Vector128.Max(v, Vector128.Create(low)), Vector128.Create(high));

    [MethodImpl(Inline)]
    public static Vector128<sbyte> PackWords(Vector128<short> a, Vector128<short> b) =>
        Vector128.Narrow(Clamp(a, sbyte.MinValue, sbyte.MaxValue), Clamp(b, sbyte.MinValue, sbyte.MaxValue));

    [MethodImpl(Inline)]
    public static Vector128<byte> PackWordsUnsigned(Vector128<short> a, Vector128<short> b) =>
        Vector128.Narrow(Clamp(a, 0, byte.MaxValue).AsUInt16(), Clamp(b, 0, byte.MaxValue).AsUInt16());

    [MethodImpl(Inline)]
    public static Vector128<short> PackDoublewords(Vector128<int> a, Vector128<int> b) => Vector128.Narrow(ClampToInt16(a), ClampToInt16(b));

    [MethodImpl(Inline)]
    public static Vector128<ushort> PackDoublewordsUnsigned(Vector128<int> a, Vector128<int> b) =>
        Vector128.Narrow(Clamp(a, 0, ushort.MaxValue).AsUInt32(), Clamp(b, 0, ushort.MaxValue).AsUInt32());

    [MethodImpl(Inline)]
    public static Vector128<short> MultiplyHigh(Vector128<short> a, Vector128<short> b) => Vector128.Narrow(
        Vector128.WidenLower(a) * Vector128.WidenLower(b) >> 16,
        Vector128.WidenUpper(a) * Vector128.WidenUpper(b) >> 16);

    [MethodImpl(Inline)]
    public static Vector128<ushort> MultiplyHigh(Vector128<ushort> a, Vector128<ushort> b) => Vector128.Narrow(
        Vector128.WidenLower(a) * Vector128.WidenLower(b) >> 16,
        Vector128.WidenUpper(a) * Vector128.WidenUpper(b) >> 16);

    [MethodImpl(Inline)]
    public static Vector128<short> MultiplyRounded(Vector128<short> a, Vector128<short> b) => Vector128.Narrow(
        (Vector128.WidenLower(a) * Vector128.WidenLower(b) >> 14) + Vector128<int>.One >> 1,
        (Vector128.WidenUpper(a) * Vector128.WidenUpper(b) >> 14) + Vector128<int>.One >> 1);

    [MethodImpl(Inline)]
    public static Vector128<ulong> MultiplyWide(Vector128<ulong> a, Vector128<ulong> b) =>
        (a & Vector128.Create(0xFFFF_FFFFul)) * (b & Vector128.Create(0xFFFF_FFFFul));

    [MethodImpl(Inline)]
    public static Vector128<long> MultiplyWide(Vector128<long> a, Vector128<long> b) => (a << 32 >> 32) * (b << 32 >> 32);

    [MethodImpl(Inline)]
    public static Vector128<int> MultiplyAddWords(Vector128<int> a, Vector128<int> b) =>
        (a << 16 >> 16) * (b << 16 >> 16) + (a >> 16) * (b >> 16);

    [MethodImpl(Inline)]
    public static Vector128<short> MultiplyAddBytes(Vector128<short> a, Vector128<short> b) => Vector128.AddSaturate(
        (a & Vector128.Create((short)0xFF)) * (b << 8 >> 8),
        (a >>> 8) * (b >> 8));

    [MethodImpl(Inline)]
    public static Vector128<ulong> DifferenceSum(Vector128<byte> a, Vector128<byte> b)
    {
        var bytes = (Vector128.Max(a, b) - Vector128.Min(a, b)).AsUInt16();
        var words = ((bytes & Vector128.Create((ushort)0xFF)) + (bytes >>> 8)).AsUInt32();
        var doublewords = ((words & Vector128.Create(0xFFFFu)) + (words >>> 16)).AsUInt64();
        return (doublewords & Vector128.Create(0xFFFF_FFFFul)) + (doublewords >>> 32);
    }
}
