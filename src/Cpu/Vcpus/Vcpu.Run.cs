using System.Runtime.CompilerServices;
using Vmm.Cpu.Interpreter;
using Vmm.Cpu.State;
using Vmm.Platform.Time;

namespace Vmm.Cpu.Vcpus;

/// <content>The run loop: slices of decoded blocks, budgets, and the clock that follows them.</content>
public sealed unsafe partial class Vcpu
{
    /// <inheritdoc/>
    public long Run(IExitHandler exits, long budget)
    {
        this.exits = exits;
        s->Budget = budget;
        s->Deferred = 0;
        s->Extra = 0;
        s->Stalled = 0;
        budgetStart = budget;
        syncedAt = 0;
        running = true;
        stopRequested = false;
        yieldRequested = !Vmx.TryBegin();
        while (true)
        {
            if (stopRequested)
            {
                stopRequested = false;
                s->Budget += s->Deferred;
                s->Deferred = 0;
            }

            var afterStackLoad = s->Shadow == 2;
            if (yieldRequested || s->Budget <= 0 || !ServiceEvents())
            {
                break;
            }

            var alone = inShadow;
            inShadow = false;
            if (Vmx.IsStepping && !alone)
            {
                StepForMonitor(afterStackLoad);
                continue;
            }

            if (s->DebugActive != 0 || (s->FlagRest & (Cr.TF | Cr.RF)) != 0)
            {
                StepWithDebug(afterStackLoad);
            }
            else if (alone)
            {
                RunOne();
            }
            else
            {
                RunBlocks();
            }

            Settle();
        }

        running = false;
        current = null;
        SyncClock(null);
        var retired = budget - s->Budget - s->Extra;
        Instructions += (ulong)retired;
        return retired;
    }

    /// <summary>
    /// Instructions that blocks may run, one entering the next, before they come back to the loop. Bounds the host stack
    /// should a handler's call of the next not be compiled to a jump.
    /// </summary>
    const long Slice = 2048;

    /// <summary>Runs decoded blocks until something needs attention.</summary>
    void RunBlocks()
    {
        Defer(Slice);
        RunSlices();
        s->LinkOp = null;
        if (!stopRequested)
        {
            Defer(long.MaxValue);
        }
    }

    /// <summary>Makes <paramref name="slice"/> the budget at hand, as far as there is enough.</summary>
    void Defer(long slice)
    {
        var all = s->Budget + s->Deferred;
        s->Budget = Math.Min(all, slice);
        s->Deferred = all - s->Budget;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    void RunSlices()
    {
        Block* block = null;
        while (true)
        {
            if (block == null)
            {
                // A block that breaks off gives its unused budget back, so the budget alone does not show the request.
                if (s->Stop != StopReason.None || stopRequested || s->Budget <= 0)
                {
                    // What runs next may be a handler: it is not where the last branch goes.
                    s->LinkOp = null;
                    return;
                }

                block = code.Lookup(this);
                if (block == null)
                {
                    return;
                }
            }

            if (s->Budget < block->Count)
            {
                if (s->Deferred > 0 && !stopRequested)
                {
                    Defer(Slice);
                }

                if (s->Budget <= 0)
                {
                    return;
                }

                if (block->Count == Block.Dropped)
                {
                    block = null;
                    continue;
                }

                s->LinkOp = null;
                if (s->Budget < block->Count)
                {
                    block = code.DecodeLimited(this, (int)s->Budget);
                    if (block == null)
                    {
                        return;
                    }
                }
            }

            s->Budget -= block->Count;
            var first = block->Ops;
            block = ((delegate*<CpuState*, Op*, Block*>)first->Handler)(s, first);
        }
    }

    /// <summary>Deals with whatever stopped the block loop.</summary>
    void Settle()
    {
        current = null;
        Unpatch();
        var stop = s->Stop;
        s->Stop = StopReason.None;
        switch (stop)
        {
            case StopReason.Exception:
                DeliverException();
                break;
            case StopReason.Halt:
                Activity = Activity.Halted;
                break;
            case StopReason.Shutdown:
                Shutdown("machine shut down");
                break;
        }
    }

    /// <summary>Runs exactly one instruction: in the shadow of STI or MOV SS, or under the debugger's eyes.</summary>
    void RunOne()
    {
        var rest = s->Budget - 1;
        s->Budget = 1;
        budgetStart -= rest;
        RunBlocks();
        if (stopRequested)
        {
            stopRequested = false;
            Defer(long.MaxValue);
        }

        s->Budget += rest;
        budgetStart += rest;
    }

    internal void BeginCold(Op* op) => current = op;

    internal void EndCold() => current = null;

    internal ulong Wrap(ulong rip) => WrapRip(rip);

    /// <summary>Charges the instructions retired so far, up to and including <paramref name="op"/>.</summary>
    internal void SyncClock(Op* op)
    {
        op = op == null ? current : op;
        var retired = budgetStart - s->Budget - s->Deferred - (op == null ? 0 : op->Remaining);
        clock.Charge((ulong)(retired - syncedAt) * price);
        syncedAt = retired;
    }

    /// <summary>Makes the block stop after <paramref name="op"/>: the next operation's handler is replaced once.</summary>
    internal void StopAfter(Op* op)
    {
        if (op->Remaining == 0 || s->PatchedOp == op + 1)
        {
            return;
        }

        Unpatch();
        s->PatchedOp = op + 1;
        s->PatchedHandler = op[1].Handler;
        op[1].Handler = Handlers.BreakHere;
    }

    /// <summary>
    /// Time beyond the instructions' own was used. The block ends where the budget does, not where it happens to end: how
    /// code was cut into blocks must not show.
    /// </summary>
    internal void StopWhenSpent(Op* op)
    {
        var missing = -(s->Budget + s->Deferred);
        if (missing > 0 && s->PatchedOp != op + 1)
        {
            StopAfter(op + Math.Max(0, op->Remaining - missing));
        }
    }

    void Unpatch()
    {
        if (s->PatchedOp != null)
        {
            if (s->PatchedOp->Handler == Handlers.BreakHere)
            {
                s->PatchedOp->Handler = s->PatchedHandler;
            }

            s->PatchedOp = null;
        }
    }
}
