using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Vmm.Cpu.Interpreter;
using Xunit;
using V = System.Runtime.Intrinsics.Vector128<byte>;

namespace Vmm.Unit.Cpu;

/// <summary>The forms for hosts without x86 instructions give the same bits as those instructions.</summary>
public sealed class SsePortableTests
{
    static readonly Dictionary<string, (Func<V, V, V> Portable, Func<V, V, V> Host)> Pairs = new()
    {
        ["pavgb"] = (SsePortable.AverageBytes, Sse2.Average),
        ["pavgw"] = ((a, b) => SsePortable.AverageWords(a.AsUInt16(), b.AsUInt16()).AsByte(), (a, b) => Sse2.Average(a.AsUInt16(), b.AsUInt16()).AsByte()),
        ["punpcklbw"] = (SsePortable.UnpackLow<byte>, Sse2.UnpackLow),
        ["punpcklwd"] = (SsePortable.UnpackLow<ushort>, (a, b) => Sse2.UnpackLow(a.AsUInt16(), b.AsUInt16()).AsByte()),
        ["punpckldq"] = (SsePortable.UnpackLow<uint>, (a, b) => Sse2.UnpackLow(a.AsUInt32(), b.AsUInt32()).AsByte()),
        ["punpcklqdq"] = (SsePortable.UnpackLow<ulong>, (a, b) => Sse2.UnpackLow(a.AsUInt64(), b.AsUInt64()).AsByte()),
        ["punpckhbw"] = (SsePortable.UnpackHigh<byte>, Sse2.UnpackHigh),
        ["punpckhwd"] = (SsePortable.UnpackHigh<ushort>, (a, b) => Sse2.UnpackHigh(a.AsUInt16(), b.AsUInt16()).AsByte()),
        ["punpckhdq"] = (SsePortable.UnpackHigh<uint>, (a, b) => Sse2.UnpackHigh(a.AsUInt32(), b.AsUInt32()).AsByte()),
        ["punpckhqdq"] = (SsePortable.UnpackHigh<ulong>, (a, b) => Sse2.UnpackHigh(a.AsUInt64(), b.AsUInt64()).AsByte()),
        ["packsswb"] = ((a, b) => SsePortable.PackWords(a.AsInt16(), b.AsInt16()).AsByte(), (a, b) => Sse2.PackSignedSaturate(a.AsInt16(), b.AsInt16()).AsByte()),
        ["packuswb"] = ((a, b) => SsePortable.PackWordsUnsigned(a.AsInt16(), b.AsInt16()), (a, b) => Sse2.PackUnsignedSaturate(a.AsInt16(), b.AsInt16())),
        ["packssdw"] = ((a, b) => SsePortable.PackDoublewords(a.AsInt32(), b.AsInt32()).AsByte(), (a, b) => Sse2.PackSignedSaturate(a.AsInt32(), b.AsInt32()).AsByte()),
        ["packusdw"] = ((a, b) => SsePortable.PackDoublewordsUnsigned(a.AsInt32(), b.AsInt32()).AsByte(), (a, b) => Sse41.PackUnsignedSaturate(a.AsInt32(), b.AsInt32()).AsByte()),
        ["pmulhw"] = ((a, b) => SsePortable.MultiplyHigh(a.AsInt16(), b.AsInt16()).AsByte(), (a, b) => Sse2.MultiplyHigh(a.AsInt16(), b.AsInt16()).AsByte()),
        ["pmulhuw"] = ((a, b) => SsePortable.MultiplyHigh(a.AsUInt16(), b.AsUInt16()).AsByte(), (a, b) => Sse2.MultiplyHigh(a.AsUInt16(), b.AsUInt16()).AsByte()),
        ["pmulhrsw"] = ((a, b) => SsePortable.MultiplyRounded(a.AsInt16(), b.AsInt16()).AsByte(), (a, b) => Ssse3.MultiplyHighRoundScale(a.AsInt16(), b.AsInt16()).AsByte()),
        ["pmuludq"] = ((a, b) => SsePortable.MultiplyWide(a.AsUInt64(), b.AsUInt64()).AsByte(), (a, b) => Sse2.Multiply(a.AsUInt32(), b.AsUInt32()).AsByte()),
        ["pmuldq"] = ((a, b) => SsePortable.MultiplyWide(a.AsInt64(), b.AsInt64()).AsByte(), (a, b) => Sse41.Multiply(a.AsInt32(), b.AsInt32()).AsByte()),
        ["pmaddwd"] = ((a, b) => SsePortable.MultiplyAddWords(a.AsInt32(), b.AsInt32()).AsByte(), (a, b) => Sse2.MultiplyAddAdjacent(a.AsInt16(), b.AsInt16()).AsByte()),
        ["pmaddubsw"] = ((a, b) => SsePortable.MultiplyAddBytes(a.AsInt16(), b.AsInt16()).AsByte(), (a, b) => Ssse3.MultiplyAddAdjacent(a, b.AsSByte()).AsByte()),
        ["psadbw"] = ((a, b) => SsePortable.DifferenceSum(a, b).AsByte(), (a, b) => Sse2.SumAbsoluteDifferences(a, b).AsByte()),
    };

    public static TheoryData<string> Names => [.. Pairs.Keys];

    [Theory]
    [MemberData(nameof(Names))]
    public void Portable_and_host_agree(string name)
    {
        if (!SseOracle.IsAvailable)
        {
            return;
        }

        using var bench = new SseBench();
        var (portable, host) = Pairs[name];
        for (var i = 0; i < 2000; i++)
        {
            var (a, b) = (bench.NextVector(), bench.NextVector());
            Assert.Equal(host(a, b), portable(a, b));
        }
    }
}
