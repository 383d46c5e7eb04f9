using Iced.Intel;

namespace Vmm.Cpu.Interpreter;

/// <content>Logic, arithmetic and comparison.</content>
internal static unsafe partial class SseBinder
{
    static bool TryBindOperation(Op* op, ref Instruction instruction, uint mode)
    {
        if (!IsXmm(ref instruction, 0))
        {
            return false;
        }

        switch (instruction.Mnemonic)
        {
            case Mnemonic.Pand or Mnemonic.Andps or Mnemonic.Andpd:
                return Two<SseAnd>(op, ref instruction, mode);
            case Mnemonic.Pandn or Mnemonic.Andnps or Mnemonic.Andnpd:
                return Two<SseAndNot>(op, ref instruction, mode);
            case Mnemonic.Por or Mnemonic.Orps or Mnemonic.Orpd:
                return Two<SseOr>(op, ref instruction, mode);
            case Mnemonic.Pxor or Mnemonic.Xorps or Mnemonic.Xorpd:
                return Two<SseXor>(op, ref instruction, mode);
            case Mnemonic.Paddb:
                return Two<SseAdd<byte>>(op, ref instruction, mode);
            case Mnemonic.Paddw:
                return Two<SseAdd<ushort>>(op, ref instruction, mode);
            case Mnemonic.Paddd:
                return Two<SseAdd<uint>>(op, ref instruction, mode);
            case Mnemonic.Paddq:
                return Two<SseAdd<ulong>>(op, ref instruction, mode);
            case Mnemonic.Psubb:
                return Two<SseSubtract<byte>>(op, ref instruction, mode);
            case Mnemonic.Psubw:
                return Two<SseSubtract<ushort>>(op, ref instruction, mode);
            case Mnemonic.Psubd:
                return Two<SseSubtract<uint>>(op, ref instruction, mode);
            case Mnemonic.Psubq:
                return Two<SseSubtract<ulong>>(op, ref instruction, mode);
            case Mnemonic.Pcmpeqb:
                return Two<SseEqual<byte>>(op, ref instruction, mode);
            case Mnemonic.Pcmpeqw:
                return Two<SseEqual<ushort>>(op, ref instruction, mode);
            case Mnemonic.Pcmpeqd:
                return Two<SseEqual<uint>>(op, ref instruction, mode);
            case Mnemonic.Pcmpeqq:
                return Two<SseEqual<ulong>>(op, ref instruction, mode);
            case Mnemonic.Pcmpgtb:
                return Two<SseGreater<sbyte>>(op, ref instruction, mode);
            case Mnemonic.Pcmpgtw:
                return Two<SseGreater<short>>(op, ref instruction, mode);
            case Mnemonic.Pcmpgtd:
                return Two<SseGreater<int>>(op, ref instruction, mode);
            case Mnemonic.Pcmpgtq:
                return Two<SseGreater<long>>(op, ref instruction, mode);
            case Mnemonic.Pminub:
                return Two<SseMinimum<byte>>(op, ref instruction, mode);
            case Mnemonic.Pminuw:
                return Two<SseMinimum<ushort>>(op, ref instruction, mode);
            case Mnemonic.Pminud:
                return Two<SseMinimum<uint>>(op, ref instruction, mode);
            case Mnemonic.Pminsb:
                return Two<SseMinimum<sbyte>>(op, ref instruction, mode);
            case Mnemonic.Pminsw:
                return Two<SseMinimum<short>>(op, ref instruction, mode);
            case Mnemonic.Pminsd:
                return Two<SseMinimum<int>>(op, ref instruction, mode);
            case Mnemonic.Pmaxub:
                return Two<SseMaximum<byte>>(op, ref instruction, mode);
            case Mnemonic.Pmaxuw:
                return Two<SseMaximum<ushort>>(op, ref instruction, mode);
            case Mnemonic.Pmaxud:
                return Two<SseMaximum<uint>>(op, ref instruction, mode);
            case Mnemonic.Pmaxsb:
                return Two<SseMaximum<sbyte>>(op, ref instruction, mode);
            case Mnemonic.Pmaxsw:
                return Two<SseMaximum<short>>(op, ref instruction, mode);
            case Mnemonic.Pmaxsd:
                return Two<SseMaximum<int>>(op, ref instruction, mode);
            case Mnemonic.Paddsb:
                return Two<SseAddSaturate<sbyte>>(op, ref instruction, mode);
            case Mnemonic.Paddsw:
                return Two<SseAddSaturate<short>>(op, ref instruction, mode);
            case Mnemonic.Paddusb:
                return Two<SseAddSaturate<byte>>(op, ref instruction, mode);
            case Mnemonic.Paddusw:
                return Two<SseAddSaturate<ushort>>(op, ref instruction, mode);
            case Mnemonic.Psubsb:
                return Two<SseSubtractSaturate<sbyte>>(op, ref instruction, mode);
            case Mnemonic.Psubsw:
                return Two<SseSubtractSaturate<short>>(op, ref instruction, mode);
            case Mnemonic.Psubusb:
                return Two<SseSubtractSaturate<byte>>(op, ref instruction, mode);
            case Mnemonic.Psubusw:
                return Two<SseSubtractSaturate<ushort>>(op, ref instruction, mode);
            case Mnemonic.Pavgb:
                return Two<SseAverage<byte>>(op, ref instruction, mode);
            case Mnemonic.Pavgw:
                return Two<SseAverage<ushort>>(op, ref instruction, mode);
            case Mnemonic.Pabsb:
                return Two<SseAbsolute<sbyte>>(op, ref instruction, mode);
            case Mnemonic.Pabsw:
                return Two<SseAbsolute<short>>(op, ref instruction, mode);
            case Mnemonic.Pabsd:
                return Two<SseAbsolute<int>>(op, ref instruction, mode);
            case Mnemonic.Psignb:
                return Two<SseSign<sbyte>>(op, ref instruction, mode);
            case Mnemonic.Psignw:
                return Two<SseSign<short>>(op, ref instruction, mode);
            case Mnemonic.Psignd:
                return Two<SseSign<int>>(op, ref instruction, mode);
            case Mnemonic.Pmullw:
                return Two<SseMultiplyLow<short>>(op, ref instruction, mode);
            case Mnemonic.Pmulld:
                return Two<SseMultiplyLow<int>>(op, ref instruction, mode);
            case Mnemonic.Pmulhw:
                return Two<SseMultiplyHigh>(op, ref instruction, mode);
            case Mnemonic.Pmulhuw:
                return Two<SseMultiplyHighUnsigned>(op, ref instruction, mode);
            case Mnemonic.Pmulhrsw:
                return Two<SseMultiplyRounded>(op, ref instruction, mode);
            case Mnemonic.Pmuludq:
                return Two<SseMultiplyWideUnsigned>(op, ref instruction, mode);
            case Mnemonic.Pmuldq:
                return Two<SseMultiplyWide>(op, ref instruction, mode);
            case Mnemonic.Pmaddwd:
                return Two<SseMultiplyAddWords>(op, ref instruction, mode);
            case Mnemonic.Pmaddubsw:
                return Two<SseMultiplyAddBytes>(op, ref instruction, mode);
            case Mnemonic.Psadbw:
                return Two<SseDifferenceSum>(op, ref instruction, mode);
            default:
                return TryBindReduction(op, ref instruction, mode);
        }
    }

    /// <summary>Packs, extensions, sums of neighbours.</summary>
    static bool TryBindReduction(Op* op, ref Instruction instruction, uint mode)
    {
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Packsswb:
                return Two<SsePackWords>(op, ref instruction, mode);
            case Mnemonic.Packuswb:
                return Two<SsePackWordsUnsigned>(op, ref instruction, mode);
            case Mnemonic.Packssdw:
                return Two<SsePackDoublewords>(op, ref instruction, mode);
            case Mnemonic.Packusdw:
                return Two<SsePackDoublewordsUnsigned>(op, ref instruction, mode);
            case Mnemonic.Pmovsxbw:
                return Two<SseWiden<SignByteToWord>, SsePart<ulong>>(op, ref instruction, mode);
            case Mnemonic.Pmovsxbd:
                return Two<SseWiden<SignByteToDoubleword>, SsePart<uint>>(op, ref instruction, mode);
            case Mnemonic.Pmovsxbq:
                return Two<SseWiden<SignByteToQuadword>, SsePart<ushort>>(op, ref instruction, mode);
            case Mnemonic.Pmovsxwd:
                return Two<SseWiden<SignWordToDoubleword>, SsePart<ulong>>(op, ref instruction, mode);
            case Mnemonic.Pmovsxwq:
                return Two<SseWiden<SignWordToQuadword>, SsePart<uint>>(op, ref instruction, mode);
            case Mnemonic.Pmovsxdq:
                return Two<SseWiden<SignDoublewordToQuadword>, SsePart<ulong>>(op, ref instruction, mode);
            case Mnemonic.Pmovzxbw:
                return Two<SseWiden<ZeroByteToWord>, SsePart<ulong>>(op, ref instruction, mode);
            case Mnemonic.Pmovzxbd:
                return Two<SseWiden<ZeroByteToDoubleword>, SsePart<uint>>(op, ref instruction, mode);
            case Mnemonic.Pmovzxbq:
                return Two<SseWiden<ZeroByteToQuadword>, SsePart<ushort>>(op, ref instruction, mode);
            case Mnemonic.Pmovzxwd:
                return Two<SseWiden<ZeroWordToDoubleword>, SsePart<ulong>>(op, ref instruction, mode);
            case Mnemonic.Pmovzxwq:
                return Two<SseWiden<ZeroWordToQuadword>, SsePart<uint>>(op, ref instruction, mode);
            case Mnemonic.Pmovzxdq:
                return Two<SseWiden<ZeroDoublewordToQuadword>, SsePart<ulong>>(op, ref instruction, mode);
            case Mnemonic.Phaddw:
                return Two<SsePairWords<SsePairSum>>(op, ref instruction, mode);
            case Mnemonic.Phsubw:
                return Two<SsePairWords<SsePairDifference>>(op, ref instruction, mode);
            case Mnemonic.Phaddsw:
                return Two<SsePairWords<SsePairSumSaturate>>(op, ref instruction, mode);
            case Mnemonic.Phsubsw:
                return Two<SsePairWords<SsePairDifferenceSaturate>>(op, ref instruction, mode);
            case Mnemonic.Phaddd:
                return Two<SsePairSumDoublewords>(op, ref instruction, mode);
            case Mnemonic.Phsubd:
                return Two<SsePairDifferenceDoublewords>(op, ref instruction, mode);
            case Mnemonic.Phminposuw:
                return Two<SseMinimumPosition>(op, ref instruction, mode);
            case Mnemonic.Mpsadbw:
                op->Imm = instruction.Immediate8;
                return Two<SseMultipleDifferenceSum>(op, ref instruction, mode);
            default:
                return TryBindShift(op, ref instruction, mode);
        }
    }

    static bool TryBindShift(Op* op, ref Instruction instruction, uint mode)
    {
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Psllw:
                return Shift<SseShiftLeft<ushort, SseCountInSource>, SseShiftLeft<ushort, SseCountInImmediate>>(op, ref instruction, mode);
            case Mnemonic.Pslld:
                return Shift<SseShiftLeft<uint, SseCountInSource>, SseShiftLeft<uint, SseCountInImmediate>>(op, ref instruction, mode);
            case Mnemonic.Psllq:
                return Shift<SseShiftLeft<ulong, SseCountInSource>, SseShiftLeft<ulong, SseCountInImmediate>>(op, ref instruction, mode);
            case Mnemonic.Psrlw:
                return Shift<SseShiftRight<ushort, SseCountInSource>, SseShiftRight<ushort, SseCountInImmediate>>(op, ref instruction, mode);
            case Mnemonic.Psrld:
                return Shift<SseShiftRight<uint, SseCountInSource>, SseShiftRight<uint, SseCountInImmediate>>(op, ref instruction, mode);
            case Mnemonic.Psrlq:
                return Shift<SseShiftRight<ulong, SseCountInSource>, SseShiftRight<ulong, SseCountInImmediate>>(op, ref instruction, mode);
            case Mnemonic.Psraw:
                return Shift<SseShiftArithmetic<short, SseCountInSource>, SseShiftArithmetic<short, SseCountInImmediate>>(op, ref instruction, mode);
            case Mnemonic.Psrad:
                return Shift<SseShiftArithmetic<int, SseCountInSource>, SseShiftArithmetic<int, SseCountInImmediate>>(op, ref instruction, mode);
            default:
                return false;
        }
    }

    static bool Shift<TSource, TImmediate>(Op* op, ref Instruction instruction, uint mode)
        where TSource : struct, ISse
        where TImmediate : struct, ISse
    {
        if (instruction.Op1Kind != OpKind.Immediate8)
        {
            return Two<TSource>(op, ref instruction, mode);
        }

        op->Imm = instruction.Immediate8;
        op->A = op->B = At(ref instruction, 0);
        op->Handler = Handlers.Pointer(&Handlers.SseRegReg<TImmediate>);
        return true;
    }
}
