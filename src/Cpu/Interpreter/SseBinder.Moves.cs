using Iced.Intel;
using static Vmm.Cpu.Interpreter.Handlers;

namespace Vmm.Cpu.Interpreter;

/// <content>Moves, inserts, extracts, sign masks and CRC32.</content>
internal static unsafe partial class SseBinder
{
    static bool TryBindMove(Op* op, ref Instruction instruction, uint mode)
    {
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Movups or Mnemonic.Movupd or Mnemonic.Movdqu or Mnemonic.Lddqu:
                return MoveWhole<SseUnaligned, StoreForm>(op, ref instruction, mode);
            case Mnemonic.Movaps or Mnemonic.Movapd or Mnemonic.Movdqa or Mnemonic.Movntps or Mnemonic.Movntpd or Mnemonic.Movntdq or Mnemonic.Movntdqa:
                return MoveWhole<SseAligned, StoreAlignedForm>(op, ref instruction, mode);
            case Mnemonic.Movss:
                return MoveScalar<uint>(op, ref instruction, mode);
            case Mnemonic.Movsd:
                return MoveScalar<ulong>(op, ref instruction, mode);
            case Mnemonic.Movd:
                return MoveGeneral<uint>(op, ref instruction, mode);
            case Mnemonic.Movq:
                return MoveGeneral<ulong>(op, ref instruction, mode);
            case Mnemonic.Movlps or Mnemonic.Movlpd:
                return MoveHalf(op, ref instruction, mode, 0);
            case Mnemonic.Movhps or Mnemonic.Movhpd:
                return MoveHalf(op, ref instruction, mode, 8);
            case Mnemonic.Movhlps:
                return CopyPart<ulong>(op, At(ref instruction, 0), At(ref instruction, 1) + 8);
            case Mnemonic.Movlhps:
                return CopyPart<ulong>(op, At(ref instruction, 0) + 8, At(ref instruction, 1));
            case Mnemonic.Movmskps:
                return SignMask<uint>(op, ref instruction);
            case Mnemonic.Movmskpd:
                return SignMask<ulong>(op, ref instruction);
            case Mnemonic.Pmovmskb:
                return SignMask<byte>(op, ref instruction);
            case Mnemonic.Pinsrb:
                return Insert<byte>(op, ref instruction, mode);
            case Mnemonic.Pinsrw:
                return Insert<ushort>(op, ref instruction, mode);
            case Mnemonic.Pinsrd:
                return Insert<uint>(op, ref instruction, mode);
            case Mnemonic.Pinsrq:
                return Insert<ulong>(op, ref instruction, mode);
            case Mnemonic.Pextrb:
                return Extract<byte>(op, ref instruction, mode);
            case Mnemonic.Pextrw:
                return Extract<ushort>(op, ref instruction, mode);
            case Mnemonic.Pextrd or Mnemonic.Extractps:
                return Extract<uint>(op, ref instruction, mode);
            case Mnemonic.Pextrq:
                return Extract<ulong>(op, ref instruction, mode);
            case Mnemonic.Crc32:
                return Crc(op, ref instruction, mode);
            default:
                return false;
        }
    }

    static bool MoveWhole<TSource, TStore>(Op* op, ref Instruction instruction, uint mode)
        where TSource : struct, ISseSource
        where TStore : struct, ISseForm
    {
        if (IsMemory(ref instruction, 0))
        {
            op->B = At(ref instruction, 1);
            op->Handler = ByAddress<TStore>(op, ref instruction, mode);
            return true;
        }

        op->A = At(ref instruction, 0);
        if (IsMemory(ref instruction, 1))
        {
            op->Handler = ByAddress<LoadForm<TSource>>(op, ref instruction, mode);
            return true;
        }

        op->B = At(ref instruction, 1);
        op->Handler = Pointer(&SseCopy);
        return true;
    }

    /// <summary>MOVSS, MOVSD: a load clears the rest, a register move keeps it.</summary>
    static bool MoveScalar<T>(Op* op, ref Instruction instruction, uint mode)
        where T : unmanaged
    {
        if (IsMemory(ref instruction, 0))
        {
            op->B = At(ref instruction, 1);
            op->Handler = ByAddress<StorePartForm<T>>(op, ref instruction, mode);
            return true;
        }

        if (IsMemory(ref instruction, 1))
        {
            op->A = At(ref instruction, 0);
            op->Handler = ByAddress<LoadForm<SsePart<T>>>(op, ref instruction, mode);
            return true;
        }

        return CopyPart<T>(op, At(ref instruction, 0), At(ref instruction, 1));
    }

    /// <summary>MOVD, MOVQ between XMM, memory and general registers. The MMX forms are bound elsewhere.</summary>
    static bool MoveGeneral<T>(Op* op, ref Instruction instruction, uint mode)
        where T : unmanaged
    {
        if (!IsXmm(ref instruction, 0) && !IsXmm(ref instruction, 1))
        {
            return false;
        }

        if (IsMemory(ref instruction, 0) || IsMemory(ref instruction, 1))
        {
            return MoveScalar<T>(op, ref instruction, mode);
        }

        op->A = At(ref instruction, 0);
        op->B = At(ref instruction, 1);
        op->Handler = IsXmm(ref instruction, 0) ? Pointer(&SseCopyZero<T>) : Pointer(&SseToGeneral<T>);
        return true;
    }

    static bool MoveHalf(Op* op, ref Instruction instruction, uint mode, int half)
    {
        if (IsMemory(ref instruction, 0))
        {
            op->B = (ushort)(At(ref instruction, 1) + half);
            op->Handler = ByAddress<StorePartForm<ulong>>(op, ref instruction, mode);
        }
        else
        {
            op->A = (ushort)(At(ref instruction, 0) + half);
            op->Handler = ByAddress<LoadPartForm<ulong>>(op, ref instruction, mode);
        }

        return true;
    }

    static bool CopyPart<T>(Op* op, int to, int from)
        where T : unmanaged
    {
        op->A = (ushort)to;
        op->B = (ushort)from;
        op->Handler = Pointer(&SseCopyPart<T>);
        return true;
    }

    static bool SignMask<T>(Op* op, ref Instruction instruction)
        where T : unmanaged
    {
        if (!IsXmm(ref instruction, 1))
        {
            return false;
        }

        op->A = At(ref instruction, 0);
        op->B = At(ref instruction, 1);
        op->Handler = Pointer(&SseSignMask<T>);
        return true;
    }

    static int Element<T>(ref Instruction instruction)
        where T : unmanaged => (instruction.Immediate8 & 16 / sizeof(T) - 1) * sizeof(T);

    static bool Insert<T>(Op* op, ref Instruction instruction, uint mode)
        where T : unmanaged
    {
        if (!IsXmm(ref instruction, 0))
        {
            return false;
        }

        var to = At(ref instruction, 0) + Element<T>(ref instruction);
        if (!IsMemory(ref instruction, 1))
        {
            return CopyPart<T>(op, to, At(ref instruction, 1));
        }

        op->A = (ushort)to;
        op->Handler = ByAddress<LoadPartForm<T>>(op, ref instruction, mode);
        return true;
    }

    static bool Extract<T>(Op* op, ref Instruction instruction, uint mode)
        where T : unmanaged
    {
        if (!IsXmm(ref instruction, 1))
        {
            return false;
        }

        op->B = (ushort)(At(ref instruction, 1) + Element<T>(ref instruction));
        if (IsMemory(ref instruction, 0))
        {
            op->Handler = ByAddress<StorePartForm<T>>(op, ref instruction, mode);
        }
        else
        {
            op->A = At(ref instruction, 0);
            op->Handler = Pointer(&SseToGeneral<T>);
        }

        return true;
    }

    static bool Crc(Op* op, ref Instruction instruction, uint mode) => instruction.Code switch
    {
        Code.Crc32_r32_rm8 or Code.Crc32_r64_rm8 => Crc<byte>(op, ref instruction, mode),
        Code.Crc32_r32_rm16 => Crc<ushort>(op, ref instruction, mode),
        Code.Crc32_r32_rm32 => Crc<uint>(op, ref instruction, mode),
        _ => Crc<ulong>(op, ref instruction, mode),
    };

    static bool Crc<T>(Op* op, ref Instruction instruction, uint mode)
        where T : unmanaged
    {
        op->A = At(ref instruction, 0);
        if (IsMemory(ref instruction, 1))
        {
            op->Handler = ByAddress<CrcForm<T>>(op, ref instruction, mode);
        }
        else
        {
            op->B = At(ref instruction, 1);
            op->Handler = Pointer(&Crc32Reg<T>);
        }

        return true;
    }
}
