using Iced.Intel;

namespace Vmm.Cpu.Interpreter;

/// <summary>Binds x87 instructions: an opcode table.</summary>
internal static unsafe class X87Binder
{
    /// <summary>Binds one instruction whose memory operand, if any, is bound. False: not an x87 instruction.</summary>
    public static bool TryBind(Op* op, Instruction* p)
    {
        ref var instruction = ref *p;
        var registers = Operands2(ref instruction);
        op->Size = Kind(ref instruction);
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Fadd or Mnemonic.Fiadd:
                return Arithmetic(op, p, X87Arithmetic.Add, 0, registers);
            case Mnemonic.Faddp:
                return Arithmetic(op, p, X87Arithmetic.Add, 1, registers);
            case Mnemonic.Fmul or Mnemonic.Fimul:
                return Arithmetic(op, p, X87Arithmetic.Multiply, 0, registers);
            case Mnemonic.Fmulp:
                return Arithmetic(op, p, X87Arithmetic.Multiply, 1, registers);
            case Mnemonic.Fsub or Mnemonic.Fisub:
                return Arithmetic(op, p, X87Arithmetic.Subtract, 0, registers);
            case Mnemonic.Fsubp:
                return Arithmetic(op, p, X87Arithmetic.Subtract, 1, registers);
            case Mnemonic.Fsubr or Mnemonic.Fisubr:
                return Arithmetic(op, p, X87Arithmetic.SubtractReverse, 0, registers);
            case Mnemonic.Fsubrp:
                return Arithmetic(op, p, X87Arithmetic.SubtractReverse, 1, registers);
            case Mnemonic.Fdiv or Mnemonic.Fidiv:
                return Arithmetic(op, p, X87Arithmetic.Divide, 0, registers);
            case Mnemonic.Fdivp:
                return Arithmetic(op, p, X87Arithmetic.Divide, 1, registers);
            case Mnemonic.Fdivr or Mnemonic.Fidivr:
                return Arithmetic(op, p, X87Arithmetic.DivideReverse, 0, registers);
            case Mnemonic.Fdivrp:
                return Arithmetic(op, p, X87Arithmetic.DivideReverse, 1, registers);
            case Mnemonic.Fcom or Mnemonic.Ficom:
                return Compare(op, p, X87Compare.Signalling, 0, registers.Second);
            case Mnemonic.Fcomp or Mnemonic.Ficomp:
                return Compare(op, p, X87Compare.Signalling, 1, registers.Second);
            case Mnemonic.Fcompp:
                return Compare(op, p, X87Compare.Signalling, 2, 1);
            case Mnemonic.Fucom:
                return Compare(op, p, 0, 0, registers.Second);
            case Mnemonic.Fucomp:
                return Compare(op, p, 0, 1, registers.Second);
            case Mnemonic.Fucompp:
                return Compare(op, p, 0, 2, 1);
            case Mnemonic.Fcomi:
                return Compare(op, p, X87Compare.Signalling | X87Compare.ToFlags, 0, registers.Second);
            case Mnemonic.Fcomip:
                return Compare(op, p, X87Compare.Signalling | X87Compare.ToFlags, 1, registers.Second);
            case Mnemonic.Fucomi:
                return Compare(op, p, X87Compare.ToFlags, 0, registers.Second);
            case Mnemonic.Fucomip:
                return Compare(op, p, X87Compare.ToFlags, 1, registers.Second);
            case Mnemonic.Ftst:
                return Compare(op, p, X87Compare.Signalling | X87Compare.WithZero, 0, 0);
            case Mnemonic.Fxam:
                return Bind<X87Examine>(op, p);
            case Mnemonic.Fld or Mnemonic.Fild or Mnemonic.Fbld:
                op->B = registers.First;
                return Bind<X87Load>(op, p);
            case Mnemonic.Fst or Mnemonic.Fist:
                return Store(op, p, 0, registers.First);
            case Mnemonic.Fstp or Mnemonic.Fistp or Mnemonic.Fbstp:
                return Store(op, p, 1, registers.First);
            case Mnemonic.Fisttp:
                return Store(op, p, 1, registers.First, X87Store.Truncate);
            case Mnemonic.Fstpnce:
                return Store(op, p, 1, registers.First, X87Store.NoCheck);
            case Mnemonic.Fxch:
                op->B = registers.Second;
                return Bind<X87Exchange>(op, p);
            default:
                return BindUnary(op, p, registers.First);
        }
    }

    static bool BindUnary(Op* op, Instruction* p, ushort register)
    {
        switch (p->Mnemonic)
        {
            case Mnemonic.Fchs:
                return Bind<X87Sign>(op, p);
            case Mnemonic.Fabs:
                return Bind<X87Sign>(op, p, 1);
            case Mnemonic.Ffree:
                return Free(op, p, register, 0);
            case Mnemonic.Ffreep:
                return Free(op, p, register, 1);
            case Mnemonic.Fincstp:
                return Turn(op, p, 1);
            case Mnemonic.Fdecstp:
                return Turn(op, p, -1);
            case Mnemonic.Fnop:
                return Turn(op, p, 0);
            case Mnemonic.Fsqrt:
                return Bind<X87Unary>(op, p, X87Unary.SquareRoot);
            case Mnemonic.Frndint:
                return Bind<X87Unary>(op, p, X87Unary.Round);
            case Mnemonic.F2xm1:
                return Bind<X87Unary>(op, p, X87Unary.Exponential);
            case Mnemonic.Fsin:
                return Bind<X87Unary>(op, p, X87Unary.Sine);
            case Mnemonic.Fcos:
                return Bind<X87Unary>(op, p, X87Unary.Cosine);
            case Mnemonic.Fscale:
                return Bind<X87Binary>(op, p, X87Binary.Scale);
            case Mnemonic.Fprem:
                return Bind<X87Binary>(op, p, X87Binary.Remainder);
            case Mnemonic.Fprem1:
                return Bind<X87Binary>(op, p, X87Binary.NearRemainder);
            case Mnemonic.Fpatan:
                return Bind<X87Binary>(op, p, X87Binary.ArcTangent);
            case Mnemonic.Fyl2x:
                return Bind<X87Binary>(op, p, X87Binary.Logarithm);
            case Mnemonic.Fyl2xp1:
                return Bind<X87Binary>(op, p, X87Binary.LogarithmPlusOne);
            case Mnemonic.Fxtract:
                return Bind<X87Pushing>(op, p, X87Pushing.Extract);
            case Mnemonic.Fsincos:
                return Bind<X87Pushing>(op, p, X87Pushing.SineCosine);
            case Mnemonic.Fptan:
                return Bind<X87Pushing>(op, p, X87Pushing.Tangent);
            case >= Mnemonic.Fld1 and <= Mnemonic.Fldz when Constant(p->Mnemonic) is >= 0 and var constant:
                return Bind<X87Constant>(op, p, constant);
            default:
                return ConditionalMove(p->Mnemonic) is >= 0 and var condition
                    ? Bind<X87ConditionalMove>(op, p, condition) : BindControl(op, p);
        }
    }

    static bool BindControl(Op* op, Instruction* p)
    {
        switch (p->Mnemonic)
        {
            case Mnemonic.Wait:
                return Plain<X87Wait>(op, p);
            case Mnemonic.Fninit or Mnemonic.Fnclex or Mnemonic.Fneni or Mnemonic.Fndisi or Mnemonic.Fnsetpm or Mnemonic.Frstpm:
                return Plain<X87Reset>(op, p);
            case Mnemonic.Fnstsw or Mnemonic.Fnstcw or Mnemonic.Fldcw:
                return Plain<X87Words>(op, p);
            case Mnemonic.Fnstenv or Mnemonic.Fnsave:
                return Plain<X87Save>(op, p);
            case Mnemonic.Fldenv or Mnemonic.Frstor:
                return Plain<X87Restore>(op, p);
            case Mnemonic.Fxsave or Mnemonic.Fxsave64:
                return Plain<FxSave>(op, p);
            case Mnemonic.Fxrstor or Mnemonic.Fxrstor64:
                return Plain<FxRestore>(op, p);
            default:
                return false;
        }
    }

    static bool Arithmetic(Op* op, Instruction* p, int operation, int pops, (ushort First, ushort Second) registers)
    {
        op->A = registers.First;
        op->B = registers.Second;
        op->Imm = pops;
        return Bind<X87Arithmetic>(op, p, operation);
    }

    static bool Compare(Op* op, Instruction* p, int kind, int pops, ushort second)
    {
        op->B = second;
        op->Imm = pops;
        return Bind<X87Compare>(op, p, kind);
    }

    static bool Store(Op* op, Instruction* p, int pops, ushort destination, int variant = 0)
    {
        op->A = destination;
        op->Imm = pops;
        return Bind<X87Store>(op, p, variant);
    }

    static bool Free(Op* op, Instruction* p, ushort register, int pops)
    {
        op->A = register;
        op->Imm = pops;
        return Bind<X87Free>(op, p);
    }

    static bool Turn(Op* op, Instruction* p, int by)
    {
        op->Imm = by;
        return Bind<X87Turn>(op, p);
    }

    static bool Bind<T>(Op* op, Instruction* p, int aux = 0)
        where T : struct, IX87
    {
        op->Aux = aux;
        if (p->Mnemonic is >= Mnemonic.Fcmovb and <= Mnemonic.Fcmovu)
        {
            op->B = (ushort)(p->Op1Register - Register.ST0);
        }

        op->Handler = Handlers.Pointer(&Handlers.X87Op<T>);
        return true;
    }

    static bool Plain<T>(Op* op, Instruction* p)
        where T : struct, ICold
    {
        Binder.Cold<T>(op, p);
        return true;
    }

    static int Constant(Mnemonic mnemonic) => mnemonic switch
    {
        Mnemonic.Fld1 => 0,
        Mnemonic.Fldl2t => 1,
        Mnemonic.Fldl2e => 2,
        Mnemonic.Fldpi => 3,
        Mnemonic.Fldlg2 => 4,
        Mnemonic.Fldln2 => 5,
        Mnemonic.Fldz => 6,
        _ => -1,
    };

    static int ConditionalMove(Mnemonic mnemonic) => mnemonic switch
    {
        Mnemonic.Fcmovb => 0,
        Mnemonic.Fcmove => 1,
        Mnemonic.Fcmovbe => 2,
        Mnemonic.Fcmovu => 3,
        Mnemonic.Fcmovnb => 4,
        Mnemonic.Fcmovne => 5,
        Mnemonic.Fcmovnbe => 6,
        Mnemonic.Fcmovnu => 7,
        _ => -1,
    };

    // Numbers of the first two register operands.
    static (ushort First, ushort Second) Operands2(ref Instruction instruction) =>
        (Number(ref instruction, 0), Number(ref instruction, 1));

    static ushort Number(ref Instruction instruction, int operand) =>
        operand < instruction.OpCount && instruction.GetOpKind(operand) == OpKind.Register
        && instruction.GetOpRegister(operand) is >= Register.ST0 and <= Register.ST7 and var register
            ? (ushort)(register - Register.ST0) : (ushort)0;

    static byte Kind(ref Instruction instruction)
    {
        if (instruction.OpCount == 0 || instruction.Op0Kind != OpKind.Memory)
        {
            return X87Memory.None;
        }

        return instruction.MemorySize switch
        {
            MemorySize.Float32 => X87Memory.Single,
            MemorySize.Float64 => X87Memory.Double,
            MemorySize.Float80 => X87Memory.Extended,
            MemorySize.Int16 => X87Memory.Int16,
            MemorySize.Int32 => X87Memory.Int32,
            MemorySize.Int64 => X87Memory.Int64,
            MemorySize.Bcd => X87Memory.Decimal,
            _ => X87Memory.None,
        };
    }
}
