using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;
using Vmm.Cpu.Memory;
using Vmm.Cpu.State;
using Vmm.Cpu.Vcpus;

namespace Vmm.Cpu.Interpreter;

/// <content>Multiply, divide, sign extension of the accumulator.</content>
internal static unsafe partial class Handlers
{
    /// <summary>Upper half of a signed 128-bit product, without a local whose address is taken: that would cost the tail jump.</summary>
    [MethodImpl(Inline)]
    static long SignedHigh(ulong a, ulong b)
    {
        var high = Bmi2.X64.IsSupported ? Bmi2.X64.MultiplyNoFlags(a, b) : UnsignedHigh(a, b);
        return (long)(high - ((ulong)((long)a >> 63) & b) - ((ulong)((long)b >> 63) & a));
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    static ulong UnsignedHigh(ulong a, ulong b) => Math.BigMul(a, b, out _);

    /// <summary>Two- and three-operand IMUL: A = B * (register B or immediate).</summary>
    [MethodImpl(Inline)]
    static ulong SignedProduct<T>(CpuState* s, ulong a, ulong b)
        where T : unmanaged
    {
        var x = (long)Flags.Sx<T>(a);
        var y = (long)Flags.Sx<T>(b);
        bool overflow;
        var r = (ulong)(x * y);
        if (sizeof(T) == 8)
        {
            overflow = SignedHigh(a, b) != (long)r >> 63;
        }
        else
        {
            overflow = Flags.Sx<T>(r) != r;
        }

        r = Flags.Zx<T>(r);
        Flags.Result<T>(s, r, overflow, overflow);
        return r;
    }

    [MethodImpl(Hot)]
    public static Block* ImulRegReg<T>(CpuState* s, Op* op)
        where T : unmanaged
    {
        Set<T>(s, op->A, SignedProduct<T>(s, Get<T>(s, op->A), Get<T>(s, op->B)));
        return Next(s, op);
    }

    [MethodImpl(Hot)]
    public static Block* ImulRegMem<T, TAddress>(CpuState* s, Op* op)
        where T : unmanaged
        where TAddress : struct, IAddress
    {
        if (!Mem.TryLoad<T>(s, op, TAddress.At(s, op, sizeof(T), false), out var b))
        {
            return null;
        }

        Set<T>(s, op->A, SignedProduct<T>(s, Get<T>(s, op->A), b));
        return Next(s, op);
    }

    [MethodImpl(Hot)]
    public static Block* ImulRegRegImm<T>(CpuState* s, Op* op)
        where T : unmanaged
    {
        Set<T>(s, op->A, SignedProduct<T>(s, Get<T>(s, op->B), (ulong)op->Imm));
        return Next(s, op);
    }

    [MethodImpl(Hot)]
    public static Block* ImulRegMemImm<T, TAddress>(CpuState* s, Op* op)
        where T : unmanaged
        where TAddress : struct, IAddress
    {
        if (!Mem.TryLoad<T>(s, op, TAddress.At(s, op, sizeof(T), false), out var b))
        {
            return null;
        }

        Set<T>(s, op->A, SignedProduct<T>(s, b, (ulong)op->Imm));
        return Next(s, op);
    }

    /// <summary>MUL, IMUL, DIV, IDIV with the accumulator pair.</summary>
    internal interface IWide
    {
        /// <summary>False when the result does not fit: #DE.</summary>
        static abstract bool Apply<T>(CpuState* s, ulong b)
            where T : unmanaged;
    }

    /// <summary>Reads AX, DX:AX, EDX:EAX or RDX:RAX as high and low parts of one operand size.</summary>
    [MethodImpl(Inline)]
    static void ReadPair<T>(CpuState* s, out ulong high, out ulong low)
        where T : unmanaged
    {
        low = Get<T>(s, 0);
        high = sizeof(T) == 1 ? Get<byte>(s, 1) : Get<T>(s, 16);
    }

    [MethodImpl(Inline)]
    static void WritePair<T>(CpuState* s, ulong high, ulong low)
        where T : unmanaged
    {
        Set<T>(s, 0, low);
        Set<T>(s, sizeof(T) == 1 ? 1 : 16, high);
    }

    internal readonly struct Mul : IWide
    {
        [MethodImpl(Inline)]
        public static bool Apply<T>(CpuState* s, ulong b)
            where T : unmanaged
        {
            var a = Get<T>(s, 0);
            ulong high, low;
            if (sizeof(T) == 8)
            {
                high = Math.BigMul(a, b, out low);
            }
            else
            {
                low = a * b;
                high = low >> Flags.Width<T>();
                low = Flags.Zx<T>(low);
            }

            WritePair<T>(s, high, low);
            Flags.Result<T>(s, low, high != 0, high != 0);
            return true;
        }
    }

    internal readonly struct Imul : IWide
    {
        [MethodImpl(Inline)]
        public static bool Apply<T>(CpuState* s, ulong b)
            where T : unmanaged
        {
            var x = (long)Flags.Sx<T>(Get<T>(s, 0));
            var y = (long)Flags.Sx<T>(b);
            ulong high, low;
            bool overflow;
            if (sizeof(T) == 8)
            {
                var top = Math.BigMul(x, y, out var bottom);
                high = (ulong)top;
                low = (ulong)bottom;
                overflow = top != bottom >> 63;
            }
            else
            {
                var product = (ulong)(x * y);
                overflow = Flags.Sx<T>(product) != product;
                low = Flags.Zx<T>(product);
                high = Flags.Zx<T>(product >> Flags.Width<T>());
            }

            WritePair<T>(s, high, low);
            Flags.Result<T>(s, low, overflow, overflow);
            return true;
        }
    }

    internal readonly struct Div : IWide
    {
        [MethodImpl(Inline)]
        public static bool Apply<T>(CpuState* s, ulong b)
            where T : unmanaged
        {
            ReadPair<T>(s, out var high, out var low);
            if (b == 0 || high >= b)
            {
                return false;
            }

            ulong quotient, remainder;
            if (sizeof(T) != 8 || high == 0)
            {
                var dividend = sizeof(T) == 8 ? low : high << Flags.Width<T>() | low;
                quotient = dividend / b;
                remainder = dividend - quotient * b;
            }
            else
            {
                var dividend = new UInt128(high, low);
                quotient = (ulong)(dividend / b);
                remainder = low - quotient * b;
            }

            WritePair<T>(s, remainder, quotient);
            return true;
        }
    }

    internal readonly struct Idiv : IWide
    {
        [MethodImpl(Inline)]
        public static bool Apply<T>(CpuState* s, ulong b)
            where T : unmanaged
        {
            ReadPair<T>(s, out var high, out var low);
            var divisor = (long)Flags.Sx<T>(b);
            if (divisor == 0)
            {
                return false;
            }

            if (sizeof(T) == 8)
            {
                if (high == (ulong)((long)low >> 63))
                {
                    if ((long)low == long.MinValue && divisor == -1)
                    {
                        return false;
                    }

                    var q = (long)low / divisor;
                    WritePair<T>(s, (ulong)((long)low - q * divisor), (ulong)q);
                    return true;
                }

                return WideSigned(s, high, low, divisor);
            }

            var dividend = sizeof(T) == 4 ? (long)(high << 32 | low) : sizeof(T) == 2 ? (long)(int)(high << 16 | low) : (long)(short)(high << 8 | low);
            if (divisor == -1 && dividend == long.MinValue)
            {
                return false;
            }

            var quotient = dividend / divisor;
            if ((long)Flags.Sx<T>((ulong)quotient) != quotient)
            {
                return false;
            }

            WritePair<T>(s, Flags.Zx<T>((ulong)(dividend - quotient * divisor)), Flags.Zx<T>((ulong)quotient));
            return true;
        }

        static bool WideSigned(CpuState* s, ulong high, ulong low, long divisor)
        {
            var dividend = (Int128)new UInt128(high, low);
            if (dividend == Int128.MinValue && divisor == -1)
            {
                return false;
            }

            var quotient = dividend / divisor;
            if (quotient != (long)quotient)
            {
                return false;
            }

            WritePair<ulong>(s, (ulong)(dividend - quotient * divisor), (ulong)(long)quotient);
            return true;
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    static Block* DivideError(CpuState* s, Op* op)
    {
        Vcpu.Of(s).Fail(op, Vector.DE, 0);
        return null;
    }

    [MethodImpl(Hot)]
    public static Block* WideReg<TOp, T>(CpuState* s, Op* op)
        where TOp : struct, IWide
        where T : unmanaged =>
        TOp.Apply<T>(s, Get<T>(s, op->A)) ? Next(s, op) : DivideError(s, op);

    [MethodImpl(Hot)]
    public static Block* WideMem<TOp, T, TAddress>(CpuState* s, Op* op)
        where TOp : struct, IWide
        where T : unmanaged
        where TAddress : struct, IAddress
    {
        if (!Mem.TryLoad<T>(s, op, TAddress.At(s, op, sizeof(T), false), out var b))
        {
            return null;
        }

        return TOp.Apply<T>(s, b) ? Next(s, op) : DivideError(s, op);
    }

    /// <summary>CBW, CWDE, CDQE.</summary>
    [MethodImpl(Hot)]
    public static Block* ExtendAccumulator<T, TFrom>(CpuState* s, Op* op)
        where T : unmanaged
        where TFrom : unmanaged
    {
        Set<T>(s, 0, Flags.Sx<TFrom>(Get<TFrom>(s, 0)));
        return Next(s, op);
    }

    /// <summary>CWD, CDQ, CQO.</summary>
    [MethodImpl(Hot)]
    public static Block* ExtendToPair<T>(CpuState* s, Op* op)
        where T : unmanaged
    {
        Set<T>(s, 16, (ulong)((long)Flags.Sx<T>(Get<T>(s, 0)) >> 63));
        return Next(s, op);
    }
}
