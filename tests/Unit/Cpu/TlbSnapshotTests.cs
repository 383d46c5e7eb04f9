using Iced.Intel;
using Vmm.Platform.Memory;
using Vmm.Platform.Snapshots;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Unit.Cpu;

/// <summary>The software TLB is state: it must follow from the instructions, not from what happens to be decoded.</summary>
public sealed class TlbSnapshotTests
{
    const ulong SecondPage = TestMachine.CodeAt + 0x80_0000;
    const ulong ThirdPage = TestMachine.CodeAt + 0x100_0000;

    /// <summary>Three code pages of one set of the fetch TLB; stores beside the code; the accessed bit of the second is cleared each time.</summary>
    static TestMachine Loop()
    {
        var machine = new TestMachine().Load(c =>
        {
            var top = c.CreateLabel();
            c.Label(ref top);
            c.inc(rax);
            c.mov(__qword_ptr[TestMachine.CodeAt + 0x800], eax);
            c.jmp(SecondPage);
        });
        Put(machine, SecondPage, c =>
        {
            c.add(rbx, rax);
            c.jmp(ThirdPage);
        });
        Put(machine, ThirdPage, c =>
        {
            c.and(__qword_ptr[0x3000 + (SecondPage >> 21) * 8], ~0x20);
            c.jmp(TestMachine.CodeAt);
        });
        return machine;
    }

    static void Put(TestMachine machine, ulong at, Action<Assembler> emit)
    {
        var assembler = new Assembler(64);
        emit(assembler);
        var stream = new MemoryStream();
        assembler.Assemble(new StreamCodeWriter(stream), at);
        machine.Memory.TryWrite(new Gpa(at), stream.ToArray());
    }

    static byte[] State(TestMachine machine)
    {
        var writer = new SnapshotWriter();
        machine.Cpu.Save(writer);
        return writer.Written.ToArray();
    }

    static ulong Entry(TestMachine machine)
    {
        machine.Memory.TryRead(new Gpa(0x3000 + (SecondPage >> 21) * 8), out ulong entry);
        return entry;
    }

    [Fact]
    public void Decoded_code_that_is_dropped_at_any_instruction_leaves_no_trace_in_the_saved_state()
    {
        using var whole = Loop();
        whole.Run(500);
        for (var at = 1; at < 40; at++)
        {
            using var broken = Loop();
            broken.Run(at);
            broken.Code.Clear();
            broken.Run(500 - at);
            Assert.Equal(State(whole), State(broken));
            Assert.Equal(Entry(whole), Entry(broken));
        }
    }

    [Fact]
    public void A_restored_processor_goes_on_as_the_saved_one()
    {
        using var whole = Loop();
        whole.Run(500);
        using var first = Loop();
        first.Run(123);
        using var second = Loop();
        var bytes = new byte[4096];
        foreach (var page in (ReadOnlySpan<ulong>)[0x3000, TestMachine.CodeAt])
        {
            first.Memory.TryRead(new Gpa(page), bytes);
            second.Memory.TryWrite(new Gpa(page), bytes);
        }

        second.Cpu.Load(new SnapshotReader("vcpu0", first.Cpu.SectionVersion, State(first)));
        Assert.Equal(State(first), State(second));
        second.Run(377);
        Assert.Equal(State(whole), State(second));
        Assert.Equal(Entry(whole), Entry(second));
    }

    [Fact]
    public void A_page_that_is_fetched_again_after_its_translation_was_replaced_is_marked_accessed_again()
    {
        using var machine = Loop();
        machine.Run(6);
        Assert.Equal(0ul, Entry(machine) & 0x20);
        machine.Run(6);
        Assert.Equal(0x20ul, Entry(machine) & 0x20);
    }
}
