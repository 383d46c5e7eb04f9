using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Firmware.BuiltIn.Runtime;

/// <summary>An NVMe controller (NVMe 1.4) driven with one admin queue pair and one I/O queue pair, polled.</summary>
internal sealed partial class NvmeDriver
{
    /// <summary>Registers.</summary>
    public const int Capabilities = 0, VersionRegister = 8, Configuration = 0x14, StatusRegister = 0x1C, QueueSizes = 0x24, AdminSubmission = 0x28, AdminCompletion = 0x30;

    /// <summary>CSTS bits.</summary>
    public const int Ready = 1, Fatal = 2;

    /// <summary>Value of a command's status when the controller did not answer.</summary>
    public const int NoAnswer = 0xFFFF;

    const int ClassCode = 0x01_08_02;
    const int Entries = 16, SubmissionSize = 64, CompletionSize = 16;

    /// <summary>EN, I/O queue entries of 64 and 16 bytes, pages of 4 KiB, NVM command set.</summary>
    const uint Enabled = 1 | 6 << 16 | 4 << 20;

    const int ReadyPatience = 5_000_000, CommandPatience = 3_000_000;
    const int Doorbells = 0x1000;

    readonly Guest g;
    readonly Variable stride, tails, heads, phases, identifier;

    /// <summary>Reserves the variables.</summary>
    public NvmeDriver(Guest guest)
    {
        g = guest;
        (Function, Base, BusOffset, stride, identifier) = (g.Data.U64(), g.Data.U64(), g.Data.U64(), g.Data.U64(), g.Data.U64());
        (tails, heads, phases) = (g.Data.Zeroed(16, 8), g.Data.Zeroed(16, 8), g.Data.Zeroed(16, 8));
        (Submissions, Completions) = (g.Data.Pages(2), g.Data.Pages(2));
        Buffer = g.Data.Pages(1);
        FirstBlock = g.Data.Pages(1);
        (Blocks, BlockSize) = (g.Data.U64(), g.Data.U64());
        Command = g.Data.Zeroed(SubmissionSize, 4, 64);
        List = g.Data.Pages(1);
        (Find, Start, Stop, Execute, Transfer) = (g.NewRoutine(), g.NewRoutine(), g.NewRoutine(), g.NewRoutine(), g.NewRoutine());
    }

    /// <summary>Its PCI function; meaningful when <see cref="Base"/> is not 0.</summary>
    public Variable Function { get; }

    /// <summary>Address of its registers, or 0 without a controller.</summary>
    public Variable Base { get; }

    /// <summary>What is added to a physical address to make the address that the controller uses.</summary>
    public Variable BusOffset { get; }

    /// <summary>Pages of the submission queues.</summary>
    public Variable Submissions { get; }

    /// <summary>Pages of the completion queues.</summary>
    public Variable Completions { get; }

    /// <summary>A page for a PRP list.</summary>
    public Variable List { get; }

    /// <summary>A page for data.</summary>
    public Variable Buffer { get; }

    /// <summary>Blocks of namespace 1, when known.</summary>
    public Variable Blocks { get; }

    /// <summary>Bytes of a block, when known.</summary>
    public Variable BlockSize { get; }

    /// <summary>A copy of block 0, when read.</summary>
    public Variable FirstBlock { get; }

    /// <summary>The command to execute.</summary>
    public Variable Command { get; }

    /// <summary>Looks for a controller and makes it a bus master.</summary>
    public Routine Find { get; }

    /// <summary>Disables the controller, sets the admin queues and enables it. RAX is 1 when it is ready.</summary>
    public Routine Start { get; }

    /// <summary>Disables it. RAX is 1 when it is not ready any more.</summary>
    public Routine Stop { get; }

    /// <summary>Executes <see cref="Command"/>: queue (0 admin, 1 I/O). RAX is its status field without the phase, or <see cref="NoAnswer"/>.</summary>
    public Routine Execute { get; }

    /// <summary>
    /// Reads or writes blocks of namespace 1 from block 0 on: opcode, offset on the disk in bytes, length in bytes, address of
    /// the buffer as the controller sees it, at the start of a page. At most 512 pages. RAX is as from <see cref="Execute"/>.
    /// </summary>
    public Routine Transfer { get; }

    /// <summary>Emits code that fills <see cref="Command"/> and executes it; its status is then in RAX.</summary>
    /// <param name="queue">0 admin, 1 I/O.</param>
    /// <param name="opcode">Opcode.</param>
    /// <param name="space">NSID.</param>
    /// <param name="data">PRP entry 1: a physical address.</param>
    /// <param name="words">CDW10 and following.</param>
    public void Run(int queue, byte opcode, uint space, uint data, params ReadOnlySpan<uint> words)
    {
        var a = g.A;
        ClearCommand();
        a.mov(Command, opcode);
        a.mov(Command[1], space);
        a.mov(eax, data);
        a.add(rax, BusOffset);
        a.mov(Command.As(8, 24), rax);
        for (var i = 0; i < words.Length; i++)
        {
            a.mov(Command[10 + i], words[i]);
        }

        g.Call(Execute, queue);
    }

    void ClearCommand()
    {
        g.A.mov(edi, Command.Address);
        g.A.xor(eax, eax);
        g.A.mov(ecx, SubmissionSize / 4);
        g.A.rep.stosd();
    }

    /// <summary>Emits code that creates the I/O queues, with interrupts by message 0 when wanted; the status is then in RAX.</summary>
    public void CreateQueues(bool interrupts)
    {
        const uint Size = (Entries - 1) << 16 | 1;
        Run(0, 5, 0, Completions.Address + Layout.PageSize, Size, interrupts ? 3u : 1u);
        g.A.push(rax);
        Run(0, 1, 0, Submissions.Address + Layout.PageSize, Size, 1 | 1 << 16);
        g.A.pop(rcx);
        g.A.or(eax, ecx);
    }

    /// <summary>Emits the routines.</summary>
    public void Emit()
    {
        g.Define(Find, EmitFind);
        g.Define(Stop, EmitStop);
        g.Define(Start, EmitStart);
        g.Define(Execute, [rbx, r12], EmitExecute);
        g.Define(Transfer, [rbx, r12, r13, r14], EmitTransfer);
    }

    void EmitFind()
    {
        var a = g.A;
        g.Call(g.Pci.FindClass, ClassCode);
        a.test(rax, rax);
        g.If(When.NotNegative, () =>
        {
            a.mov(Function, rax);
            g.Call(g.Pci.Enable, Function);
            g.Call(g.Pci.Bar, Function, 0);
            a.mov(Base, rax);
            g.Call(g.Pages.MapDevice, rax);
            a.mov(rax, Base);
            a.mov(ecx, __dword_ptr[rax + Capabilities + 4]);
            a.and(ecx, 0xF);
            a.mov(eax, 4);
            a.shl(eax, cl);
            a.mov(stride, rax);
        });
    }

    void AwaitReady(bool wanted)
    {
        var a = g.A;
        g.WaitUntil(ReadyPatience, wanted ? When.NotEqual : When.Equal, () =>
        {
            for (var i = 0; i < 8; i++)
            {
                a.pause();
            }

            g.Tally.Count(Tallied.Access);
            a.mov(rax, Base);
            a.test(__dword_ptr[rax + StatusRegister], Ready);
        });
        a.mov(eax, 0);
        g.If(When.NotEqual, () => a.inc(eax));
    }

    void EmitStop()
    {
        g.A.mov(rax, Base);
        g.A.mov(__dword_ptr[rax + Configuration], 0);
        g.Tally.Count(Tallied.Access);
        AwaitReady(false);
    }

    void EmitStart()
    {
        var a = g.A;
        a.call(Stop.Label);
        a.test(eax, eax);
        g.If(When.Equal, g.Return);
        a.mov(edi, Submissions.Address);
        a.xor(eax, eax);
        a.mov(ecx, Layout.PageSize * 4 / 8);
        a.rep.stosq();
        for (var i = 0; i < 2; i++)
        {
            a.mov(tails[i], 0);
            a.mov(heads[i], 0);
            a.mov(phases[i], 1);
        }

        a.mov(rcx, Base);
        a.mov(__dword_ptr[rcx + QueueSizes], (Entries - 1) << 16 | (Entries - 1));
        a.mov(eax, Submissions.Address);
        a.add(rax, BusOffset);
        a.mov(__qword_ptr[rcx + AdminSubmission], rax);
        a.mov(eax, Completions.Address);
        a.add(rax, BusOffset);
        a.mov(__qword_ptr[rcx + AdminCompletion], rax);
        a.mov(__dword_ptr[rcx + Configuration], Enabled);
        g.Tally.Count(Tallied.Access, 4);
        AwaitReady(true);
    }

    void EmitExecute()
    {
        var a = g.A;
        a.mov(rbx, rdi);
        Submit();
        // R12: the completion queue entry that is next.
        a.mov(r12, rbx);
        a.shl(r12, 12);
        a.mov(rax, heads.At(rbx));
        a.shl(rax, 4);
        a.lea(r12, __[r12 + rax + Completions.Address]);
        g.WaitUntil(CommandPatience, When.Equal, () =>
        {
            for (var i = 0; i < 8; i++)
            {
                a.pause();
            }

            a.movzx(eax, __word_ptr[r12 + 14]);
            a.and(eax, 1);
            a.cmp(rax, phases.At(rbx));
        });
        g.If(When.Equal, () =>
        {
            a.mov(eax, NoAnswer);
            g.Return();
        });
        Complete();
        a.movzx(eax, __word_ptr[r12 + 14]);
        a.shr(eax, 1);
    }

    /// <summary>Copies the command to the tail of queue RBX and rings its doorbell.</summary>
    void Submit()
    {
        var a = g.A;
        a.inc(identifier);
        a.mov(eax, identifier.As(4));
        a.mov(Command.As(2, 2), ax);
        a.mov(rdi, rbx);
        a.shl(rdi, 12);
        a.mov(rax, tails.At(rbx));
        a.mov(rcx, rax);
        a.shl(rcx, 6);
        a.lea(rdi, __[rdi + rcx + Submissions.Address]);
        a.mov(esi, Command.Address);
        a.mov(ecx, SubmissionSize / 8);
        a.rep.movsq();
        a.inc(eax);
        a.and(eax, Entries - 1);
        a.mov(tails.At(rbx), rax);
        a.lea(ecx, __[rbx + rbx]);
        RingDoorbell();
    }

    /// <summary>Takes the entry off the completion queue RBX.</summary>
    void Complete()
    {
        var a = g.A;
        a.mov(rax, heads.At(rbx));
        a.inc(eax);
        a.and(eax, Entries - 1);
        g.If(When.Equal, () => a.xor(__qword_ptr[rbx * 8 + phases.Address], 1));
        a.mov(heads.At(rbx), rax);
        a.lea(ecx, __[rbx + rbx + 1]);
        RingDoorbell();
    }

    /// <summary>Writes EAX to doorbell ECX.</summary>
    void RingDoorbell()
    {
        var a = g.A;
        a.imul(rcx, stride);
        a.add(rcx, g.Nvme.Base);
        a.mov(__dword_ptr[rcx + Doorbells], eax);
        g.Tally.Count(Tallied.Access);
    }
}
