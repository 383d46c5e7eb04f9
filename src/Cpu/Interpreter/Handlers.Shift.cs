using System.Runtime.CompilerServices;
using Vmm.Cpu.Memory;
using Vmm.Cpu.State;

namespace Vmm.Cpu.Interpreter;

/// <content>Shifts and rotates (SDM 2B). Undefined flags follow the formula of the defined case.</content>
internal static unsafe partial class Handlers
{
    /// <summary>A shift or rotate by a count that is already masked and not zero.</summary>
    internal interface IShift
    {
        /// <summary>Computes the result and the flags.</summary>
        static abstract ulong Apply<T>(CpuState* s, ulong a, int count)
            where T : unmanaged;
    }

    internal readonly struct Shl : IShift
    {
        [MethodImpl(Inline)]
        public static ulong Apply<T>(CpuState* s, ulong a, int count)
            where T : unmanaged
        {
            var r = a << count;
            var cf = sizeof(T) == 8 ? a >> 64 - count & 1 : r >> Flags.Width<T>() & 1;
            r = Flags.Zx<T>(r);
            Flags.Result<T>(s, r, cf, cf ^ (r >> Flags.Width<T>() - 1));
            return r;
        }
    }

    internal readonly struct Shr : IShift
    {
        [MethodImpl(Inline)]
        public static ulong Apply<T>(CpuState* s, ulong a, int count)
            where T : unmanaged
        {
            var cf = a >> count - 1 & 1;
            var r = a >> count;
            Flags.Result<T>(s, r, cf, a >> Flags.Width<T>() - 1);
            return r;
        }
    }

    internal readonly struct Sar : IShift
    {
        [MethodImpl(Inline)]
        public static ulong Apply<T>(CpuState* s, ulong a, int count)
            where T : unmanaged
        {
            var signed = (long)Flags.Sx<T>(a);
            var cf = (ulong)(signed >> count - 1) & 1;
            var r = Flags.Zx<T>((ulong)(signed >> count));
            Flags.Result<T>(s, r, cf, 0ul);
            return r;
        }
    }

    internal readonly struct Rol : IShift
    {
        [MethodImpl(Inline)]
        public static ulong Apply<T>(CpuState* s, ulong a, int count)
            where T : unmanaged
        {
            var width = Flags.Width<T>();
            var n = count & width - 1;
            var r = n == 0 ? a : Flags.Zx<T>(a << n | a >> width - n);
            var cf = r & 1;
            Flags.SetCarryOverflow(s, cf, cf ^ (r >> width - 1));
            return r;
        }
    }

    internal readonly struct Ror : IShift
    {
        [MethodImpl(Inline)]
        public static ulong Apply<T>(CpuState* s, ulong a, int count)
            where T : unmanaged
        {
            var width = Flags.Width<T>();
            var n = count & width - 1;
            var r = n == 0 ? a : Flags.Zx<T>(a >> n | a << width - n);
            var top = r >> width - 1;
            Flags.SetCarryOverflow(s, top, top ^ (r >> width - 2 & 1));
            return r;
        }
    }

    internal readonly struct Rcl : IShift
    {
        public static ulong Apply<T>(CpuState* s, ulong a, int count)
            where T : unmanaged
        {
            var width = Flags.Width<T>();
            var n = sizeof(T) < 4 ? count % (width + 1) : count;
            var carry = Flags.Carry(s);
            var r = a;
            for (var i = 0; i < n; i++)
            {
                var top = r >> width - 1 & 1;
                r = Flags.Zx<T>(r << 1 | carry);
                carry = top;
            }

            Flags.SetCarryOverflow(s, carry != 0, carry != (r >> width - 1 & 1));
            return r;
        }
    }

    internal readonly struct Rcr : IShift
    {
        public static ulong Apply<T>(CpuState* s, ulong a, int count)
            where T : unmanaged
        {
            var width = Flags.Width<T>();
            var n = sizeof(T) < 4 ? count % (width + 1) : count;
            var carry = Flags.Carry(s);
            var r = a;
            for (var i = 0; i < n; i++)
            {
                var bottom = r & 1;
                r = r >> 1 | carry << width - 1;
                carry = bottom;
            }

            Flags.SetCarryOverflow(s, carry != 0, ((r >> width - 1 ^ r >> width - 2) & 1) != 0);
            return r;
        }
    }

    /// <summary>Where the count comes from: the immediate, or CL when B is not zero.</summary>
    [MethodImpl(Inline)]
    static int Count<T, TCount>(CpuState* s, Op* op)
        where T : unmanaged
        where TCount : struct =>
        (typeof(TCount) == typeof(ByCl) ? (int)s->Gpr[1] : (int)op->Imm) & (sizeof(T) == 8 ? 63 : 31);

    internal readonly struct ByCl;

    internal readonly struct ByImm;

    [MethodImpl(Hot)]
    public static Block* ShiftReg<TOp, T, TCount>(CpuState* s, Op* op)
        where TOp : struct, IShift
        where T : unmanaged
        where TCount : struct
    {
        var count = Count<T, TCount>(s, op);
        var a = Get<T>(s, op->A);
        // A zero count changes no flag, but a 32-bit destination is still zero-extended.
        Set<T>(s, op->A, count == 0 ? a : TOp.Apply<T>(s, a, count));
        return Next(s, op);
    }

    [MethodImpl(Hot)]
    public static Block* ShiftMem<TOp, T, TCount, TAddress>(CpuState* s, Op* op)
        where TOp : struct, IShift
        where T : unmanaged
        where TCount : struct
        where TAddress : struct, IAddress
    {
        var at = Mem.BeginModify(s, op, TAddress.At(s, op, sizeof(T), true), sizeof(T));
        if (at == null)
        {
            return null;
        }

        var count = Count<T, TCount>(s, op);
        if (count != 0)
        {
            Poke<T>(at, TOp.Apply<T>(s, Peek<T>(at), count));
        }

        Commit(s, op, at);
        return Next(s, op);
    }

    /// <summary>SHLD and SHRD.</summary>
    [MethodImpl(Inline)]
    static ulong DoubleShift<T>(CpuState* s, ulong a, ulong b, int count, bool left)
        where T : unmanaged
    {
        var width = Flags.Width<T>();
        if (sizeof(T) == 2 && count > 16)
        {
            // Undefined by the manual; processors shift in from the destination again.
            var wide = left ? a << 32 | b << 16 | a : a << 32 | b << 16 | a;
            var shifted = left ? wide << count >> 32 : (a | b << 16 | a << 32) >> count;
            var last = left ? (wide << count - 1 >> 47 & 1) != 0 : ((a | b << 16 | a << 32) >> count - 1 & 1) != 0;
            var narrow = (ushort)shifted;
            Flags.Result<T>(s, narrow, last, ((narrow ^ a) & 0x8000) != 0);
            return narrow;
        }

        var r = left
            ? Flags.Zx<T>(a << count | (count == 0 ? 0 : b >> width - count))
            : Flags.Zx<T>(a >> count | (count == 0 ? 0 : b << width - count));
        var cf = left ? (a >> width - count & 1) != 0 : (a >> count - 1 & 1) != 0;
        Flags.Result<T>(s, r, cf, ((r ^ a) >> width - 1 & 1) != 0);
        return r;
    }

    internal readonly struct Left;

    internal readonly struct Right;

    [MethodImpl(Hot)]
    public static Block* DoubleShiftReg<T, TCount, TSide>(CpuState* s, Op* op)
        where T : unmanaged
        where TCount : struct
        where TSide : struct
    {
        var count = Count<T, TCount>(s, op);
        var a = Get<T>(s, op->A);
        Set<T>(s, op->A, count == 0 ? a : DoubleShift<T>(s, a, Get<T>(s, op->B), count, typeof(TSide) == typeof(Left)));
        return Next(s, op);
    }

    [MethodImpl(Hot)]
    public static Block* DoubleShiftMem<T, TCount, TSide, TAddress>(CpuState* s, Op* op)
        where T : unmanaged
        where TCount : struct
        where TSide : struct
        where TAddress : struct, IAddress
    {
        var at = Mem.BeginModify(s, op, TAddress.At(s, op, sizeof(T), true), sizeof(T));
        if (at == null)
        {
            return null;
        }

        var count = Count<T, TCount>(s, op);
        if (count != 0)
        {
            Poke<T>(at, DoubleShift<T>(s, Peek<T>(at), Get<T>(s, op->B), count, typeof(TSide) == typeof(Left)));
        }

        Commit(s, op, at);
        return Next(s, op);
    }
}
