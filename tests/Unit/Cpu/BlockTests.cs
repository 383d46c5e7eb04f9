using System.Reflection;
using Iced.Intel;
using Vmm.Cpu.Interpreter;
using Vmm.Cpu.State;
using Vmm.Cpu.Vcpus;
using Vmm.Platform.Memory;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Unit.Cpu;

/// <summary>How decoded blocks enter each other.</summary>
public sealed unsafe class BlockTests
{
    /// <summary>A loop of calls, branches, memory and arithmetic that never ends.</summary>
    static void Mixture(Assembler c)
    {
        Label top = c.CreateLabel(), odd = c.CreateLabel(), joined = c.CreateLabel(), function = c.CreateLabel();
        c.mov(r9, 6364136223846793005);
        c.mov(ebx, 0x200000);
        c.Label(ref top);
        c.imul(r8, r9);
        c.add(r8, 12345);
        c.mov(rax, r8);
        c.shr(rax, 33);
        c.test(al, 1);
        c.jne(odd);
        c.call(function);
        c.jmp(joined);
        c.Label(ref odd);
        c.push(rax);
        c.xor(rdx, rax);
        c.pop(rcx);
        c.Label(ref joined);
        c.mov(__[rbx], rdx);
        c.add(__qword_ptr[rbx], 3);
        c.movzx(esi, __byte_ptr[rbx + 1]);
        c.cmp(rsi, __[rbx]);
        c.rol(rdx, 7);
        c.adc(rdi, rcx);
        c.jmp(top);
        c.Label(ref function);
        c.dec(rcx);
        c.add(rdx, rcx);
        c.ret();
    }

    /// <summary>A string instruction that takes 256 units, and more instructions behind it than the budget has left.</summary>
    [Theory]
    [InlineData(50, 5)]
    [InlineData(260, 5)]
    [InlineData(265, 9)]
    [InlineData(400, 24)]
    public void A_turn_ends_where_its_budget_does_when_an_instruction_used_more_than_one_unit(long budget, ulong retired)
    {
        using var machine = new TestMachine().Load(c =>
        {
            c.mov(edi, 0x200000);
            c.mov(ecx, 4096);
            c.xor(eax, eax);
            c.cld();
            c.rep.stosb();
            for (var i = 0; i < 18; i++)
            {
                c.inc(rbx);
            }

            c.hlt();
        });
        machine.Run(budget);
        Assert.Equal(retired, machine.Cpu.Instructions);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(17)]
    [InlineData(2047)]
    [InlineData(2048)]
    [InlineData(2049)]
    [InlineData(6000)]
    public void A_run_in_pieces_ends_where_a_run_in_one_ends(long piece)
    {
        const long Total = 12_288;
        using var whole = new TestMachine().Load(Mixture);
        Assert.Equal(Total, whole.Cpu.Run(whole, Total));
        using var parts = new TestMachine().Load(Mixture);
        for (var done = 0L; done < Total;)
        {
            var now = Math.Min(piece, Total - done);
            Assert.Equal(now, parts.Cpu.Run(parts, now));
            done += now;
        }

        Assert.Equal(new Span<ulong>(whole.State->Gpr, 18), new Span<ulong>(parts.State->Gpr, 18));
        Assert.Equal(Flags.Read(whole.State), Flags.Read(parts.State));
        Assert.Equal(whole.Clock.Now, parts.Clock.Now);
    }

    [Fact]
    public void Blocks_enter_each_other_without_using_up_the_stack()
    {
        using var m = new Probe();
        m.Machine.Load(c =>
        {
            var top = c.CreateLabel();
            c.@out(0x80, al);
            c.mov(ecx, 150);
            c.mov(ebx, 0x200000);
            c.Label(ref top);
            c.imul(rdx, rcx);
            c.push(rdx);
            c.pop(__qword_ptr[rbx]);
            c.add(rdx, __[rbx]);
            c.shl(rdx, 3);
            c.dec(ecx);
            c.jne(top);
            c.@out(0x80, al);
            c.hlt();
        });
        // The first OUT takes a read of CR4 out of the budget. Twice: the second time everything is decoded and linked.
        const int Cr4Read = 24;
        m.Machine.Cpu.Run(m, 1054 + Cr4Read);
        m.Depths.Clear();
        m.Machine.State->Rip = TestMachine.CodeAt;
        m.Machine.Cpu.Run(m, 1054 + Cr4Read);
        Assert.Equal(2, m.Depths.Count);
        Assert.InRange(m.Depths.Max() - m.Depths.Min(), 0, 4096);
    }

    [Fact]
    public void A_stop_at_the_end_of_a_block_does_not_link_it_to_what_runs_next()
    {
        const ulong Other = TestMachine.CodeAt + 0x2000;
        using var m = new TestMachine();
        m.OnWrite = _ => m.Cpu.RequestYield();
        m.Load(c =>
        {
            var forever = c.CreateLabel();
            c.mov(ebx, 0x2000_0000);
            // The size limit ends the block after the store.
            for (var i = 0; i < 46; i++)
            {
                c.nop();
            }

            c.mov(__[rbx], eax);
            c.inc(rcx);
            c.Label(ref forever);
            c.jmp(forever);
        });
        m.Memory.TryWrite(new Gpa(Other), [0x48, 0xFF, 0xC7, 0xEB, 0xFE]);
        Assert.Equal(48, m.Cpu.Run(m, 100));
        m.OnWrite = null;
        m.State->Rip = Other;
        m.Cpu.Run(m, 10);
        Assert.Equal(1ul, m.State->Gpr[7]);
        m.State->Rip = TestMachine.CodeAt;
        m.Cpu.Run(m, 100);
        Assert.Equal(1ul, m.State->Gpr[1]);
        Assert.Equal(1ul, m.State->Gpr[7]);
    }

    [Fact]
    public void A_changed_function_is_called_as_it_is_now()
    {
        using var m = new TestMachine().Load(c =>
        {
            Label top = c.CreateLabel(), function = c.CreateLabel();
            c.lea(rbx, __[function]);
            c.mov(ecx, 100);
            c.Label(ref top);
            c.mov(__byte_ptr[rbx + 1], cl);
            c.call(function);
            c.call(function);
            c.movzx(eax, al);
            c.add(rdi, rax);
            c.dec(ecx);
            c.jne(top);
            c.hlt();
            c.Label(ref function);
            c.mov(al, 0);
            c.ret();
        }).Run();
        Assert.Equal(5050ul, m.State->Gpr[7]);
    }

    [Fact]
    public void Handlers_that_operations_lead_to_directly_are_compiled_once()
    {
        // Cold instructions keep the runtime's stub; slow forms and errors are called by name.
        string[] others = ["Cold", "ColdEnd"];
        var wrong = typeof(Op).Assembly.GetTypes()
            .SelectMany(t => t.GetMethods(BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly))
            .Where(m => m.ReturnType == typeof(Vmm.Cpu.Interpreter.Block*) && m.GetParameters() is [var s, var op] && s.ParameterType == typeof(CpuState*) && op.ParameterType == typeof(Op*))
            .Where(m => !m.IsAbstract && !others.Contains(m.Name))
            .Where(m => (m.MethodImplementationFlags & (MethodImplAttributes.AggressiveOptimization | MethodImplAttributes.AggressiveInlining | MethodImplAttributes.NoInlining)) == 0)
            .Select(m => m.Name);
        Assert.Empty(wrong);
    }

    sealed class Probe : IExitHandler, IDisposable
    {
        public TestMachine Machine { get; } = new();

        public List<long> Depths { get; } = [];

        public void Handle(ref VmExit exit)
        {
            byte here;
            Depths.Add((long)&here);
        }

        public void Dispose() => Machine.Dispose();
    }
}
