using Iced.Intel;
using Vmm.Cpu.State;
using Vmm.Platform.Memory;
using Vmm.Platform.Snapshots;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Unit.Cpu;

/// <summary>Debug exceptions (SDM 3B ch. 18) at the edges: shadows of STI and MOV SS, HLT, general detect, SYSCALL.</summary>
public sealed unsafe class DebugTests
{
    const ulong Idt = 0x4000, Handlers = 0x20000, Log = 0x30000, Data = 0x28000, Gdt = 0x5000;
    /// <summary>Budget of a guest that does not end by itself.</summary>
    const long Enough = 20_000;

    const ulong SingleStep = 0xFFFF_4FF0, None = 0xFFFF_0FF0;

    /// <summary>Handlers of #DB and #BP append the vector, RIP and DR6 to a log (R15) and clear DR6.</summary>
    static TestMachine Machine(Action<Assembler> emit)
    {
        var m = new TestMachine();
        m.State->IdtBase = Idt;
        m.State->IdtLimit = 0xFFF;
        m.State->GdtBase = Gdt;
        m.State->GdtLimit = 0x1F;
        m.Memory.TryWrite(new Gpa(Gdt + 0x10), 0x00AF_9B00_0000_FFFFul);
        m.Memory.TryWrite(new Gpa(Gdt + 0x18), 0x00CF_9300_0000_FFFFul);
        foreach (var vector in (byte[])[1, 3, 0x41])
        {
            Gate(m, vector, Handlers + vector * 0x100ul);
            At(m, Handlers + vector * 0x100ul, a =>
            {
                a.mov(__qword_ptr[r15], vector);
                a.mov(r14, __[rsp]);
                a.mov(__qword_ptr[r15 + 8], r14);
                a.mov(r14, dr6);
                a.mov(__qword_ptr[r15 + 16], r14);
                a.add(r15, 24);
                a.xor(r14d, r14d);
                a.mov(dr6, r14);
                a.iretq();
            });
        }

        m.State->Gpr[15] = Log;
        m.State->Gpr[3] = Data;
        m.Memory.TryWrite(new Gpa(Data), 0x18ul);
        return m.Load(emit);
    }

    static void Gate(TestMachine m, byte vector, ulong handler)
    {
        m.Memory.TryWrite(new Gpa(Idt + vector * 16ul), handler & 0xFFFF | 0x10 << 16 | 0x8Eul << 40 | (handler >> 16 & 0xFFFF) << 48);
        m.Memory.TryWrite(new Gpa(Idt + vector * 16ul + 8), handler >> 32);
    }

    static void At(TestMachine m, ulong address, Action<Assembler> emit)
    {
        var assembler = new Assembler(64);
        emit(assembler);
        var stream = new MemoryStream();
        assembler.Assemble(new StreamCodeWriter(stream), address);
        m.Memory.TryWrite(new Gpa(address), stream.ToArray());
    }

    /// <summary>What the handlers saw, in order.</summary>
    static List<(ulong Vector, ulong Rip, ulong Dr6)> Events(TestMachine m)
    {
        var events = new List<(ulong, ulong, ulong)>();
        for (var at = Log; at < m.State->Gpr[15]; at += 24)
        {
            m.Memory.TryRead(new Gpa(at), out ulong vector);
            m.Memory.TryRead(new Gpa(at + 8), out ulong rip);
            m.Memory.TryRead(new Gpa(at + 16), out ulong dr6);
            events.Add((vector, rip, dr6));
        }

        return events;
    }

    static void WatchData(TestMachine m)
    {
        m.State->Dr[1] = Data;
        m.State->Dr[7] = 0x00F0_0408;
        m.Cpu.UpdateDebug();
    }

    [Fact]
    public void STI_does_not_put_off_a_single_step()
    {
        using var m = Machine(a =>
        {
            a.sti();
            a.nop();
            a.hlt();
        });
        m.State->FlagRest |= Cr.TF;
        m.Run(Enough);
        Assert.Equal([(1, TestMachine.CodeAt + 1, SingleStep), (1, TestMachine.CodeAt + 2, SingleStep)], Events(m)[..2]);
    }

    [Fact]
    public void A_single_step_ends_HLT()
    {
        using var m = Machine(a =>
        {
            a.hlt();
            a.nop();
        });
        m.State->FlagRest |= Cr.TF;
        m.Run(Enough);
        Assert.Equal((1ul, TestMachine.CodeAt + 1, SingleStep), Events(m)[0]);
    }

    [Fact]
    public void General_detect_is_a_fault_that_clears_GD_and_sets_RF_in_the_frame()
    {
        using var m = Machine(a =>
        {
            a.mov(rax, dr0);
            a.hlt();
        });
        m.State->Dr[7] = 0x2400;
        m.Run();
        Assert.Equal([(1, TestMachine.CodeAt, None | 1 << 13)], Events(m));
        Assert.Equal(0x400ul, m.State->Dr[7]);
        m.Memory.TryRead(new Gpa(TestMachine.StackTop - 24), out ulong flags);
        Assert.Equal(Cr.RF, flags & Cr.RF);
    }

    [Fact]
    public void A_breakpoint_of_MOV_SS_waits_for_the_end_of_the_next_instruction()
    {
        using var m = Machine(a =>
        {
            a.mov(ss, __[rbx]);
            a.nop();
            a.hlt();
        });
        WatchData(m);
        m.Run();
        Assert.Equal([(1, TestMachine.CodeAt + 3, None | 2)], Events(m));
    }

    [Fact]
    public void A_breakpoint_of_MOV_SS_is_taken_in_the_handler_of_the_INT_that_follows()
    {
        using var m = Machine(a =>
        {
            a.mov(ss, __[rbx]);
            a.@int(0x41);
            a.hlt();
        });
        WatchData(m);
        m.Run();
        Assert.Equal([(1, Handlers + 0x4100, None | 2), (0x41, TestMachine.CodeAt + 4, None)], Events(m));
    }

    [Fact]
    public void A_breakpoint_of_MOV_SS_joins_INT1()
    {
        using var m = Machine(a =>
        {
            a.mov(ss, __[rbx]);
            a.int1();
            a.hlt();
        });
        WatchData(m);
        m.Run();
        Assert.Equal([(1, TestMachine.CodeAt + 3, None | 2)], Events(m));
    }

    [Fact]
    public void A_held_breakpoint_is_in_the_snapshot()
    {
        using var m = Machine(a =>
        {
            a.mov(ss, __[rbx]);
            a.nop();
            a.hlt();
        });
        WatchData(m);
        m.Run(1);
        var writer = new SnapshotWriter();
        m.Cpu.Save(writer);
        m.Run();
        using var copy = Machine(_ => { });
        m.Memory.TryRead(new Gpa(TestMachine.CodeAt), out ulong codeBytes);
        copy.Memory.TryWrite(new Gpa(TestMachine.CodeAt), codeBytes);
        copy.Cpu.Load(new SnapshotReader("vcpu", m.Cpu.SectionVersion, writer.Written.ToArray()));
        copy.Run();
        Assert.Equal(Events(m), Events(copy));
        Assert.Single(Events(copy));
    }

    [Fact]
    public void No_instruction_breakpoint_is_recognised_after_MOV_SS()
    {
        using var m = Machine(a =>
        {
            a.mov(ss, __[rbx]);
            a.nop();
            a.hlt();
        });
        m.State->Dr[0] = TestMachine.CodeAt + 2;
        m.State->Dr[7] = 0x402;
        m.Cpu.UpdateDebug();
        m.Run();
        Assert.Empty(Events(m));
    }

    [Theory]
    [InlineData(0x100ul, 0)]
    [InlineData(0ul, 1)]
    public void SYSCALL_traps_by_the_flags_it_leaves(ulong mask, int traps)
    {
        using var m = Machine(a => a.syscall());
        At(m, 0x24000, a =>
        {
            a.mov(r15, r15);
            a.hlt();
        });
        m.State->Lstar = 0x24000;
        m.State->Star = 0x10ul << 32;
        m.State->Fmask = mask;
        m.State->FlagRest |= Cr.TF;
        m.Run(Enough);
        var events = Events(m);
        Assert.Equal(traps == 0 ? [] : [(1, 0x24000, SingleStep)], events[..Math.Min(traps, events.Count)]);
        Assert.Equal(traps == 0, events.Count == 0);
    }
}
