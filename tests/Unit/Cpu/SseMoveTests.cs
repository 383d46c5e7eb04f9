using System.Runtime.Intrinsics;
using Iced.Intel;
using Vmm.Cpu.State;
using Vmm.Platform.Memory;
using Xunit;
using V = System.Runtime.Intrinsics.Vector128<byte>;

namespace Vmm.Unit.Cpu;

/// <summary>Moves, inserts, extracts, sign masks, PTEST, CRC32 and masked stores.</summary>
public sealed unsafe class SseMoveTests
{
    static readonly V A = Vector128.Create(0x1011_1213_1415_1617ul, 0x1819_1A1B_1C1D_1E1Ful).AsByte();
    static readonly V B = Vector128.Create(0xA0A1_A2A3_A4A5_A6A7ul, 0xA8A9_AAAB_ACAD_AEAFul).AsByte();
    static readonly V M = Vector128.Create(0x5051_5253_5455_5657ul, 0x5859_5A5B_5C5D_5E5Ful).AsByte();

    static V Of(ulong low, ulong high = 0) => Vector128.Create(low, high).AsByte();

    /// <summary>Runs a form with A in XMM1, B in XMM2 and M in memory.</summary>
    static SseBench Run(Code code, bool memory, byte imm = 0)
    {
        var bench = new SseBench();
        bench.SetXmm(1, A);
        bench.SetXmm(2, B);
        bench.State->Gpr[1] = 0xC0C1_C2C3_C4C5_C6C7;
        bench.State->Gpr[2] = 0xD0D1_D2D3_D4D5_D6D7;
        bench.State->Gpr[3] = SseBench.DataAt;
        bench.Machine.Memory.TryWrite(new Gpa(SseBench.DataAt), M);
        Assert.Equal(-1, bench.Run(SseBench.Build(code, memory, imm)));
        return bench;
    }

    public static TheoryData<Code, bool, ulong, ulong> Loads => new()
    {
        { Code.Movss_xmm_xmmm32, false, 0x1011_1213_A4A5_A6A7, 0x1819_1A1B_1C1D_1E1F },
        { Code.Movss_xmmm32_xmm, false, 0x1011_1213_A4A5_A6A7, 0x1819_1A1B_1C1D_1E1F },
        { Code.Movss_xmm_xmmm32, true, 0x5455_5657, 0 },
        { Code.Movsd_xmm_xmmm64, false, 0xA0A1_A2A3_A4A5_A6A7, 0x1819_1A1B_1C1D_1E1F },
        { Code.Movsd_xmmm64_xmm, false, 0xA0A1_A2A3_A4A5_A6A7, 0x1819_1A1B_1C1D_1E1F },
        { Code.Movsd_xmm_xmmm64, true, 0x5051_5253_5455_5657, 0 },
        { Code.Movq_xmm_xmmm64, false, 0xA0A1_A2A3_A4A5_A6A7, 0 },
        { Code.Movq_xmmm64_xmm, false, 0xA0A1_A2A3_A4A5_A6A7, 0 },
        { Code.Movq_xmm_xmmm64, true, 0x5051_5253_5455_5657, 0 },
        { Code.Movd_xmm_rm32, false, 0xD4D5_D6D7, 0 },
        { Code.Movd_xmm_rm32, true, 0x5455_5657, 0 },
        { Code.Movq_xmm_rm64, false, 0xD0D1_D2D3_D4D5_D6D7, 0 },
        { Code.Movq_xmm_rm64, true, 0x5051_5253_5455_5657, 0 },
        { Code.Movlps_xmm_m64, true, 0x5051_5253_5455_5657, 0x1819_1A1B_1C1D_1E1F },
        { Code.Movlpd_xmm_m64, true, 0x5051_5253_5455_5657, 0x1819_1A1B_1C1D_1E1F },
        { Code.Movhps_xmm_m64, true, 0x1011_1213_1415_1617, 0x5051_5253_5455_5657 },
        { Code.Movhpd_xmm_m64, true, 0x1011_1213_1415_1617, 0x5051_5253_5455_5657 },
        { Code.Movhlps_xmm_xmm, false, 0xA8A9_AAAB_ACAD_AEAF, 0x1819_1A1B_1C1D_1E1F },
        { Code.Movlhps_xmm_xmm, false, 0x1011_1213_1415_1617, 0xA0A1_A2A3_A4A5_A6A7 },
    };

    [Theory]
    [MemberData(nameof(Loads))]
    public void Partial_moves_keep_or_clear_the_rest(Code code, bool memory, ulong low, ulong high)
    {
        using var bench = Run(code, memory);
        Assert.Equal(Of(low, high), bench.Xmm(1));
        Assert.Equal(B, bench.Xmm(2));
    }

    [Theory]
    [InlineData(Code.Movups_xmm_xmmm128)]
    [InlineData(Code.Movupd_xmm_xmmm128)]
    [InlineData(Code.Movdqu_xmm_xmmm128)]
    [InlineData(Code.Movaps_xmm_xmmm128)]
    [InlineData(Code.Movapd_xmm_xmmm128)]
    [InlineData(Code.Movdqa_xmm_xmmm128)]
    [InlineData(Code.Lddqu_xmm_m128)]
    [InlineData(Code.Movntdqa_xmm_m128)]
    public void Whole_loads_and_copies(Code code)
    {
        using var load = Run(code, true);
        Assert.Equal(M, load.Xmm(1));
        if (SseForms.HasRegisterForm(code))
        {
            using var copy = Run(code, false);
            Assert.Equal(B, copy.Xmm(1));
        }
    }

    public static TheoryData<Code, byte, int, int> Stores => new()
    {
        { Code.Movups_xmmm128_xmm, 0, 0, 16 },
        { Code.Movupd_xmmm128_xmm, 0, 0, 16 },
        { Code.Movdqu_xmmm128_xmm, 0, 0, 16 },
        { Code.Movaps_xmmm128_xmm, 0, 0, 16 },
        { Code.Movapd_xmmm128_xmm, 0, 0, 16 },
        { Code.Movdqa_xmmm128_xmm, 0, 0, 16 },
        { Code.Movntps_m128_xmm, 0, 0, 16 },
        { Code.Movntpd_m128_xmm, 0, 0, 16 },
        { Code.Movntdq_m128_xmm, 0, 0, 16 },
        { Code.Movss_xmmm32_xmm, 0, 0, 4 },
        { Code.Movsd_xmmm64_xmm, 0, 0, 8 },
        { Code.Movd_rm32_xmm, 0, 0, 4 },
        { Code.Movq_rm64_xmm, 0, 0, 8 },
        { Code.Movq_xmmm64_xmm, 0, 0, 8 },
        { Code.Movlps_m64_xmm, 0, 0, 8 },
        { Code.Movlpd_m64_xmm, 0, 0, 8 },
        { Code.Movhps_m64_xmm, 0, 8, 8 },
        { Code.Movhpd_m64_xmm, 0, 8, 8 },
        { Code.Pextrb_r32m8_xmm_imm8, 0xFB, 11, 1 },
        { Code.Pextrw_r32m16_xmm_imm8, 0xFD, 10, 2 },
        { Code.Pextrd_rm32_xmm_imm8, 0xFE, 8, 4 },
        { Code.Pextrq_rm64_xmm_imm8, 0xFF, 8, 8 },
        { Code.Extractps_rm32_xmm_imm8, 0xFD, 4, 4 },
    };

    [Theory]
    [MemberData(nameof(Stores))]
    public void Stores_write_their_bytes_and_no_more(Code code, byte imm, int from, int count)
    {
        using var bench = Run(code, true, imm);
        Span<byte> expected = stackalloc byte[16];
        Span<byte> source = stackalloc byte[16];
        M.CopyTo(expected);
        B.CopyTo(source);
        source.Slice(from, count).CopyTo(expected);
        Assert.Equal(Vector128.Create(expected), bench.ReadMemory(SseBench.DataAt));
    }

    [Theory]
    [InlineData(Code.Movd_rm32_xmm, 0, 0xA4A5_A6A7ul)]
    [InlineData(Code.Movq_rm64_xmm, 0, 0xA0A1_A2A3_A4A5_A6A7ul)]
    [InlineData(Code.Pextrb_r32m8_xmm_imm8, 0xFB, 0xACul)]
    [InlineData(Code.Pextrw_r32m16_xmm_imm8, 5, 0xACADul)]
    [InlineData(Code.Pextrw_r32_xmm_imm8, 0xF9, 0xA4A5ul)]
    [InlineData(Code.Pextrd_rm32_xmm_imm8, 3, 0xA8A9_AAABul)]
    [InlineData(Code.Pextrq_rm64_xmm_imm8, 1, 0xA8A9_AAAB_ACAD_AEAFul)]
    [InlineData(Code.Extractps_rm32_xmm_imm8, 1, 0xA0A1_A2A3ul)]
    [InlineData(Code.Pmovmskb_r32_xmm, 0, 0xFFFFul)]
    [InlineData(Code.Movmskps_r32_xmm, 0, 0xFul)]
    [InlineData(Code.Movmskpd_r32_xmm, 0, 3ul)]
    public void Results_in_general_registers_are_zero_extended(Code code, byte imm, ulong expected)
    {
        using var bench = Run(code, false, imm);
        Assert.Equal(expected, bench.State->Gpr[1]);
    }

    [Fact]
    public void Sign_masks_take_the_top_bit_of_each_element()
    {
        using var bench = new SseBench();
        bench.SetXmm(2, Of(0x0080_7FFF_8000_0001, 0x7F00_0000_0080_00FF));
        Assert.Equal(-1, bench.Run(SseBench.Build(Code.Pmovmskb_r32_xmm, false, 0)));
        Assert.Equal(0b0000_0101_0101_1000ul, bench.State->Gpr[1]);
        Assert.Equal(-1, bench.Run(SseBench.Build(Code.Movmskps_r64_xmm, false, 0)));
        Assert.Equal(0b0001ul, bench.State->Gpr[1]);
    }

    [Theory]
    [InlineData(Code.Pinsrb_xmm_r32m8_imm8, 0xF3, 3, 1)]
    [InlineData(Code.Pinsrw_xmm_r32m16_imm8, 0xFE, 12, 2)]
    [InlineData(Code.Pinsrd_xmm_rm32_imm8, 0xFD, 4, 4)]
    [InlineData(Code.Pinsrq_xmm_rm64_imm8, 0xFF, 8, 8)]
    public void Inserts_replace_one_element(Code code, byte imm, int at, int size)
    {
        var (expected, source) = (new byte[16], new byte[16]);
        foreach (var memory in new[] { false, true })
        {
            using var bench = Run(code, memory, imm);
            A.CopyTo(expected);
            (memory ? M : Of(0xD0D1_D2D3_D4D5_D6D7)).CopyTo(source);
            source.AsSpan(0, size).CopyTo(expected.AsSpan(at));
            Assert.Equal(Vector128.Create(expected), bench.Xmm(1));
        }
    }

    [Theory]
    [InlineData(0b10_01_0000, false, 0xACAD_AEAF_1415_1617ul, 0x1819_1A1B_1C1D_1E1Ful)]
    [InlineData(0b11_11_0101, false, 0x1011_1213_0000_0000ul, 0xA8A9_AAAB_0000_0000ul)]
    [InlineData(0b11_10_1000, true, 0x1011_1213_1415_1617ul, 0x0000_0000_5455_5657ul)]
    public void Insertps_selects_inserts_and_clears(byte imm, bool memory, ulong low, ulong high)
    {
        using var bench = Run(Code.Insertps_xmm_xmmm32_imm8, memory, imm);
        Assert.Equal(Of(low, high), bench.Xmm(1));
    }

    [Theory]
    [InlineData(0ul, 0ul, Cr.ZF | Cr.CF)]
    [InlineData(0xFFul, 0x0Ful, Cr.CF)]
    [InlineData(0xF0ul, 0x0Ful, Cr.ZF)]
    [InlineData(0xFFul, 0xF00ul, Cr.ZF)]
    [InlineData(0xF8ul, 0x1Ful, 0ul)]
    public void Ptest_sets_two_flags_and_clears_the_others(ulong a, ulong b, ulong flags)
    {
        using var bench = new SseBench();
        Flags.Write(bench.State, Cr.Arithmetic);
        bench.SetXmm(1, Of(0, a));
        bench.SetXmm(2, Of(0, b));
        Assert.Equal(-1, bench.Run(SseBench.Build(Code.Ptest_xmm_xmmm128, false, 0)));
        Assert.Equal(flags, Flags.Read(bench.State) & Cr.Arithmetic);
    }

    [Fact]
    public void Crc32_computes_the_castagnoli_check_value()
    {
        using var bench = new SseBench();
        bench.State->Gpr[1] = 0xFFFF_FFFF_FFFF_FFFF;
        foreach (var c in "123456789")
        {
            bench.State->Gpr[2] = c;
            Assert.Equal(-1, bench.Run(SseBench.Build(Code.Crc32_r32_rm8, false, 0)));
        }

        Assert.Equal(0xE306_9283u, ~(uint)bench.State->Gpr[1]);
        Assert.Equal(0ul, bench.State->Gpr[1] >> 32);
        bench.State->Gpr[1] = 0xFFFF_FFFF;
        bench.State->Gpr[3] = SseBench.DataAt;
        bench.Machine.Memory.TryWrite(new Gpa(SseBench.DataAt), "123456789"u8.ToArray());
        Assert.Equal(-1, bench.Run(SseBench.Build(Code.Crc32_r64_rm64, true, 0)));
        bench.State->Gpr[3] = SseBench.DataAt + 8;
        Assert.Equal(-1, bench.Run(SseBench.Build(Code.Crc32_r64_rm8, true, 0)));
        Assert.Equal(0xE306_9283u, ~(uint)bench.State->Gpr[1]);
    }

    [Fact]
    public void A_masked_store_touches_only_the_chosen_bytes()
    {
        using var bench = new SseBench();
        bench.SetXmm(2, B);
        bench.SetXmm(3, Of(0x8000_0000_FF7F_0080, 0x0080_0000_0000_0001));
        bench.State->Gpr[7] = SseBench.DataAt + 5;
        bench.Machine.Memory.TryWrite(new Gpa(SseBench.DataAt + 5), M);
        Assert.Equal(-1, bench.Run(SseBench.Build(Code.Maskmovdqu_rDI_xmm_xmm, true, 0)));
        Assert.Equal(Of(0xA051_5253_A455_56A7, 0x58A9_5A5B_5C5D_5E5F), bench.ReadMemory(SseBench.DataAt + 5));
    }
}
