using Iced.Intel;
using Vmm.Differential.Cases;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Differential.Native;

/// <summary>
/// The helper: maps the shared file, then for each byte on standard input runs a batch and answers with a byte.
/// Exceptions of a case come back as signals on an alternate stack; the handler never returns to the case.
/// </summary>
internal sealed class HelperProgram
{
    const ulong Data = 0x0060_0000, DataBytes = 0x4_0000;
    const int Entry = (int)Data, SavedStack = (int)Data + 8, Pipe = (int)Data + 16, Action = (int)Data + 64, AltStack = (int)Data + 128;
    const int StackTop = (int)Data + 0x1_0000, AltBase = (int)Data + 0x1_0000, AltBytes = 0x3_0000;
    const int Count = (int)SharedLayout.Base + SharedLayout.CountAt, Input = (int)SharedLayout.Base + SharedLayout.InputAt,
        Output = (int)SharedLayout.Base + SharedLayout.OutputAt;
    const int ReadWrite = 3, ReadOnly = 1, ReadWriteExecute = 7, SharedFixedPopulated = 0x8011;

    static readonly AssemblerRegister64[] General = [rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15];

    /// <summary>Offset of each general register in the kernel's signal frame (ucontext), in our order.</summary>
    static readonly int[] FrameOffset = [144, 152, 136, 128, 160, 120, 112, 104, 40, 48, 56, 64, 72, 80, 88, 96];

    readonly Assembler asm = new(64);
    Label start, wait, next, collect, collectMemory, fault, fail;

    /// <summary>The executable.</summary>
    public static byte[] Build() => new HelperProgram().Emit();

    byte[] Emit()
    {
        start = asm.CreateLabel();
        wait = asm.CreateLabel();
        next = asm.CreateLabel();
        collect = asm.CreateLabel();
        collectMemory = asm.CreateLabel();
        fault = asm.CreateLabel();
        fail = asm.CreateLabel();

        // Must stay first: this is Sandbox.Exit.
        asm.jmp(collect);
        Start();
        Wait();
        Next();
        Collect();
        Fault();
        CollectMemory();

        var code = new MemoryStream();
        var result = asm.Assemble(new StreamCodeWriter(code), ElfImage.Base + ElfImage.CodeOffset, BlockEncoderOptions.ReturnNewInstructionOffsets);
        return ElfImage.Build(code.ToArray(), result.GetLabelRIP(start), Data, DataBytes);
    }

    void Syscall(int number)
    {
        asm.mov(eax, number);
        asm.syscall();
    }

    void Start()
    {
        asm.Label(ref start);
        asm.mov(rdi, __qword_ptr[rsp + 16]);
        asm.mov(rsp, StackTop);
        asm.mov(esi, 2);
        asm.xor(edx, edx);
        Syscall(2);
        asm.test(eax, eax);
        asm.js(fail);
        asm.mov(r12d, eax);
        Map(SharedLayout.Base, SharedLayout.Bytes, ReadWrite, 0);
        Map(Sandbox.CodeBase, SharedLayout.CodeBytes, ReadWriteExecute, SharedLayout.CodeAt);
        for (var i = 0; i < Sandbox.BackedPages.Length; i++)
        {
            var page = Sandbox.BackedPages[i];
            var protection = page * Sandbox.PageBytes == Sandbox.ReadOnly ? ReadOnly : ReadWrite;
            Map(Sandbox.Low + (ulong)(page * Sandbox.PageBytes), Sandbox.PageBytes, protection, SharedLayout.PagesAt + i * Sandbox.PageBytes);
            Map(Sandbox.High + (ulong)(page * Sandbox.PageBytes), Sandbox.PageBytes, protection, SharedLayout.PagesAt + i * Sandbox.PageBytes);
        }

        CatchSignals();
        SegmentBase(0x1002, Sandbox.FsBase);
        SegmentBase(0x1001, Sandbox.GsBase);
        // From here on only read, write and exit: a case that strays cannot harm the host.
        asm.mov(edi, 22);
        asm.mov(esi, 1);
        Syscall(157);
    }

    void Map(ulong address, int bytes, int protection, int offset)
    {
        asm.mov(rdi, address);
        asm.mov(esi, bytes);
        asm.mov(edx, protection);
        asm.mov(r10d, SharedFixedPopulated);
        asm.mov(r8d, r12d);
        asm.mov(r9d, offset);
        Syscall(9);
        asm.cmp(rax, rdi);
        asm.jne(fail);
    }

    void CatchSignals()
    {
        const int SigInfo = 4, OnStack = 0x0800_0000, Restorer = 0x0400_0000, NoDefer = 0x4000_0000;
        asm.mov(__qword_ptr[AltStack], AltBase);
        asm.mov(__qword_ptr[AltStack + 8], 0);
        asm.mov(__qword_ptr[AltStack + 16], AltBytes);
        asm.mov(edi, AltStack);
        asm.xor(esi, esi);
        Syscall(131);
        asm.test(eax, eax);
        asm.js(fail);
        asm.lea(rax, __[fault]);
        asm.mov(__qword_ptr[Action], rax);
        asm.mov(__qword_ptr[Action + 8], SigInfo | OnStack | Restorer | NoDefer);
        // The handler never returns, so the restorer is never called; the kernel only insists that there is one.
        asm.mov(__qword_ptr[Action + 16], rax);
        asm.mov(__qword_ptr[Action + 24], 0);
        foreach (var signal in (ReadOnlySpan<int>)[4, 5, 7, 8, 11])
        {
            asm.mov(edi, signal);
            asm.mov(esi, Action);
            asm.xor(edx, edx);
            asm.mov(r10d, 8);
            Syscall(13);
            asm.test(eax, eax);
            asm.js(fail);
        }
    }

    void SegmentBase(int code, ulong value)
    {
        asm.mov(edi, code);
        asm.mov(esi, (int)value);
        Syscall(158);
    }

    void Wait()
    {
        Answer();
        asm.Label(ref wait);
        asm.xor(edi, edi);
        asm.mov(esi, Pipe);
        asm.mov(edx, 1);
        Syscall(0);
        asm.cmp(eax, 1);
        asm.jne(fail);
        TouchReadOnlyPages();
        asm.mov(__qword_ptr[Input], (int)SharedLayout.Base + SharedLayout.StatesAt);
        asm.mov(__qword_ptr[Output], (int)SharedLayout.Base + SharedLayout.ResultsAt);
        asm.jmp(next);
        asm.Label(ref fail);
        asm.mov(edi, 1);
        Syscall(60);
    }

    /// <summary>Present pages make the error code of a refused write certain.</summary>
    void TouchReadOnlyPages()
    {
        foreach (var sandbox in (ReadOnlySpan<ulong>)[Sandbox.Low, Sandbox.High])
        {
            asm.mov(rax, sandbox + Sandbox.ReadOnly);
            asm.mov(cl, __byte_ptr[rax]);
        }
    }

    void Answer()
    {
        asm.mov(edi, 1);
        asm.mov(esi, Pipe);
        asm.mov(edx, 1);
        Syscall(1);
    }

    void Next()
    {
        var more = asm.CreateLabel();
        var noEdges = asm.CreateLabel();
        asm.Label(ref next);
        asm.mov(rbx, __qword_ptr[Input]);
        asm.cmp(__dword_ptr[Count], 0);
        asm.jne(more);
        Answer();
        asm.jmp(wait);
        asm.Label(ref more);
        asm.dec(__dword_ptr[Count]);
        asm.lea(rsi, __[rbx + CaseState.MemoryAt]);
        asm.mov(edi, (int)Sandbox.Low + Sandbox.Window);
        asm.mov(ecx, Sandbox.WindowBytes / 8);
        asm.rep.movsq();
        asm.cmp(__qword_ptr[rbx + CaseState.EdgesAt], 0);
        asm.je(noEdges);
        foreach (var piece in Sandbox.EdgePieces)
        {
            asm.mov(edi, (int)Sandbox.Low + piece);
            asm.mov(ecx, Sandbox.EdgeBytes / 8);
            asm.rep.movsq();
        }

        asm.Label(ref noEdges);
        asm.mov(rax, __qword_ptr[rbx + CaseState.RipAt]);
        asm.mov(__qword_ptr[Entry], rax);
        asm.fxrstor64(__[rbx + CaseState.FxAt]);
        asm.lea(rsp, __[rbx + CaseState.FlagsAt]);
        asm.popfq();
        asm.lea(rsp, __[rsp - CaseState.RipAt]);
        for (var i = 0; i < 16; i++)
        {
            if (i != 4)
            {
                asm.mov(General[i], __qword_ptr[rsp + i * 8]);
            }
        }

        asm.mov(rsp, __qword_ptr[rsp + 32]);
        asm.jmp(__qword_ptr[Entry]);
    }

    void Collect()
    {
        asm.Label(ref collect);
        asm.mov(__qword_ptr[SavedStack], rsp);
        asm.mov(rsp, __qword_ptr[Output]);
        for (var i = 0; i < 16; i++)
        {
            if (i != 4)
            {
                asm.mov(__qword_ptr[rsp + i * 8], General[i]);
            }
        }

        asm.mov(rax, __qword_ptr[SavedStack]);
        asm.mov(__qword_ptr[rsp + 32], rax);
        asm.lea(rsp, __[rsp + CaseState.RipAt]);
        asm.pushfq();
        asm.lea(rbx, __[rsp - CaseState.FlagsAt]);
        asm.mov(rsp, StackTop);
        asm.push(2);
        asm.popfq();
        asm.mov(__qword_ptr[rbx + CaseState.RipAt], (int)Sandbox.Exit);
        asm.mov(__qword_ptr[rbx + CaseState.TrapAt], (int)CaseState.NoTrap);
        asm.fxsave64(__[rbx + CaseState.FxAt]);
        asm.jmp(collectMemory);
    }

    void Fault()
    {
        asm.Label(ref fault);
        asm.push(2);
        asm.popfq();
        asm.mov(rbx, __qword_ptr[Output]);
        asm.mov(__[rbx + CaseState.SignalAt], rdi);
        asm.mov(rax, __qword_ptr[rsi + 16]);
        asm.mov(__[rbx + CaseState.SignalAddressAt], rax);
        for (var i = 0; i < 16; i++)
        {
            CopyWord(FrameOffset[i], i * 8);
        }

        CopyWord(168, CaseState.RipAt);
        CopyWord(176, CaseState.FlagsAt);
        CopyWord(192, CaseState.ErrorAt);
        CopyWord(200, CaseState.TrapAt);
        CopyWord(216, CaseState.Cr2At);
        asm.mov(rsi, __qword_ptr[rdx + 224]);
        asm.lea(rdi, __[rbx + CaseState.FxAt]);
        asm.mov(ecx, CaseState.FxBytes / 8);
        asm.rep.movsq();
        asm.mov(rsp, StackTop);
    }

    void CopyWord(int from, int to)
    {
        asm.mov(rax, __qword_ptr[rdx + from]);
        asm.mov(__[rbx + to], rax);
    }

    void CollectMemory()
    {
        var noEdges = asm.CreateLabel();
        asm.Label(ref collectMemory);
        asm.mov(rdx, __qword_ptr[Input]);
        asm.mov(esi, (int)Sandbox.Low + Sandbox.Window);
        asm.lea(rdi, __[rbx + CaseState.MemoryAt]);
        asm.mov(ecx, Sandbox.WindowBytes / 8);
        asm.rep.movsq();
        asm.mov(rax, __qword_ptr[rdx + CaseState.EdgesAt]);
        asm.mov(__[rbx + CaseState.EdgesAt], rax);
        asm.test(rax, rax);
        asm.je(noEdges);
        foreach (var piece in Sandbox.EdgePieces)
        {
            asm.mov(esi, (int)Sandbox.Low + piece);
            asm.mov(ecx, Sandbox.EdgeBytes / 8);
            asm.rep.movsq();
        }

        asm.Label(ref noEdges);
        asm.add(rdx, CaseState.Bytes);
        asm.mov(__qword_ptr[Input], rdx);
        asm.add(rbx, CaseState.Bytes);
        asm.mov(__qword_ptr[Output], rbx);
        asm.jmp(next);
    }
}
