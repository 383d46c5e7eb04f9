using System.Runtime.Intrinsics;
using Iced.Intel;
using Vmm.Cpu.Interpreter;
using Vmm.Cpu.State;
using Vmm.Platform.Memory;
using Xunit;

namespace Vmm.Unit.Cpu;

/// <summary>Which forms exist, and when they raise #UD, #NM, #MF, #GP and #PF.</summary>
public sealed unsafe class SseFaultTests
{
    const int UD = 6, NM = 7, SS = 12, GP = 13, PF = 14, MF = 16;
    const ulong Hole = 0x60_0000;

    static IEnumerable<(Code Code, bool Memory)> Shapes()
    {
        foreach (var code in SseForms.Whole)
        {
            if (SseForms.HasRegisterForm(code))
            {
                yield return (code, false);
            }

            if (SseForms.HasMemoryForm(code) || !SseForms.HasRegisterForm(code))
            {
                yield return (code, true);
            }
        }
    }

    static SseBench NewBench()
    {
        var bench = new SseBench();
        bench.State->Gpr[3] = bench.State->Gpr[7] = SseBench.DataAt;
        return bench;
    }

    static void SetControl(SseBench bench, ulong cr0, ulong cr4)
    {
        bench.State->Cr0 = cr0;
        bench.State->Cr4 = cr4;
        bench.Machine.Cpu.UpdateMode();
    }

    [Fact]
    public void Every_advertised_form_runs()
    {
        using var bench = NewBench();
        var count = 0;
        foreach (var (code, memory) in Shapes())
        {
            Assert.True(bench.Run(SseBench.Build(code, memory, 0)) == -1, $"{code} {memory}");
            count++;
        }

        Assert.True(count > 450, $"{count} shapes");
    }

    [Fact]
    public void Control_registers_refuse_vector_instructions()
    {
        using var bench = NewBench();
        var (cr0, cr4) = (bench.State->Cr0, bench.State->Cr4);
        foreach (var (code, memory) in Shapes())
        {
            var (xmm, mmx) = (SseForms.UsesXmm(code), SseForms.UsesMmx(code));
            bench.Place(SseBench.Build(code, memory, 0));
            foreach (var (set, clear, vector) in new[] { (Cr.Cr0TS, 0ul, NM), (Cr.Cr0EM, 0ul, UD), (Cr.Cr0EM | Cr.Cr0TS, 0ul, UD), (0ul, Cr.Cr4OSFXSR, UD), (Cr.Cr0TS, Cr.Cr4OSFXSR, UD) })
            {
                SetControl(bench, cr0 | set, cr4 & ~clear);
                var expected = xmm ? vector : !mmx ? -1 : (set & Cr.Cr0EM) != 0 ? UD : (set & Cr.Cr0TS) != 0 ? NM : -1;
                Assert.True(bench.Step() == expected, $"{code} {memory} {set:x} {clear:x}");
            }

            SetControl(bench, cr0, cr4);
            Assert.True(bench.Step() == -1, $"{code} {memory}");
        }
    }

    [Fact]
    public void Clts_lets_the_same_code_run()
    {
        using var bench = NewBench();
        SetControl(bench, bench.State->Cr0 | Cr.Cr0TS, bench.State->Cr4);
        bench.Place(SseBench.Build(Code.Pxor_xmm_xmmm128, false, 0));
        bench.Place(new Instruction { Code = Code.Clts }, TestMachine.CodeAt + 0x100);
        Assert.Equal(NM, bench.Step());
        Assert.Equal(-1, bench.Step(TestMachine.CodeAt + 0x100));
        Assert.Equal(-1, bench.Step());
    }

    [Fact]
    public void A_pending_x87_exception_stops_mmx_but_not_sse()
    {
        using var bench = NewBench();
        foreach (var (code, memory) in Shapes())
        {
            bench.State->Fsw = 0x80;
            var vector = bench.Run(SseBench.Build(code, memory, 0));
            Assert.True(vector == (SseForms.UsesMmx(code) ? MF : -1), $"{code}");
        }
    }

    [Fact]
    public void Misaligned_operands_fault_exactly_in_the_aligned_forms()
    {
        using var bench = NewBench();
        var faults = 0;
        foreach (var (code, memory) in Shapes().Where(s => s.Memory))
        {
            bench.State->Gpr[3] = bench.State->Gpr[7] = SseBench.DataAt + 8;
            bench.SetXmm(1, bench.NextVector());
            var before = bench.Xmm(1);
            var vector = bench.Run(SseBench.Build(code, true, 0));
            Assert.True(vector == (SseForms.MustAlign(code) ? GP : -1), $"{code} {vector}");
            if (vector == GP)
            {
                Assert.Equal(before, bench.Xmm(1));
                faults++;
            }
        }

        Assert.True(faults > 100);
    }

    [Fact]
    public void A_misaligned_operand_faults_before_its_page_is_looked_at()
    {
        using var bench = NewBench();
        bench.Unmap(Hole);
        bench.State->Cr2 = 1;
        bench.State->Gpr[3] = Hole + 4;
        Assert.Equal(GP, bench.Run(SseBench.Build(Code.Movaps_xmm_xmmm128, true, 0)));
        Assert.Equal(1ul, bench.State->Cr2);
        Assert.Equal(PF, bench.Run(SseBench.Build(Code.Movups_xmm_xmmm128, true, 0)));
        Assert.Equal(Hole + 4, bench.State->Cr2);
    }

    [Fact]
    public void A_store_across_a_hole_changes_nothing_and_reports_the_second_page()
    {
        using var bench = NewBench();
        bench.Unmap(Hole);
        bench.SetXmm(1, Vector128<byte>.AllBitsSet);
        bench.SetXmm(2, Vector128<byte>.AllBitsSet);
        foreach (var code in new[] { Code.Movups_xmmm128_xmm, Code.Movdqu_xmmm128_xmm, Code.Movlps_m64_xmm, Code.Movss_xmmm32_xmm, Code.Pextrd_rm32_xmm_imm8, Code.Movq_mmm64_mm })
        {
            bench.State->Gpr[3] = Hole - 2;
            Assert.Equal(PF, bench.Run(SseBench.Build(code, true, 0)));
            Assert.Equal(Hole, bench.State->Cr2);
            Assert.Equal(Vector128<byte>.Zero, bench.ReadMemory(Hole - 16));
        }
    }

    [Fact]
    public void Loads_and_stores_cross_pages()
    {
        using var bench = NewBench();
        for (var back = 1ul; back < 16; back++)
        {
            var value = bench.NextVector();
            bench.Machine.Memory.TryWrite(new Gpa(Hole - back), value);
            bench.State->Gpr[3] = Hole - back;
            Assert.Equal(-1, bench.Run(SseBench.Build(Code.Movdqu_xmm_xmmm128, true, 0)));
            Assert.Equal(value, bench.Xmm(1));
            bench.State->Gpr[3] = Hole + 0x20_0000 - back;
            bench.SetXmm(2, value);
            Assert.Equal(-1, bench.Run(SseBench.Build(Code.Movups_xmmm128_xmm, true, 0)));
            Assert.Equal(value, bench.ReadMemory(Hole + 0x20_0000 - back));
        }
    }

    [Fact]
    public void Segment_limits_cover_all_sixteen_bytes()
    {
        using var bench = NewBench();
        var s = bench.State;
        s->Efer = 0;
        s->Cr0 = Cr.Cr0PE;
        s->Cs = new() { Selector = 0x10, Access = 0xC09B, Limit = uint.MaxValue };
        s->Ds = new() { Selector = 0x18, Access = 0xC093, Limit = 0xFFF, Base = SseBench.DataAt };
        s->Ss = new() { Selector = 0x18, Access = 0xC093, Limit = 0xFFF, Base = SseBench.DataAt };
        bench.Machine.Cpu.FlushTlb();
        bench.Machine.Cpu.UpdateMode();
        var value = bench.NextVector();
        bench.Machine.Memory.TryWrite(new Gpa(SseBench.DataAt + 0xFF0), value);
        s->IdtLimit = 0;

        // movups xmm1,[ebx]; movups xmm1,[ebp+0]; movaps xmm1,[ebp+0]
        foreach (var (code, register, offset, vector) in new[]
        {
            ("0F100B", 3, 0xFF0u, -1), ("0F100B", 3, 0xFF1u, GP), ("0F104D00", 5, 0xFF0u, -1), ("0F104D00", 5, 0xFF1u, SS), ("0F284D00", 5, 0xFF1u, SS),
        })
        {
            bench.Machine.Memory.TryWrite(new Gpa(TestMachine.CodeAt), Convert.FromHexString(code));
            s->Gpr[register] = offset;
            s->Rip = TestMachine.CodeAt;
            bench.SetXmm(1, default);
            var block = bench.Machine.Code.DecodeLimited(bench.Machine.Cpu, 1);
            ((delegate*<CpuState*, Op*, Vmm.Cpu.Interpreter.Block*>)block->Ops->Handler)(s, block->Ops);
            Assert.Equal(vector, s->Stop == StopReason.Exception ? s->ExceptionVector : -1);
            Assert.Equal(vector < 0 ? value : default, bench.Xmm(1));
            s->Stop = StopReason.None;
        }
    }

    [Theory]
    [InlineData("C5F9EFC0")] // vpxor xmm0, xmm0, xmm0
    [InlineData("62F17D08EFC0")] // vpxord xmm0, xmm0, xmm0
    [InlineData("8FE87808C000")] // xop
    [InlineData("0F0FC1BF")] // 3DNow! pavgusb
    [InlineData("660F38DCC1")] // aesenc
    [InlineData("660F3A44C100")] // pclmulqdq
    [InlineData("0F38C8C1")] // sha1nexte
    [InlineData("0F38F00B")] // movbe
    [InlineData("660F38F6C1")] // adcx
    [InlineData("660F38CFC1")] // gf2p8mulb
    [InlineData("660F79C1")] // extrq
    [InlineData("F30F2B0B")] // movntss
    [InlineData("C4E27AE000")] // cmpoxadd: a condition, but not a branch
    public void What_is_not_advertised_is_undefined(string code)
    {
        using var bench = NewBench();
        bench.Machine.Memory.TryWrite(new Gpa(TestMachine.CodeAt), Convert.FromHexString(code));
        Assert.Equal(UD, bench.Step());
    }
}
