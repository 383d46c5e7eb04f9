using Iced.Intel;

namespace Vmm.Differential.Generation;

/// <summary>Why an instruction form is not compared with the host.</summary>
internal static class Exclusions
{
    public static string? Reason(Code code, OpCodeInfo opCode)
    {
        for (var i = 0; i < opCode.OpCount; i++)
        {
            if (opCode.GetOpKind(i) is OpCodeOperandKind.br16_1 or OpCodeOperandKind.br16_2)
            {
                return "near branch with operand size 16: AMD and Intel differ";
            }
        }

        return ByCode(code) ?? ByMnemonic(code.Mnemonic());
    }

    static string? ByCode(Code code) => code switch
    {
        Code.Retnw or Code.Retnw_imm16 or Code.Call_rm16 or Code.Jmp_rm16 => "near branch with operand size 16: AMD and Intel differ",
        Code.Call_m1616 or Code.Jmp_m1616 or Code.Retfw or Code.Retfw_imm16 or Code.Iretw => "far transfer to a 16-bit offset",
        Code.Call_m1664 or Code.Jmp_m1664 => "far pointer of 80 bits: AMD ignores REX.W",
        Code.Mov_Sreg_rm16 or Code.Mov_Sreg_r32m16 or Code.Mov_Sreg_r64m16 => "segment load",
        Code.Popw_FS or Code.Popw_GS or Code.Popq_FS or Code.Popq_GS => "segment load",
        Code.Movsxd_r16_rm16 => "AMD reads 4 bytes, Intel 2",
        Code.Int1 => "a virtual host reports the address before the instruction",
        Code.Bswap_r16 => "result undefined",
        Code.Reservednop_rm16_r16_0F0D or Code.Reservednop_rm32_r32_0F0D or Code.Reservednop_rm64_r64_0F0D => "PREFETCHW on the host",
        _ => null,
    };

    static string? ByMnemonic(Mnemonic mnemonic)
    {
        switch (mnemonic)
        {
            case Mnemonic.Lss or Mnemonic.Lfs or Mnemonic.Lgs: return "segment load";
            case Mnemonic.Sgdt or Mnemonic.Sidt or Mnemonic.Sldt or Mnemonic.Str or Mnemonic.Smsw: return "faked by the host's kernel (UMIP)";
            case Mnemonic.Rdtsc or Mnemonic.Cpuid: return "depends on the processor model or the time";
            case Mnemonic.Syscall or Mnemonic.Sysenter: return "enters the host's kernel";
            case Mnemonic.Sysret or Mnemonic.Sysretq or Mnemonic.Sysexit or Mnemonic.Sysexitq: return "leaves a kernel";
            case Mnemonic.Ud0: return "AMD takes no ModRM byte, Intel does";
            case Mnemonic.Rsm: return "system management mode";
            default: return null;
        }
    }
}
