using System.Runtime.Intrinsics;
using Iced.Intel;
using Vmm.Cpu.State;
using Xunit;
using V = System.Runtime.Intrinsics.Vector128<byte>;

namespace Vmm.Unit.Cpu;

/// <summary>PCMPxSTRx against the comparison matrix of the manual (SDM 2B §4.1), written out.</summary>
public sealed unsafe class SseStringTests
{
    static int Element(V v, int i, int imm) => (imm & 3) switch { 0 => v[i], 1 => v.AsUInt16()[i], 2 => (sbyte)v[i], _ => v.AsInt16()[i] };

    static bool Cell(V a, V b, int la, int lb, int imm, int i, int j)
    {
        var mode = imm >> 2 & 3;
        if (i >= la || j >= lb)
        {
            return mode switch { 0 or 1 => false, 2 => i >= la && j >= lb, _ => i >= la };
        }

        var (x, y) = (Element(a, i, imm), Element(b, j, imm));
        return mode != 1 ? x == y : (i & 1) == 0 ? y >= x : y <= x;
    }

    static uint Model(V a, V b, int la, int lb, int imm)
    {
        var n = (imm & 1) != 0 ? 8 : 16;
        var result = 0u;
        for (var j = 0; j < n; j++)
        {
            var mode = imm >> 2 & 3;
            var bit = mode == 3;
            for (var i = 0; i < n; i++)
            {
                bit = mode switch
                {
                    0 => bit | Cell(a, b, la, lb, imm, i, j),
                    1 => bit | ((i & 1) == 0 && Cell(a, b, la, lb, imm, i, j) && Cell(a, b, la, lb, imm, i + 1, j)),
                    2 => bit | (i == j && Cell(a, b, la, lb, imm, i, j)),
                    _ => bit & (i + j >= n || Cell(a, b, la, lb, imm, i, i + j)),
                };
            }

            var negative = (imm & 0x10) != 0 && ((imm & 0x20) == 0 || j < lb);
            result |= (bit != negative ? 1u : 0) << j;
        }

        return result;
    }

    static int Implicit(V v, int imm)
    {
        var n = (imm & 1) != 0 ? 8 : 16;
        return Enumerable.Range(0, n).FirstOrDefault(i => Element(v, i, imm) == 0, n);
    }

    /// <summary>Characters from a small set, so that comparisons often hold.</summary>
    static V Text(Random random, bool words)
    {
        Span<byte> bytes = stackalloc byte[16];
        for (var i = 0; i < 16; i++)
        {
            bytes[i] = (byte)(words && (i & 1) != 0 ? random.Next(4) == 0 ? 0xFF : 0 : random.Next(9) switch { 0 => 0, 1 => 0x80, 2 => 0xFF, _ => random.Next('a', 'f') });
        }

        return Vector128.Create(bytes);
    }

    [Theory]
    [InlineData(Code.Pcmpistri_xmm_xmmm128_imm8)]
    [InlineData(Code.Pcmpistrm_xmm_xmmm128_imm8)]
    [InlineData(Code.Pcmpestri_xmm_xmmm128_imm8)]
    [InlineData(Code.Pcmpestrm_xmm_xmmm128_imm8)]
    [InlineData(Code.Pcmpestri64_xmm_xmmm128_imm8)]
    [InlineData(Code.Pcmpestrm64_xmm_xmmm128_imm8)]
    public void String_comparison_follows_the_manual(Code code)
    {
        using var bench = new SseBench();
        var random = new Random(3);
        var name = code.Mnemonic().ToString();
        var wide = name.Contains("64", StringComparison.Ordinal);
        for (var imm = 0; imm < 128; imm++)
        {
            bench.Place(SseBench.Build(code, false, (byte)imm));
            for (var round = 0; round < 8; round++)
            {
                var (a, b) = (Text(random, (imm & 1) != 0), Text(random, (imm & 1) != 0));
                var (la, lb) = (random.Next(-20, 21), random.Next(-20, 21));
                bench.SetXmm(1, a);
                bench.SetXmm(2, b);
                bench.SetXmm(0, Vector128<byte>.AllBitsSet);
                bench.State->Gpr[0] = wide ? (ulong)la : 0x7777_0000_0000_0000ul | (uint)la;
                bench.State->Gpr[2] = wide ? (ulong)lb : 0x7777_0000_0000_0000ul | (uint)lb;
                bench.State->Gpr[1] = ulong.MaxValue;
                Assert.Equal(-1, bench.Step());
                Check(bench, name, a, b, la, lb, imm);
            }
        }
    }

    static void Check(SseBench bench, string name, V a, V b, int la, int lb, int imm)
    {
        var n = (imm & 1) != 0 ? 8 : 16;
        var isExplicit = name.StartsWith("Pcmpe", StringComparison.Ordinal);
        la = isExplicit ? Math.Min(Math.Abs(la), n) : Implicit(a, imm);
        lb = isExplicit ? Math.Min(Math.Abs(lb), n) : Implicit(b, imm);
        var expected = Model(a, b, la, lb, imm);
        var flags = (expected != 0 ? Cr.CF : 0) | (lb < n ? Cr.ZF : 0) | (la < n ? Cr.SF : 0) | ((expected & 1) != 0 ? Cr.OF : 0);
        Assert.Equal(flags, Flags.Read(bench.State) & Cr.Arithmetic);
        if (name.Contains("stri", StringComparison.Ordinal))
        {
            var bits = Enumerable.Range(0, n).Where(i => (expected >> i & 1) != 0).ToArray();
            var place = bits.Length == 0 ? n : (imm & 0x40) != 0 ? bits[^1] : bits[0];
            Assert.Equal((ulong)place, bench.State->Gpr[1]);
            return;
        }

        for (var i = 0; i < n; i++)
        {
            var bit = (expected >> i & 1) != 0;
            var actual = (imm & 0x40) == 0 ? (bench.Xmm(0).AsUInt16()[0] >> i & 1) : n == 8 ? bench.Xmm(0).AsUInt16()[i] : bench.Xmm(0)[i];
            Assert.Equal(bit ? (imm & 0x40) == 0 ? 1 : n == 8 ? 0xFFFF : 0xFF : 0, actual);
        }

        if ((imm & 0x40) == 0)
        {
            Assert.Equal(expected, bench.Xmm(0).AsUInt64()[0]);
            Assert.Equal(0ul, bench.Xmm(0).AsUInt64()[1]);
        }
    }
}
