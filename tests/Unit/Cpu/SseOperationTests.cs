using System.Runtime.Intrinsics;
using Iced.Intel;
using Vmm.Platform.Memory;
using Xunit;

namespace Vmm.Unit.Cpu;

/// <summary>Vector operations against the host's own, with register, aligned and page-crossing operands.</summary>
public sealed unsafe class SseOperationTests
{
    const int Rounds = 200;

    public static TheoryData<Code> Forms => [.. SseOracle.Operations.Keys];

    [Theory]
    [MemberData(nameof(Forms))]
    public void An_operation_gives_the_same_bits_as_the_host(Code code)
    {
        if (!SseOracle.IsAvailable)
        {
            return;
        }

        using var bench = new SseBench();
        var oracle = SseOracle.Operations[code];
        var form = code.ToOpCode();
        var immediate = form.GetOpKind(form.OpCount - 1) == OpCodeOperandKind.imm8;
        var hasMemory = Enumerable.Range(0, form.OpCount).Any(i => form.GetOpKind(i) == OpCodeOperandKind.xmm_or_mem);
        for (var round = 0; round < Rounds; round++)
        {
            var memory = hasMemory && (round & 1) != 0;
            var imm = round < 40 ? (byte)(round >> 1) : bench.NextByte();
            if (round < 2 || immediate)
            {
                bench.Place(SseBench.Build(code, false, imm));
                if (hasMemory)
                {
                    bench.Place(SseBench.Build(code, true, imm), TestMachine.CodeAt + 0x100);
                }
            }

            var (a, b, mask) = (bench.NextVector(), bench.NextVector(), bench.NextVector());
            bench.SetXmm(0, mask);
            bench.SetXmm(1, a);
            bench.SetXmm(2, memory ? bench.NextVector() : b);
            var at = SseBench.DataAt + 16 * (ulong)(round % 300);
            bench.Machine.Memory.TryWrite(new Gpa(at), b);
            bench.State->Gpr[3] = at;
            Assert.Equal(-1, bench.Step(memory ? TestMachine.CodeAt + 0x100 : TestMachine.CodeAt));
            Assert.Equal(oracle(a, b, imm), bench.Xmm(1));
            Assert.Equal(mask, bench.Xmm(0));
        }
    }
}
