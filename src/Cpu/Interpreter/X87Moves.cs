using Vmm.Cpu.Float;
using Vmm.Cpu.Memory;
using Vmm.Cpu.State;
using Vmm.Cpu.Vcpus;

namespace Vmm.Cpu.Interpreter;

/// <summary>FLD, FILD, FBLD: pushes a memory operand or ST(op.B).</summary>
internal readonly unsafe struct X87Load : IX87
{
    public static bool Run(CpuState* s, Op* op)
    {
        var c = X87.Context(s);
        if (!TryFetch(s, op, out var value, ref c))
        {
            return false;
        }

        var underflow = op->Size == X87Memory.None && X87.IsEmpty(s, op->B);
        if (underflow || !X87.IsEmpty(s, -1))
        {
            return !X87.StackFault(s, !underflow) || Push(s, Float80.Indefinite);
        }

        // A denormal is loaded even when that is an unmasked exception.
        X87.Accept(s, c);
        return (c.Unmasked & FloatFlags.IE) != 0 || Push(s, value);
    }

    static bool Push(CpuState* s, Float80 value)
    {
        X87.Push(s, value);
        return true;
    }

    static bool TryFetch(CpuState* s, Op* op, out Float80 value, ref FloatContext c)
    {
        value = default;
        if (op->Size == X87Memory.None)
        {
            value = X87.Read(s, op->B);
            return true;
        }

        if (op->Size is X87Memory.Extended or X87Memory.Decimal)
        {
            if (!X87Bytes.TryLoad10(s, op, out var low, out var high))
            {
                return false;
            }

            value = op->Size == X87Memory.Extended ? new(low, high) : Float80.FromDecimal(low, high);
            return true;
        }

        if (!X87Operand.TryFetch(s, op, out var operand))
        {
            return false;
        }

        value = Float80.FromUnpacked(operand, ref c);
        return true;
    }
}

/// <summary>FLD1, FLDL2T, FLDL2E, FLDPI, FLDLG2, FLDLN2, FLDZ. Aux is the low bits of the opcode; the constants obey rounding control in silence.</summary>
internal readonly unsafe struct X87Constant : IX87
{
    public static bool Run(CpuState* s, Op* op)
    {
        if (!X87.IsEmpty(s, -1))
        {
            if (X87.StackFault(s, overflow: true))
            {
                X87.Push(s, Float80.Indefinite);
            }

            return true;
        }

        X87.SetCodes(s, X87.C1, 0);
        X87.Push(s, Value(op->Aux, X87.Context(s).Rounding));
        return true;
    }

    static Float80 Value(int which, FloatRounding rounding) => which switch
    {
        0 => Float80.One,
        1 => Rounded(0xD49A784BCD1B8AFE, 0x4000, false, rounding),
        2 => Rounded(0xB8AA3B295C17F0BB, 0x3FFF, true, rounding),
        3 => Rounded(0xC90FDAA22168C234, 0x4000, true, rounding),
        4 => Rounded(0x9A209A84FBCFF798, 0x3FFD, true, rounding),
        5 => Rounded(0xB17217F7D1CF79AB, 0x3FFE, true, rounding),
        _ => Float80.Zero,
    };

    static Float80 Rounded(ulong significand, ushort exponent, bool half, FloatRounding rounding) =>
        new(significand + (Rounder.Increments(rounding, false, half, true, false) ? 1u : 0u), exponent);
}

/// <summary>FST, FSTP, FIST, FISTP, FISTTP, FBSTP. A is the destination register, Imm the pops, Aux a variant.</summary>
internal readonly unsafe struct X87Store : IX87
{
    /// <summary>FISTTP; the undocumented FSTPNCE, which only pops an empty register.</summary>
    public const int Truncate = 1, NoCheck = 2;

    public static bool Run(CpuState* s, Op* op)
    {
        if (op->Size == X87Memory.None)
        {
            return ToRegister(s, op);
        }

        var c = X87.Context(s);
        var empty = X87.IsEmpty(s, 0);
        var write = true;
        ushort high = 0;
        ulong low = 0;
        if (empty)
        {
            low = Indefinite(op->Size, out high);
            write = (s->Fcw & (int)FloatFlags.IE) != 0;
        }
        else
        {
            low = Convert(op, X87.Read(s, 0), out high, ref c);
            write = (c.Unmasked & ~FloatFlags.PE) == 0;
        }

        // A store that an unmasked exception suppresses still faults like one.
        if (!(write ? TryWrite(s, op, low, high) : TryProbe(s, op)))
        {
            return false;
        }

        _ = empty ? X87.StackFault(s) : X87.Accept(s, c);
        X87.Pop(s, write ? (int)op->Imm : 0);
        return true;
    }

    static bool ToRegister(CpuState* s, Op* op)
    {
        var empty = X87.IsEmpty(s, 0);
        if (empty && op->Aux != NoCheck && !X87.StackFault(s))
        {
            return true;
        }

        X87.SetCodes(s, X87.C1, 0);
        if (!empty || op->Aux != NoCheck)
        {
            X87.Write(s, op->A, empty ? Float80.Indefinite : X87.Read(s, 0));
        }

        X87.Pop(s, (int)op->Imm);
        return true;
    }

    static bool TryWrite(CpuState* s, Op* op, ulong low, ushort high)
    {
        var bytes = X87Memory.Bytes(op->Size);
        return bytes == 10
            ? X87Bytes.TryStore10(s, op, low, high)
            : Operands.TryStore(s, op, Operands.Address(s, op, bytes, true), bytes, low);
    }

    static bool TryProbe(CpuState* s, Op* op)
    {
        var bytes = X87Memory.Bytes(op->Size);
        return Vcpu.Of(s).TryProbeWrite(op, Operands.Address(s, op, bytes, true), bytes);
    }

    static ulong Convert(Op* op, Float80 value, out ushort high, ref FloatContext c)
    {
        high = value.SignExponent;
        var rounding = op->Aux == Truncate ? FloatRounding.Truncate : c.Rounding;
        return op->Size switch
        {
            X87Memory.Single => Float80.ToBinary32(value, ref c),
            X87Memory.Double => Float80.ToBinary64(value, ref c),
            X87Memory.Extended => value.Significand,
            X87Memory.Decimal => Float80.ToDecimal(value, out high, ref c),
            _ => (ulong)Float80.ToInteger(value, X87Memory.Bytes(op->Size) * 8, rounding, ref c),
        };
    }

    static ulong Indefinite(int kind, out ushort high)
    {
        high = 0xFFFF;
        return kind switch
        {
            X87Memory.Single => 0xFFC0_0000,
            X87Memory.Double => 0xFFF8_0000_0000_0000,
            X87Memory.Int16 => 0x8000,
            X87Memory.Int32 => 0x8000_0000,
            X87Memory.Int64 => 0x8000_0000_0000_0000,
            _ => 0xC000_0000_0000_0000,
        };
    }
}

/// <summary>Ten-byte memory operands.</summary>
internal static unsafe class X87Bytes
{
    /// <summary>Loads ten bytes. False: an exception waits.</summary>
    public static bool TryLoad10(CpuState* s, Op* op, out ulong low, out ushort high)
    {
        var good = Vcpu.Of(s).TryLoadBytes(op, Operands.Address(s, op, 10, false), 10);
        low = s->Scratch[0];
        high = (ushort)s->Scratch[1];
        return good;
    }

    /// <summary>Stores ten bytes. False: an exception waits and nothing was written.</summary>
    public static bool TryStore10(CpuState* s, Op* op, ulong low, ushort high)
    {
        var va = Operands.Address(s, op, 10, true);
        s->Scratch[0] = low;
        s->Scratch[1] = high;
        return Vcpu.Of(s).TryStoreBytes(op, va, 10);
    }
}

/// <summary>FXCH with ST(op.B).</summary>
internal readonly unsafe struct X87Exchange : IX87
{
    public static bool Run(CpuState* s, Op* op)
    {
        var first = X87.IsEmpty(s, 0) ? Float80.Indefinite : X87.Read(s, 0);
        var second = X87.IsEmpty(s, op->B) ? Float80.Indefinite : X87.Read(s, op->B);
        if (X87.IsEmpty(s, 0) || X87.IsEmpty(s, op->B))
        {
            if (!X87.StackFault(s))
            {
                return true;
            }
        }
        else
        {
            X87.SetCodes(s, X87.C1, 0);
        }

        X87.Write(s, 0, second);
        X87.Write(s, op->B, first);
        return true;
    }
}

/// <summary>FCMOVcc. Aux bits 1:0 choose CF, ZF, CF or ZF, PF; bit 2 inverts.</summary>
internal readonly unsafe struct X87ConditionalMove : IX87
{
    public static bool Run(CpuState* s, Op* op)
    {
        if (X87.IsEmpty(s, 0) || X87.IsEmpty(s, op->B))
        {
            if (X87.StackFault(s))
            {
                X87.Write(s, 0, Float80.Indefinite);
            }

            return true;
        }

        var holds = (op->Aux & 3) switch
        {
            0 => Flags.Carry(s) != 0,
            1 => Flags.Zero(s),
            2 => Flags.Carry(s) != 0 || Flags.Zero(s),
            _ => Flags.Parity(s),
        };
        if (holds != ((op->Aux & 4) != 0))
        {
            X87.Write(s, 0, X87.Read(s, op->B));
        }

        return true;
    }
}

/// <summary>FCHS and FABS (Aux non-zero).</summary>
internal readonly unsafe struct X87Sign : IX87
{
    public static bool Run(CpuState* s, Op* op)
    {
        if (X87.IsEmpty(s, 0))
        {
            if (X87.StackFault(s))
            {
                X87.Write(s, 0, Float80.Indefinite);
            }

            return true;
        }

        X87.SetCodes(s, X87.C1, 0);
        var value = X87.Read(s, 0);
        X87.Write(s, 0, op->Aux != 0 ? value.Abs() : value.Negate());
        return true;
    }
}

/// <summary>FFREE, and the undocumented FFREEP (Imm is the pops).</summary>
internal readonly unsafe struct X87Free : IX87
{
    public static bool Run(CpuState* s, Op* op)
    {
        X87.SetCodes(s, X87.C1, 0);
        X87.Free(s, op->A);
        X87.Pop(s, (int)op->Imm);
        return true;
    }
}

/// <summary>FINCSTP, FDECSTP, FNOP: Imm is added to TOP.</summary>
internal readonly unsafe struct X87Turn : IX87
{
    public static bool Run(CpuState* s, Op* op)
    {
        X87.SetCodes(s, op->Imm != 0 ? X87.C1 : 0, 0);
        X87.Turn(s, (int)op->Imm);
        return true;
    }
}
