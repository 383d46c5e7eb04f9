using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Firmware.BuiltIn.Runtime;

/// <summary>The application processors: they start at a page below 1 MiB, wait halted, and do what they are told.</summary>
internal sealed class Processors
{
    /// <summary>The vector that wakes them.</summary>
    public const byte WakeVector = 0x60;

    const int TrampolineSize = 128;
    const uint Efer = 0xC000_0080;
    const int JobPatience = 200_000;

    readonly Guest g;
    readonly Variable next, jobNumber, job, done, trampoline;
    readonly Routine entry;

    /// <summary>Reserves the variables.</summary>
    public Processors(Guest guest)
    {
        g = guest;
        (next, jobNumber, done, Online) = (g.Data.U32(), g.Data.U32(), g.Data.U32(), g.Data.U64());
        job = g.Data.U64();
        trampoline = g.Data.Initial(new byte[TrampolineSize], 8, 16);
        (Ids, Times) = (g.Data.Zeroed(Descriptors.MostProcessors * 4, 4), g.Data.Zeroed(Descriptors.MostProcessors * 8, 8));
        (Install, RunOnOthers, entry) = (g.NewRoutine(), g.NewRoutine(), g.NewRoutine());
    }

    /// <summary>Application processors that came up.</summary>
    public Variable Online { get; }

    /// <summary>Their APIC IDs, by the order in which they came up; the first processor has number 0.</summary>
    public Variable Ids { get; }

    /// <summary>TSC of each when it came up.</summary>
    public Variable Times { get; }

    /// <summary>Copies the start code to its page.</summary>
    public Routine Install { get; }

    /// <summary>Has all others call a routine with their number in RDI: its address. RAX: 1 when all are done.</summary>
    public Routine RunOnOthers { get; }

    /// <summary>Completes the start code when the address of the 64-bit code is known.</summary>
    public void Resolve(AssemblerResult code) => g.Data.Fill(trampoline, StartCode((uint)code.GetLabelRIP(entry.Label)));

    /// <summary>Emits the routines.</summary>
    public void Emit()
    {
        var a = g.A;
        g.Define(Install, () =>
        {
            a.mov(esi, trampoline.Address);
            a.mov(edi, Layout.Trampoline);
            a.mov(ecx, TrampolineSize / 8);
            a.rep.movsq();
        });
        entry.Place(a);
        EmitEntry();
        g.Define(RunOnOthers, [rbx], EmitRunOnOthers);
    }

    /// <summary>Real mode at the start of its page: straight to 64-bit mode, with PE and PG set by one write of CR0.</summary>
    byte[] StartCode(uint target)
    {
        var a = new Assembler(16);
        a.cli();
        a.cld();
        a.xor(ax, ax);
        a.mov(ds, ax);
        // The table's pointer lies above 64 KiB: copied here, where 16-bit code reaches it.
        a.lgdt(__[(int)(Layout.Trampoline + TrampolineSize - 16)]);
        a.mov(eax, cr4);
        a.or(eax, 1 << 5);
        a.mov(cr4, eax);
        a.mov(eax, g.Pages.Root.Address);
        a.mov(cr3, eax);
        a.mov(ecx, Efer);
        a.rdmsr();
        a.or(eax, 1 << 8 | 1 << 11);
        a.wrmsr();
        a.mov(eax, cr0);
        a.and(eax, 0x9FFF_FFFF);
        a.or(eax, 0x8000_0001);
        a.mov(cr0, eax);
        // JMP ptr16:32
        a.db(0x66, 0xEA);
        a.dd(target);
        a.dw(Descriptors.KernelCode);
        var writer = new ByteListWriter();
        a.Assemble(writer, Layout.Trampoline);
        var bytes = writer.ToArray();
        var page = new byte[TrampolineSize];
        bytes.CopyTo(page, 0);
        g.Data.Content(g.Descriptors.GdtPointer, 10).CopyTo(page.AsSpan(TrampolineSize - 16));
        return page;
    }

    void EmitEntry()
    {
        var a = g.A;
        var parked = a.CreateLabel();
        a.mov(eax, Descriptors.KernelData);
        a.mov(ds, eax);
        a.mov(es, eax);
        a.mov(ss, eax);
        a.mov(ebx, 1);
        a.@lock.xadd(next, ebx);
        a.inc(ebx);
        a.cmp(ebx, Descriptors.MostProcessors);
        a.jae(parked);
        a.imul(esp, ebx, (int)Descriptors.StackLength);
        a.add(esp, g.Descriptors.StackTop(0));
        a.lgdt(__[(ulong)g.Descriptors.GdtPointer.Address]);
        a.lidt(__[(ulong)g.Descriptors.IdtPointer.Address]);
        a.mov(eax, ebx);
        a.shl(eax, 4);
        a.add(eax, Descriptors.FirstTask);
        a.ltr(eax);
        BuiltInGuest.EmitControlRegisters(g);
        a.call(g.Apic.Start.Label);
        a.call(g.Apic.Own.Label);
        a.mov(Ids.At(rbx), eax);
        g.ReadTsc();
        a.mov(Times.At(rbx), rax);
        a.mov(r13d, jobNumber);
        a.@lock.inc(Online);
        g.Forever(_ =>
        {
            a.cli();
            a.cmp(jobNumber, r13d);
            g.If(
                When.Equal,
                () =>
                {
                    a.sti();
                    a.hlt();
                },
                () =>
                {
                    a.mov(r13d, jobNumber);
                    a.mov(rdi, rbx);
                    a.call(job);
                    a.@lock.inc(done);
                });
        });
        g.Place(parked);
        g.Forever(_ =>
        {
            a.cli();
            a.hlt();
        });
    }

    void EmitRunOnOthers()
    {
        var a = g.A;
        a.mov(job, rdi);
        a.xor(eax, eax);
        a.mov(done, eax);
        a.@lock.inc(jobNumber);
        a.cmp(Online, 0);
        g.If(When.NotEqual, () => g.Call(g.Apic.Send, 0, Apic.ToOthers | Apic.Assert | WakeVector));
        g.WaitUntil(JobPatience, When.Equal, () =>
        {
            a.mov(eax, done);
            a.cmp(rax, Online);
        });
        a.mov(eax, 0);
        g.If(When.NotEqual, () => a.inc(eax));
    }
}
