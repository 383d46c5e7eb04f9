using Iced.Intel;
using Vmm.Cpu.State;
using Vmm.Cpu.Vcpus;
using Vmm.Platform.Memory;
using Xunit;
using Vmm.Specs.X86;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Unit.Cpu;

public sealed unsafe class InterpreterTests
{
    [Fact]
    public void A_counted_loop_ends_with_the_right_sum()
    {
        using var m = new TestMachine().Load(c =>
        {
            var loop = c.CreateLabel();
            c.mov(rcx, 1000);
            c.xor(eax, eax);
            c.Label(ref loop);
            c.add(rax, rcx);
            c.dec(rcx);
            c.jnz(loop);
            c.hlt();
        }).Run();
        Assert.Equal(500500ul, m.State->Gpr[0]);
        Assert.Equal(Activity.Halted, m.Cpu.Activity);
        Assert.Equal(3003ul, m.Cpu.Instructions);
    }

    [Fact]
    public void Calls_push_and_returns_pop()
    {
        using var m = new TestMachine().Load(c =>
        {
            var f = c.CreateLabel();
            c.mov(rax, 5);
            c.call(f);
            c.add(rax, 1);
            c.hlt();
            c.Label(ref f);
            c.push(rax);
            c.add(__qword_ptr[rsp], 10);
            c.pop(rax);
            c.ret();
        }).Run();
        Assert.Equal(16ul, m.State->Gpr[0]);
        Assert.Equal(TestMachine.StackTop, m.State->Gpr[4]);
    }

    [Fact]
    public void Rep_movsb_copies_across_pages_and_rep_stosq_fills()
    {
        using var m = new TestMachine();
        var bytes = new byte[20000];
        new Random(1).NextBytes(bytes);
        m.Memory.TryWrite(new Gpa(0x200123), bytes);
        m.Load(c =>
        {
            c.mov(rsi, 0x200123);
            c.mov(rdi, 0x300456);
            c.mov(rcx, bytes.Length);
            c.cld();
            c.rep.movsb();
            c.mov(rdi, 0x400008);
            c.mov(rcx, 3000);
            c.mov(rax, 0x1122334455667788);
            c.rep.stosq();
            c.hlt();
        }).Run();
        var copy = new byte[bytes.Length];
        m.Memory.TryRead(new Gpa(0x300456), copy);
        Assert.Equal(bytes, copy);
        m.Memory.TryRead(new Gpa(0x400008 + 2999 * 8), out ulong last);
        Assert.Equal(0x1122334455667788ul, last);
        Assert.Equal(0ul, m.State->Gpr[1]);
    }

    [Fact]
    public void Code_that_modifies_the_next_instruction_sees_the_change()
    {
        using var m = new TestMachine().Load(c =>
        {
            var patch = c.CreateLabel();
            c.lea(rbx, __[patch]);
            c.mov(__byte_ptr[rbx + 1], 42);
            c.Label(ref patch);
            c.mov(al, 7);
            c.hlt();
        }).Run();
        Assert.Equal(42, (byte)m.State->Gpr[0]);
    }

    [Fact]
    public void The_budget_is_exact()
    {
        using var m = new TestMachine().Load(c =>
        {
            var loop = c.CreateLabel();
            c.Label(ref loop);
            c.inc(rax);
            c.inc(rax);
            c.inc(rax);
            c.jmp(loop);
        });
        Assert.Equal(1001, m.Cpu.Run(m, 1001));
        Assert.Equal(751ul, m.State->Gpr[0]);
        Assert.Equal(2, m.Cpu.Run(m, 2));
        Assert.Equal(753ul, m.State->Gpr[0]);
    }

    [Fact]
    public void A_fault_without_idt_shuts_the_processor_down()
    {
        using var m = new TestMachine().Load(c => c.ud2());
        m.State->IdtLimit = 0;
        m.Run();
        Assert.Equal(Activity.Shutdown, m.Cpu.Activity);
        Assert.Contains(m.Exits, e => e.Reason == ExitReason.TripleFault);
    }

    [Fact]
    public void Flags_round_trip_through_the_lazy_form()
    {
        using var m = new TestMachine();
        for (var bits = 0; bits < 64; bits++)
        {
            var value = 2ul | (bits & 1) switch { 0 => 0, _ => Cr.CF } | ((bits & 2) != 0 ? Cr.PF : 0) | ((bits & 4) != 0 ? Cr.AF : 0)
                | ((bits & 8) != 0 ? Cr.ZF : 0) | ((bits & 16) != 0 ? Cr.SF : 0) | ((bits & 32) != 0 ? Cr.OF : 0);
            Flags.Write(m.State, value);
            Assert.Equal(value, Flags.Read(m.State));
        }
    }

    [Fact]
    public void Mmio_and_ports_reach_the_exit_handler()
    {
        using var m = new TestMachine { OnRead = e => 0x12345678 };
        m.Load(c =>
        {
            c.mov(rbx, 0x2000_0000);
            c.mov(eax, __dword_ptr[rbx]);
            c.mov(__dword_ptr[rbx + 8], eax);
            c.mov(edx, 0x3F8);
            c.mov(al, 0x41);
            c.@out(dx, al);
            c.hlt();
        }).Run();
        Assert.Equal(
            ["EptMisconfiguration.Read", "EptMisconfiguration.Write", "IoInstruction.Write", "Hlt"], m.Exits.Select(e => ExitReasons.Name(e.Reason, e.Kind)));
        Assert.Equal(0x2000_0008ul, m.Exits[1].Address);
        Assert.Equal(0x12345678ul, m.Exits[1].Data);
        Assert.Equal(0x41ul, m.Exits[2].Data);
    }
}
