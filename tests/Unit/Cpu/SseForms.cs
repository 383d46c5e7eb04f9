using Iced.Intel;

namespace Vmm.Unit.Cpu;

/// <summary>The instruction forms of MMX and SSE to SSE4.2.</summary>
internal static class SseForms
{
    static readonly string[] FloatingNames =
    [
        "Cvt", "Addp", "Adds", "Subp", "Subs", "Mulp", "Muls", "Divp", "Divs", "Sqrt", "Minp", "Mins", "Maxp", "Maxs", "Rsqrt", "Rcp",
        "Cmpp", "Cmps", "Comis", "Ucomis", "Hadd", "Hsub", "Dpp", "Round", "Ldmxcsr", "Stmxcsr", "Fisttp",
    ];

    /// <summary>Forms that compute no floating-point value, without hints and fences.</summary>
    public static readonly Code[] Whole = [.. Enum.GetValues<Code>().Where(IsWhole)];

    static bool IsWhole(Code code)
    {
        var name = code.Mnemonic().ToString();
        return code.ToOpCode().Encoding == EncodingKind.Legacy
            && code.CpuidFeatures().Any(f => f is CpuidFeature.MMX or CpuidFeature.SSE or CpuidFeature.SSE2 or CpuidFeature.SSE3
                or CpuidFeature.SSSE3 or CpuidFeature.SSE4_1 or CpuidFeature.SSE4_2)
            && !FloatingNames.Any(n => name.StartsWith(n, StringComparison.Ordinal))
            && !name.StartsWith("Prefetch", StringComparison.Ordinal) && !name.EndsWith("fence", StringComparison.Ordinal);
    }

    static IEnumerable<OpCodeOperandKind> Operands(Code code)
    {
        var form = code.ToOpCode();
        return Enumerable.Range(0, form.OpCount).Select(form.GetOpKind);
    }

    public static bool UsesXmm(Code code) =>
        Operands(code).Any(k => k is OpCodeOperandKind.xmm_reg or OpCodeOperandKind.xmm_rm or OpCodeOperandKind.xmm_or_mem);

    public static bool UsesMmx(Code code) =>
        code == Code.Emms || Operands(code).Any(k => k is OpCodeOperandKind.mm_reg or OpCodeOperandKind.mm_rm or OpCodeOperandKind.mm_or_mem);

    public static bool HasRegisterForm(Code code) => Operands(code).All(k => k is not (OpCodeOperandKind.mem or OpCodeOperandKind.seg_rDI));

    public static bool HasMemoryForm(Code code) => Operands(code).Any(k => k is OpCodeOperandKind.mem or OpCodeOperandKind.xmm_or_mem
        or OpCodeOperandKind.mm_or_mem or OpCodeOperandKind.r32_or_mem or OpCodeOperandKind.r64_or_mem or OpCodeOperandKind.r8_or_mem
        or OpCodeOperandKind.r16_or_mem);

    public static int MemoryBytes(Code code) => code.ToOpCode().MemorySize.GetSize();

    /// <summary>A 16-byte memory operand that must be aligned.</summary>
    public static bool MustAlign(Code code) => HasMemoryForm(code) && MemoryBytes(code) == 16
        && code.Mnemonic() is not (Mnemonic.Movups or Mnemonic.Movupd or Mnemonic.Movdqu or Mnemonic.Lddqu
            or Mnemonic.Pcmpestri or Mnemonic.Pcmpestrm or Mnemonic.Pcmpestri64 or Mnemonic.Pcmpestrm64 or Mnemonic.Pcmpistri or Mnemonic.Pcmpistrm);
}
