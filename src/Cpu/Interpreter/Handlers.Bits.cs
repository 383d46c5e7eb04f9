using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;
using Vmm.Cpu.Memory;
using Vmm.Cpu.State;
using Vmm.Cpu.Vcpus;

using Vector = Vmm.Cpu.Vcpus.Vector;

namespace Vmm.Cpu.Interpreter;

/// <content>Bit tests and scans, multiply, divide, CMPXCHG, XADD, sign extension.</content>
internal static unsafe partial class Handlers
{
    /// <summary>BT, BTS, BTR, BTC.</summary>
    internal interface IBit
    {
        /// <summary>False for BT.</summary>
        static abstract bool Writes { get; }

        /// <summary>New value of the word.</summary>
        static abstract ulong Apply(ulong word, ulong bit);
    }

#pragma warning disable SA1502
    internal readonly struct BitTest : IBit { public static bool Writes => false; [MethodImpl(Inline)] public static ulong Apply(ulong word, ulong bit) => word; }

    internal readonly struct BitSet : IBit { public static bool Writes => true; [MethodImpl(Inline)] public static ulong Apply(ulong word, ulong bit) => word | bit; }

    internal readonly struct BitReset : IBit { public static bool Writes => true; [MethodImpl(Inline)] public static ulong Apply(ulong word, ulong bit) => word & ~bit; }

    internal readonly struct BitFlip : IBit { public static bool Writes => true; [MethodImpl(Inline)] public static ulong Apply(ulong word, ulong bit) => word ^ bit; }
#pragma warning restore SA1502

    internal readonly struct IndexReg;

    internal readonly struct IndexImm;

    [MethodImpl(Hot)]
    public static Block* BitReg<TOp, T, TIndex>(CpuState* s, Op* op)
        where TOp : struct, IBit
        where T : unmanaged
        where TIndex : struct
    {
        var index = typeof(TIndex) == typeof(IndexReg) ? Get<T>(s, op->B) : (ulong)op->Imm;
        var bit = 1ul << (int)(index & (ulong)(Flags.Width<T>() - 1));
        var a = Get<T>(s, op->A);
        Flags.SetCarry(s, (a & bit) != 0);
        if (TOp.Writes)
        {
            Set<T>(s, op->A, TOp.Apply(a, bit));
        }

        return Next(s, op);
    }

    [MethodImpl(Hot)]
    public static Block* BitMem<TOp, T, TIndex, TAddress>(CpuState* s, Op* op)
        where TOp : struct, IBit
        where T : unmanaged
        where TIndex : struct
        where TAddress : struct, IAddress
    {
        // A register index is signed and reaches outside the operand (SDM 2A, BT).
        long displaced = 0;
        ulong index;
        if (typeof(TIndex) == typeof(IndexReg))
        {
            index = Flags.Sx<T>(Get<T>(s, op->B));
            displaced = ((long)index >> (sizeof(T) == 8 ? 6 : sizeof(T) == 4 ? 5 : 4)) * sizeof(T);
        }
        else
        {
            index = (ulong)op->Imm;
        }

        var bit = 1ul << (int)(index & (ulong)(Flags.Width<T>() - 1));
        var va = TAddress.At(s, op, sizeof(T), TOp.Writes, displaced);
        if (!TOp.Writes)
        {
            if (!Mem.TryLoad<T>(s, op, va, out var word))
            {
                return null;
            }

            Flags.SetCarry(s, (word & bit) != 0);
            return Next(s, op);
        }

        var at = Mem.BeginModify(s, op, va, sizeof(T));
        if (at == null)
        {
            return null;
        }

        var old = Peek<T>(at);
        Poke<T>(at, TOp.Apply(old, bit));
        Flags.SetCarry(s, (old & bit) != 0);
        Commit(s, op, at);
        return Next(s, op);
    }

    /// <summary>BSF, BSR, POPCNT.</summary>
    internal interface IScan
    {
        /// <summary>Computes the destination and the flags; <paramref name="old"/> is what it held.</summary>
        static abstract ulong Apply<T>(CpuState* s, ulong a, ulong old)
            where T : unmanaged;
    }

    internal readonly struct Bsf : IScan
    {
        [MethodImpl(Inline)]
        public static ulong Apply<T>(CpuState* s, ulong a, ulong old)
            where T : unmanaged
        {
            // A zero source leaves the destination unchanged, as processors do.
            Flags.Logic<T>(s, a);
            return a == 0 ? old : (ulong)BitOperations.TrailingZeroCount(a);
        }
    }

    internal readonly struct Bsr : IScan
    {
        [MethodImpl(Inline)]
        public static ulong Apply<T>(CpuState* s, ulong a, ulong old)
            where T : unmanaged
        {
            Flags.Logic<T>(s, a);
            return a == 0 ? old : (ulong)BitOperations.Log2(a);
        }
    }

    internal readonly struct Popcnt : IScan
    {
        [MethodImpl(Inline)]
        public static ulong Apply<T>(CpuState* s, ulong a, ulong old)
            where T : unmanaged
        {
            // All flags but ZF are cleared: a result of 3 (even parity would set PF) is avoided by writing them whole.
            Flags.WriteArithmetic(s, a == 0 ? Cr.ZF : 0);
            return (ulong)BitOperations.PopCount(a);
        }
    }

    [MethodImpl(Hot)]
    public static Block* ScanReg<TOp, T>(CpuState* s, Op* op)
        where TOp : struct, IScan
        where T : unmanaged
    {
        var a = Get<T>(s, op->B);
        if (typeof(TOp) != typeof(Popcnt) && a == 0)
        {
            // The whole 64-bit destination stays as it is.
            TOp.Apply<T>(s, a, 0);
            return Next(s, op);
        }

        Set<T>(s, op->A, TOp.Apply<T>(s, a, 0));
        return Next(s, op);
    }

    [MethodImpl(Hot)]
    public static Block* ScanMem<TOp, T, TAddress>(CpuState* s, Op* op)
        where TOp : struct, IScan
        where T : unmanaged
        where TAddress : struct, IAddress
    {
        if (!Mem.TryLoad<T>(s, op, TAddress.At(s, op, sizeof(T), false), out var a))
        {
            return null;
        }

        if (typeof(TOp) != typeof(Popcnt) && a == 0)
        {
            TOp.Apply<T>(s, a, 0);
            return Next(s, op);
        }

        Set<T>(s, op->A, TOp.Apply<T>(s, a, 0));
        return Next(s, op);
    }

    [MethodImpl(Hot)]
    public static Block* Bswap<T>(CpuState* s, Op* op)
        where T : unmanaged
    {
        // BSWAP of a 16-bit register is undefined; processors clear it.
        Set<T>(s, op->A, sizeof(T) == 8 ? BinaryPrimitives.ReverseEndianness(Get<T>(s, op->A)) : sizeof(T) == 4 ? BinaryPrimitives.ReverseEndianness((uint)Get<T>(s, op->A)) : 0);
        return Next(s, op);
    }

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

    [MethodImpl(Hot)]
    public static Block* CmpxchgReg<T>(CpuState* s, Op* op)
        where T : unmanaged
    {
        var dest = Get<T>(s, op->A);
        var acc = Get<T>(s, 0);
        Flags.Sub<T>(s, acc, dest, acc - dest);
        if (acc == dest)
        {
            Set<T>(s, op->A, Get<T>(s, op->B));
        }
        else
        {
            Set<T>(s, 0, dest);
        }

        return Next(s, op);
    }

    [MethodImpl(Hot)]
    public static Block* CmpxchgMem<T, TAddress>(CpuState* s, Op* op)
        where T : unmanaged
        where TAddress : struct, IAddress
    {
        var at = Mem.BeginModify(s, op, TAddress.At(s, op, sizeof(T), true), sizeof(T));
        if (at == null)
        {
            return null;
        }

        var dest = Peek<T>(at);
        var acc = Get<T>(s, 0);
        Flags.Sub<T>(s, acc, dest, acc - dest);
        if (acc == dest)
        {
            Poke<T>(at, Get<T>(s, op->B));
        }
        else
        {
            Set<T>(s, 0, dest);
        }

        Commit(s, op, at);
        return Next(s, op);
    }

    /// <summary>CMPXCHG8B and CMPXCHG16B; only ZF changes.</summary>
    [MethodImpl(Hot)]
    public static Block* CmpxchgPair<T, TAddress>(CpuState* s, Op* op)
        where T : unmanaged
        where TAddress : struct, IAddress
    {
        var va = TAddress.At(s, op, sizeof(T) * 2, true);
        if (sizeof(T) == 8 && (va & 15) != 0)
        {
            Vcpu.Of(s).Fail(op, Vector.GP, 0);
            return null;
        }

        var at = Mem.BeginModify(s, op, va, sizeof(T) * 2);
        if (at == null)
        {
            return null;
        }

        var low = Peek<T>(at);
        var high = Peek<T>(at + sizeof(T));
        var flags = Flags.Read(s) & Cr.Arithmetic & ~Cr.ZF;
        if (low == Get<T>(s, 0) && high == Get<T>(s, 16))
        {
            Poke<T>(at, Get<T>(s, 24));
            Poke<T>(at + sizeof(T), Get<T>(s, 8));
            flags |= Cr.ZF;
        }
        else
        {
            Set<T>(s, 0, low);
            Set<T>(s, 16, high);
        }

        Flags.WriteArithmetic(s, flags);
        Commit(s, op, at);
        return Next(s, op);
    }

    [MethodImpl(Hot)]
    public static Block* XaddReg<T>(CpuState* s, Op* op)
        where T : unmanaged
    {
        var a = Get<T>(s, op->A);
        var b = Get<T>(s, op->B);
        Flags.Add<T>(s, a, b, a + b);
        Set<T>(s, op->B, a);
        Set<T>(s, op->A, a + b);
        return Next(s, op);
    }

    [MethodImpl(Hot)]
    public static Block* XaddMem<T, TAddress>(CpuState* s, Op* op)
        where T : unmanaged
        where TAddress : struct, IAddress
    {
        var at = Mem.BeginModify(s, op, TAddress.At(s, op, sizeof(T), true), sizeof(T));
        if (at == null)
        {
            return null;
        }

        var a = Peek<T>(at);
        var b = Get<T>(s, op->B);
        Flags.Add<T>(s, a, b, a + b);
        Poke<T>(at, a + b);
        Set<T>(s, op->B, a);
        Commit(s, op, at);
        return Next(s, op);
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
