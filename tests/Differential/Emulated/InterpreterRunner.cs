using Vmm.Cpu.State;
using Vmm.Cpu.Vcpus;
using Vmm.Differential.Cases;
using Vmm.Platform.Memory;
using Vmm.Platform.Time;

namespace Vmm.Differential.Emulated;

/// <summary>Runs cases on the software processor, as user-mode code under a small emulated operating system.</summary>
internal sealed unsafe class InterpreterRunner : ICaseRunner, IExitHandler
{
    const long InstructionLimit = 10_000;

    /// <summary>Reported when a case neither ends nor reaches an exception handler.</summary>
    const ulong Lost = 0xDEAD;

    readonly GuestMemory memory = new(GuestLayout.RamBytes);
    readonly Vcpu vcpu;
    readonly CpuState* state;
    readonly CaseBatch outcome = new();
    readonly byte* pages;
    readonly ulong root;
    bool stopped;

    readonly bool cold;
    CaseBatch running = null!;

    /// <param name="cold">Decoded code is thrown away before each case.</param>
    public InterpreterRunner(bool cold = false)
    {
        this.cold = cold;
        root = GuestImage.Write(memory);
        vcpu = new Vcpu(0, new CpuModel(), memory, new Vmm.Cpu.Interpreter.CodeCache(memory), new VirtualClock());
        state = vcpu.State;
        pages = memory.Pointer(GuestLayout.SandboxPages);
        EnterLongMode();
    }

    public string Name => "interpreter";

    public CaseState* Results => outcome.States;

    public ReadOnlySpan<byte> SandboxPages => Pages;

    Span<byte> Pages => new(pages, 4 * Sandbox.PageBytes);

    void EnterLongMode()
    {
        state->Cr3 = root;
        state->Cr4 = Cr.Cr4PAE | Cr.Cr4OSFXSR | Cr.Cr4OSXMMEXCPT;
        state->Cr0 = Cr.Cr0PE | Cr.Cr0MP | Cr.Cr0ET | Cr.Cr0NE | Cr.Cr0WP | Cr.Cr0AM | Cr.Cr0PG;
        state->Efer = Cr.EferSCE | Cr.EferLME | Cr.EferLMA | Cr.EferNXE;
        state->GdtBase = GuestLayout.Kernel + GuestLayout.Gdt;
        state->GdtLimit = 0x7F;
        state->IdtBase = GuestLayout.Kernel + GuestLayout.Idt;
        state->IdtLimit = 0xFFF;
        state->Tr = new() { Base = GuestLayout.Kernel + GuestLayout.Tss, Limit = 0x67, Access = 0x8B, Selector = GuestLayout.TaskState };
        state->Ldtr = state->Ds = state->Es = new() { Access = 0x1_0000 };
        state->Fs = new() { Base = Sandbox.FsBase, Access = 0x1_0000 };
        state->Gs = new() { Base = Sandbox.GsBase, Access = 0x1_0000 };
        EnterUserMode();
        vcpu.FlushTlb();
    }

    void EnterUserMode()
    {
        state->Cs = new() { Limit = uint.MaxValue, Access = 0xA0FB, Selector = Sandbox.UserCode };
        state->Ss = new() { Limit = uint.MaxValue, Access = 0xC0F3, Selector = Sandbox.UserData };
        state->Cpl = 3;
        state->FlagRest = 0;
        vcpu.UpdateMode();
    }

    public void Start(CaseBatch batch) => running = batch;

    public void Finish()
    {
        var batch = running;
        SandboxContents.Fill(Pages);
        memory.TryWrite(new Gpa(GuestLayout.Code), new ReadOnlySpan<byte>(batch.Code, batch.SlotCount * Sandbox.SlotBytes));
        for (var i = 0; i < batch.Count; i++)
        {
            if (cold)
            {
                memory.NoteWrite(new Gpa(GuestLayout.Code + (ulong)(batch.SlotOf[i] * Sandbox.SlotBytes)), Sandbox.SlotBytes);
            }

            RunCase(batch.States + i, Results + i);
        }
    }

    void RunCase(CaseState* from, CaseState* to)
    {
        FxExchange.Load(state, from->Fx);
        Buffer.MemoryCopy(from->Gpr, state->Gpr, 128, 128);
        Flags.Write(state, from->Flags);
        if ((from->Flags & Cr.AC) != 0)
        {
            vcpu.UpdateMode();
        }

        state->Rip = from->Rip;
        CopyMemory(from, true);
        stopped = false;
        vcpu.Run(this, InstructionLimit);
        to->Edges = from->Edges;
        CopyMemory(to, false);
        Collect(to);
    }

    void Collect(CaseState* to)
    {
        Buffer.MemoryCopy(state->Gpr, to->Gpr, 128, 128);
        FxExchange.Save(state, to->Fx);
        to->Flags = Flags.Read(state);
        to->Rip = Sandbox.Exit;
        to->Trap = CaseState.NoTrap;
        to->Error = to->Cr2 = 0;
        if (!stopped)
        {
            to->Trap = Lost;
            to->Rip = state->Rip;
            vcpu.Reset();
            EnterLongMode();
        }
        else if (state->Cpl == 0)
        {
            CollectException(to);
        }

        if (state->Cpl == 0 || (state->FlagRest & Cr.AC) != 0)
        {
            EnterUserMode();
        }
    }

    void CollectException(CaseState* to)
    {
        var vector = (int)((state->Rip - GuestLayout.Kernel - GuestLayout.Handlers) / GuestLayout.HandlerBytes);
        var frame = (ulong*)memory.Pointer(state->Gpr[4] - GuestLayout.Kernel);
        to->Trap = (ulong)vector;
        if (GuestLayout.PushesError(vector) && state->Gpr[4] == GuestLayout.Kernel + GuestLayout.StackTop - 48)
        {
            to->Error = *frame++;
        }

        to->Rip = frame[0];
        to->Flags = frame[2];
        to->Gpr[4] = frame[3];
        to->Cr2 = state->Cr2;
    }

    /// <summary>Copies window and edge pieces between a case and the sandbox pages.</summary>
    void CopyMemory(CaseState* of, bool toGuest)
    {
        Copy(of->Memory, pages + Sandbox.Window - Sandbox.PageBytes, Sandbox.WindowBytes, toGuest);
        if (of->Edges == 0)
        {
            return;
        }

        // Backing pages are sandbox pages 1, 2, 3 and 5.
        Copy(of->Edge, pages + Sandbox.EdgePieces[0] - Sandbox.PageBytes, Sandbox.EdgeBytes, toGuest);
        Copy(of->Edge + Sandbox.EdgeBytes, pages + Sandbox.EdgePieces[1] - 2 * Sandbox.PageBytes, Sandbox.EdgeBytes, toGuest);
        Copy(of->Edge + 2 * Sandbox.EdgeBytes, pages + Sandbox.EdgePieces[2] - 2 * Sandbox.PageBytes, Sandbox.EdgeBytes, toGuest);
    }

    static void Copy(byte* ofCase, byte* ofGuest, int bytes, bool toGuest)
    {
        if (toGuest)
        {
            Buffer.MemoryCopy(ofCase, ofGuest, bytes, bytes);
        }
        else
        {
            Buffer.MemoryCopy(ofGuest, ofCase, bytes, bytes);
        }
    }

    /// <inheritdoc/>
    public void Handle(ref VmExit exit)
    {
        // Exceptions that the modelled hypervisor intercepts are exits too, and go on to the guest's handler.
        stopped |= exit.IsMemory && exit.Kind == Vmm.Specs.X86.ExitKind.Write && exit.Address == GuestLayout.StopDevice;
        if (stopped)
        {
            vcpu.RequestYield();
        }
    }

    public void Dispose()
    {
        vcpu.Dispose();
        memory.Dispose();
        outcome.Dispose();
    }
}
