using Iced.Intel;
using Vmm.Cpu.State;
using Vmm.Specs.X86;
using Xunit;
using static Iced.Intel.AssemblerRegisters;
using static Vmm.Unit.Cpu.ProtectedMachine;

namespace Vmm.Unit.Cpu;

/// <summary>Virtual-8086 mode (SDM 3A ch. 21).</summary>
public sealed unsafe class Virtual8086Tests
{
    const ushort Segment = 0x4000;
    const uint VirtualCode = 0x4_0000;

    /// <summary>IRETD from level 0 into virtual-8086 code at 4000:0000 with its stack at 5000:0100.</summary>
    static ProtectedMachine Machine(int iopl, Action<Assembler> code)
    {
        var m = new ProtectedMachine();
        m.Load(VirtualCode, 16, code);
        uint[] frame = [0, Segment, (uint)(Cr.VM | 2 | (ulong)iopl << 12), 0x100, 0x5000, 0xE000, 0xD000, 0xF000, 0x6000];
        for (var i = 0; i < frame.Length; i++)
        {
            m.Put32(StackTop - 0x100 + (uint)i * 4, frame[i]);
        }

        m.State->Gpr[4] = StackTop - 0x100;
        m.Load(CodeAt, 32, a => a.iretd());
        return m;
    }

    [Fact]
    public void INT_n_leaves_with_nine_words_and_null_data_segments()
    {
        using var m = Machine(3, a =>
        {
            a.mov(ax, 0x1234);
            a.push(ax);
            a.@int(0x21);
        });
        m.Run();
        Assert.Equal(0x21, m.Handler);
        Assert.Equal(0x1234, m.Get16(0x5_00FE));
        Assert.Equal(InnerStack - 36, (uint)m.State->Gpr[4]);
        Assert.Equal([6, Segment, (uint)(Cr.VM | Cr.IOPL | 2), 0xFE, 0x5000, 0xE000, 0xD000, 0xF000, 0x6000], Enumerable.Range(0, 9).Select(m.Stack));
        Assert.True(m.State->Ds.Unusable && m.State->Es.Unusable && m.State->Fs.Unusable && m.State->Gs.Unusable);
        Assert.Equal(0, m.State->Cpl);
        Assert.Equal(0ul, m.State->FlagRest & Cr.VM);
    }

    [Fact]
    public void The_handler_returns_into_the_mode()
    {
        using var m = Machine(3, a =>
        {
            a.@int(0x21);
            a.mov(bx, 0x55);
            a.int3();
        });
        m.Load(HandlersAt + 0x210, 32, a => a.iretd());
        m.Run();
        Assert.Equal(3, m.Handler);
        Assert.Equal(0x55u, (uint)m.State->Gpr[3]);
        Assert.Equal(0xD000u, m.Stack(6));
    }

    public static TheoryData<string> Guarded => ["cli", "sti", "pushf", "popf", "int", "iret"];

    static void Emit(Assembler a, string name)
    {
        switch (name)
        {
            case "cli": a.cli(); break;
            case "sti": a.sti(); break;
            case "pushf": a.pushf(); break;
            case "popf": a.popf(); break;
            case "int": a.@int(0x21); break;
            default: a.iret(); break;
        }
    }

    [Theory]
    [MemberData(nameof(Guarded))]
    public void What_touches_IF_needs_IOPL_3(string name)
    {
        using var m = Machine(2, a => Emit(a, name));
        m.Run();
        Assert.Equal(13, m.Handler);
        Assert.Equal(0u, m.Stack(0));
        Assert.Equal(0u, m.Stack(1));
    }

    [Fact]
    public void With_IOPL_3_the_flags_move_but_neither_VM_nor_IOPL()
    {
        using var m = Machine(3, a =>
        {
            a.push(0x0202);
            a.popf();
            a.pushf();
            a.pop(cx);
            a.int3();
        });
        m.Run();
        Assert.Equal(3, m.Handler);
        Assert.Equal(0x3202u, (uint)(ushort)m.State->Gpr[1]);
        Assert.Equal((uint)(Cr.VM | Cr.IOPL | Cr.IF | 2), m.Stack(2));
    }

    [Fact]
    public void IRET_inside_the_mode_pops_three_words()
    {
        using var m = Machine(3, a =>
        {
            a.push(0x0003);
            a.push(0x4010);
            a.push(0x0020);
            a.iret();
        });
        m.Load(0x4_0120, 16, a => a.int3());
        m.Run();
        Assert.Equal(3, m.Handler);
        Assert.Equal(0x21u, m.Stack(0));
        Assert.Equal(0x4010u, m.Stack(1));
        Assert.Equal((uint)(Cr.VM | Cr.IOPL | 3), m.Stack(2));
    }

    [Fact]
    public void Selectors_are_paragraphs_and_far_calls_push_16_bits()
    {
        using var m = Machine(0, a =>
        {
            a.mov(ax, 0x1000);
            a.mov(ds, ax);
            a.mov(bx, __word_ptr[0x2000]);
            a.call((ushort)0x4100, (ushort)0);
        });
        m.Put16(0x1_2000, 0xBEEF);
        m.Load(0x4_1000, 16, a => a.int3());
        m.Run();
        Assert.Equal(3, m.Handler);
        Assert.Equal(0xBEEFu, (uint)m.State->Gpr[3]);
        Assert.Equal(0x4100u, m.Stack(1));
        Assert.Equal(Segment, m.Get16(0x5_00FE));
        Assert.Equal(0x1000u, m.Stack(6));
    }

    [Theory]
    [InlineData(false, 13)]
    [InlineData(true, 3)]
    public void Ports_are_asked_of_the_bitmap_whatever_IOPL_says(bool allowed, byte vector)
    {
        using var m = Machine(3, a =>
        {
            a.@in(al, 0x40);
            a.int3();
        });
        m.Put16(FirstTask + 102, 0x68);
        m.Memory.TryWrite(new(FirstTask + 0x68 + 8), allowed ? (byte)0 : (byte)1);
        m.Run();
        Assert.Equal(vector, m.Handler);
        Assert.Equal(allowed ? 1 : 0, m.Exits.Count(e => e.Reason == ExitReason.IoInstruction));
    }

    [Fact]
    public void Descriptor_instructions_are_UD_and_privileged_ones_GP()
    {
        using var selector = Machine(3, a => a.sldt(ax));
        Assert.Equal(6, selector.Run().Handler);
        using var arpl = Machine(3, a => a.arpl(ax, bx));
        Assert.Equal(6, arpl.Run().Handler);
        using var halt = Machine(3, a => a.hlt());
        Assert.Equal(13, halt.Run().Handler);
    }

    [Fact]
    public void A_handler_outside_level_0_is_GP()
    {
        using var m = Machine(3, a => a.@int(0x21));
        m.Gate(0x21, Code3, 0, 0xEE);
        m.Run();
        Assert.Equal(13, m.Handler);
        Assert.Equal((uint)Code3 & ~3u, m.Stack(0));
    }

    [Fact]
    public void A_task_can_start_in_the_mode()
    {
        using var m = Machine(3, a => a.int3());
        const ushort Task1 = 0x30;
        const uint Second = 0x25000;
        m.Describe(Task1, Second, 0x67, 0x89);
        m.Put32(Second + 4, InnerStack);
        m.Put16(Second + 8, Data0);
        m.Put32(Second + 0x24, (uint)Cr.VM | 2);
        m.Put16(Second + 0x4C, Segment);
        m.Put16(Second + 0x50, 0x5000);
        m.Put16(Second + 0x54, 0xABCD);
        m.Load(CodeAt, 32, a => a.jmp(Task1, 0u));
        m.Run();
        Assert.Equal(3, m.Handler);
        Assert.Equal(0xABCDu, m.Stack(6));
        Assert.Equal(Task1, m.State->Tr.Selector);
    }

    [Fact]
    public void An_instruction_across_the_end_of_the_code_segment_is_GP()
    {
        using var m = Machine(3, a => a.jmp(0xFFFFul));
        m.Memory.TryWrite(new((Segment << 4) + 0xFFFFu), [0x00, 0x00]);
        m.Run();
        Assert.Equal(13, m.Handler);
        Assert.Equal(0xFFFFu, m.Stack(1));
    }
}
