using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Vmm.Cpu.Interpreter;
using Vmm.Cpu.Memory;
using Vmm.Cpu.State;
using Vmm.Cpu.Vmx;
using Vmm.Platform.Interrupts;
using Vmm.Platform.Memory;
using Vmm.Platform.Time;
using Vmm.Specs.X86;

namespace Vmm.Cpu.Vcpus;

/// <summary>What a vCPU is doing between instructions.</summary>
public enum Activity
{
    /// <summary>Executing.</summary>
    Active,

    /// <summary>HLT: waits for an interrupt.</summary>
    Halted,

    /// <summary>After INIT: waits for a start-up IPI.</summary>
    WaitForStartUp,

    /// <summary>Triple fault.</summary>
    Shutdown,
}

/// <summary>
/// One virtual processor: the interpreter engine, its architectural state and its wires. Owned by one machine thread.
/// </summary>
public sealed unsafe partial class Vcpu : IVcpuEngine, IVcpuWires, IDisposable
{
    readonly CpuState* s;
    readonly TlbEntry* tlb;
    readonly FetchEntry* fetch;
    readonly GCHandle self;
    readonly GuestMemory memory;
    readonly CodeCache code;
    readonly VirtualClock clock;
    readonly CpuModel model;
    readonly ulong price;
    IExitHandler? exits;
    Op* current;
    long budgetStart;
    long syncedAt;
    bool running;
    bool stopRequested;
    bool yieldRequested;
    bool nmiPending;
    bool initPending;
    byte startUpVector;
    bool startUpPending;
    bool inShadow;

    /// <summary>Creates a vCPU in its reset state.</summary>
    /// <param name="index">Number in the machine; also the initial APIC id.</param>
    /// <param name="model">CPUID contents and frequencies.</param>
    /// <param name="memory">Guest RAM.</param>
    /// <param name="code">Decoded code of the machine, shared by its vCPUs.</param>
    /// <param name="clock">Virtual time.</param>
    /// <param name="vmx">How the hypervisor runs it; the default when null.</param>
    public Vcpu(int index, CpuModel model, GuestMemory memory, CodeCache code, VirtualClock clock, VmxOptions? vmx = null)
    {
        Index = index;
        this.model = model;
        this.memory = memory;
        this.code = code;
        this.clock = clock;
        price = clock.Ledger.Cost.Instruction;
        // Safe: all blocks are owned by this object, zeroed, and freed in Dispose.
        s = (CpuState*)NativeMemory.AlignedAlloc((nuint)sizeof(CpuState), 64);
        NativeMemory.Clear(s, (nuint)sizeof(CpuState));
        var tlbBytes = (nuint)(CpuState.TlbViews * CpuState.TlbEntries * sizeof(TlbEntry));
        tlb = (TlbEntry*)NativeMemory.AlignedAlloc(tlbBytes, 64);
        NativeMemory.Clear(tlb, tlbBytes);
        var fetchBytes = (nuint)(CpuState.FetchEntries * sizeof(FetchEntry));
        fetch = (FetchEntry*)NativeMemory.AlignedAlloc(fetchBytes, 64);
        NativeMemory.Clear(fetch, fetchBytes);
        var jumpBytes = (nuint)(CpuState.JumpEntries * sizeof(JumpEntry));
        s->Jumps = (JumpEntry*)NativeMemory.AlignedAlloc(jumpBytes, 64);
        NativeMemory.Clear(s->Jumps, jumpBytes);
        self = GCHandle.Alloc(this, GCHandleType.Weak);
        s->Owner = GCHandle.ToIntPtr(self);
        s->Tlb = tlb;
        s->TlbGen = 1;
        Mca = model.MachineCheck is { } options ? new(options) : null;
        code.Attach(this);
        Vmx = new(this, clock, vmx ?? new());
        Reset();
    }

    /// <summary>Number in the machine.</summary>
    public int Index { get; }

    /// <summary>VMX non-root operation: the VMCS that it runs under, and the processor below.</summary>
    public NonRoot Vmx { get; }

    /// <summary>Takes what happens outside runs; a run sets it too.</summary>
    public IExitHandler? Handler
    {
        get => exits;
        set => exits = value;
    }

    /// <summary>Local APIC; set once by the machine builder.</summary>
    public ILocalApic? Apic { get; set; }

    /// <summary>What the vCPU is doing.</summary>
    public Activity Activity { get; private set; }

    /// <summary>Instructions retired since the machine was built.</summary>
    public ulong Instructions { get; private set; }

    /// <summary>The same in the middle of a turn, up to the instruction that made the latest exit.</summary>
    public ulong InstructionsNow => Instructions + (running ? (ulong)(syncedAt - s->Extra) : 0);

    /// <summary>What the last run used beyond its instructions (REP), in units of an instruction's cost.</summary>
    public ulong StallUnits => (ulong)s->Stalled;

    /// <summary>Virtual time of this vCPU in cycles, kept by the scheduler.</summary>
    public ulong LocalTime { get; set; }

    /// <summary>Architectural state. Valid while the vCPU lives.</summary>
    public CpuState* State => s;

    internal TlbEntry* TlbBase => tlb;

    internal CpuModel Model => model;

    internal GuestMemory Ram => memory;

    /// <summary>Why the last shutdown happened, or null.</summary>
    public string? ShutdownCause { get; private set; }

    /// <summary>True when the vCPU would execute if it were run now.</summary>
    public bool IsRunnable => Activity == Activity.Active || HasWakeEvent;

    bool HasWakeEvent => Activity switch
    {
        Activity.Halted => nmiPending || initPending || IsMachineCheckWaiting || Vmx.Wakes || (s->Pending & PendingIntr) != 0 && (s->FlagRest & Cr.IF) != 0,
        Activity.WaitForStartUp => startUpPending || initPending || IsMachineCheckWaiting || Vmx.Wakes,
        _ => initPending,
    };

    const int PendingIntr = 1, PendingOther = 2;

    /// <inheritdoc/>
    public void SetIntr(bool asserted)
    {
        var idle = !IsRunnable;
        var rises = asserted && (s->Pending & PendingIntr) == 0;
        s->Pending = asserted ? s->Pending | PendingIntr : s->Pending & ~PendingIntr;
        if (rises)
        {
            Vmx.Kick();
        }

        if (asserted)
        {
            RequestCheck();
            NoteWake(idle);
        }
    }

    /// <summary>A vCPU that slept continues at the time of the event that woke it.</summary>
    void NoteWake(bool idle)
    {
        if (idle && !running && IsRunnable && LocalTime < clock.Now)
        {
            LocalTime = clock.Now;
        }
    }

    /// <inheritdoc/>
    public void Nmi()
    {
        var idle = !IsRunnable;
        nmiPending = true;
        s->Pending |= PendingOther;
        Vmx.Kick();
        RequestCheck();
        NoteWake(idle);
    }

    /// <inheritdoc/>
    public void Init()
    {
        var idle = !IsRunnable;
        initPending = true;
        s->Pending |= PendingOther;
        Vmx.Kick();
        RequestCheck();
        NoteWake(idle);
    }

    /// <inheritdoc/>
    public void StartUp(byte vector)
    {
        if (Activity == Activity.WaitForStartUp || initPending)
        {
            var idle = !IsRunnable;
            startUpPending = true;
            startUpVector = vector;
            NoteWake(idle);
        }
    }

    /// <summary>Asks the running engine to look at its events before the next instruction.</summary>
    public void RequestCheck()
    {
        if (running && !stopRequested)
        {
            stopRequested = true;
            s->Deferred += s->Budget;
            s->Budget = 0;
        }
    }

    /// <summary>Asks the running engine to return to the machine before the next instruction.</summary>
    public void RequestYield()
    {
        if (running)
        {
            yieldRequested = true;
            RequestCheck();
        }
    }

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

            if (yieldRequested || s->Budget <= 0 || !ServiceEvents())
            {
                break;
            }

            if (inShadow)
            {
                inShadow = false;
                RunOne();
            }
            else if (Vmx.IsStepping)
            {
                StepForMonitor();
                continue;
            }
            else if (s->DebugActive != 0 || (s->FlagRest & (Cr.TF | Cr.RF)) != 0)
            {
                StepWithDebug();
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

    /// <summary>Delivers what is pending. False when the vCPU cannot execute now.</summary>
    bool ServiceEvents()
    {
        if (s->Pending == 0 && Activity == Activity.Active && s->Shadow == 0)
        {
            return true;
        }

        Vmx.Service(s->Shadow != 0);

        // Machine checks come before everything else, INIT included (SDM 3A table 6-2).
        if (IsMachineCheckWaiting && Activity != Activity.Shutdown && !TryTakeMachineCheck())
        {
            return false;
        }

        if (initPending)
        {
            initPending = false;
            nmiPending = false;
            UpdateOther();
            InitReset();
            Activity = Activity.WaitForStartUp;
        }

        if (Activity == Activity.WaitForStartUp)
        {
            if (!startUpPending)
            {
                return false;
            }

            startUpPending = false;
            LoadRealModeSegment(Seg.CS, (ushort)(startUpVector << 8));
            s->Rip = 0;
            Activity = Activity.Active;
            UpdateMode();
        }

        if (Activity == Activity.Shutdown)
        {
            return false;
        }

        var shadow = s->Shadow;
        s->Shadow = 0;
        var intr = (s->Pending & PendingIntr) != 0 && (s->FlagRest & Cr.IF) != 0;
        var nmi = nmiPending && s->NmiBlocked == 0;
        if (shadow != 0 && (intr || nmi || (s->Pending & NonRoot.PendingBit) != 0) && Activity == Activity.Active)
        {
            inShadow = true;
            return true;
        }

        if (nmi)
        {
            nmiPending = false;
            UpdateOther();
            TakeNmi();
        }
        else if (intr)
        {
            Activity = Activity.Active;
            NoteInjection();
            DeliverInterrupt(Apic!.Acknowledge());
        }

        if (Activity == Activity.Active)
        {
            Vmx.Resume();
        }

        if (((s->Pending & PendingIntr) != 0 || nmiPending) && Activity == Activity.Active)
        {
            Vmx.AwaitWindow((s->Pending & PendingIntr) != 0, nmiPending);
        }

        return Activity == Activity.Active;
    }

    void TakeNmi()
    {
        Activity = Activity.Active;
        s->NmiBlocked = 1;
        NoteInjection();
        DeliverInterrupt(Vector.NMI);
    }

    void NoteInjection()
    {
        SyncClock(null);
        var before = clock.Now;
        Vmx.NoteInjection();
        GiveUp(clock.Now - before);
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

    void UpdateOther() => s->Pending = nmiPending || initPending || IsMachineCheckWaiting ? s->Pending | PendingOther : s->Pending & ~PendingOther;

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

    void Shutdown(string cause)
    {
        Activity = Activity.Shutdown;
        ShutdownCause = cause;
        var exit = new VmExit { Reason = ExitReason.TripleFault, Vcpu = Index };
        CallOut(null, ref exit);
        yieldRequested = true;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (s->Jumps != null)
        {
            NativeMemory.AlignedFree(s->Jumps);
            s->Jumps = null;
            NativeMemory.AlignedFree(tlb);
            NativeMemory.AlignedFree(fetch);
            self.Free();
            NativeMemory.AlignedFree(s);
        }
    }
}
