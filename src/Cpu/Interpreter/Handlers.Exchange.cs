using System.Runtime.CompilerServices;
using Vmm.Cpu.Memory;
using Vmm.Cpu.State;
using Vmm.Cpu.Vcpus;

namespace Vmm.Cpu.Interpreter;

/// <content>CMPXCHG and XADD.</content>
internal static unsafe partial class Handlers
{
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
}
