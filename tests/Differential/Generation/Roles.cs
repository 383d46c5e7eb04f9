using Iced.Intel;

namespace Vmm.Differential.Generation;

/// <summary>Which role an instruction form has.</summary>
internal static class Roles
{
    public static Role Of(CodeEntry entry)
    {
        if (entry.Operands.Any(k => k is OpCodeOperandKind.br64_1 or OpCodeOperandKind.br64_4))
        {
            return Role.RelativeBranch;
        }

        if (entry.Operands.Any(k => k is OpCodeOperandKind.seg_rSI or OpCodeOperandKind.es_rDI))
        {
            return Role.String;
        }

        var bySpecialForm = entry.Mnemonic switch
        {
            Mnemonic.Bt or Mnemonic.Bts or Mnemonic.Btr or Mnemonic.Btc when entry.Operands[1] != OpCodeOperandKind.imm8 => Role.BitString,
            Mnemonic.Shld or Mnemonic.Shrd when entry.OpCode.OperandSize == 16 => Role.DoubleShift16,
            _ => Role.Plain,
        };
        if (entry.Code is Code.Call_m1632 or Code.Jmp_m1632)
        {
            return Role.FarBranch;
        }

        return bySpecialForm != Role.Plain ? bySpecialForm : ByMnemonic(entry.Mnemonic);
    }

    static Role ByMnemonic(Mnemonic mnemonic)
    {
        switch (mnemonic)
        {
            case Mnemonic.Div or Mnemonic.Idiv: return Role.Divide;
            case Mnemonic.Cmpxchg: return Role.CompareExchange;
            case Mnemonic.Cmpxchg8b or Mnemonic.Cmpxchg16b: return Role.CompareExchangeWide;
            case Mnemonic.Xlatb: return Role.Translate;
            case Mnemonic.Maskmovq or Mnemonic.Maskmovdqu: return Role.MaskedMove;
            case Mnemonic.Enter: return Role.Enter;
            case Mnemonic.Leave: return Role.Leave;
            case Mnemonic.Ret: return Role.Return;
            case Mnemonic.Retf or Mnemonic.Iretd or Mnemonic.Iretq: return Role.FarReturn;
            case Mnemonic.Lar or Mnemonic.Lsl or Mnemonic.Verr or Mnemonic.Verw: return Role.SelectorTest;
            case Mnemonic.Jmp: return Role.IndirectJump;
            case Mnemonic.Call: return Role.IndirectCall;
            case Mnemonic.Int: return Role.Interrupt;
            case Mnemonic.Pcmpestri or Mnemonic.Pcmpestrm or Mnemonic.Pcmpestri64 or Mnemonic.Pcmpestrm64: return Role.ExplicitLengths;
            case Mnemonic.Fxsave or Mnemonic.Fxsave64: return Role.SaveFx;
            case Mnemonic.Fxrstor or Mnemonic.Fxrstor64: return Role.LoadFx;
            case Mnemonic.Fnstenv or Mnemonic.Fstenv or Mnemonic.Fnsave or Mnemonic.Fsave: return Role.SaveEnvironment;
            case Mnemonic.Fldenv or Mnemonic.Frstor: return Role.LoadEnvironment;
            case Mnemonic.Cvtpi2ps: return Role.RegisterOnly;
            case Mnemonic.Ldmxcsr: return Role.LoadMxcsr;
            case Mnemonic.Fbld: return Role.LoadBcd;
            case Mnemonic.Fprem or Mnemonic.Fprem1: return Role.PartialRemainder;
            case Mnemonic.Fcomi or Mnemonic.Fcomip or Mnemonic.Fucomi or Mnemonic.Fucomip: return Role.CompareToFlags;
            case Mnemonic.Rcpps or Mnemonic.Rcpss or Mnemonic.Rsqrtps or Mnemonic.Rsqrtss: return Role.Reciprocal;
        }

        switch (mnemonic)
        {
            case Mnemonic.F2xm1 or Mnemonic.Fyl2x or Mnemonic.Fyl2xp1 or Mnemonic.Fptan or Mnemonic.Fpatan:
            case Mnemonic.Fsin or Mnemonic.Fcos or Mnemonic.Fsincos:
                return Role.Transcendental;
            case Mnemonic.Lea or Mnemonic.Nop or Mnemonic.Reservednop:
            case Mnemonic.Prefetchnta or Mnemonic.Prefetcht0 or Mnemonic.Prefetcht1 or Mnemonic.Prefetcht2:
                return Role.AddressOnly;
            default:
                return Role.Plain;
        }
    }
}
