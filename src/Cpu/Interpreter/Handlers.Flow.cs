using System.Runtime.CompilerServices;
using Vmm.Cpu.Memory;
using Vmm.Cpu.State;

namespace Vmm.Cpu.Interpreter;

/// <content>Conditions, jumps, calls, returns, loops.</content>
internal static unsafe partial class Handlers
{
    /// <summary>A condition code.</summary>
    internal interface ICondition
    {
        /// <summary>True when it holds.</summary>
        static abstract bool Holds(CpuState* s);
    }

#pragma warning disable SA1502 // One line per condition reads best.
    internal readonly struct CondO : ICondition { [MethodImpl(Inline)] public static bool Holds(CpuState* s) => Flags.Overflow(s); }

    internal readonly struct CondNO : ICondition { [MethodImpl(Inline)] public static bool Holds(CpuState* s) => !Flags.Overflow(s); }

    internal readonly struct CondB : ICondition { [MethodImpl(Inline)] public static bool Holds(CpuState* s) => (long)s->FlagAux < 0; }

    internal readonly struct CondAE : ICondition { [MethodImpl(Inline)] public static bool Holds(CpuState* s) => (long)s->FlagAux >= 0; }

    internal readonly struct CondE : ICondition { [MethodImpl(Inline)] public static bool Holds(CpuState* s) => s->FlagRes == 0; }

    internal readonly struct CondNE : ICondition { [MethodImpl(Inline)] public static bool Holds(CpuState* s) => s->FlagRes != 0; }

    internal readonly struct CondBE : ICondition { [MethodImpl(Inline)] public static bool Holds(CpuState* s) => (long)s->FlagAux < 0 || s->FlagRes == 0; }

    internal readonly struct CondA : ICondition { [MethodImpl(Inline)] public static bool Holds(CpuState* s) => (long)s->FlagAux >= 0 && s->FlagRes != 0; }

    internal readonly struct CondS : ICondition { [MethodImpl(Inline)] public static bool Holds(CpuState* s) => Flags.Sign(s); }

    internal readonly struct CondNS : ICondition { [MethodImpl(Inline)] public static bool Holds(CpuState* s) => !Flags.Sign(s); }

    internal readonly struct CondP : ICondition { [MethodImpl(Inline)] public static bool Holds(CpuState* s) => Flags.Parity(s); }

    internal readonly struct CondNP : ICondition { [MethodImpl(Inline)] public static bool Holds(CpuState* s) => !Flags.Parity(s); }

    internal readonly struct CondL : ICondition { [MethodImpl(Inline)] public static bool Holds(CpuState* s) => Flags.Less(s); }

    internal readonly struct CondGE : ICondition { [MethodImpl(Inline)] public static bool Holds(CpuState* s) => !Flags.Less(s); }

    internal readonly struct CondLE : ICondition { [MethodImpl(Inline)] public static bool Holds(CpuState* s) => s->FlagRes == 0 || Flags.Less(s); }

    internal readonly struct CondG : ICondition { [MethodImpl(Inline)] public static bool Holds(CpuState* s) => s->FlagRes != 0 && !Flags.Less(s); }
#pragma warning restore SA1502

    [MethodImpl(Hot)]
    public static Block* Jcc<TCondition, TRip, TLink>(CpuState* s, Op* op)
        where TCondition : struct, ICondition
        where TRip : struct, IRip
        where TLink : struct, ILink
    {
        if (!TCondition.Holds(s))
        {
            return Next(s, op);
        }

        s->Rip = TRip.Wrap(s->Rip + (ulong)op->Imm);
        return TLink.Go(s, op);
    }

    [MethodImpl(Hot)]
    public static Block* Jmp<TRip, TLink>(CpuState* s, Op* op)
        where TRip : struct, IRip
        where TLink : struct, ILink
    {
        s->Rip = TRip.Wrap(s->Rip + (ulong)op->Imm);
        return TLink.Go(s, op);
    }

    /// <summary>A 64-bit branch to a non-canonical address faults at the branch, before it changes anything (SDM 2A, CALL, JMP, RET).</summary>
    [MethodImpl(Inline)]
    static bool IsTarget<T>(ulong target)
        where T : unmanaged => sizeof(T) < 8 || (ulong)((long)target >> 47) + 1 <= 1;

    [MethodImpl(Slow)]
    static Block* BadTarget(CpuState* s, Op* op)
    {
        Vcpus.Vcpu.Of(s).Fail(op, Vcpus.Vector.GP, 0);
        return null;
    }

    /// <summary>A fault of the push comes before that of the target.</summary>
    [MethodImpl(Slow)]
    static Block* BadCallTarget<T, TStack>(CpuState* s, Op* op)
        where T : unmanaged
        where TStack : struct, IStack =>
        Vcpus.Vcpu.Of(s).TryProbeWrite(op, TStack.At(s, -sizeof(T), sizeof(T), true), sizeof(T)) ? BadTarget(s, op) : FailedOnStack(s);

    [MethodImpl(Hot)]
    public static Block* JmpReg<T>(CpuState* s, Op* op)
        where T : unmanaged
    {
        var target = Get<T>(s, op->A);
        return IsTarget<T>(target) ? Indirect(s, target) : BadTarget(s, op);
    }

    [MethodImpl(Hot)]
    public static Block* JmpMem<T, TAddress>(CpuState* s, Op* op)
        where T : unmanaged
        where TAddress : struct, IAddress
    {
        if (!Mem.TryLoad<T>(s, op, TAddress.At(s, op, sizeof(T), false), out var target))
        {
            return null;
        }

        return IsTarget<T>(target) ? Indirect(s, target) : BadTarget(s, op);
    }

    [MethodImpl(Hot)]
    public static Block* Call<T, TStack, TRip, TLink>(CpuState* s, Op* op)
        where T : unmanaged
        where TStack : struct, IStack
        where TRip : struct, IRip
        where TLink : struct, ILink
    {
        if (!Mem.TryWrite<T>(s, TStack.At(s, -sizeof(T), sizeof(T), true), out var at))
        {
            return CallSlow<T, TStack, TRip, TLink>(s, op);
        }

        Poke<T>(at, s->Rip + op->NextOffset);
        TStack.Move(s, -sizeof(T));
        s->Rip = TRip.Wrap(s->Rip + (ulong)op->Imm);
        return TLink.Go(s, op);
    }

    [MethodImpl(Hot)]
    public static Block* CallReg<T, TStack>(CpuState* s, Op* op)
        where T : unmanaged
        where TStack : struct, IStack
    {
        var target = Get<T>(s, op->A);
        if (!IsTarget<T>(target))
        {
            return BadCallTarget<T, TStack>(s, op);
        }

        if (!Mem.TryStore<T>(s, op, TStack.At(s, -sizeof(T), sizeof(T), true), s->Rip + op->NextOffset))
        {
            return null;
        }

        TStack.Move(s, -sizeof(T));
        return Indirect(s, target);
    }

    [MethodImpl(Hot)]
    public static Block* CallMem<T, TAddress, TStack>(CpuState* s, Op* op)
        where T : unmanaged
        where TAddress : struct, IAddress
        where TStack : struct, IStack
    {
        if (!Mem.TryLoad<T>(s, op, TAddress.At(s, op, sizeof(T), false), out var target))
        {
            return null;
        }

        if (!IsTarget<T>(target))
        {
            return BadCallTarget<T, TStack>(s, op);
        }

        if (!Mem.TryStore<T>(s, op, TStack.At(s, -sizeof(T), sizeof(T), true), s->Rip + op->NextOffset))
        {
            return FailedOnStack(s);
        }

        TStack.Move(s, -sizeof(T));
        return Indirect(s, target);
    }

    /// <summary>Near RET; the immediate is the bytes of parameters to drop.</summary>
    [MethodImpl(Hot)]
    public static Block* Ret<T, TStack>(CpuState* s, Op* op)
        where T : unmanaged
        where TStack : struct, IStack
    {
        if (!Mem.TryRead<T>(s, TStack.At(s, 0, sizeof(T), false), out var at))
        {
            return RetSlow<T, TStack>(s, op);
        }

        var target = Peek<T>(at);
        if (!IsTarget<T>(target))
        {
            return BadTarget(s, op);
        }

        TStack.Move(s, sizeof(T) + op->Imm);
        return Indirect(s, target);
    }

    /// <summary>LOOP (Aux 0), LOOPE (1), LOOPNE (2), JCXZ (3) with the counter width in AddressSize.</summary>
    [MethodImpl(Hot)]
    public static Block* Loop<TRip>(CpuState* s, Op* op)
        where TRip : struct, IRip
    {
        var count = s->Gpr[1];
        if (op->Aux != 3)
        {
            count--;
            s->Gpr[1] = op->AddressSize == 4 ? count : op->AddressSize == 2 ? (uint)count : s->Gpr[1] & ~0xFFFFul | (ushort)count;
        }

        count = op->AddressSize == 4 ? count : op->AddressSize == 2 ? (uint)count : (ushort)count;
        var taken = op->Aux switch
        {
            0 => count != 0,
            1 => count != 0 && Flags.Zero(s),
            2 => count != 0 && !Flags.Zero(s),
            _ => count == 0,
        };
        if (!taken)
        {
            return Next(s, op);
        }

        s->Rip = TRip.Wrap(s->Rip + (ulong)op->Imm);
        return null;
    }
}
