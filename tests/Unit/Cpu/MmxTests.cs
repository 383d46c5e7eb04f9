using System.Runtime.Intrinsics;
using Iced.Intel;
using Vmm.Platform.Memory;
using Xunit;

namespace Vmm.Unit.Cpu;

/// <summary>MMX: results on 64 bits, and the x87 registers under them.</summary>
public sealed unsafe class MmxTests
{
    const ulong A = 0x8001_7FFF_FF80_0102;
    const ulong B = 0x7FFF_8000_00FF_0304;

    static SseBench Run(Code code, bool memory, byte imm = 0, ulong a = A, ulong b = B)
    {
        var bench = new SseBench();
        var s = bench.State;
        s->Fsw = 0x3C41;
        s->Ftw = 0x12;
        for (var i = 0; i < 8; i++)
        {
            s->Fpr[2 * i] = (ulong)i;
            s->Fpr[2 * i + 1] = 0x4000;
        }

        s->Fpr[2] = a;
        s->Fpr[4] = memory ? 0 : b;
        s->Gpr[3] = SseBench.DataAt;
        s->Gpr[7] = SseBench.DataAt;
        bench.Machine.Memory.TryWrite(new Gpa(SseBench.DataAt), b);
        Assert.Equal(-1, bench.Run(SseBench.Build(code, memory, imm)));
        return bench;
    }

    public static TheoryData<Code, byte, ulong> Results => new()
    {
        { Code.Paddb_mm_mmm64, 0, 0xFF00_FFFF_FF7F_0406 },
        { Code.Paddsw_mm_mmm64, 0, 0x0000_FFFF_007F_0406 },
        { Code.Paddusb_mm_mmm64, 0, 0xFFFF_FFFF_FFFF_0406 },
        { Code.Psubusw_mm_mmm64, 0, 0x0002_0000_FE81_0000 },
        { Code.Pcmpgtw_mm_mmm64, 0, 0x0000_FFFF_0000_0000 },
        { Code.Pandn_mm_mmm64, 0, 0x7FFE_8000_007F_0204 },
        { Code.Psllw_mm_imm8, 4, 0x0010_FFF0_F800_1020 },
        { Code.Psraw_mm_imm8, 200, 0xFFFF_0000_FFFF_0000 },
        { Code.Psrlq_mm_imm8, 60, 0x8 },
        { Code.Psrlq_mm_imm8, 64, 0 },
        { Code.Psrlq_mm_mmm64, 0, 0 },
        { Code.Punpcklbw_mm_mmm32, 0, 0x00FF_FF80_0301_0402 },
        { Code.Punpcklwd_mm_mmm32, 0, 0x00FF_FF80_0304_0102 },
        { Code.Punpckldq_mm_mmm32, 0, 0x00FF_0304_FF80_0102 },
        { Code.Punpckhbw_mm_mmm64, 0, 0x7F80_FF01_807F_00FF },
        { Code.Punpckhwd_mm_mmm64, 0, 0x7FFF_8001_8000_7FFF },
        { Code.Punpckhdq_mm_mmm64, 0, 0x7FFF_8000_8001_7FFF },
        { Code.Packsswb_mm_mmm64, 0, 0x7F80_7F7F_807F_807F },
        { Code.Packuswb_mm_mmm64, 0, 0xFF00_FFFF_00FF_00FF },
        { Code.Packssdw_mm_mmm64, 0, 0x7FFF_7FFF_8000_8000 },
        { Code.Phaddw_mm_mmm64, 0, 0xFFFF_0403_0000_0082 },
        { Code.Phaddd_mm_mmm64, 0, 0x80FE_8304_7F81_8101 },
        { Code.Phsubsw_mm_mmm64, 0, 0x8000_0205_7FFF_0182 },
        { Code.Pshufb_mm_mmm64, 0, 0x8000_0002_0200_FFFF },
        { Code.Pshufw_mm_mmm64_imm8, 0b00_01_10_11, 0x0304_00FF_8000_7FFF },
        { Code.Palignr_mm_mmm64_imm8, 3, 0x8001_02_7FFF_8000_00 },
        { Code.Palignr_mm_mmm64_imm8, 12, 0x8001_7FFF },
        { Code.Palignr_mm_mmm64_imm8, 16, 0 },
        { Code.Psadbw_mm_mmm64, 0, 2 + 2 + 0x7F + 0xFF + 0xFF + 1 + 0xFE + 1 },
        { Code.Pmuludq_mm_mmm64, 0, 0xFF80_0102ul * 0x00FF_0304ul },
        { Code.Pmaddwd_mm_mmm64, 0, 0x8001_7FFF_0002_8A88 },
        { Code.Pabsw_mm_mmm64, 0, 0x7FFF_8000_00FF_0304 },
        { Code.Psignw_mm_mmm64, 0, 0x8001_8001_FF80_0102 },
        { Code.Movq_mm_mmm64, 0, B },
    };

    [Theory]
    [MemberData(nameof(Results))]
    public void Sixty_four_bit_operations(Code code, byte imm, ulong expected)
    {
        foreach (var memory in new[] { false, true })
        {
            if (memory && !SseForms.HasMemoryForm(code))
            {
                continue;
            }

            using var bench = Run(code, memory, imm);
            var s = bench.State;
            Assert.Equal(expected, s->Fpr[2]);
            Assert.Equal(0xFFFFul, s->Fpr[3]);
            Assert.Equal(0x4000ul, s->Fpr[5]);
            Assert.Equal(0xFF, s->Ftw);
            Assert.Equal(0x0441, s->Fsw);
        }
    }

    [Fact]
    public void Results_outside_change_the_tags_but_no_register()
    {
        using var mask = Run(Code.Pmovmskb_r32_mm, false);
        Assert.Equal(0b0110_0100ul, mask.State->Gpr[1]);
        Assert.Equal(0x4000ul, mask.State->Fpr[3]);
        Assert.Equal(0xFF, mask.State->Ftw);
        using var word = Run(Code.Pextrw_r32_mm_imm8, false, 0xFE);
        Assert.Equal(0x8000ul, word.State->Gpr[1]);
        using var store = Run(Code.Movntq_m64_mm, true);
        Assert.Equal(0ul, store.ReadMemory(SseBench.DataAt).AsUInt64()[0]);
        Assert.Equal(0x0441, store.State->Fsw);
    }

    [Fact]
    public void Moves_between_register_files()
    {
        using var toXmm = Run(Code.Movq2dq_xmm_mm, false);
        Assert.Equal(Vector128.Create(B, 0ul).AsByte(), toXmm.Xmm(1));
        Assert.Equal(0xFF, toXmm.State->Ftw);
        using var bench = new SseBench();
        bench.SetXmm(2, Vector128.Create(A, B).AsByte());
        Assert.Equal(-1, bench.Run(SseBench.Build(Code.Movdq2q_mm_xmm, false, 0)));
        Assert.Equal(A, bench.State->Fpr[2]);
        bench.State->Gpr[2] = B;
        Assert.Equal(-1, bench.Run(SseBench.Build(Code.Movd_mm_rm32, false, 0)));
        Assert.Equal(B & 0xFFFF_FFFF, bench.State->Fpr[2]);
        Assert.Equal(-1, bench.Run(SseBench.Build(Code.Movq_mm_rm64, false, 0)));
        Assert.Equal(B, bench.State->Fpr[2]);
        Assert.Equal(-1, bench.Run(SseBench.Build(Code.Pinsrw_mm_r32m16_imm8, false, 7)));
        Assert.Equal(0x0304_8000_00FF_0304ul, bench.State->Fpr[2]);
    }

    [Fact]
    public void Emms_empties_the_registers()
    {
        using var bench = Run(Code.Emms, false);
        Assert.Equal(0, bench.State->Ftw);
        Assert.Equal(A, bench.State->Fpr[2]);
    }

    [Fact]
    public void A_faulting_load_leaves_the_x87_state()
    {
        using var bench = Run(Code.Pand_mm_mmm64, false);
        bench.State->Fsw = 0x3800;
        bench.State->Ftw = 1;
        bench.Unmap(0x60_0000);
        bench.State->Gpr[3] = 0x60_0000;
        Assert.Equal(14, bench.Run(SseBench.Build(Code.Pand_mm_mmm64, true, 0)));
        Assert.Equal(0x3800, bench.State->Fsw);
        Assert.Equal(1, bench.State->Ftw);
    }

    [Fact]
    public void Maskmovq_stores_the_chosen_bytes()
    {
        using var bench = Run(Code.Maskmovq_rDI_mm_mm, true, b: 0x1111_1111_1111_1111);
        bench.State->Fpr[4] = A;
        bench.State->Fpr[6] = 0x8000_FF00_7F80_0080;
        Assert.Equal(-1, bench.Step());
        Assert.Equal(0x8011_7F11_1180_1102ul, bench.ReadMemory(SseBench.DataAt).AsUInt64()[0]);
    }
}
