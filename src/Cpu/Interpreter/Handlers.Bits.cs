using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;
using Vmm.Cpu.Memory;
using Vmm.Cpu.State;
using Vmm.Cpu.Vcpus;

using Vector = Vmm.Cpu.Vcpus.Vector;

namespace Vmm.Cpu.Interpreter;

/// <content>Bit tests and scans, byte swap.</content>
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
}
