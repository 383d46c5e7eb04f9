using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Vmm.Cpu.State;

namespace Vmm.Cpu.Interpreter;

#pragma warning disable SA1649 // One operation per struct.

/// <summary>PACKSSWB.</summary>
internal readonly unsafe struct SsePackWords : ISse
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Apply(CpuState* s, Op* op, Vector128<byte> a, Vector128<byte> b) =>
        (Sse2.IsSupported ? Sse2.PackSignedSaturate(a.AsInt16(), b.AsInt16()) : SsePortable.PackWords(a.AsInt16(), b.AsInt16())).AsByte();
}

/// <summary>PACKUSWB.</summary>
internal readonly unsafe struct SsePackWordsUnsigned : ISse
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Apply(CpuState* s, Op* op, Vector128<byte> a, Vector128<byte> b) =>
        Sse2.IsSupported ? Sse2.PackUnsignedSaturate(a.AsInt16(), b.AsInt16()) : SsePortable.PackWordsUnsigned(a.AsInt16(), b.AsInt16());
}

/// <summary>PACKSSDW.</summary>
internal readonly unsafe struct SsePackDoublewords : ISse
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Apply(CpuState* s, Op* op, Vector128<byte> a, Vector128<byte> b) =>
        (Sse2.IsSupported ? Sse2.PackSignedSaturate(a.AsInt32(), b.AsInt32()) : SsePortable.PackDoublewords(a.AsInt32(), b.AsInt32())).AsByte();
}

/// <summary>PACKUSDW.</summary>
internal readonly unsafe struct SsePackDoublewordsUnsigned : ISse
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Apply(CpuState* s, Op* op, Vector128<byte> a, Vector128<byte> b) =>
        (Sse41.IsSupported ? Sse41.PackUnsignedSaturate(a.AsInt32(), b.AsInt32()) : SsePortable.PackDoublewordsUnsigned(a.AsInt32(), b.AsInt32())).AsByte();
}

/// <summary>How PMOVSXxx and PMOVZXxx widen.</summary>
internal interface ISseWiden
{
    /// <summary>The low elements at full width.</summary>
    static abstract Vector128<byte> Apply(Vector128<byte> b);
}

/// <summary>PMOVSXxx, PMOVZXxx.</summary>
internal readonly unsafe struct SseWiden<TWiden> : ISse
    where TWiden : struct, ISseWiden
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Apply(CpuState* s, Op* op, Vector128<byte> a, Vector128<byte> b) => TWiden.Apply(b);
}

/// <summary>PMOVSXBW.</summary>
internal readonly struct SignByteToWord : ISseWiden
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Apply(Vector128<byte> b) => Vector128.WidenLower(b.AsSByte()).AsByte();
}

/// <summary>PMOVSXBD.</summary>
internal readonly struct SignByteToDoubleword : ISseWiden
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Apply(Vector128<byte> b) => Vector128.WidenLower(Vector128.WidenLower(b.AsSByte())).AsByte();
}

/// <summary>PMOVSXBQ.</summary>
internal readonly struct SignByteToQuadword : ISseWiden
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Apply(Vector128<byte> b) => Vector128.WidenLower(Vector128.WidenLower(Vector128.WidenLower(b.AsSByte()))).AsByte();
}

/// <summary>PMOVSXWD.</summary>
internal readonly struct SignWordToDoubleword : ISseWiden
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Apply(Vector128<byte> b) => Vector128.WidenLower(b.AsInt16()).AsByte();
}

/// <summary>PMOVSXWQ.</summary>
internal readonly struct SignWordToQuadword : ISseWiden
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Apply(Vector128<byte> b) => Vector128.WidenLower(Vector128.WidenLower(b.AsInt16())).AsByte();
}

/// <summary>PMOVSXDQ.</summary>
internal readonly struct SignDoublewordToQuadword : ISseWiden
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Apply(Vector128<byte> b) => Vector128.WidenLower(b.AsInt32()).AsByte();
}

/// <summary>PMOVZXBW.</summary>
internal readonly struct ZeroByteToWord : ISseWiden
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Apply(Vector128<byte> b) => Vector128.WidenLower(b).AsByte();
}

/// <summary>PMOVZXBD.</summary>
internal readonly struct ZeroByteToDoubleword : ISseWiden
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Apply(Vector128<byte> b) => Vector128.WidenLower(Vector128.WidenLower(b)).AsByte();
}

/// <summary>PMOVZXBQ.</summary>
internal readonly struct ZeroByteToQuadword : ISseWiden
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Apply(Vector128<byte> b) => Vector128.WidenLower(Vector128.WidenLower(Vector128.WidenLower(b))).AsByte();
}

/// <summary>PMOVZXWD.</summary>
internal readonly struct ZeroWordToDoubleword : ISseWiden
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Apply(Vector128<byte> b) => Vector128.WidenLower(b.AsUInt16()).AsByte();
}

/// <summary>PMOVZXWQ.</summary>
internal readonly struct ZeroWordToQuadword : ISseWiden
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Apply(Vector128<byte> b) => Vector128.WidenLower(Vector128.WidenLower(b.AsUInt16())).AsByte();
}

/// <summary>PMOVZXDQ.</summary>
internal readonly struct ZeroDoublewordToQuadword : ISseWiden
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Apply(Vector128<byte> b) => Vector128.WidenLower(b.AsUInt32()).AsByte();
}
