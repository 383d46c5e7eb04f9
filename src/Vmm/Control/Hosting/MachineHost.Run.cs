using System.Diagnostics;
using Vmm.Api.V1;
using Vmm.Machine;
using Vmm.Machine.MachineChecks;
using StopReason = Vmm.Api.V1.StopReason;

namespace Vmm.Control.Hosting;

/// <content>Life cycle. All of it happens on the machine's thread.</content>
internal sealed partial class MachineHost
{
    MachineState state;
    MachineImage? boot;
    Outcome? outcome;
    StopReason wanted;
    ulong generation = 1, untilTime, untilInstructions;
    TaskCompletionSource ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    long resumedAt;
    ulong resumedTime;

    /// <summary>State now. Only the machine's thread sees it stand still.</summary>
    public MachineState State => state;

    void Prepare(IMachineOrigin origin)
    {
        state = origin.State;
        boot = origin.Boot ?? machine.Freeze();
        machine.BetweenTurns = RunJobs;
        Console.VirtualTime = () => machine.Clock.NowNanoseconds;
        if (Spec.IdleMode == IdleMode.RealTime)
        {
            machine.ExpectsInput = true;
            machine.IdleUntil = IdleInRealTime;
        }

        Watch();
        Report(new() { Created = new() { ForkedFrom = ForkedFrom } });
    }

    /// <summary>Lets the machine go. The task completes when it has stopped again.</summary>
    public Task Go(ulong time = ulong.MaxValue, ulong instructions = ulong.MaxValue)
    {
        (untilTime, untilInstructions) = (time, instructions);
        wanted = StopReason.Paused;
        ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
        resumedAt = Stopwatch.GetTimestamp();
        resumedTime = machine.Now;
        SetState(MachineState.Running, null);
        return ended.Task;
    }

    /// <summary>Asks the running machine to stop. The task completes when it has.</summary>
    public Task Halt(StopReason why)
    {
        if (state != MachineState.Running)
        {
            return Task.CompletedTask;
        }

        wanted = why;
        machine.RequestStop();
        return ended.Task;
    }

    /// <summary>Stops the running machine where it is, inside a turn: the same place in every run.</summary>
    public void HaltHere(StopReason why, string detail)
    {
        if (state == MachineState.Running)
        {
            wanted = why;
            machine.StopHere(detail);
        }
    }

    /// <summary>Back to the state in which it was created; time goes on.</summary>
    public void Reset()
    {
        machine.WarmReset(boot!);
        if (state != MachineState.Running)
        {
            SetState(MachineState.Created, null);
        }
    }

    /// <summary>Ends a machine that does not run.</summary>
    public void TurnOff() => SetState(MachineState.Stopped, new() { Reason = StopReason.PoweredOffByCall, Detail = "powered off by a call" });

    /// <summary>Ends the machine and its thread.</summary>
    public void Delete()
    {
        Report(new() { Deleted = new() });
        isClosed = true;
        machine.RequestStop();
    }

    /// <summary>A frozen copy of the machine, and the image that its resets go back to.</summary>
    public (MachineImage Now, MachineImage Boot, MachineState State) Freeze() => (machine.Freeze(), boot!, state);

    /// <summary>Completes when the condition holds, which is asked at every change of state.</summary>
    public async Task<Api.V1.Machine> WaitAsync(Func<MachineState, bool> condition, CancellationToken cancellation)
    {
        while (true)
        {
            var next = changed.Next;
            var (holds, description) = await InvokeAsync(_ => (condition(state), Describe()), cancellation).ConfigureAwait(false);
            if (holds)
            {
                return description;
            }

            await next.WaitAsync(cancellation).ConfigureAwait(false);
        }
    }

    /// <summary>Bytes typed on the console; false when the guest has not taken enough of those before. From any thread.</summary>
    public bool OfferInput(ReadOnlySpan<byte> bytes) => machine.OfferInput(bytes);

    /// <summary>Completes when a moment of virtual time has passed, or when the machine stops for good.</summary>
    public async Task UntilAsync(ulong cycles, CancellationToken cancellation)
    {
        while (true)
        {
            var next = changed.Next;
            var (isOver, runs) = await InvokeAsync(m => (m.Now >= cycles || state == MachineState.Stopped, state == MachineState.Running), cancellation).ConfigureAwait(false);
            if (isOver)
            {
                return;
            }

            // A running machine is asked again from time to time: nobody is told when virtual time passes.
            await Task.WhenAny(next, Task.Delay(runs && cycles != ulong.MaxValue ? 20 : -1, cancellation)).ConfigureAwait(false);
            cancellation.ThrowIfCancellationRequested();
        }
    }

    void RunMachine()
    {
        try
        {
            Ended(machine.Run(untilTime, untilInstructions));
        }
        catch (Exception defect)
        {
            SetState(MachineState.Stopped, new() { Reason = StopReason.InternalError, Detail = defect.Message });
            ended.TrySetResult();
        }
    }

    void Ended(RunOutcome how)
    {
        if (isClosed)
        {
            ended.TrySetResult();
            return;
        }

        if (how.Cause == StopCause.Reset && Spec.ResetAction == ResetAction.Reboot)
        {
            machine.WarmReset(boot!);
            return;
        }

        TellWithheld();
        var reason = how.Cause == StopCause.Requested ? wanted : ReasonOf(how.Cause);
        SetState(
            reason is StopReason.PowerOff or StopReason.Reset or StopReason.DebugExit or StopReason.Crash or StopReason.PoweredOffByCall
                ? MachineState.Stopped : MachineState.Paused,
            new() { Reason = reason, Detail = how.Detail, Value = how.Value });
        ended.TrySetResult();
    }

    static StopReason ReasonOf(StopCause cause) => cause switch
    {
        StopCause.PowerOff => StopReason.PowerOff,
        StopCause.Reset => StopReason.Reset,
        StopCause.DebugExit => StopReason.DebugExit,
        StopCause.Crash => StopReason.Crash,
        StopCause.Stuck => StopReason.Stuck,
        StopCause.VirtualTimeout => StopReason.VirtualTime,
        StopCause.InstructionLimit => StopReason.Instructions,
        _ => StopReason.Paused,
    };

    void SetState(MachineState next, Outcome? how)
    {
        state = next;
        outcome = how ?? outcome;
        if (next is MachineState.Running or MachineState.Created)
        {
            outcome = null;
        }

        generation++;
        Report(new() { State = new() { State = state, Outcome = outcome, Generation = generation } });
        changed.Raise();
    }

    /// <summary>The machine as it is.</summary>
    public Api.V1.Machine Describe() => new()
    {
        Name = Name,
        State = state,
        Generation = generation,
        VirtualTimeNs = machine.Clock.CyclesToNanoseconds(machine.Now),
        VirtualCycles = machine.Now,
        Instructions = machine.Instructions,
        Outcome = outcome,
        Spec = Spec,
        ConsoleBytes = Console.Written,
        ForkedFrom = ForkedFrom,
    };

    /// <summary>Generation now.</summary>
    public ulong Generation => generation;

    /// <summary>An idle machine that somebody types at follows the host's clock, but wakes for input and jobs.</summary>
    void IdleInRealTime(ulong due)
    {
        var ahead = machine.Clock.CyclesToNanoseconds(due - Math.Min(due, resumedTime)) / 1_000_000;
        var passed = (ulong)Stopwatch.GetElapsedTime(resumedAt).TotalMilliseconds;
        if (ahead > passed)
        {
            machine.AwaitInput((int)Math.Min(ahead - passed, 1000));
        }
    }
}
