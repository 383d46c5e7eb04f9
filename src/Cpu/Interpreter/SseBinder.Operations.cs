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
            default:
                return false;
        }
    }
}
