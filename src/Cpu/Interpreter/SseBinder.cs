using Iced.Intel;
using Vmm.Cpu.State;
using static Vmm.Cpu.Interpreter.Handlers;

namespace Vmm.Cpu.Interpreter;

/// <summary>
/// Binds the SSE to SSE4.2 instructions that compute no floating-point value, and MMX. Only legacy encodings: VEX, EVEX,
/// XOP and 3DNow! forms have mnemonics of their own or are refused here, and so raise #UD.
/// </summary>
internal static unsafe partial class SseBinder
{
    static readonly int XmmBase = CpuState.XmmOffset(0);

    /// <summary>A family of handlers that exists for every address form.</summary>
    interface ISseForm
    {
        /// <summary>The member for one address form.</summary>
        static abstract nint Get<TAddress>()
            where TAddress : struct, IAddress;
    }

    readonly struct OperationForm<TOp, TSource> : ISseForm
        where TOp : struct, ISse
        where TSource : struct, ISseSource
    {
        public static nint Get<TAddress>()
            where TAddress : struct, IAddress => Pointer(&SseRegMem<TOp, TSource, TAddress>);
    }

    readonly struct LoadForm<TSource> : ISseForm
        where TSource : struct, ISseSource
    {
        public static nint Get<TAddress>()
            where TAddress : struct, IAddress => Pointer(&SseLoad<TSource, TAddress>);
    }

    readonly struct LoadPartForm<T> : ISseForm
        where T : unmanaged
    {
        public static nint Get<TAddress>()
            where TAddress : struct, IAddress => Pointer(&SseLoadPart<T, TAddress>);
    }

    readonly struct StoreForm : ISseForm
    {
        public static nint Get<TAddress>()
            where TAddress : struct, IAddress => Pointer(&SseStore<TAddress>);
    }

    readonly struct StoreAlignedForm : ISseForm
    {
        public static nint Get<TAddress>()
            where TAddress : struct, IAddress => Pointer(&SseStoreAligned<TAddress>);
    }

    readonly struct StorePartForm<T> : ISseForm
        where T : unmanaged
    {
        public static nint Get<TAddress>()
            where TAddress : struct, IAddress => Pointer(&SseStorePart<T, TAddress>);
    }

    readonly struct CrcForm<T> : ISseForm
        where T : unmanaged
    {
        public static nint Get<TAddress>()
            where TAddress : struct, IAddress => Pointer(&Crc32Mem<T, TAddress>);
    }

    static nint ByAddress<TForm>(Op* op, ref Instruction instruction, uint mode)
        where TForm : struct, ISseForm => Binder.BindAddress(op, ref instruction, mode) switch
        {
            0 => TForm.Get<Address64Simple>(),
            1 => TForm.Get<Address64>(),
            2 => TForm.Get<Address32>(),
            _ => TForm.Get<AddressChecked>(),
        };

    /// <summary>Binds an instruction of these sets. False: it belongs to none of them and <paramref name="ends"/> says nothing.</summary>
    public static bool TryBind(Op* op, ref Instruction instruction, Instruction* p, uint mode, out bool ends)
    {
        ends = false;
        return instruction.Encoding == EncodingKind.Legacy
            && (TryBindMove(op, ref instruction, mode)
                || TryBindOperation(op, ref instruction, mode)
                || TryBindShuffle(op, ref instruction, mode)
                || TryBindCold(op, ref instruction, p)
                || MmxBinder.TryBind(op, ref instruction, p));
    }

    static bool TryBindCold(Op* op, ref Instruction instruction, Instruction* p)
    {
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Ptest:
                Binder.Cold<SseTest>(op, p);
                return true;
            case Mnemonic.Pcmpestri or Mnemonic.Pcmpestri64 or Mnemonic.Pcmpestrm or Mnemonic.Pcmpestrm64 or Mnemonic.Pcmpistri or Mnemonic.Pcmpistrm:
                Binder.Cold<SseStringCompare>(op, p);
                return true;
            case Mnemonic.Maskmovdqu:
                BindMaskedStore(op, ref instruction);
                Binder.Cold<SseMaskedStore>(op, p);
                return true;
            default:
                return false;
        }
    }

    /// <summary>The implied operand of MASKMOVDQU and MASKMOVQ: [rDI] in DS or the prefix's segment.</summary>
    internal static void BindMaskedStore(Op* op, ref Instruction instruction)
    {
        op->Base = (ushort)CpuState.GprOffset(7);
        op->Index = CpuState.ZeroOffset;
        op->Segment = Binder.SourceSegment(ref instruction);
        op->SegmentBase = (ushort)(instruction.CodeSize == CodeSize.Code64 && op->Segment < Seg.FS
            ? CpuState.ZeroOffset
            : CpuState.SegmentBaseOffset(op->Segment));
        op->AddressSize = instruction.Op0Kind switch { OpKind.MemorySegDI => 1, OpKind.MemorySegEDI => 2, _ => 4 };
    }

    /// <summary>Byte offset of a register operand, XMM or general.</summary>
    static ushort At(ref Instruction instruction, int operand)
    {
        var register = instruction.GetOpRegister(operand);
        return (ushort)(IsXmm(register) ? XmmBase + (register - Register.XMM0) * 16 : Operands.RegisterOffset(register));
    }

    static bool IsXmm(Register register) => register is >= Register.XMM0 and <= Register.XMM15;

    static bool IsXmm(ref Instruction instruction, int operand) =>
        instruction.GetOpKind(operand) == OpKind.Register && IsXmm(instruction.GetOpRegister(operand));

    static bool IsMemory(ref Instruction instruction, int operand) => instruction.GetOpKind(operand) == OpKind.Memory;

    /// <summary>An operation of two XMM registers, or of one and aligned memory.</summary>
    static bool Two<TOp>(Op* op, ref Instruction instruction, uint mode)
        where TOp : struct, ISse => Two<TOp, SseAligned>(op, ref instruction, mode);

    static bool Two<TOp, TSource>(Op* op, ref Instruction instruction, uint mode)
        where TOp : struct, ISse
        where TSource : struct, ISseSource
    {
        op->A = At(ref instruction, 0);
        if (IsMemory(ref instruction, 1))
        {
            op->Handler = ByAddress<OperationForm<TOp, TSource>>(op, ref instruction, mode);
        }
        else
        {
            op->B = At(ref instruction, 1);
            op->Handler = Pointer(&SseRegReg<TOp>);
        }

        return true;
    }
}
