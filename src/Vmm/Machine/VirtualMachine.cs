using Vmm.Chipset;
using Vmm.Cpu.Interpreter;
using Vmm.Cpu.Vcpus;
using Vmm.Machine.MachineChecks;
using Vmm.Platform.Bus;
using Vmm.Platform.Dma;
using Vmm.Platform.Memory;
using Vmm.Platform.Time;
using Vmm.Specs.X86;

namespace Vmm.Machine;

/// <summary>
/// Memory, bus, processors and devices, run by one thread in virtual-time order. vCPUs take turns on a fixed grid of
/// quanta, so that a run repeats exactly and may be interrupted anywhere without changing it.
/// </summary>
public sealed partial class VirtualMachine : IExitHandler, IPowerControl, IDisposable
{
    RunOutcome? outcome;
    RunOutcome? dead;
    Vcpu? current;
    ulong turnEnd;
    volatile bool stopRequested, attention;
    ulong wakeMask;

    /// <summary>What the machine was built from.</summary>
    public MachineConfig Config { get; }

    /// <summary>Guest RAM.</summary>
    public GuestMemory Memory { get; }

    /// <summary>MMIO and port space.</summary>
    public SystemBus Bus { get; } = new();

    /// <summary>Virtual time.</summary>
    public VirtualClock Clock { get; }

    /// <summary>Decoded code.</summary>
    public CodeCache Code { get; }

    /// <summary>Processors.</summary>
    public IReadOnlyList<Vcpu> Vcpus => vcpus;

    /// <summary>Injects machine checks.</summary>
    public MachineCheckInjector MachineChecks { get; }

    /// <summary>Instructions retired by all processors.</summary>
    public ulong Instructions
    {
        get
        {
            var sum = 0ul;
            foreach (var cpu in vcpus)
            {
                sum += cpu.Instructions;
            }

            return sum;
        }
    }

    /// <summary>Where virtual time stands: the processors' latest, or the last event's.</summary>
    public ulong Now
    {
        get
        {
            var latest = machineTime;
            foreach (var cpu in vcpus)
            {
                latest = Math.Max(latest, cpu.LocalTime);
            }

            return latest;
        }
    }

    readonly Vcpu[] vcpus;
    bool disposed;
    ulong machineTime;

    /// <summary>Asks a running machine to stop between two turns. May be called from any thread.</summary>
    public void RequestStop() => stopRequested = true;

    /// <summary>Called on the machine's thread, between two turns, after <see cref="RequestAttention"/>.</summary>
    public Action? BetweenTurns { get; set; }

    /// <summary>Asks a running machine to call <see cref="BetweenTurns"/>. May be called from any thread; the guest sees nothing of it.</summary>
    public void RequestAttention()
    {
        attention = true;
        inputArrived.Set();
    }

    /// <summary>Ends the run at the end of the present exit, on the machine's own thread: the same place in every run.</summary>
    public void StopHere(string why) => End(new(StopCause.Requested, why));

    /// <summary>Called before the machine jumps over idle time; an interactive host may wait there for input.</summary>
    public Action<ulong>? IdleUntil { get; set; }

    /// <summary>Runs until something ends the run or a limit is reached.</summary>
    /// <param name="untilTime">Virtual time in cycles at which to stop.</param>
    /// <param name="untilInstructions">Total of retired instructions at which to stop.</param>
    public RunOutcome Run(ulong untilTime = ulong.MaxValue, ulong untilInstructions = ulong.MaxValue)
    {
        outcome = dead;
        stopRequested = false;
        while (outcome == null)
        {
            if (attention)
            {
                attention = false;
                BetweenTurns?.Invoke();
            }

            if (stopRequested)
            {
                return new(StopCause.Requested, "stopped on request");
            }

            DeliverInput();
            var cpu = NextVcpu();
            var due = Clock.NextDue;
            if (cpu == null || due <= cpu.LocalTime)
            {
                if (due == ulong.MaxValue && !WaitForInput())
                {
                    return new(StopCause.Stuck, "every processor is halted and no event is pending");
                }

                if (due >= untilTime)
                {
                    return new(StopCause.VirtualTimeout, $"virtual time limit of {untilTime} cycles reached");
                }

                RunEvents(due, cpu == null);
                continue;
            }

            if (cpu.LocalTime >= untilTime)
            {
                return new(StopCause.VirtualTimeout, $"virtual time limit of {untilTime} cycles reached");
            }

            var left = untilInstructions == ulong.MaxValue ? long.MaxValue : (long)(untilInstructions - Math.Min(untilInstructions, Instructions));
            if (left <= 0)
            {
                return new(StopCause.InstructionLimit, $"instruction limit of {untilInstructions} reached");
            }

            var free = MachineChecks.InstructionsLeft(cpu);
            if (free == 0)
            {
                Clock.SwitchTo(cpu.LocalTime);
                MachineChecks.InstructionsReached(cpu);
                continue;
            }

            RunTurn(cpu, Math.Min(due, untilTime), Math.Min(left, free));
        }

        return outcome;
    }

    /// <summary>The runnable processor whose turn it is: earliest cell of the quantum grid, then lowest number.</summary>
    Vcpu? NextVcpu()
    {
        Vcpu? best = null;
        var bestCell = ulong.MaxValue;
        foreach (var cpu in vcpus)
        {
            if (cpu.IsRunnable)
            {
                var cell = vcpus.Length == 1 ? 0 : cpu.LocalTime / Config.Quantum;
                if (cell < bestCell)
                {
                    best = cpu;
                    bestCell = cell;
                }
            }
        }

        return best;
    }

    void RunTurn(Vcpu cpu, ulong end, long instructions)
    {
        BookIdle(cpu);
        if (TakesWakeUp(cpu))
        {
            return;
        }

        // One processor alone needs turns only so that the host is heard now and then.
        var quantum = vcpus.Length == 1 ? 1_000_000 : Config.Quantum;
        var grid = (cpu.LocalTime / quantum + 1) * quantum;
        turnEnd = Math.Min(end, grid);
        var cycles = turnEnd - cpu.LocalTime;
        var budget = (long)((cycles + Config.Cost.Instruction - 1) / Config.Cost.Instruction);
        current = cpu;
        wakeMask = RunnableMask();
        Clock.SwitchTo(cpu.LocalTime);
        Clock.Ledger.SwitchTo(cpu.Index);
        var retired = cpu.Run(this, Math.Min(budget, instructions));
        Clock.Ledger.SwitchTo(-1);
        current = null;
        BookTurn(cpu, (ulong)retired);
        dma.RunPeerWrites();
    }

    void RunEvents(ulong due, bool idle)
    {
        if (due == ulong.MaxValue)
        {
            return;
        }

        if (idle && IdleUntil != null && due > machineTime)
        {
            IdleUntil(due);
            if (HasInput || attention || stopRequested)
            {
                // Somebody came before the event: it is served now, in the time that the host waited.
                return;
            }
        }

        Clock.SwitchTo(due);
        machineTime = Math.Max(machineTime, due);
        Clock.RunDue();
        dma.RunPeerWrites();
    }

    ulong RunnableMask()
    {
        var mask = 0ul;
        for (var i = 0; i < vcpus.Length; i++)
        {
            mask |= vcpus[i].IsRunnable ? 1ul << i : 0;
        }

        return mask;
    }

    /// <inheritdoc/>
    public void Handle(ref VmExit exit)
    {
        if (exit.By != ExitService.Direct)
        {
            Charge(exit);
            if (Clock.Trace is { } before)
            {
                ExitTrace.Exit(before, exit, RipOf(exit.Vcpu));
            }
        }

        switch (exit.Reason)
        {
            case ExitReason.IoInstruction when exit.Kind == ExitKind.Read:
                exit.Data = Read(Bus.Pio, exit.Address, exit.Size);
                break;
            case ExitReason.IoInstruction:
                Write(Bus.Pio, exit.Address, exit.Size, exit.Data);
                break;
            case ExitReason.EptMisconfiguration or ExitReason.EptViolation or ExitReason.ApicAccess:
                Access(ref exit);
                break;
            case ExitReason.Rdmsr when exit.IsApicMsr:
                exit.Refused = !apics[exit.Vcpu].TryReadMsr((uint)exit.Address, out exit.Data);
                break;
            case ExitReason.Wrmsr when exit.IsApicMsr:
                exit.Refused = !apics[exit.Vcpu].TryWriteMsr((uint)exit.Address, exit.Data);
                break;
            case ExitReason.TripleFault:
                End(new(StopCause.Crash, $"vCPU {exit.Vcpu}: {vcpus[exit.Vcpu].ShutdownCause}"));
                break;
        }

        if (Clock.Trace is { } after)
        {
            ExitTrace.Result(after, exit);
        }

        if (MachineChecks.WatchesExits)
        {
            MachineChecks.Exited(exit.Vcpu, exit.Reason);
        }

        YieldIfNeeded();
    }

    /// <summary>Ends the turn at the next instruction when something has come up that must not wait for its end.</summary>
    void YieldIfNeeded()
    {
        if (current != null && (Clock.NextDue < turnEnd || outcome != null || dma.PendingPeerWrites != 0 || (vcpus.Length > 1 && (RunnableMask() & ~wakeMask) != 0)))
        {
            current.RequestYield();
        }
    }

    unsafe ulong RipOf(int vcpu) => vcpus[vcpu].State->Rip;

    void Access(ref VmExit exit)
    {
        var write = exit.Kind == ExitKind.Write;
        if (!IsApic(exit))
        {
            if (write)
            {
                Write(Bus.Mmio, exit.Address, exit.Size, exit.Data);
            }
            else
            {
                exit.Data = Read(Bus.Mmio, exit.Address, exit.Size);
            }
        }
        else if (write)
        {
            WriteApic(exit);
        }
        else
        {
            exit.Data = ReadApic(exit);
        }
    }

    static ulong Read(AddressSpace space, ulong address, int size)
    {
        ulong value = 0;
        var data = System.Runtime.InteropServices.MemoryMarshal.AsBytes(new Span<ulong>(ref value))[..size];
        space.Read(address, data);
        return value;
    }

    static void Write(AddressSpace space, ulong address, int size, ulong value) =>
        space.Write(address, System.Runtime.InteropServices.MemoryMarshal.AsBytes(new Span<ulong>(ref value))[..size]);

    bool IsApic(in VmExit exit)
    {
        var apic = apics[exit.Vcpu];
        return apic.Mode == ApicMode.XApic && (exit.Address & ~0xFFFul) == apic.MmioBase;
    }

    ulong ReadApic(in VmExit exit)
    {
        ulong value = 0;
        var data = System.Runtime.InteropServices.MemoryMarshal.AsBytes(new Span<ulong>(ref value))[..exit.Size];
        if (apics[exit.Vcpu].Read(exit.Address & 0xFFF, data) != IoResult.Ok)
        {
            data.Fill(0xFF);
        }

        apicAccesses++;
        return value;
    }

    void WriteApic(in VmExit exit)
    {
        var value = exit.Data;
        apics[exit.Vcpu].Write(exit.Address & 0xFFF, System.Runtime.InteropServices.MemoryMarshal.AsBytes(new Span<ulong>(ref value))[..exit.Size]);
        apicAccesses++;
    }

    /// <inheritdoc/>
    public void Die(DeathCause cause, int vcpu, string detail)
    {
        dead = new(cause == DeathCause.Caterr ? StopCause.Caterr : StopCause.EntryFailure, $"vCPU {vcpu}: {detail}");
        End(dead);
    }

    void End(RunOutcome how)
    {
        outcome ??= how;
        current?.RequestYield();
    }

    /// <inheritdoc/>
    public void PowerOff() => End(new(StopCause.PowerOff, "the guest powered off"));

    /// <inheritdoc/>
    public void Reset(ResetKind kind) => End(new(StopCause.Reset, $"the guest reset the machine ({kind})"));

    /// <inheritdoc/>
    public void DebugExit(uint value) => End(new(StopCause.DebugExit, $"the guest wrote {value} to the debug exit port", value));

    /// <inheritdoc/>
    public void Dispose()
    {
        if (disposed)
        {
            return;
        }

        disposed = true;
        foreach (var cpu in vcpus)
        {
            cpu.Dispose();
        }

        foreach (var backend in backends)
        {
            backend.Dispose();
        }

        inputArrived.Dispose();
        Code.Dispose();
        Memory.Dispose();
    }
}
