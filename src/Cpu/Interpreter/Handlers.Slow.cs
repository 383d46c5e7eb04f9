using System.Runtime.CompilerServices;
using Vmm.Cpu.Memory;
using Vmm.Cpu.State;

namespace Vmm.Cpu.Interpreter;

/// <content>
/// Slow forms of memory handlers: the TLB does not know the page, or the operand crosses pages, reaches MMIO or decoded code.
/// They are methods of their own so that the fast forms call nothing and need no stack frame.
/// </content>
internal static unsafe partial class Handlers
{
    const MethodImplOptions Slow = MethodImplOptions.NoInlining;

    [MethodImpl(Slow)]
    static Block* MovRegMemSlow<T, TAddress>(CpuState* s, Op* op)
        where T : unmanaged
        where TAddress : struct, IAddress
    {
        if (!Mem.TryLoad<T>(s, op, TAddress.At(s, op, sizeof(T), false), out var value))
        {
            return null;
        }

        Set<T>(s, op->A, value);
        return Next(s, op);
    }

    [MethodImpl(Slow)]
    static Block* MovMemRegSlow<T, TAddress>(CpuState* s, Op* op)
        where T : unmanaged
        where TAddress : struct, IAddress
    {
        if (!Mem.TryStore<T>(s, op, TAddress.At(s, op, sizeof(T), true), Get<T>(s, op->B)))
        {
            return null;
        }

        return Next(s, op);
    }

    [MethodImpl(Slow)]
    static Block* MovMemImmSlow<T, TAddress>(CpuState* s, Op* op)
        where T : unmanaged
        where TAddress : struct, IAddress
    {
        if (!Mem.TryStore<T>(s, op, TAddress.At(s, op, sizeof(T), true), (ulong)op->Imm))
        {
            return null;
        }

        return Next(s, op);
    }

    [MethodImpl(Slow)]
    static Block* MovzxMemSlow<T, TFrom, TAddress>(CpuState* s, Op* op)
        where T : unmanaged
        where TFrom : unmanaged
        where TAddress : struct, IAddress
    {
        if (!Mem.TryLoad<TFrom>(s, op, TAddress.At(s, op, sizeof(TFrom), false), out var value))
        {
            return null;
        }

        Set<T>(s, op->A, value);
        return Next(s, op);
    }

    [MethodImpl(Slow)]
    static Block* MovsxMemSlow<T, TFrom, TAddress>(CpuState* s, Op* op)
        where T : unmanaged
        where TFrom : unmanaged
        where TAddress : struct, IAddress
    {
        if (!Mem.TryLoad<TFrom>(s, op, TAddress.At(s, op, sizeof(TFrom), false), out var value))
        {
            return null;
        }

        Set<T>(s, op->A, Flags.Sx<TFrom>(value));
        return Next(s, op);
    }

    [MethodImpl(Slow)]
    static Block* PushRegSlow<T, TStack>(CpuState* s, Op* op)
        where T : unmanaged
        where TStack : struct, IStack
    {
        if (!Mem.TryStore<T>(s, op, TStack.At(s, -sizeof(T), sizeof(T), true), Get<T>(s, op->A)))
        {
            return null;
        }

        TStack.Move(s, -sizeof(T));
        return Next(s, op);
    }

    [MethodImpl(Slow)]
    static Block* PopRegSlow<T, TStack>(CpuState* s, Op* op)
        where T : unmanaged
        where TStack : struct, IStack
    {
        if (!Mem.TryLoad<T>(s, op, TStack.At(s, 0, sizeof(T), false), out var value))
        {
            return null;
        }

        TStack.Move(s, sizeof(T));
        Set<T>(s, op->A, value);
        return Next(s, op);
    }

    [MethodImpl(Slow)]
    static Block* AluRegMemSlow<TOp, T, TAddress>(CpuState* s, Op* op)
        where TOp : struct, IAlu
        where T : unmanaged
        where TAddress : struct, IAddress
    {
        if (!Mem.TryLoad<T>(s, op, TAddress.At(s, op, sizeof(T), false), out var b))
        {
            return null;
        }

        var r = TOp.Apply<T>(s, Get<T>(s, op->A), b);
        if (TOp.Writes)
        {
            Set<T>(s, op->A, r);
        }

        return Next(s, op);
    }

    [MethodImpl(Slow)]
    static Block* AluMemRegSlow<TOp, T, TAddress>(CpuState* s, Op* op)
        where TOp : struct, IAlu
        where T : unmanaged
        where TAddress : struct, IAddress
    {
        if (!TOp.Writes)
        {
            if (!Mem.TryLoad<T>(s, op, TAddress.At(s, op, sizeof(T), false), out var a))
            {
                return null;
            }

            TOp.Apply<T>(s, a, Get<T>(s, op->B));
            return Next(s, op);
        }

        var at = Mem.BeginModify(s, op, TAddress.At(s, op, sizeof(T), true), sizeof(T));
        if (at == null)
        {
            return null;
        }

        Poke<T>(at, TOp.Apply<T>(s, Peek<T>(at), Get<T>(s, op->B)));
        Commit(s, op, at);
        return Next(s, op);
    }

    [MethodImpl(Slow)]
    static Block* AluMemImmSlow<TOp, T, TAddress>(CpuState* s, Op* op)
        where TOp : struct, IAlu
        where T : unmanaged
        where TAddress : struct, IAddress
    {
        if (!TOp.Writes)
        {
            if (!Mem.TryLoad<T>(s, op, TAddress.At(s, op, sizeof(T), false), out var a))
            {
                return null;
            }

            TOp.Apply<T>(s, a, Flags.Zx<T>((ulong)op->Imm));
            return Next(s, op);
        }

        var at = Mem.BeginModify(s, op, TAddress.At(s, op, sizeof(T), true), sizeof(T));
        if (at == null)
        {
            return null;
        }

        Poke<T>(at, TOp.Apply<T>(s, Peek<T>(at), Flags.Zx<T>((ulong)op->Imm)));
        Commit(s, op, at);
        return Next(s, op);
    }

    [MethodImpl(Slow)]
    static Block* UnaryMemSlow<TOp, T, TAddress>(CpuState* s, Op* op)
        where TOp : struct, IUnary
        where T : unmanaged
        where TAddress : struct, IAddress
    {
        var at = Mem.BeginModify(s, op, TAddress.At(s, op, sizeof(T), true), sizeof(T));
        if (at == null)
        {
            return null;
        }

        Poke<T>(at, TOp.Apply<T>(s, Peek<T>(at)));
        Commit(s, op, at);
        return Next(s, op);
    }

    [MethodImpl(Slow)]
    static Block* CallSlow<T, TStack, TRip, TLink>(CpuState* s, Op* op)
        where T : unmanaged
        where TStack : struct, IStack
        where TRip : struct, IRip
        where TLink : struct, ILink
    {
        if (!Mem.TryStore<T>(s, op, TStack.At(s, -sizeof(T), sizeof(T), true), s->Rip + op->NextOffset))
        {
            return null;
        }

        TStack.Move(s, -sizeof(T));
        s->Rip = TRip.Wrap(s->Rip + (ulong)op->Imm);
        return TLink.Go(s, op);
    }

    [MethodImpl(Slow)]
    static Block* RetSlow<T, TStack>(CpuState* s, Op* op)
        where T : unmanaged
        where TStack : struct, IStack
    {
        if (!Mem.TryLoad<T>(s, op, TStack.At(s, 0, sizeof(T), false), out var target))
        {
            return null;
        }

        if (!IsTarget<T>(target))
        {
            return BadTarget(s, op);
        }

        TStack.Move(s, sizeof(T) + op->Imm);
        return Indirect(s, target);
    }
}
