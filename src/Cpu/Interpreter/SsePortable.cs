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
}
