using Iced.Intel;

namespace Vmm.Cpu.Interpreter;

/// <content>Shuffles, unpacks, blends and byte shifts: their immediate becomes a permutation when they are bound.</content>
internal static unsafe partial class SseBinder
{
    static ReadOnlySpan<byte> DoubleLow => [0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7];

    static ReadOnlySpan<byte> SinglesEven => [0, 1, 2, 3, 0, 1, 2, 3, 8, 9, 10, 11, 8, 9, 10, 11];

    static ReadOnlySpan<byte> SinglesOdd => [4, 5, 6, 7, 4, 5, 6, 7, 12, 13, 14, 15, 12, 13, 14, 15];

    static bool TryBindShuffle(Op* op, ref Instruction instruction, uint mode)
    {
        if (!IsXmm(ref instruction, 0))
        {
            return false;
        }

        switch (instruction.Mnemonic)
        {
            case Mnemonic.Punpcklbw:
                return Two<SseUnpackLow<byte>>(op, ref instruction, mode);
            case Mnemonic.Punpcklwd:
                return Two<SseUnpackLow<ushort>>(op, ref instruction, mode);
            case Mnemonic.Punpckldq or Mnemonic.Unpcklps:
                return Two<SseUnpackLow<uint>>(op, ref instruction, mode);
            case Mnemonic.Punpcklqdq or Mnemonic.Unpcklpd:
                return Two<SseUnpackLow<ulong>>(op, ref instruction, mode);
            case Mnemonic.Punpckhbw:
                return Two<SseUnpackHigh<byte>>(op, ref instruction, mode);
            case Mnemonic.Punpckhwd:
                return Two<SseUnpackHigh<ushort>>(op, ref instruction, mode);
            case Mnemonic.Punpckhdq or Mnemonic.Unpckhps:
                return Two<SseUnpackHigh<uint>>(op, ref instruction, mode);
            case Mnemonic.Punpckhqdq or Mnemonic.Unpckhpd:
                return Two<SseUnpackHigh<ulong>>(op, ref instruction, mode);
            case Mnemonic.Pshufb:
                return Two<SseShuffleBytes>(op, ref instruction, mode);
            case Mnemonic.Pblendvb:
                return Two<SseBlendVariable<sbyte>>(op, ref instruction, mode);
            case Mnemonic.Blendvps:
                return Two<SseBlendVariable<int>>(op, ref instruction, mode);
            case Mnemonic.Blendvpd:
                return Two<SseBlendVariable<long>>(op, ref instruction, mode);
            case Mnemonic.Insertps:
                op->Imm = instruction.Immediate8 & (IsMemory(ref instruction, 1) ? 0x3F : 0xFF);
                return Two<SseInsertSingle, SsePart<uint>>(op, ref instruction, mode);
            default:
                return TryBindPermutation(op, ref instruction, mode);
        }
    }

    static bool TryBindPermutation(Op* op, ref Instruction instruction, uint mode)
    {
        var imm = instruction.Immediate8;
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Pshufd:
                SseControl.SetElements(op, 4, imm, 0, 4);
                return Two<SsePermute>(op, ref instruction, mode);
            case Mnemonic.Pshuflw:
                SseControl.SetElements(op, 2, imm, 0, 4);
                return Two<SsePermute>(op, ref instruction, mode);
            case Mnemonic.Pshufhw:
                SseControl.SetElements(op, 2, imm, 4, 4);
                return Two<SsePermute>(op, ref instruction, mode);
            case Mnemonic.Pslldq:
                return ByteShift(op, ref instruction, imm);
            case Mnemonic.Psrldq:
                return ByteShift(op, ref instruction, -imm);
            case Mnemonic.Movddup:
                SseControl.Set(op, DoubleLow);
                return Two<SsePermute, SsePart<ulong>>(op, ref instruction, mode);
            case Mnemonic.Movsldup:
                SseControl.Set(op, SinglesEven);
                return Two<SsePermute>(op, ref instruction, mode);
            case Mnemonic.Movshdup:
                SseControl.Set(op, SinglesOdd);
                return Two<SsePermute>(op, ref instruction, mode);
            case Mnemonic.Shufps:
                SseControl.SetTwoSource(op, 4, imm);
                return Two<SseShuffleTwo>(op, ref instruction, mode);
            case Mnemonic.Shufpd:
                SseControl.SetTwoSource(op, 8, imm);
                return Two<SseShuffleTwo>(op, ref instruction, mode);
            case Mnemonic.Palignr:
                SseControl.SetAlign(op, imm);
                return Two<SseAlign>(op, ref instruction, mode);
            case Mnemonic.Blendps:
                SseControl.SetBlend(op, 4, imm);
                return Two<SseBlend>(op, ref instruction, mode);
            case Mnemonic.Blendpd:
                SseControl.SetBlend(op, 8, imm);
                return Two<SseBlend>(op, ref instruction, mode);
            case Mnemonic.Pblendw:
                SseControl.SetBlend(op, 2, imm);
                return Two<SseBlend>(op, ref instruction, mode);
            default:
                return false;
        }
    }

    static bool ByteShift(Op* op, ref Instruction instruction, int left)
    {
        SseControl.SetByteShift(op, left);
        op->A = op->B = At(ref instruction, 0);
        op->Handler = Handlers.Pointer(&Handlers.SseRegReg<SsePermute>);
        return true;
    }
}
