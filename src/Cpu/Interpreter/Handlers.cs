using System.Runtime.CompilerServices;
using Vmm.Cpu.Memory;
using Vmm.Cpu.State;

namespace Vmm.Cpu.Interpreter;

/// <summary>
/// Instruction handlers. Each does its work and calls the next operation's handler in tail position, which the JIT turns
/// into a jump; branches enter the next block in the same way. Were it not to, the depth is bounded by the budget that the
/// loop hands out at a time. A handler that returns null either left a stop reason in the state or wants the loop to look
/// the next block up; one that returns a block wants the loop to enter it.
/// </summary>
internal static unsafe partial class Handlers
{
    const MethodImplOptions Hot = MethodImplOptions.AggressiveOptimization;
    const MethodImplOptions Inline = MethodImplOptions.AggressiveInlining;

    [MethodImpl(Inline)]
    static Block* Next(CpuState* s, Op* op) => ((delegate*<CpuState*, Op*, Block*>)op[1].Handler)(s, op + 1);

    /// <summary>Reads a register, zero-extended.</summary>
    [MethodImpl(Inline)]
    internal static ulong Get<T>(CpuState* s, int offset)
        where T : unmanaged
    {
        var at = (byte*)s + offset;
        return sizeof(T) == 8 ? *(ulong*)at : sizeof(T) == 4 ? *(uint*)at : sizeof(T) == 2 ? *(ushort*)at : *at;
    }

    /// <summary>Writes a register; 32-bit writes clear the upper half.</summary>
    [MethodImpl(Inline)]
    internal static void Set<T>(CpuState* s, int offset, ulong value)
        where T : unmanaged
    {
        var at = (byte*)s + offset;
        if (sizeof(T) == 8)
        {
            *(ulong*)at = value;
        }
        else if (sizeof(T) == 4)
        {
            *(ulong*)at = (uint)value;
        }
        else if (sizeof(T) == 2)
        {
            *(ushort*)at = (ushort)value;
        }
        else
        {
            *at = (byte)value;
        }
    }

    [MethodImpl(Inline)]
    static ulong Peek<T>(byte* at)
        where T : unmanaged =>
        sizeof(T) == 8 ? *(ulong*)at : sizeof(T) == 4 ? *(uint*)at : sizeof(T) == 2 ? *(ushort*)at : *at;

    [MethodImpl(Inline)]
    static void Poke<T>(byte* at, ulong value)
        where T : unmanaged
    {
        if (sizeof(T) == 8)
        {
            *(ulong*)at = value;
        }
        else if (sizeof(T) == 4)
        {
            *(uint*)at = (uint)value;
        }
        else if (sizeof(T) == 2)
        {
            *(ushort*)at = (ushort)value;
        }
        else
        {
            *at = (byte)value;
        }
    }

    [MethodImpl(Inline)]
    static void Commit(CpuState* s, Op* op, byte* at)
    {
        if (at == Mem.Scratch(s))
        {
            Mem.CommitModify(s, op);
        }
    }

    [MethodImpl(Inline)]
    internal static nint Pointer(delegate*<CpuState*, Op*, Block*> handler) => (nint)handler;

    /// <summary>Handler that stops a block because its code changed; the loop decodes again from here.</summary>
    public static readonly nint Stale = Pointer(&StaleHere);

    /// <summary>Handler that stops a block once, so that the loop can look at events.</summary>
    public static readonly nint BreakHere = Pointer(&BreakOnce);

    [MethodImpl(Hot)]
    static Block* StaleHere(CpuState* s, Op* op)
    {
        s->Rip += op->Offset;
        s->Budget += op->Remaining + 1;
        var entry = JumpSlot(s, s->Rip);
        if (entry->Block != null && entry->Block->Valid == 0)
        {
            entry->Tag = 0;
        }

        return null;
    }

    [MethodImpl(Hot)]
    static Block* BreakOnce(CpuState* s, Op* op)
    {
        if (s->PatchedOp == op)
        {
            op->Handler = s->PatchedHandler;
            s->PatchedOp = null;
        }

        s->Rip += op->Offset;
        s->Budget += op->Remaining + 1;
        return null;
    }

    /// <summary>Jump cache slot of an address.</summary>
    [MethodImpl(Inline)]
    internal static JumpEntry* JumpSlot(CpuState* s, ulong rip) => s->Jumps + ((rip ^ rip >> 13) & CpuState.JumpEntries - 1);

    /// <summary>Enters a block without going back to the loop.</summary>
    [MethodImpl(Inline)]
    static Block* Enter(CpuState* s, Block* block, long budget)
    {
        s->Budget = budget;
        var first = block->Ops;
        return ((delegate*<CpuState*, Op*, Block*>)first->Handler)(s, first);
    }

    /// <summary>Continues at a computed address.</summary>
    [MethodImpl(Inline)]
    static Block* Indirect(CpuState* s, ulong target)
    {
        s->Rip = target;
        var entry = JumpSlot(s, target);
        if (entry->Rip != target || entry->Tag != s->CodeTag)
        {
            return null;
        }

        var left = s->Budget - entry->Block->Count;
        return left < 0 ? entry->Block : Enter(s, entry->Block, left);
    }

    /// <summary>Continues at a linked block inside the same page.</summary>
    [MethodImpl(Inline)]
    static Block* Near(CpuState* s, Op* op)
    {
        var next = op->Link;
        if (next != null)
        {
            var left = s->Budget - next->Count;
            if (left >= 0)
            {
                return Enter(s, next, left);
            }
        }

        s->LinkOp = op;
        return next;
    }

    /// <summary>Continues at a linked block in another page: the link holds only under the same translations.</summary>
    [MethodImpl(Inline)]
    static Block* Far(CpuState* s, Op* op)
    {
        if (op->Extra == s->CodeTag)
        {
            return Near(s, op);
        }

        s->LinkOp = op;
        return null;
    }

    /// <summary>End of a block without a branch; the pseudo operation after the last instruction.</summary>
    [MethodImpl(Hot)]
    public static Block* Fall<TRip, TLink>(CpuState* s, Op* op)
        where TRip : struct, IRip
        where TLink : struct, ILink
    {
        s->Rip = TRip.Wrap(s->Rip + op->Offset);
        return TLink.Go(s, op);
    }

    /// <summary>End of a cut block: no link.</summary>
    [MethodImpl(Hot)]
    public static Block* Cut(CpuState* s, Op* op)
    {
        s->Rip += op->Offset;
        return null;
    }

    /// <summary>How a branch continues.</summary>
    internal interface ILink
    {
        /// <summary>The linked block or null.</summary>
        static abstract Block* Go(CpuState* s, Op* op);
    }

    /// <summary>Target in the same page.</summary>
    internal readonly struct NearLink : ILink
    {
        [MethodImpl(Inline)]
        public static Block* Go(CpuState* s, Op* op) => Near(s, op);
    }

    /// <summary>Target in another page.</summary>
    internal readonly struct FarLink : ILink
    {
        [MethodImpl(Inline)]
        public static Block* Go(CpuState* s, Op* op) => Far(s, op);
    }
}
