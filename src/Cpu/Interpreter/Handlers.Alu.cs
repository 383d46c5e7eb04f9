using System.Runtime.CompilerServices;
using Vmm.Cpu.Memory;
using Vmm.Cpu.State;

namespace Vmm.Cpu.Interpreter;

/// <content>Two-operand arithmetic and logic, INC, DEC, NEG, NOT, TEST.</content>
internal static unsafe partial class Handlers
{
    /// <summary>A two-operand operation that sets flags.</summary>
    internal interface IAlu
    {
        /// <summary>False for CMP and TEST, whose result is dropped.</summary>
        static abstract bool Writes { get; }

        /// <summary>Computes the result and the flags.</summary>
        static abstract ulong Apply<T>(CpuState* s, ulong a, ulong b)
            where T : unmanaged;
    }

    internal readonly struct Add : IAlu
    {
        public static bool Writes => true;

        [MethodImpl(Inline)]
        public static ulong Apply<T>(CpuState* s, ulong a, ulong b)
            where T : unmanaged
        {
            var r = a + b;
            Flags.Add<T>(s, a, b, r);
            return r;
        }
    }

    internal readonly struct Adc : IAlu
    {
        public static bool Writes => true;

        [MethodImpl(Inline)]
        public static ulong Apply<T>(CpuState* s, ulong a, ulong b)
            where T : unmanaged
        {
            var r = a + b + Flags.Carry(s);
            Flags.Add<T>(s, a, b, r);
            return r;
        }
    }

    internal readonly struct Sub : IAlu
    {
        public static bool Writes => true;

        [MethodImpl(Inline)]
        public static ulong Apply<T>(CpuState* s, ulong a, ulong b)
            where T : unmanaged
        {
            var r = a - b;
            Flags.Sub<T>(s, a, b, r);
            return r;
        }
    }

    internal readonly struct Sbb : IAlu
    {
        public static bool Writes => true;

        [MethodImpl(Inline)]
        public static ulong Apply<T>(CpuState* s, ulong a, ulong b)
            where T : unmanaged
        {
            var r = a - b - Flags.Carry(s);
            Flags.Sub<T>(s, a, b, r);
            return r;
        }
    }

    internal readonly struct Cmp : IAlu
    {
        public static bool Writes => false;

        [MethodImpl(Inline)]
        public static ulong Apply<T>(CpuState* s, ulong a, ulong b)
            where T : unmanaged
        {
            Flags.Sub<T>(s, a, b, a - b);
            return 0;
        }
    }

    internal readonly struct And : IAlu
    {
        public static bool Writes => true;

        [MethodImpl(Inline)]
        public static ulong Apply<T>(CpuState* s, ulong a, ulong b)
            where T : unmanaged
        {
            var r = a & b;
            Flags.Logic<T>(s, r);
            return r;
        }
    }

    internal readonly struct Or : IAlu
    {
        public static bool Writes => true;

        [MethodImpl(Inline)]
        public static ulong Apply<T>(CpuState* s, ulong a, ulong b)
            where T : unmanaged
        {
            var r = a | b;
            Flags.Logic<T>(s, r);
            return r;
        }
    }

    internal readonly struct Xor : IAlu
    {
        public static bool Writes => true;

        [MethodImpl(Inline)]
        public static ulong Apply<T>(CpuState* s, ulong a, ulong b)
            where T : unmanaged
        {
            var r = a ^ b;
            Flags.Logic<T>(s, r);
            return r;
        }
    }

    internal readonly struct Test : IAlu
    {
        public static bool Writes => false;

        [MethodImpl(Inline)]
        public static ulong Apply<T>(CpuState* s, ulong a, ulong b)
            where T : unmanaged
        {
            Flags.Logic<T>(s, a & b);
            return 0;
        }
    }

    [MethodImpl(Hot)]
    public static Block* AluRegReg<TOp, T>(CpuState* s, Op* op)
        where TOp : struct, IAlu
        where T : unmanaged
    {
        var r = TOp.Apply<T>(s, Get<T>(s, op->A), Get<T>(s, op->B));
        if (TOp.Writes)
        {
            Set<T>(s, op->A, r);
        }

        return Next(s, op);
    }

    [MethodImpl(Hot)]
    public static Block* AluRegImm<TOp, T>(CpuState* s, Op* op)
        where TOp : struct, IAlu
        where T : unmanaged
    {
        var r = TOp.Apply<T>(s, Get<T>(s, op->A), Flags.Zx<T>((ulong)op->Imm));
        if (TOp.Writes)
        {
            Set<T>(s, op->A, r);
        }

        return Next(s, op);
    }

    [MethodImpl(Hot)]
    public static Block* AluRegMem<TOp, T, TAddress>(CpuState* s, Op* op)
        where TOp : struct, IAlu
        where T : unmanaged
        where TAddress : struct, IAddress
    {
        if (!Mem.TryRead<T>(s, TAddress.At(s, op, sizeof(T), false), out var at))
        {
            return AluRegMemSlow<TOp, T, TAddress>(s, op);
        }

        var r = TOp.Apply<T>(s, Get<T>(s, op->A), Peek<T>(at));
        if (TOp.Writes)
        {
            Set<T>(s, op->A, r);
        }

        return Next(s, op);
    }

    [MethodImpl(Hot)]
    public static Block* AluMemReg<TOp, T, TAddress>(CpuState* s, Op* op)
        where TOp : struct, IAlu
        where T : unmanaged
        where TAddress : struct, IAddress
    {
        if (!TOp.Writes)
        {
            if (!Mem.TryRead<T>(s, TAddress.At(s, op, sizeof(T), false), out var compared))
            {
                return AluMemRegSlow<TOp, T, TAddress>(s, op);
            }

            TOp.Apply<T>(s, Peek<T>(compared), Get<T>(s, op->B));
            return Next(s, op);
        }

        if (!Mem.TryWrite<T>(s, TAddress.At(s, op, sizeof(T), true), out var at))
        {
            return AluMemRegSlow<TOp, T, TAddress>(s, op);
        }

        Poke<T>(at, TOp.Apply<T>(s, Peek<T>(at), Get<T>(s, op->B)));
        return Next(s, op);
    }

    [MethodImpl(Hot)]
    public static Block* AluMemImm<TOp, T, TAddress>(CpuState* s, Op* op)
        where TOp : struct, IAlu
        where T : unmanaged
        where TAddress : struct, IAddress
    {
        if (!TOp.Writes)
        {
            if (!Mem.TryRead<T>(s, TAddress.At(s, op, sizeof(T), false), out var compared))
            {
                return AluMemImmSlow<TOp, T, TAddress>(s, op);
            }

            TOp.Apply<T>(s, Peek<T>(compared), Flags.Zx<T>((ulong)op->Imm));
            return Next(s, op);
        }

        if (!Mem.TryWrite<T>(s, TAddress.At(s, op, sizeof(T), true), out var at))
        {
            return AluMemImmSlow<TOp, T, TAddress>(s, op);
        }

        Poke<T>(at, TOp.Apply<T>(s, Peek<T>(at), Flags.Zx<T>((ulong)op->Imm)));
        return Next(s, op);
    }

    /// <summary>A one-operand operation; INC and DEC keep CF, NOT touches no flag.</summary>
    internal interface IUnary
    {
        /// <summary>Computes the result and the flags.</summary>
        static abstract ulong Apply<T>(CpuState* s, ulong a)
            where T : unmanaged;
    }

    internal readonly struct Inc : IUnary
    {
        [MethodImpl(Inline)]
        public static ulong Apply<T>(CpuState* s, ulong a)
            where T : unmanaged
        {
            var carry = Flags.Carry(s) != 0;
            var r = a + 1;
            Flags.Add<T>(s, a, 1, r);
            Flags.SetCarry(s, carry);
            return r;
        }
    }

    internal readonly struct Dec : IUnary
    {
        [MethodImpl(Inline)]
        public static ulong Apply<T>(CpuState* s, ulong a)
            where T : unmanaged
        {
            var carry = Flags.Carry(s) != 0;
            var r = a - 1;
            Flags.Sub<T>(s, a, 1, r);
            Flags.SetCarry(s, carry);
            return r;
        }
    }

    internal readonly struct Neg : IUnary
    {
        [MethodImpl(Inline)]
        public static ulong Apply<T>(CpuState* s, ulong a)
            where T : unmanaged
        {
            var r = 0 - a;
            Flags.Sub<T>(s, 0, a, r);
            return r;
        }
    }

    internal readonly struct Not : IUnary
    {
        [MethodImpl(Inline)]
        public static ulong Apply<T>(CpuState* s, ulong a)
            where T : unmanaged => ~a;
    }

    [MethodImpl(Hot)]
    public static Block* UnaryReg<TOp, T>(CpuState* s, Op* op)
        where TOp : struct, IUnary
        where T : unmanaged
    {
        Set<T>(s, op->A, TOp.Apply<T>(s, Get<T>(s, op->A)));
        return Next(s, op);
    }

    [MethodImpl(Hot)]
    public static Block* UnaryMem<TOp, T, TAddress>(CpuState* s, Op* op)
        where TOp : struct, IUnary
        where T : unmanaged
        where TAddress : struct, IAddress
    {
        if (!Mem.TryWrite<T>(s, TAddress.At(s, op, sizeof(T), true), out var at))
        {
            return UnaryMemSlow<TOp, T, TAddress>(s, op);
        }

        Poke<T>(at, TOp.Apply<T>(s, Peek<T>(at)));
        return Next(s, op);
    }
}
