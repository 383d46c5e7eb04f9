using Iced.Intel;

namespace Vmm.Differential.Generation;

/// <summary>Which group an instruction form is counted in.</summary>
internal static class Groups
{
    public static EncodingGroup Of(CodeEntry entry)
    {
        if (entry.OpCode.IsPrivileged)
        {
            return EncodingGroup.Privileged;
        }

        if (entry.Role is Role.Reciprocal or Role.Transcendental)
        {
            return EncodingGroup.Approximate;
        }

        var features = entry.Code.CpuidFeatures();
        if (features.Any(f => f is CpuidFeature.FPU or CpuidFeature.FPU287 or CpuidFeature.FPU387) || entry.Mnemonic == Mnemonic.Wait)
        {
            return EncodingGroup.X87;
        }

        if (entry.Operands.Any(IsMmx) || entry.Mnemonic == Mnemonic.Emms)
        {
            return EncodingGroup.Mmx;
        }

        return entry.Operands.Any(IsXmm) ? IsIntegerVector(entry.Mnemonic) ? EncodingGroup.SseInteger : EncodingGroup.SseFloat : Integer(entry);
    }

    static bool IsMmx(OpCodeOperandKind kind) => kind is OpCodeOperandKind.mm_reg or OpCodeOperandKind.mm_rm or OpCodeOperandKind.mm_or_mem;

    static bool IsXmm(OpCodeOperandKind kind) => kind is OpCodeOperandKind.xmm_reg or OpCodeOperandKind.xmm_rm or OpCodeOperandKind.xmm_or_mem;

    static bool IsIntegerVector(Mnemonic mnemonic)
    {
        var name = mnemonic.ToString();
        return name.StartsWith('P') || mnemonic is Mnemonic.Movdqa or Mnemonic.Movdqu or Mnemonic.Movq or Mnemonic.Movd or Mnemonic.Lddqu
            or Mnemonic.Movntdq or Mnemonic.Movntdqa or Mnemonic.Maskmovdqu or Mnemonic.Mpsadbw;
    }

    static EncodingGroup Integer(CodeEntry entry)
    {
        if (entry.Role is Role.String)
        {
            return EncodingGroup.String;
        }

        switch (entry.Mnemonic)
        {
            case Mnemonic.Add or Mnemonic.Or or Mnemonic.Adc or Mnemonic.Sbb or Mnemonic.And or Mnemonic.Sub or Mnemonic.Xor or Mnemonic.Cmp:
            case Mnemonic.Test or Mnemonic.Inc or Mnemonic.Dec or Mnemonic.Neg or Mnemonic.Not:
            case Mnemonic.Clc or Mnemonic.Stc or Mnemonic.Cmc or Mnemonic.Lahf or Mnemonic.Sahf:
                return EncodingGroup.Alu;
            case Mnemonic.Rol or Mnemonic.Ror or Mnemonic.Rcl or Mnemonic.Rcr or Mnemonic.Shl or Mnemonic.Shr or Mnemonic.Sal or Mnemonic.Sar:
            case Mnemonic.Shld or Mnemonic.Shrd:
                return EncodingGroup.ShiftRotate;
            case Mnemonic.Mul or Mnemonic.Imul or Mnemonic.Div or Mnemonic.Idiv:
                return EncodingGroup.MultiplyDivide;
            case Mnemonic.Bt or Mnemonic.Bts or Mnemonic.Btr or Mnemonic.Btc or Mnemonic.Bsf or Mnemonic.Bsr or Mnemonic.Popcnt or Mnemonic.Bswap:
            case Mnemonic.Crc32:
                return EncodingGroup.Bits;
            case Mnemonic.Xadd or Mnemonic.Cmpxchg or Mnemonic.Cmpxchg8b or Mnemonic.Cmpxchg16b or Mnemonic.Xchg:
                return EncodingGroup.Atomic;
            case Mnemonic.Mov or Mnemonic.Movzx or Mnemonic.Movsx or Mnemonic.Movsxd or Mnemonic.Lea or Mnemonic.Cbw or Mnemonic.Cwde or Mnemonic.Cdqe:
            case Mnemonic.Cwd or Mnemonic.Cdq or Mnemonic.Cqo or Mnemonic.Movnti or Mnemonic.Xlatb:
                return EncodingGroup.Move;
            default:
                return Control(entry);
        }
    }

    static EncodingGroup Control(CodeEntry entry)
    {
        var name = entry.Mnemonic.ToString();
        if (entry.Role is Role.RelativeBranch or Role.Return or Role.FarReturn or Role.FarBranch or Role.IndirectCall or Role.IndirectJump
            || name.StartsWith("Set", StringComparison.Ordinal) || name.StartsWith("Cmov", StringComparison.Ordinal))
        {
            return EncodingGroup.Branch;
        }

        return name.StartsWith("Push", StringComparison.Ordinal) || name.StartsWith("Pop", StringComparison.Ordinal)
            || entry.Role is Role.Enter or Role.Leave ? EncodingGroup.Stack : EncodingGroup.Misc;
    }
}
