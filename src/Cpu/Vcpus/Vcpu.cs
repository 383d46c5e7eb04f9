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
    bool disposed;

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
        if (!disposed)
        {
            disposed = true;
            NativeMemory.AlignedFree(s->Jumps);
            NativeMemory.AlignedFree(tlb);
            NativeMemory.AlignedFree(fetch);
            self.Free();
            NativeMemory.AlignedFree(s);
        }
    }
}
