using Vmm.Cpu.Interpreter;
using Vmm.Cpu.State;

namespace Vmm.Cpu.Vcpus;

/// <content>Debug exceptions: breakpoints, single stepping, general detect, and what MOV SS does to them (SDM 3B ch. 18).</content>
public sealed unsafe partial class Vcpu
{
    const ulong SingleStep = 1ul << 14;

    /// <summary>DR7.GD and DR6.BD.</summary>
    const ulong GeneralDetect = 1ul << 13;

    /// <summary>Data breakpoints that the instruction at hand has met, as in DR6.</summary>
    ulong dataBreakpoints;

    /// <summary>Those that MOV SS or POP SS met: they wait for the end of the next instruction (SDM 3A §7.8.3).</summary>
    ulong heldBreakpoints;

    /// <summary>SYSCALL cleared TF: it does not trap (its flags count at its end, not at its start).</summary>
    bool stepIsOver;

    /// <summary>Raises #DB as a trap with the given DR6 bits, at the current RIP.</summary>
    void DebugTrap(ulong dr6)
    {
        s->ExceptionVector = Vector.DB;
        s->ExceptionHasError = 0;
        s->ExceptionError = 0;
        s->ExceptionKind = KindFault;
        s->ExceptionDr6 = dr6;
        s->Stop = StopReason.Exception;
    }

    /// <summary>MOV to or from a debug register while DR7.GD is set: a fault. Always returns false.</summary>
    internal bool FailGeneralDetect(Op* op)
    {
        Fail(op, Vector.DB, 0);
        s->ExceptionDr6 = GeneralDetect;
        return false;
    }

    /// <summary>Whether debug registers are guarded by DR7.GD.</summary>
    internal bool IsGeneralDetect => (s->Dr[7] & GeneralDetect) != 0;

    /// <summary>SYSCALL and SYSRET trap when TF is set at their end.</summary>
    void StepByNewFlags()
    {
        stepIsOver = (s->FlagRest & Cr.TF) == 0;
        if (!stepIsOver)
        {
            DebugTrap(dataBreakpoints | SingleStep);
        }
    }

    /// <summary>Runs one instruction with breakpoints and single stepping.</summary>
    /// <param name="afterStackLoad">The instruction before was MOV SS or POP SS: no instruction breakpoint is recognised.</param>
    void StepWithDebug(bool afterStackLoad)
    {
        var resume = (s->FlagRest & Cr.RF) != 0;
        var stepping = (s->FlagRest & Cr.TF) != 0;
        if (!resume && !afterStackLoad)
        {
            var hit = CodeBreakpoints();
            if (hit != 0)
            {
                s->Budget--;
                DebugTrap(hit);
                return;
            }
        }

        s->FlagRest &= ~Cr.RF;
        var held = heldBreakpoints;
        dataBreakpoints = held;
        heldBreakpoints = 0;
        stepIsOver = false;
        RunOne();
        switch (s->Stop)
        {
            case StopReason.Exception:
                TakeHeldBreakpoints(held);
                break;
            case StopReason.None or StopReason.Resync or StopReason.Halt:
                NoteStep(stepping && !stepIsOver);
                break;
        }
    }

    /// <summary>Raises what the completed instruction met; MOV SS and POP SS put it off, without the single step. A trap ends HLT.</summary>
    void NoteStep(bool stepping)
    {
        var dr6 = dataBreakpoints | (stepping ? SingleStep : 0);
        if (s->Shadow == 2)
        {
            heldBreakpoints = dataBreakpoints;
        }
        else if (dr6 != 0)
        {
            DebugTrap(dr6);
        }
    }

    /// <summary>
    /// The instruction after MOV SS ended in an event: breakpoints that waited join its debug exception, or else are taken
    /// before the first instruction of the handler.
    /// </summary>
    void TakeHeldBreakpoints(ulong held)
    {
        if (held == 0)
        {
            return;
        }

        if (s->ExceptionVector == Vector.DB && s->ExceptionKind is KindFault or KindInt1)
        {
            s->Dr[6] |= s->ExceptionKind == KindInt1 ? held : 0;
            s->ExceptionDr6 |= held;
            return;
        }

        Settle();
        if (Activity == Activity.Active)
        {
            DebugTrap(held);
        }
    }

    ulong CodeBreakpoints()
    {
        if (s->DebugActive == 0)
        {
            return 0;
        }

        var linear = s->Rip + s->Cs.Base;
        ulong hit = 0;
        for (var i = 0; i < 4; i++)
        {
            if ((s->Dr[7] >> i * 2 & 3) != 0 && (s->Dr[7] >> 16 + i * 4 & 3) == 0 && s->Dr[i] == linear)
            {
                hit |= 1ul << i;
            }
        }

        return hit;
    }

    void NoteDataBreakpoint(Op* op, ulong va, int size, Memory.Access access)
    {
        for (var i = 0; i < 4; i++)
        {
            if ((s->Dr[7] >> i * 2 & 3) == 0)
            {
                continue;
            }

            var kind = (int)(s->Dr[7] >> 16 + i * 4 & 3);
            if (kind is 0 or 2 || (kind == 1 && access != Memory.Access.Write))
            {
                continue;
            }

            var length = (s->Dr[7] >> 18 + i * 4 & 3) switch { 0 => 1ul, 1 => 2ul, 2 => 8ul, _ => 4ul };
            var start = s->Dr[i] & ~(length - 1);
            if (va < start + length && start < va + (ulong)size)
            {
                dataBreakpoints |= 1ul << i;
            }
        }
    }
}
