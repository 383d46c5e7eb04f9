using Iced.Intel;

namespace Vmm.Cpu.Interpreter;

/// <summary>Binds the instructions that use MMX registers and compute no floating-point value. All of them are cold.</summary>
internal static unsafe class MmxBinder
{
    /// <summary>Binds an MMX instruction. False: it is none.</summary>
    public static bool TryBind(Op* op, ref Instruction instruction, Instruction* p)
    {
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Emms:
                return Cold<Emms>(op, p);
            case Mnemonic.Movq2dq or Mnemonic.Movdq2q:
                return Cold<MmxMoveXmm>(op, p);
            case Mnemonic.Maskmovq:
                SseBinder.BindMaskedStore(op, ref instruction);
                return Cold<MmxMaskedStore>(op, p);
        }

        return instruction.Op1Kind == OpKind.Register && instruction.Op1Register.IsMM() && TryBindSource(op, ref instruction, p)
            || instruction.Op0Kind == OpKind.Register && instruction.Op0Register.IsMM() && TryBindDestination(op, ref instruction, p);
    }

    /// <summary>Results that leave the MMX registers.</summary>
    static bool TryBindSource(Op* op, ref Instruction instruction, Instruction* p) => instruction.Mnemonic switch
    {
        Mnemonic.Movd or Mnemonic.Movq or Mnemonic.Movntq => Cold<MmxMove>(op, p),
        Mnemonic.Pextrw or Mnemonic.Pmovmskb => Cold<MmxToGeneral>(op, p),
        _ => false,
    };

    static bool TryBindDestination(Op* op, ref Instruction instruction, Instruction* p)
    {
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Movd or Mnemonic.Movq:
                return Cold<MmxMove>(op, p);
            case Mnemonic.Pinsrw:
                return Cold<MmxInsert>(op, p);
            case Mnemonic.Pshufw:
                return Cold<MmxShuffleWords>(op, p);
            case Mnemonic.Palignr:
                SseControl.SetByteShift(op, -instruction.Immediate8);
                return Bind<SsePermute, MmxAlign>(op, p);
            default:
                return TryBindLogic(op, ref instruction, p);
        }
    }

    static bool TryBindLogic(Op* op, ref Instruction instruction, Instruction* p)
    {
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Pand:
                return Bind<SseAnd, MmxLow>(op, p);
            case Mnemonic.Pandn:
                return Bind<SseAndNot, MmxLow>(op, p);
            case Mnemonic.Por:
                return Bind<SseOr, MmxLow>(op, p);
            case Mnemonic.Pxor:
                return Bind<SseXor, MmxLow>(op, p);
            case Mnemonic.Paddb:
                return Bind<SseAdd<byte>, MmxLow>(op, p);
            case Mnemonic.Psubb:
                return Bind<SseSubtract<byte>, MmxLow>(op, p);
            case Mnemonic.Paddw:
                return Bind<SseAdd<ushort>, MmxLow>(op, p);
            case Mnemonic.Psubw:
                return Bind<SseSubtract<ushort>, MmxLow>(op, p);
            case Mnemonic.Paddd:
                return Bind<SseAdd<uint>, MmxLow>(op, p);
            case Mnemonic.Psubd:
                return Bind<SseSubtract<uint>, MmxLow>(op, p);
            case Mnemonic.Paddq:
                return Bind<SseAdd<ulong>, MmxLow>(op, p);
            case Mnemonic.Psubq:
                return Bind<SseSubtract<ulong>, MmxLow>(op, p);
            case Mnemonic.Pcmpeqb:
                return Bind<SseEqual<byte>, MmxLow>(op, p);
            case Mnemonic.Pcmpeqw:
                return Bind<SseEqual<ushort>, MmxLow>(op, p);
            case Mnemonic.Pcmpeqd:
                return Bind<SseEqual<uint>, MmxLow>(op, p);
            case Mnemonic.Pcmpgtb:
                return Bind<SseGreater<sbyte>, MmxLow>(op, p);
            case Mnemonic.Pcmpgtw:
                return Bind<SseGreater<short>, MmxLow>(op, p);
            case Mnemonic.Pcmpgtd:
                return Bind<SseGreater<int>, MmxLow>(op, p);
            case Mnemonic.Paddsb:
                return Bind<SseAddSaturate<sbyte>, MmxLow>(op, p);
            case Mnemonic.Paddusb:
                return Bind<SseAddSaturate<byte>, MmxLow>(op, p);
            case Mnemonic.Psubsb:
                return Bind<SseSubtractSaturate<sbyte>, MmxLow>(op, p);
            case Mnemonic.Psubusb:
                return Bind<SseSubtractSaturate<byte>, MmxLow>(op, p);
            case Mnemonic.Paddsw:
                return Bind<SseAddSaturate<short>, MmxLow>(op, p);
            case Mnemonic.Paddusw:
                return Bind<SseAddSaturate<ushort>, MmxLow>(op, p);
            case Mnemonic.Psubsw:
                return Bind<SseSubtractSaturate<short>, MmxLow>(op, p);
            case Mnemonic.Psubusw:
                return Bind<SseSubtractSaturate<ushort>, MmxLow>(op, p);
            case Mnemonic.Pminub:
                return Bind<SseMinimum<byte>, MmxLow>(op, p);
            case Mnemonic.Pmaxub:
                return Bind<SseMaximum<byte>, MmxLow>(op, p);
            case Mnemonic.Pminsw:
                return Bind<SseMinimum<short>, MmxLow>(op, p);
            case Mnemonic.Pmaxsw:
                return Bind<SseMaximum<short>, MmxLow>(op, p);
            default:
                return TryBindArithmetic(op, ref instruction, p);
        }
    }

    static bool TryBindArithmetic(Op* op, ref Instruction instruction, Instruction* p)
    {
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Pavgb:
                return Bind<SseAverage<byte>, MmxLow>(op, p);
            case Mnemonic.Pavgw:
                return Bind<SseAverage<ushort>, MmxLow>(op, p);
            case Mnemonic.Pabsb:
                return Bind<SseAbsolute<sbyte>, MmxLow>(op, p);
            case Mnemonic.Psignb:
                return Bind<SseSign<sbyte>, MmxLow>(op, p);
            case Mnemonic.Pabsw:
                return Bind<SseAbsolute<short>, MmxLow>(op, p);
            case Mnemonic.Psignw:
                return Bind<SseSign<short>, MmxLow>(op, p);
            case Mnemonic.Pabsd:
                return Bind<SseAbsolute<int>, MmxLow>(op, p);
            case Mnemonic.Psignd:
                return Bind<SseSign<int>, MmxLow>(op, p);
            case Mnemonic.Pmullw:
                return Bind<SseMultiplyLow<short>, MmxLow>(op, p);
            case Mnemonic.Pmulhw:
                return Bind<SseMultiplyHigh, MmxLow>(op, p);
            case Mnemonic.Pmulhuw:
                return Bind<SseMultiplyHighUnsigned, MmxLow>(op, p);
            case Mnemonic.Pmulhrsw:
                return Bind<SseMultiplyRounded, MmxLow>(op, p);
            case Mnemonic.Pmuludq:
                return Bind<SseMultiplyWideUnsigned, MmxLow>(op, p);
            case Mnemonic.Pmaddwd:
                return Bind<SseMultiplyAddWords, MmxLow>(op, p);
            case Mnemonic.Pmaddubsw:
                return Bind<SseMultiplyAddBytes, MmxLow>(op, p);
            case Mnemonic.Psadbw:
                return Bind<SseDifferenceSum, MmxLow>(op, p);
            case Mnemonic.Punpcklbw:
                return Bind<SseUnpackLow<byte>, MmxLow>(op, p);
            case Mnemonic.Punpckhbw:
                return Bind<SseUnpackLow<byte>, MmxHigh>(op, p);
            case Mnemonic.Punpcklwd:
                return Bind<SseUnpackLow<ushort>, MmxLow>(op, p);
            case Mnemonic.Punpckhwd:
                return Bind<SseUnpackLow<ushort>, MmxHigh>(op, p);
            case Mnemonic.Punpckldq:
                return Bind<SseUnpackLow<uint>, MmxLow>(op, p);
            case Mnemonic.Punpckhdq:
                return Bind<SseUnpackLow<uint>, MmxHigh>(op, p);
            case Mnemonic.Packsswb:
                return Bind<SsePackWords, MmxPair>(op, p);
            case Mnemonic.Packuswb:
                return Bind<SsePackWordsUnsigned, MmxPair>(op, p);
            case Mnemonic.Packssdw:
                return Bind<SsePackDoublewords, MmxPair>(op, p);
            case Mnemonic.Phaddw:
                return Bind<SsePairWords<SsePairSum>, MmxPair>(op, p);
            case Mnemonic.Phsubw:
                return Bind<SsePairWords<SsePairDifference>, MmxPair>(op, p);
            case Mnemonic.Phaddsw:
                return Bind<SsePairWords<SsePairSumSaturate>, MmxPair>(op, p);
            case Mnemonic.Phsubsw:
                return Bind<SsePairWords<SsePairDifferenceSaturate>, MmxPair>(op, p);
            case Mnemonic.Phaddd:
                return Bind<SsePairSumDoublewords, MmxPair>(op, p);
            case Mnemonic.Phsubd:
                return Bind<SsePairDifferenceDoublewords, MmxPair>(op, p);
            case Mnemonic.Pshufb:
                return Bind<SseShuffleBytes, MmxIndexed>(op, p);
            default:
                return TryBindShift(op, ref instruction, p);
        }
    }

    static bool TryBindShift(Op* op, ref Instruction instruction, Instruction* p)
    {
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Psllw:
                return Shift<SseShiftLeft<ushort, SseCountInSource>, SseShiftLeft<ushort, SseCountInImmediate>>(op, ref instruction, p);
            case Mnemonic.Pslld:
                return Shift<SseShiftLeft<uint, SseCountInSource>, SseShiftLeft<uint, SseCountInImmediate>>(op, ref instruction, p);
            case Mnemonic.Psllq:
                return Shift<SseShiftLeft<ulong, SseCountInSource>, SseShiftLeft<ulong, SseCountInImmediate>>(op, ref instruction, p);
            case Mnemonic.Psrlw:
                return Shift<SseShiftRight<ushort, SseCountInSource>, SseShiftRight<ushort, SseCountInImmediate>>(op, ref instruction, p);
            case Mnemonic.Psrld:
                return Shift<SseShiftRight<uint, SseCountInSource>, SseShiftRight<uint, SseCountInImmediate>>(op, ref instruction, p);
            case Mnemonic.Psrlq:
                return Shift<SseShiftRight<ulong, SseCountInSource>, SseShiftRight<ulong, SseCountInImmediate>>(op, ref instruction, p);
            case Mnemonic.Psraw:
                return Shift<SseShiftArithmetic<short, SseCountInSource>, SseShiftArithmetic<short, SseCountInImmediate>>(op, ref instruction, p);
            case Mnemonic.Psrad:
                return Shift<SseShiftArithmetic<int, SseCountInSource>, SseShiftArithmetic<int, SseCountInImmediate>>(op, ref instruction, p);
            default:
                return false;
        }
    }

    static bool Shift<TSource, TImmediate>(Op* op, ref Instruction instruction, Instruction* p)
        where TSource : struct, ISse
        where TImmediate : struct, ISse
    {
        if (instruction.Op1Kind != OpKind.Immediate8)
        {
            return Bind<TSource, MmxLow>(op, p);
        }

        op->Imm = instruction.Immediate8;
        return Bind<TImmediate, MmxLow>(op, p);
    }

    static bool Bind<TOp, TShape>(Op* op, Instruction* p)
        where TOp : struct, ISse
        where TShape : struct, IMmxShape => Cold<MmxOperation<TOp, TShape>>(op, p);

    static bool Cold<T>(Op* op, Instruction* p)
        where T : struct, ICold
    {
        Binder.Cold<T>(op, p);
        return true;
    }
}
