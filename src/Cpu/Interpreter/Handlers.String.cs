using System.Runtime.CompilerServices;
using Vmm.Cpu.Memory;
using Vmm.Cpu.State;
using Vmm.Cpu.Vcpus;

namespace Vmm.Cpu.Interpreter;

/// <content>
/// String instructions. Each invocation does a bounded amount of work and then starts over at the same instruction,
/// with registers up to date, so that a REP of any length stays interruptible and restartable.
/// </content>
internal static unsafe partial class Handlers
{
    /// <summary>Bytes that one invocation of a bulk string operation may move.</summary>
    const int BulkBytes = 1 << 16;

    /// <summary>Elements that one invocation of an element-wise string operation may visit.</summary>
    const int ElementBound = 4096;

    /// <summary>Repeat prefix in <see cref="Op.Aux"/>.</summary>
    internal const int NoRepeat = 0, Repeat = 1, RepeatNotEqual = 2;

    [MethodImpl(Inline)]
    static ulong CounterMask(Op* op) => op->AddressSize == 4 ? ulong.MaxValue : op->AddressSize == 2 ? 0xFFFF_FFFF : 0xFFFF;

    [MethodImpl(Inline)]
    static void SetCounted(CpuState* s, Op* op, int register, ulong value) =>
        s->Gpr[register] = op->AddressSize == 4 ? value : op->AddressSize == 2 ? (uint)value : s->Gpr[register] & ~0xFFFFul | (ushort)value;

    /// <summary>Linear address of a string operand.</summary>
    [MethodImpl(Inline)]
    static ulong StringAt(CpuState* s, Op* op, int register, int segment, int size, bool write)
    {
        var offset = s->Gpr[register] & CounterMask(op);
        if ((s->Mode & Vcpu.Mode64) != 0)
        {
            return segment >= Seg.FS ? offset + (&s->Es + segment)->Base : offset;
        }

        return Vcpu.CheckedLinear(s, segment, offset, size, write);
    }

    /// <summary>Uses up budget, and so virtual time, beyond the instruction itself.</summary>
    [MethodImpl(Inline)]
    internal static void Spend(CpuState* s, long units)
    {
        s->Budget -= units;
        s->Extra += units;
        s->Stalled += units;
    }

    /// <summary>Under the trap flag each iteration is a step of its own (SDM 3B §17.3.1.4).</summary>
    [MethodImpl(Inline)]
    static bool IsStepping(CpuState* s) => (s->FlagRest & Cr.TF) != 0;

    /// <summary>Starts the same instruction over; the iteration done counts as one instruction.</summary>
    [MethodImpl(Slow)]
    static Block* Again(CpuState* s, Op* op)
    {
        s->Rip += op->Offset;
        s->Budget += op->Remaining;
        return null;
    }

    [MethodImpl(Inline)]
    static long Step<T>(CpuState* s)
        where T : unmanaged => (s->FlagRest & Cr.DF) != 0 ? -sizeof(T) : sizeof(T);

    [MethodImpl(Hot)]
    public static Block* Movs<T>(CpuState* s, Op* op)
        where T : unmanaged
    {
        var mask = CounterMask(op);
        var repeat = op->Aux != NoRepeat;
        var left = repeat ? s->Gpr[1] & mask : 1;
        var step = Step<T>(s);
        var stepping = IsStepping(s);
        var moved = 0;
        while (left != 0)
        {
            if (moved >= BulkBytes)
            {
                return Again(s, op);
            }

            var n = 0ul;
            var source = StringAt(s, op, 6, op->Segment, sizeof(T), false);
            var target = StringAt(s, op, 7, Seg.ES, sizeof(T), true);
            if (repeat && step > 0 && !stepping && (s->Mode & Vcpu.ModeFlat) != 0)
            {
                n = Math.Min(left, Math.Min(4096 - (source & 0xFFF), 4096 - (target & 0xFFF)) / (ulong)sizeof(T));
                if (n > 1)
                {
                    n = Vcpu.Of(s).CopyPage(op, source, target, (int)n * sizeof(T)) / (ulong)sizeof(T);
                    if (s->Stop != StopReason.None)
                    {
                        return null;
                    }
                }
                else
                {
                    n = 0;
                }
            }

            if (n == 0)
            {
                n = 1;
                if (!Mem.TryLoad<T>(s, op, source, out var value) || !Mem.TryStore<T>(s, op, target, value))
                {
                    return null;
                }
            }

            SetCounted(s, op, 6, s->Gpr[6] + (ulong)step * n);
            SetCounted(s, op, 7, s->Gpr[7] + (ulong)step * n);
            if (!repeat)
            {
                break;
            }

            left -= n;
            SetCounted(s, op, 1, left);
            moved += (int)n * sizeof(T);
            Spend(s, (long)(n * (ulong)sizeof(T) >> 4));
            if (stepping || op[1].Handler == Stale || op[1].Handler == BreakHere)
            {
                return left == 0 ? Next(s, op) : Again(s, op);
            }
        }

        if (s->Budget + s->Deferred < 0)
        {
            Vcpu.Of(s).StopWhenSpent(op);
        }

        return Next(s, op);
    }

    [MethodImpl(Hot)]
    public static Block* Stos<T>(CpuState* s, Op* op)
        where T : unmanaged
    {
        var mask = CounterMask(op);
        var repeat = op->Aux != NoRepeat;
        var left = repeat ? s->Gpr[1] & mask : 1;
        var step = Step<T>(s);
        var stepping = IsStepping(s);
        var moved = 0;
        while (left != 0)
        {
            if (moved >= BulkBytes)
            {
                return Again(s, op);
            }

            var n = 0ul;
            var target = StringAt(s, op, 7, Seg.ES, sizeof(T), true);
            if (repeat && step > 0 && !stepping && (s->Mode & Vcpu.ModeFlat) != 0)
            {
                n = Math.Min(left, (4096 - (target & 0xFFF)) / (ulong)sizeof(T));
                if (n > 1)
                {
                    n = Vcpu.Of(s).FillPage(op, target, s->Gpr[0], sizeof(T), (int)n);
                    if (s->Stop != StopReason.None)
                    {
                        return null;
                    }
                }
                else
                {
                    n = 0;
                }
            }

            if (n == 0)
            {
                n = 1;
                if (!Mem.TryStore<T>(s, op, target, s->Gpr[0]))
                {
                    return null;
                }
            }

            SetCounted(s, op, 7, s->Gpr[7] + (ulong)step * n);
            if (!repeat)
            {
                break;
            }

            left -= n;
            SetCounted(s, op, 1, left);
            moved += (int)n * sizeof(T);
            Spend(s, (long)(n * (ulong)sizeof(T) >> 4));
            if (stepping || op[1].Handler == Stale || op[1].Handler == BreakHere)
            {
                return left == 0 ? Next(s, op) : Again(s, op);
            }
        }

        if (s->Budget + s->Deferred < 0)
        {
            Vcpu.Of(s).StopWhenSpent(op);
        }

        return Next(s, op);
    }

    [MethodImpl(Hot)]
    public static Block* Lods<T>(CpuState* s, Op* op)
        where T : unmanaged
    {
        var repeat = op->Aux != NoRepeat;
        var left = repeat ? s->Gpr[1] & CounterMask(op) : 1;
        var bounds = IsStepping(s) ? 1 : ElementBound;
        for (var bound = 0; left != 0; bound++)
        {
            if (bound == bounds)
            {
                return Again(s, op);
            }

            if (!Mem.TryLoad<T>(s, op, StringAt(s, op, 6, op->Segment, sizeof(T), false), out var value))
            {
                return null;
            }

            Set<T>(s, 0, value);
            SetCounted(s, op, 6, s->Gpr[6] + (ulong)Step<T>(s));
            if (!repeat)
            {
                break;
            }

            SetCounted(s, op, 1, --left);
        }

        return Next(s, op);
    }

    [MethodImpl(Hot)]
    public static Block* Scas<T>(CpuState* s, Op* op)
        where T : unmanaged
    {
        var repeat = op->Aux != NoRepeat;
        var left = repeat ? s->Gpr[1] & CounterMask(op) : 1;
        var acc = Get<T>(s, 0);
        var bounds = IsStepping(s) ? 1 : ElementBound;
        for (var bound = 0; left != 0; bound++)
        {
            if (bound == bounds)
            {
                return Again(s, op);
            }

            if (!Mem.TryLoad<T>(s, op, StringAt(s, op, 7, Seg.ES, sizeof(T), false), out var value))
            {
                return null;
            }

            Flags.Sub<T>(s, acc, value, acc - value);
            SetCounted(s, op, 7, s->Gpr[7] + (ulong)Step<T>(s));
            if (!repeat)
            {
                break;
            }

            SetCounted(s, op, 1, --left);
            if (acc == value == (op->Aux == RepeatNotEqual))
            {
                break;
            }
        }

        return Next(s, op);
    }

    [MethodImpl(Hot)]
    public static Block* Cmps<T>(CpuState* s, Op* op)
        where T : unmanaged
    {
        var repeat = op->Aux != NoRepeat;
        var left = repeat ? s->Gpr[1] & CounterMask(op) : 1;
        var bounds = IsStepping(s) ? 1 : ElementBound;
        for (var bound = 0; left != 0; bound++)
        {
            if (bound == bounds)
            {
                return Again(s, op);
            }

            if (!Mem.TryLoad<T>(s, op, StringAt(s, op, 6, op->Segment, sizeof(T), false), out var a)
                || !Mem.TryLoad<T>(s, op, StringAt(s, op, 7, Seg.ES, sizeof(T), false), out var b))
            {
                return null;
            }

            Flags.Sub<T>(s, a, b, a - b);
            SetCounted(s, op, 6, s->Gpr[6] + (ulong)Step<T>(s));
            SetCounted(s, op, 7, s->Gpr[7] + (ulong)Step<T>(s));
            if (!repeat)
            {
                break;
            }

            SetCounted(s, op, 1, --left);
            if (a == b == (op->Aux == RepeatNotEqual))
            {
                break;
            }
        }

        return Next(s, op);
    }

    /// <summary>INS: one element an invocation.</summary>
    [MethodImpl(Hot)]
    public static Block* Ins<T>(CpuState* s, Op* op)
        where T : unmanaged
    {
        var repeat = op->Aux != NoRepeat;
        var left = repeat ? s->Gpr[1] & CounterMask(op) : 1;
        var cpu = Vcpu.Of(s);
        // The right to use the port is checked even when the count is zero.
        if (!cpu.TryPortAccess(op, (ushort)s->Gpr[2], sizeof(T)))
        {
            return null;
        }

        if (left == 0)
        {
            return Next(s, op);
        }

        var target = StringAt(s, op, 7, Seg.ES, sizeof(T), true);
        // The destination is checked before the port is read: a fault must not lose data.
        if (!cpu.TryProbeWrite(op, target, sizeof(T)))
        {
            return null;
        }

        var value = cpu.StringIn(op, new((ushort)s->Gpr[2], sizeof(T), true, true, repeat, false), target);
        if (!Mem.TryStore<T>(s, op, target, value))
        {
            return null;
        }

        SetCounted(s, op, 7, s->Gpr[7] + (ulong)Step<T>(s));
        return FinishPortString(s, op, repeat, left);
    }

    /// <summary>OUTS: one element an invocation.</summary>
    [MethodImpl(Hot)]
    public static Block* Outs<T>(CpuState* s, Op* op)
        where T : unmanaged
    {
        var repeat = op->Aux != NoRepeat;
        var left = repeat ? s->Gpr[1] & CounterMask(op) : 1;
        var cpu = Vcpu.Of(s);
        if (!cpu.TryPortAccess(op, (ushort)s->Gpr[2], sizeof(T)))
        {
            return null;
        }

        if (left == 0)
        {
            return Next(s, op);
        }

        var source = StringAt(s, op, 6, op->Segment, sizeof(T), false);
        if (!Mem.TryLoad<T>(s, op, source, out var value))
        {
            return null;
        }

        cpu.StringOut(op, new((ushort)s->Gpr[2], sizeof(T), false, true, repeat, false), source, value);
        SetCounted(s, op, 6, s->Gpr[6] + (ulong)Step<T>(s));
        return FinishPortString(s, op, repeat, left);
    }

    [MethodImpl(Slow)]
    static Block* FinishPortString(CpuState* s, Op* op, bool repeat, ulong left)
    {
        if (!repeat)
        {
            return Next(s, op);
        }

        SetCounted(s, op, 1, left - 1);
        return left == 1 ? Next(s, op) : Again(s, op);
    }
}
