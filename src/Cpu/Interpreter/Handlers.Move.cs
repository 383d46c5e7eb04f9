using System.Runtime.CompilerServices;
using Vmm.Cpu.Memory;
using Vmm.Cpu.State;

namespace Vmm.Cpu.Interpreter;

/// <content>MOV, MOVZX, MOVSX, LEA, XCHG, stack, SETcc, CMOVcc.</content>
internal static unsafe partial class Handlers
{
    [MethodImpl(Hot)]
    public static Block* Nop(CpuState* s, Op* op) => Next(s, op);

    [MethodImpl(Hot)]
    public static Block* MovRegReg<T>(CpuState* s, Op* op)
        where T : unmanaged
    {
        Set<T>(s, op->A, Get<T>(s, op->B));
        return Next(s, op);
    }

    [MethodImpl(Hot)]
    public static Block* MovRegImm<T>(CpuState* s, Op* op)
        where T : unmanaged
    {
        Set<T>(s, op->A, (ulong)op->Imm);
        return Next(s, op);
    }

    [MethodImpl(Hot)]
    public static Block* MovRegMem<T, TAddress>(CpuState* s, Op* op)
        where T : unmanaged
        where TAddress : struct, IAddress
    {
        if (!Mem.TryRead<T>(s, TAddress.At(s, op, sizeof(T), false), out var at))
        {
            return MovRegMemSlow<T, TAddress>(s, op);
        }

        Set<T>(s, op->A, Peek<T>(at));
        return Next(s, op);
    }

    [MethodImpl(Hot)]
    public static Block* MovMemReg<T, TAddress>(CpuState* s, Op* op)
        where T : unmanaged
        where TAddress : struct, IAddress
    {
        if (!Mem.TryWrite<T>(s, TAddress.At(s, op, sizeof(T), true), out var at))
        {
            return MovMemRegSlow<T, TAddress>(s, op);
        }

        Poke<T>(at, Get<T>(s, op->B));
        return Next(s, op);
    }

    [MethodImpl(Hot)]
    public static Block* MovMemImm<T, TAddress>(CpuState* s, Op* op)
        where T : unmanaged
        where TAddress : struct, IAddress
    {
        if (!Mem.TryWrite<T>(s, TAddress.At(s, op, sizeof(T), true), out var at))
        {
            return MovMemImmSlow<T, TAddress>(s, op);
        }

        Poke<T>(at, (ulong)op->Imm);
        return Next(s, op);
    }

    /// <summary>MOVZX: <typeparamref name="TFrom"/> to <typeparamref name="T"/>.</summary>
    [MethodImpl(Hot)]
    public static Block* MovzxReg<T, TFrom>(CpuState* s, Op* op)
        where T : unmanaged
        where TFrom : unmanaged
    {
        Set<T>(s, op->A, Get<TFrom>(s, op->B));
        return Next(s, op);
    }

    [MethodImpl(Hot)]
    public static Block* MovsxReg<T, TFrom>(CpuState* s, Op* op)
        where T : unmanaged
        where TFrom : unmanaged
    {
        Set<T>(s, op->A, Flags.Sx<TFrom>(Get<TFrom>(s, op->B)));
        return Next(s, op);
    }

    [MethodImpl(Hot)]
    public static Block* MovzxMem<T, TFrom, TAddress>(CpuState* s, Op* op)
        where T : unmanaged
        where TFrom : unmanaged
        where TAddress : struct, IAddress
    {
        if (!Mem.TryRead<TFrom>(s, TAddress.At(s, op, sizeof(TFrom), false), out var at))
        {
            return MovzxMemSlow<T, TFrom, TAddress>(s, op);
        }

        Set<T>(s, op->A, Peek<TFrom>(at));
        return Next(s, op);
    }

    [MethodImpl(Hot)]
    public static Block* MovsxMem<T, TFrom, TAddress>(CpuState* s, Op* op)
        where T : unmanaged
        where TFrom : unmanaged
        where TAddress : struct, IAddress
    {
        if (!Mem.TryRead<TFrom>(s, TAddress.At(s, op, sizeof(TFrom), false), out var at))
        {
            return MovsxMemSlow<T, TFrom, TAddress>(s, op);
        }

        Set<T>(s, op->A, Flags.Sx<TFrom>(Peek<TFrom>(at)));
        return Next(s, op);
    }

    [MethodImpl(Hot)]
    public static Block* Lea<T, TAddress>(CpuState* s, Op* op)
        where T : unmanaged
        where TAddress : struct, IAddress
    {
        Set<T>(s, op->A, TAddress.Offset(s, op));
        return Next(s, op);
    }

    [MethodImpl(Hot)]
    public static Block* XchgRegReg<T>(CpuState* s, Op* op)
        where T : unmanaged
    {
        var a = Get<T>(s, op->A);
        Set<T>(s, op->A, Get<T>(s, op->B));
        Set<T>(s, op->B, a);
        return Next(s, op);
    }

    [MethodImpl(Hot)]
    public static Block* XchgMemReg<T, TAddress>(CpuState* s, Op* op)
        where T : unmanaged
        where TAddress : struct, IAddress
    {
        var at = Mem.BeginModify(s, op, TAddress.At(s, op, sizeof(T), true), sizeof(T));
        if (at == null)
        {
            return null;
        }

        var old = Peek<T>(at);
        Poke<T>(at, Get<T>(s, op->B));
        Set<T>(s, op->B, old);
        Commit(s, op, at);
        return Next(s, op);
    }

    [MethodImpl(Hot)]
    public static Block* PushReg<T, TStack>(CpuState* s, Op* op)
        where T : unmanaged
        where TStack : struct, IStack
    {
        if (!Mem.TryWrite<T>(s, TStack.At(s, -sizeof(T), sizeof(T), true), out var at))
        {
            return PushRegSlow<T, TStack>(s, op);
        }

        Poke<T>(at, Get<T>(s, op->A));
        TStack.Move(s, -sizeof(T));
        return Next(s, op);
    }

    [MethodImpl(Hot)]
    public static Block* PushImm<T, TStack>(CpuState* s, Op* op)
        where T : unmanaged
        where TStack : struct, IStack
    {
        if (!Mem.TryStore<T>(s, op, TStack.At(s, -sizeof(T), sizeof(T), true), (ulong)op->Imm))
        {
            return null;
        }

        TStack.Move(s, -sizeof(T));
        return Next(s, op);
    }

    /// <summary>The stack access of an instruction that also has a memory operand failed: what would be #GP is #SS.</summary>
    [MethodImpl(Slow)]
    static Block* FailedOnStack(CpuState* s)
    {
        if (s->Stop == StopReason.Exception && s->ExceptionVector == Vcpus.Vector.GP)
        {
            s->ExceptionVector = Vcpus.Vector.SS;
        }

        return null;
    }

    [MethodImpl(Hot)]
    public static Block* PushMem<T, TAddress, TStack>(CpuState* s, Op* op)
        where T : unmanaged
        where TAddress : struct, IAddress
        where TStack : struct, IStack
    {
        if (!Mem.TryLoad<T>(s, op, TAddress.At(s, op, sizeof(T), false), out var value))
        {
            return null;
        }

        if (!Mem.TryStore<T>(s, op, TStack.At(s, -sizeof(T), sizeof(T), true), value))
        {
            return FailedOnStack(s);
        }

        TStack.Move(s, -sizeof(T));
        return Next(s, op);
    }

    [MethodImpl(Hot)]
    public static Block* PopReg<T, TStack>(CpuState* s, Op* op)
        where T : unmanaged
        where TStack : struct, IStack
    {
        if (!Mem.TryRead<T>(s, TStack.At(s, 0, sizeof(T), false), out var at))
        {
            return PopRegSlow<T, TStack>(s, op);
        }

        TStack.Move(s, sizeof(T));
        Set<T>(s, op->A, Peek<T>(at));
        return Next(s, op);
    }

    /// <summary>POP to memory: the address is computed with the incremented stack pointer (SDM 2B, POP).</summary>
    [MethodImpl(Hot)]
    public static Block* PopMem<T, TAddress, TStack>(CpuState* s, Op* op)
        where T : unmanaged
        where TAddress : struct, IAddress
        where TStack : struct, IStack
    {
        if (!Mem.TryLoad<T>(s, op, TStack.At(s, 0, sizeof(T), false), out var value))
        {
            return FailedOnStack(s);
        }

        var sp = s->Gpr[4];
        TStack.Move(s, sizeof(T));
        if (!Mem.TryStore<T>(s, op, TAddress.At(s, op, sizeof(T), true), value))
        {
            s->Gpr[4] = sp;
            return null;
        }

        return Next(s, op);
    }

    /// <summary>LEAVE.</summary>
    [MethodImpl(Hot)]
    public static Block* Leave<T, TStack>(CpuState* s, Op* op)
        where T : unmanaged
        where TStack : struct, IStack
    {
        var sp = s->Gpr[4];
        s->Gpr[4] = typeof(TStack) == typeof(Stack64) || s->Ss.DB ? s->Gpr[5] : sp & ~0xFFFFul | s->Gpr[5] & 0xFFFF;
        if (!Mem.TryLoad<T>(s, op, TStack.At(s, 0, sizeof(T), false), out var value))
        {
            s->Gpr[4] = sp;
            return null;
        }

        TStack.Move(s, sizeof(T));
        Set<T>(s, 40, value);
        return Next(s, op);
    }

    [MethodImpl(Hot)]
    public static Block* CmovReg<TCondition, T>(CpuState* s, Op* op)
        where TCondition : struct, ICondition
        where T : unmanaged
    {
        // A 32-bit CMOV clears the upper half even when the condition is false.
        Set<T>(s, op->A, TCondition.Holds(s) ? Get<T>(s, op->B) : Get<T>(s, op->A));
        return Next(s, op);
    }

    [MethodImpl(Hot)]
    public static Block* CmovMem<TCondition, T, TAddress>(CpuState* s, Op* op)
        where TCondition : struct, ICondition
        where T : unmanaged
        where TAddress : struct, IAddress
    {
        if (!Mem.TryLoad<T>(s, op, TAddress.At(s, op, sizeof(T), false), out var value))
        {
            return null;
        }

        Set<T>(s, op->A, TCondition.Holds(s) ? value : Get<T>(s, op->A));
        return Next(s, op);
    }

    [MethodImpl(Hot)]
    public static Block* SetccReg<TCondition>(CpuState* s, Op* op)
        where TCondition : struct, ICondition
    {
        *((byte*)s + op->A) = TCondition.Holds(s) ? (byte)1 : (byte)0;
        return Next(s, op);
    }

    [MethodImpl(Hot)]
    public static Block* SetccMem<TCondition, TAddress>(CpuState* s, Op* op)
        where TCondition : struct, ICondition
        where TAddress : struct, IAddress
    {
        if (!Mem.TryStore<byte>(s, op, TAddress.At(s, op, 1, true), TCondition.Holds(s) ? 1ul : 0))
        {
            return null;
        }

        return Next(s, op);
    }
}
