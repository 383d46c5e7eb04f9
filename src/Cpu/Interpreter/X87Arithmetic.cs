using Vmm.Cpu.Float;
using Vmm.Cpu.Memory;
using Vmm.Cpu.State;

namespace Vmm.Cpu.Interpreter;

/// <summary>Source operands of x87 arithmetic.</summary>
internal static unsafe class X87Operand
{
    /// <summary>Takes the memory operand, or ST(op.B), apart. False: an exception waits.</summary>
    public static bool TryFetch(CpuState* s, Op* op, out Unpacked value)
    {
        if (op->Size == X87Memory.None)
        {
            value = Unpacked.From(X87.Read(s, op->B));
            return true;
        }

        var bytes = X87Memory.Bytes(op->Size);
        var good = Operands.TryLoad(s, op, Operands.Address(s, op, bytes, false), bytes, out var raw);
        value = op->Size switch
        {
            X87Memory.Single => Unpacked.FromBinary32((uint)raw),
            X87Memory.Double => Unpacked.FromBinary64(raw),
            X87Memory.Int16 => Unpacked.FromInteger((short)raw),
            X87Memory.Int32 => Unpacked.FromInteger((int)raw),
            _ => Unpacked.FromInteger((long)raw),
        };
        return good;
    }
}

/// <summary>FADD, FMUL, FSUB, FSUBR, FDIV, FDIVR and their integer and popping forms. Aux is the reg field of the D8 opcodes, A the destination, Imm the pops.</summary>
internal readonly unsafe struct X87Arithmetic : IX87
{
    public const int Add = 0, Multiply = 1, Subtract = 4, SubtractReverse = 5, Divide = 6, DivideReverse = 7;

    public static bool Run(CpuState* s, Op* op)
    {
        if (!X87Operand.TryFetch(s, op, out var source))
        {
            return false;
        }

        if (X87.IsEmpty(s, op->A) || (op->Size == X87Memory.None && X87.IsEmpty(s, op->B)))
        {
            return !X87.StackFault(s) || Finish(s, op, Float80.Indefinite);
        }

        var c = X87.Context(s);
        var result = Calculate(op->Aux, Unpacked.From(X87.Read(s, op->A)), source, ref c);
        return !X87.Accept(s, c) || Finish(s, op, result);
    }

    static bool Finish(CpuState* s, Op* op, Float80 result)
    {
        X87.Write(s, op->A, result);
        X87.Pop(s, (int)op->Imm);
        return true;
    }

    static Float80 Calculate(int operation, in Unpacked a, in Unpacked b, ref FloatContext c) => operation switch
    {
        Add => Float80.Add(a, b, ref c),
        Multiply => Float80.Multiply(a, b, ref c),
        Subtract => Float80.Subtract(a, b, ref c),
        SubtractReverse => Float80.Subtract(b, a, ref c),
        Divide => Float80.Divide(a, b, ref c),
        _ => Float80.Divide(b, a, ref c),
    };
}

/// <summary>FCOM, FUCOM, FICOM, FTST, FCOMI, FUCOMI and their popping forms. Aux says how, Imm the pops.</summary>
internal readonly unsafe struct X87Compare : IX87
{
    /// <summary>Quiet NaNs are invalid; the result goes to EFLAGS; the second operand is zero.</summary>
    public const int Signalling = 1, ToFlags = 2, WithZero = 4;

    public static bool Run(CpuState* s, Op* op)
    {
        if (!X87Operand.TryFetch(s, op, out var source))
        {
            return false;
        }

        var withZero = (op->Aux & WithZero) != 0;
        if (X87.IsEmpty(s, 0) || (op->Size == X87Memory.None && !withZero && X87.IsEmpty(s, op->B)))
        {
            Finish(s, op, FloatOrder.Unordered, X87.StackFault(s));
            return true;
        }

        var c = X87.Context(s);
        var order = Float80.Compare(
            Unpacked.From(X87.Read(s, 0)), withZero ? default : source, (op->Aux & Signalling) != 0, ref c);
        Finish(s, op, order, X87.Accept(s, c));
        return true;
    }

    // The outcome is visible even after an unmasked exception; only the pops do not happen.
    static void Finish(CpuState* s, Op* op, FloatOrder order, bool pops)
    {
        if ((op->Aux & ToFlags) != 0)
        {
            Flags.WriteArithmetic(s, X87Order.ToFlags(order));
        }
        else
        {
            X87.SetCodes(s, X87.C0 | X87.C2 | X87.C3, X87Order.ToCodes(order));
        }

        X87.Pop(s, pops ? (int)op->Imm : 0);
    }
}

/// <summary>Outcomes of comparisons as software sees them.</summary>
internal static class X87Order
{
    /// <summary>As ZF, PF and CF (SDM vol. 1 table 8-8).</summary>
    public static ulong ToFlags(FloatOrder order) => order switch
    {
        FloatOrder.Less => Cr.CF,
        FloatOrder.Equal => Cr.ZF,
        FloatOrder.Greater => 0,
        _ => Cr.ZF | Cr.PF | Cr.CF,
    };

    /// <summary>As C3, C2 and C0 (SDM vol. 1 table 8-6).</summary>
    public static int ToCodes(FloatOrder order) => order switch
    {
        FloatOrder.Less => X87.C0,
        FloatOrder.Equal => X87.C3,
        FloatOrder.Greater => 0,
        _ => X87.C3 | X87.C2 | X87.C0,
    };
}

/// <summary>FXAM (SDM vol. 2, table 3-42).</summary>
internal readonly unsafe struct X87Examine : IX87
{
    public static bool Run(CpuState* s, Op* op)
    {
        var value = X87.Read(s, 0);
        var codes = X87.IsEmpty(s, 0) ? X87.C3 | X87.C0 : Classify(Unpacked.From(value));
        X87.SetCodes(s, X87.Codes, codes | (value.Negative ? X87.C1 : 0));
        return true;
    }

    static int Classify(in Unpacked value) => value.Class switch
    {
        FloatClass.Zero => X87.C3,
        FloatClass.Finite => value.Denormal ? X87.C3 | X87.C2 : X87.C2,
        FloatClass.Infinity => X87.C2 | X87.C0,
        FloatClass.Unsupported => 0,
        _ => X87.C0,
    };
}
