using Iced.Intel;
using Vmm.Cpu.Float;
using Vmm.Cpu.State;
using static Vmm.Cpu.Interpreter.Handlers;

namespace Vmm.Cpu.Interpreter;

/// <summary>Binds SSE floating-point instructions: an opcode table.</summary>
internal static unsafe class SseFloatBinder
{
    /// <summary>Binds one instruction. False: not one of these.</summary>
    public static bool TryBind(Op* op, Instruction* p, uint mode) =>
        Arithmetic(op, p, mode) || Comparison(op, p, mode) || Conversion(op, p, mode) || Other(op, p, mode);

    static bool Arithmetic(Op* op, Instruction* p, uint mode)
    {
        switch (p->Mnemonic)
        {
            case Mnemonic.Addss: return Bind<ScalarSingle<AddOperation>>(op, p, mode);
            case Mnemonic.Addsd: return Bind<ScalarDouble<AddOperation>>(op, p, mode);
            case Mnemonic.Addps: return Bind<PackedSingle<AddOperation>>(op, p, mode);
            case Mnemonic.Addpd: return Bind<PackedDouble<AddOperation>>(op, p, mode);
            case Mnemonic.Subss: return Bind<ScalarSingle<SubtractOperation>>(op, p, mode);
            case Mnemonic.Subsd: return Bind<ScalarDouble<SubtractOperation>>(op, p, mode);
            case Mnemonic.Subps: return Bind<PackedSingle<SubtractOperation>>(op, p, mode);
            case Mnemonic.Subpd: return Bind<PackedDouble<SubtractOperation>>(op, p, mode);
            case Mnemonic.Mulss: return Bind<ScalarSingle<MultiplyOperation>>(op, p, mode);
            case Mnemonic.Mulsd: return Bind<ScalarDouble<MultiplyOperation>>(op, p, mode);
            case Mnemonic.Mulps: return Bind<PackedSingle<MultiplyOperation>>(op, p, mode);
            case Mnemonic.Mulpd: return Bind<PackedDouble<MultiplyOperation>>(op, p, mode);
            case Mnemonic.Divss: return Bind<ScalarSingle<DivideOperation>>(op, p, mode);
            case Mnemonic.Divsd: return Bind<ScalarDouble<DivideOperation>>(op, p, mode);
            case Mnemonic.Divps: return Bind<PackedSingle<DivideOperation>>(op, p, mode);
            case Mnemonic.Divpd: return Bind<PackedDouble<DivideOperation>>(op, p, mode);
            case Mnemonic.Minss: return Bind<ScalarSingle<MinOperation>>(op, p, mode);
            case Mnemonic.Minsd: return Bind<ScalarDouble<MinOperation>>(op, p, mode);
            case Mnemonic.Minps: return Bind<PackedSingle<MinOperation>>(op, p, mode);
            case Mnemonic.Minpd: return Bind<PackedDouble<MinOperation>>(op, p, mode);
            case Mnemonic.Maxss: return Bind<ScalarSingle<MaxOperation>>(op, p, mode);
            case Mnemonic.Maxsd: return Bind<ScalarDouble<MaxOperation>>(op, p, mode);
            case Mnemonic.Maxps: return Bind<PackedSingle<MaxOperation>>(op, p, mode);
            case Mnemonic.Maxpd: return Bind<PackedDouble<MaxOperation>>(op, p, mode);
            case Mnemonic.Sqrtss: return Bind<ScalarSingle<SquareRootOperation>>(op, p, mode);
            case Mnemonic.Sqrtsd: return Bind<ScalarDouble<SquareRootOperation>>(op, p, mode);
            case Mnemonic.Sqrtps: return Bind<PackedSingle<SquareRootOperation>>(op, p, mode);
            case Mnemonic.Sqrtpd: return Bind<PackedDouble<SquareRootOperation>>(op, p, mode);
            case Mnemonic.Haddps: return Bind<HorizontalSingle<AddOperation>>(op, p, mode);
            case Mnemonic.Haddpd: return Bind<HorizontalDouble<AddOperation>>(op, p, mode);
            case Mnemonic.Hsubps: return Bind<HorizontalSingle<SubtractOperation>>(op, p, mode);
            case Mnemonic.Hsubpd: return Bind<HorizontalDouble<SubtractOperation>>(op, p, mode);
            case Mnemonic.Addsubps: return Bind<AlternatingSums<Singles>>(op, p, mode);
            case Mnemonic.Addsubpd: return Bind<AlternatingSums<Doubles>>(op, p, mode);
            default: return false;
        }
    }

    static bool Comparison(Op* op, Instruction* p, uint mode)
    {
        switch (p->Mnemonic)
        {
            case Mnemonic.Comiss: return Bind<OrderSingle>(op, p, mode, 1);
            case Mnemonic.Ucomiss: return Bind<OrderSingle>(op, p, mode);
            case Mnemonic.Comisd: return Bind<OrderDouble>(op, p, mode, 1);
            case Mnemonic.Ucomisd: return Bind<OrderDouble>(op, p, mode);
            case Mnemonic.Cmpss: return Bind<MaskSingle>(op, p, mode, p->Immediate8);
            case Mnemonic.Cmpsd when p->Code == Code.Cmpsd_xmm_xmmm64_imm8: return Bind<MaskDouble>(op, p, mode, p->Immediate8);
            case Mnemonic.Cmpps: return Bind<MaskPacked<Singles>>(op, p, mode, p->Immediate8);
            case Mnemonic.Cmppd: return Bind<MaskPacked<Doubles>>(op, p, mode, p->Immediate8);
            default: return false;
        }
    }

    static bool Conversion(Op* op, Instruction* p, uint mode)
    {
        switch (p->Mnemonic)
        {
            case Mnemonic.Cvtss2sd: return Bind<SingleToDouble>(op, p, mode);
            case Mnemonic.Cvtsd2ss: return Bind<DoubleToSingle>(op, p, mode);
            case Mnemonic.Cvtsi2ss:
                return p->Code == Code.Cvtsi2ss_xmm_rm64 ? Bind<IntegerToSingle<long>>(op, p, mode) : Bind<IntegerToSingle<int>>(op, p, mode);
            case Mnemonic.Cvtsi2sd:
                return p->Code == Code.Cvtsi2sd_xmm_rm64 ? Bind<IntegerToDouble<long>>(op, p, mode) : Bind<IntegerToDouble<int>>(op, p, mode);
            case Mnemonic.Cvtss2si or Mnemonic.Cvttss2si:
                var truncatesSingle = p->Mnemonic == Mnemonic.Cvttss2si ? 1 : 0;
                return p->Op0Register.IsGPR64()
                    ? Bind<SingleToInteger<ulong>>(op, p, mode, truncatesSingle) : Bind<SingleToInteger<uint>>(op, p, mode, truncatesSingle);
            case Mnemonic.Cvtsd2si or Mnemonic.Cvttsd2si:
                var truncatesDouble = p->Mnemonic == Mnemonic.Cvttsd2si ? 1 : 0;
                return p->Op0Register.IsGPR64()
                    ? Bind<DoubleToInteger<ulong>>(op, p, mode, truncatesDouble) : Bind<DoubleToInteger<uint>>(op, p, mode, truncatesDouble);
            case Mnemonic.Cvtps2pd: return Bind<PackedSingleToDouble>(op, p, mode);
            case Mnemonic.Cvtpd2ps: return Bind<PackedDoubleToSingle>(op, p, mode);
            case Mnemonic.Cvtdq2ps: return Bind<PackedIntegerToSingle>(op, p, mode);
            case Mnemonic.Cvtdq2pd: return Bind<PackedIntegerToDouble>(op, p, mode);
            case Mnemonic.Cvtps2dq: return Bind<PackedSingleToInteger>(op, p, mode);
            case Mnemonic.Cvttps2dq: return Bind<PackedSingleToInteger>(op, p, mode, 1);
            case Mnemonic.Cvtpd2dq: return Bind<PackedDoubleToInteger>(op, p, mode);
            case Mnemonic.Cvttpd2dq: return Bind<PackedDoubleToInteger>(op, p, mode, 1);
            case Mnemonic.Cvtpi2ps or Mnemonic.Cvtpi2pd or Mnemonic.Cvtps2pi or Mnemonic.Cvttps2pi or Mnemonic.Cvtpd2pi or Mnemonic.Cvttpd2pi:
                return Cold<MmxConversion>(op, p);
            default: return false;
        }
    }

    static bool Other(Op* op, Instruction* p, uint mode)
    {
        switch (p->Mnemonic)
        {
            case Mnemonic.Roundss: return Bind<RoundSingle>(op, p, mode, p->Immediate8);
            case Mnemonic.Roundsd: return Bind<RoundDouble>(op, p, mode, p->Immediate8);
            case Mnemonic.Roundps: return Bind<RoundPacked<Singles>>(op, p, mode, p->Immediate8);
            case Mnemonic.Roundpd: return Bind<RoundPacked<Doubles>>(op, p, mode, p->Immediate8);
            case Mnemonic.Dpps: return Bind<DotSingle>(op, p, mode, p->Immediate8);
            case Mnemonic.Dppd: return Bind<DotDouble>(op, p, mode, p->Immediate8);
            case Mnemonic.Rcpss: return Bind<ApproximateScalar>(op, p, mode);
            case Mnemonic.Rcpps: return Bind<ApproximatePacked>(op, p, mode);
            case Mnemonic.Rsqrtss: return Bind<ApproximateScalar>(op, p, mode, 1);
            case Mnemonic.Rsqrtps: return Bind<ApproximatePacked>(op, p, mode, 1);
            case Mnemonic.Ldmxcsr or Mnemonic.Stmxcsr: return Cold<MxcsrAccess>(op, p);
            default: return false;
        }
    }

    static bool Bind<TOp>(Op* op, Instruction* p, uint mode, long imm = 0)
        where TOp : struct, ISseFloat
    {
        ref var instruction = ref *p;
        op->A = Offset(instruction.Op0Register);
        op->Imm = imm;
        if (instruction.Op1Kind == OpKind.Register)
        {
            op->B = Offset(instruction.Op1Register);
            op->Handler = Pointer(&SseFloatReg<TOp>);
            return true;
        }

        op->Handler = Binder.BindAddress(op, ref instruction, mode) switch
        {
            0 => Pointer(&SseFloatMem<TOp, Address64Simple>),
            1 => Pointer(&SseFloatMem<TOp, Address64>),
            2 => Pointer(&SseFloatMem<TOp, Address32>),
            _ => Pointer(&SseFloatMem<TOp, AddressChecked>),
        };
        return true;
    }

    static bool Cold<T>(Op* op, Instruction* p)
        where T : struct, ICold
    {
        Binder.Cold<T>(op, p);
        return true;
    }

    static ushort Offset(Register register) => register.IsXMM()
        ? (ushort)CpuState.XmmOffset(register - Register.XMM0)
        : (ushort)Operands.RegisterOffset(register);
}
