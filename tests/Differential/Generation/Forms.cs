using Iced.Intel;

namespace Vmm.Differential.Generation;

/// <summary>Operand kinds by what may stand there.</summary>
internal static class Forms
{
    public static bool MayBeMemory(OpCodeOperandKind kind) => kind is OpCodeOperandKind.mem or OpCodeOperandKind.mem_offs || IsRegisterOrMemory(kind);

    public static bool IsRegisterOrMemory(OpCodeOperandKind kind) => kind is OpCodeOperandKind.r8_or_mem or OpCodeOperandKind.r16_or_mem
        or OpCodeOperandKind.r32_or_mem or OpCodeOperandKind.r64_or_mem or OpCodeOperandKind.mm_or_mem or OpCodeOperandKind.xmm_or_mem;

    /// <summary>First register of the class that may stand there, and how many there are.</summary>
    public static (Register First, int Count) Registers(OpCodeOperandKind kind) => kind switch
    {
        OpCodeOperandKind.r8_or_mem or OpCodeOperandKind.r8_reg or OpCodeOperandKind.r8_opcode => (Register.AL, 20),
        OpCodeOperandKind.r16_or_mem or OpCodeOperandKind.r16_reg or OpCodeOperandKind.r16_rm or OpCodeOperandKind.r16_opcode => (Register.AX, 16),
        OpCodeOperandKind.r32_or_mem or OpCodeOperandKind.r32_reg or OpCodeOperandKind.r32_rm or OpCodeOperandKind.r32_opcode => (Register.EAX, 16),
        OpCodeOperandKind.r64_or_mem or OpCodeOperandKind.r64_reg or OpCodeOperandKind.r64_rm or OpCodeOperandKind.r64_opcode => (Register.RAX, 16),
        OpCodeOperandKind.mm_or_mem or OpCodeOperandKind.mm_reg or OpCodeOperandKind.mm_rm => (Register.MM0, 8),
        OpCodeOperandKind.xmm_or_mem or OpCodeOperandKind.xmm_reg or OpCodeOperandKind.xmm_rm => (Register.XMM0, 16),
        OpCodeOperandKind.sti_opcode => (Register.ST0, 8),
        OpCodeOperandKind.seg_reg => (Register.ES, 6),
        _ => (Register.None, 0),
    };

    /// <summary>The one register that stands there, or None.</summary>
    public static Register Implied(OpCodeOperandKind kind) => kind switch
    {
        OpCodeOperandKind.al => Register.AL,
        OpCodeOperandKind.cl => Register.CL,
        OpCodeOperandKind.ax => Register.AX,
        OpCodeOperandKind.dx => Register.DX,
        OpCodeOperandKind.eax => Register.EAX,
        OpCodeOperandKind.rax => Register.RAX,
        OpCodeOperandKind.st0 => Register.ST0,
        OpCodeOperandKind.fs => Register.FS,
        OpCodeOperandKind.gs => Register.GS,
        _ => Register.None,
    };

    /// <summary>Number of the general register that <paramref name="register"/> is part of, or -1.</summary>
    public static int General(Register register) => register switch
    {
        >= Register.AL and <= Register.BL => register - Register.AL,
        >= Register.AH and <= Register.BH => register - Register.AH,
        >= Register.SPL and <= Register.R15L => register - Register.SPL + 4,
        >= Register.AX and <= Register.R15W => register - Register.AX,
        >= Register.EAX and <= Register.R15D => register - Register.EAX,
        >= Register.RAX and <= Register.R15 => register - Register.RAX,
        _ => -1,
    };
}
