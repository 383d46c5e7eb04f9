using Vmm.Cpu.State;
using Vmm.Specs.X86;
using Xunit;
using static Iced.Intel.AssemblerRegisters;
using static Vmm.Unit.Cpu.ProtectedMachine;

namespace Vmm.Unit.Cpu;

/// <summary>Hardware task switches (SDM 3A ch. 8).</summary>
public sealed unsafe class TaskSwitchTests
{
    const ushort Task1 = 0x30, Gate1 = 0x38, Local = 0x40, Broken = 0x48;
    const uint SecondTask = 0x25000, SecondCode = 0x12000, SecondStack = 0x6000;

    static ProtectedMachine Machine(uint access = 0x89)
    {
        var m = new ProtectedMachine();
        m.Describe(Task1, SecondTask, 0x67, access);
        m.Memory.TryWrite(new(Gdt + Gate1), (ulong)Task1 << 16 | 0x85ul << 40);
        m.Put32(SecondTask + 0x20, SecondCode);
        m.Put32(SecondTask + 0x24, 0x2 | (uint)Cr.CF);
        m.Put32(SecondTask + 0x28, 0x1111_1111);
        m.Put32(SecondTask + 0x38, SecondStack);
        foreach (var at in (uint[])[0x48, 0x50, 0x54, 0x58, 0x5C])
        {
            m.Put16(SecondTask + at, Data0);
        }

        m.Put16(SecondTask + 0x4C, Code0);
        m.Load(SecondCode, 32, a => a.hlt());
        return m;
    }

    static byte TypeOf(ProtectedMachine m, ushort selector) => (byte)(m.Get8(Gdt + (uint)selector + 5) & 15);

    [Theory]
    [InlineData(Task1)]
    [InlineData(Gate1)]
    public void CALL_saves_the_old_task_nests_and_IRET_comes_back(ushort target)
    {
        using var m = Machine();
        m.Load(SecondCode, 32, a =>
        {
            a.mov(ebx, 0x77);
            a.iretd();
        });
        m.Load(CodeAt, 32, a =>
        {
            a.mov(ecx, 0xC0FFEE);
            a.call(target, 0u);
            a.inc(ecx);
            a.hlt();
        });
        m.Run();

        Assert.Equal(0xC0FFEFu, (uint)m.State->Gpr[1]);
        Assert.Equal(Task0, m.State->Tr.Selector);
        Assert.Equal(11, TypeOf(m, Task0));
        Assert.Equal(9, TypeOf(m, Task1));
        Assert.Equal(Task0, m.Get16(SecondTask));
        Assert.Equal(0x77u, m.Get32(SecondTask + 0x34));
        Assert.Equal(0x11111111u, m.Get32(SecondTask + 0x28));
        Assert.Equal(0ul, m.Get32(SecondTask + 0x24) & Cr.NT);
        Assert.Equal(Cr.CF, m.Get32(SecondTask + 0x24) & Cr.CF);
        Assert.Equal(0xC0FFEEu, m.Get32(FirstTask + 0x2C));
        Assert.Equal(CodeAt + 12, m.Get32(FirstTask + 0x20));
        Assert.NotEqual(0ul, m.State->Cr0 & Cr.Cr0TS);
        Assert.Equal(2, m.Exits.Count(e => e.Reason == ExitReason.TaskSwitch));
        Assert.Equal(new TaskSwitchQualification(Task1, TaskSwitchQualification.Call).Raw, m.Exits[0].Qualification);
    }

    [Fact]
    public void JMP_hands_the_busy_bit_over_and_does_not_nest()
    {
        using var m = Machine();
        m.Load(CodeAt, 32, a => a.jmp(Task1, 0u));
        m.Run();
        Assert.Equal(9, TypeOf(m, Task0));
        Assert.Equal(11, TypeOf(m, Task1));
        Assert.Equal(0, m.Get16(SecondTask));
        Assert.Equal(0ul, m.State->FlagRest & Cr.NT);
        Assert.Equal(SecondCode + 1, m.State->Rip);
        Assert.Equal(0x11111111u, (uint)m.State->Gpr[0]);
    }

    [Fact]
    public void A_fault_through_a_task_gate_saves_the_faulting_EIP_with_RF_and_pushes_its_error_code()
    {
        using var m = Machine();
        m.Gate(13, Task1, 0, 0x85);
        m.Load(CodeAt, 32, a =>
        {
            a.mov(eax, 0x1230);
            a.mov(ds, ax);
        });
        m.Run();
        Assert.Equal(0x1230u, m.Get32(SecondStack - 4));
        Assert.Equal(SecondStack - 4, (uint)m.State->Gpr[4]);
        Assert.Equal(CodeAt + 5, m.Get32(FirstTask + 0x20));
        Assert.NotEqual(0ul, m.Get32(FirstTask + 0x24) & Cr.RF);
        Assert.NotEqual(0ul, m.State->FlagRest & Cr.NT);
        Assert.Equal(Task0, m.Get16(SecondTask));
    }

    [Fact]
    public void INT_n_through_a_task_gate_comes_back_behind_itself()
    {
        using var m = Machine();
        m.Gate(0x30, Task1, 0, 0xE5);
        m.Load(SecondCode, 32, a => a.iretd());
        m.Load(CodeAt, 32, a =>
        {
            a.@int(0x30);
            a.mov(esi, 5);
            a.hlt();
        });
        m.Run();
        Assert.Equal(5u, (uint)m.State->Gpr[6]);
        Assert.Equal(StackTop, (uint)m.State->Gpr[4]);
    }

    [Fact]
    public void A_task_of_16_bits_saves_and_loads_its_own_format()
    {
        using var m = Machine();
        m.Describe(Task1, SecondTask, 0x2B, 0x81);
        m.Memory.TryWrite(new(SecondTask), new byte[0x68]);
        m.Put16(SecondTask + 0x0E, 0x9000);
        m.Put16(SecondTask + 0x12, 0xAAAA);
        m.Put16(SecondTask + 0x1A, (ushort)SecondStack);
        foreach (var at in (uint[])[0x22, 0x26, 0x28])
        {
            m.Put16(SecondTask + at, Data0);
        }

        m.Put16(SecondTask + 0x24, Code0);
        m.Load(0x9000, 32, a =>
        {
            a.mov(edx, eax);
            a.iretd();
        });
        m.State->Gpr[0] = 0xFFFF_FFFF;
        m.Load(CodeAt, 32, a =>
        {
            a.call(Task1, 0u);
            a.hlt();
        });
        m.Run();
        Assert.Equal(Task0, m.State->Tr.Selector);
        Assert.Equal(0xAAAA, m.Get16(SecondTask + 0x16));
        Assert.Equal(0xFFFF_FFFFu, (uint)m.State->Gpr[0]);
        Assert.Equal(0x81 & 15, TypeOf(m, Task1));
    }

    [Theory]
    [InlineData(0x8B, 0x67, 13)] // busy
    [InlineData(0x09, 0x67, 11)] // not present
    [InlineData(0x89, 0x66, 10)] // too short
    public void What_is_wrong_with_the_descriptor_fails_in_the_old_task(uint access, uint limit, byte vector)
    {
        using var m = Machine();
        m.Describe(Task1, SecondTask, limit, access);
        m.Load(CodeAt, 32, a => a.jmp(Task1, 0u));
        m.Run();
        Assert.Equal(vector, m.Handler);
        Assert.Equal(Task1, m.Stack(0));
        Assert.Equal(CodeAt, m.Stack(1));
        Assert.Equal(Task0, m.State->Tr.Selector);
        Assert.DoesNotContain(m.Exits, e => e.Reason == ExitReason.TaskSwitch);
    }

    [Theory]
    [InlineData(0x4C, Data0, 10, Data0)] // CS is data
    [InlineData(0x50, Code0, 10, Code0)] // SS is code
    [InlineData(0x54, 0x100, 10, 0x100)] // DS is not described
    [InlineData(0x60, Data0, 10, Data0)] // LDT is not a table
    [InlineData(0x58, Broken, 11, Broken)] // FS is not present
    public void What_is_wrong_with_the_new_state_fails_in_the_new_task(uint at, ushort selector, byte vector, uint error)
    {
        using var m = Machine();
        // The handler runs on its own task: the new one may have neither code nor stack.
        const ushort Task2 = 0x50;
        const uint Third = 0x26000;
        m.Describe(Broken, 0, 0xF_FFFF, 0xC013);
        m.Describe(Task2, Third, 0x67, 0x89);
        m.Put32(Third + 0x20, HandlersAt + (uint)vector * 16);
        m.Put32(Third + 0x24, 2);
        m.Put32(Third + 0x38, 0x5000);
        m.Put16(Third + 0x4C, Code0);
        m.Put16(Third + 0x50, Data0);
        m.Gate(vector, Task2, 0, 0x85);
        m.Put16(SecondTask + at, selector);
        m.Load(CodeAt, 32, a => a.call(Task1, 0u));
        m.Run();
        Assert.Equal(vector, m.Handler);
        Assert.Equal(error, m.Stack(0));
        Assert.Equal(Task2, m.State->Tr.Selector);
        Assert.Equal(Task1, m.Get16(Third));
        Assert.Equal(SecondCode, m.Get32(SecondTask + 0x20));
        Assert.Equal(11, TypeOf(m, Task1));
    }

    [Fact]
    public void An_IRET_to_a_task_that_is_not_busy_is_TS()
    {
        using var m = Machine();
        m.Put16(FirstTask, Task1);
        m.State->FlagRest |= Cr.NT;
        m.Load(CodeAt, 32, a => a.iretd());
        m.Run();
        Assert.Equal(10, m.Handler);
        Assert.Equal(Task1, m.Stack(0));
    }

    [Fact]
    public void The_T_bit_traps_before_the_first_instruction()
    {
        using var m = Machine();
        m.Put16(SecondTask + 0x64, 1);
        m.Load(CodeAt, 32, a => a.jmp(Task1, 0u));
        m.Run();
        Assert.Equal(1, m.Handler);
        Assert.Equal(SecondCode, m.Stack(0));
        Assert.NotEqual(0ul, m.State->Dr[6] & 1 << 15);
    }

    [Fact]
    public void A_task_with_paging_brings_its_address_space_and_an_unmapped_TSS_faults_in_the_old_one()
    {
        using var m = Machine();
        const uint First = 0x40000, Second = 0x42000;
        for (var i = 0u; i < 1024; i++)
        {
            m.Put32(First + i * 4, i << 22 | 0x87);
            m.Put32(Second + i * 4, (i == 1 ? 8 : i) << 22 | 0x87);
        }

        m.Put32(SecondTask + 0x1C, Second);
        m.Put32(0x40_0000, 0x1111);
        m.Put32(0x200_0000, 0x2222);
        m.State->Cr3 = First;
        m.State->Cr4 = Cr.Cr4PSE;
        m.State->Cr0 |= Cr.Cr0PG;
        m.Cpu.FlushTlb();
        m.Load(SecondCode, 32, a =>
        {
            a.mov(eax, __dword_ptr[0x40_0000]);
            a.hlt();
        });
        m.Load(CodeAt, 32, a => a.jmp(Task1, 0u));
        m.Run();
        Assert.Equal(0x2222u, (uint)m.State->Gpr[0]);
        Assert.Equal(Second, (uint)m.State->Cr3);

        using var unmapped = Machine();
        for (var i = 0u; i < 1024; i++)
        {
            unmapped.Put32(First + i * 4, i << 22 | 0x87);
        }

        unmapped.Describe(Task1, 0x0100_0000, 0x67, 0x89);
        unmapped.Put32(First + 4 * 4, 0);
        unmapped.State->Cr3 = First;
        unmapped.State->Cr4 = Cr.Cr4PSE;
        unmapped.State->Cr0 |= Cr.Cr0PG;
        unmapped.Cpu.FlushTlb();
        unmapped.Load(CodeAt, 32, a => a.jmp(Task1, 0u));
        unmapped.Run();
        Assert.Equal(14, unmapped.Handler);
        Assert.Equal(CodeAt, unmapped.Stack(1));
        Assert.Equal(Task0, unmapped.State->Tr.Selector);
        Assert.Equal(11, TypeOf(unmapped, Task0));
    }

    [Fact]
    public void A_double_fault_through_a_task_gate_survives_a_lost_stack()
    {
        using var m = Machine();
        m.Gate(8, Task1, 0, 0x85);
        m.Load(SecondCode, 32, a =>
        {
            a.pop(eax);
            a.mov(ebp, 0xDF);
            a.hlt();
        });
        (m.State->Ss.Limit, m.State->Ss.Access) = (0x10, 0x4093);
        m.Load(CodeAt, 32, a => a.ud2());
        m.Run();
        Assert.Equal(0xDFu, (uint)m.State->Gpr[5]);
        Assert.Equal(0u, (uint)m.State->Gpr[0]);
        Assert.Equal(CodeAt, m.Get32(FirstTask + 0x20));
    }
}
