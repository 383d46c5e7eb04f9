using Vmm.Platform.Memory;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Unit.Cpu;

/// <summary>Returns to an outer privilege level in 64-bit mode.</summary>
public sealed unsafe class OuterReturnTests
{
    const ulong Gdt = 0x5000, Data = 0x30000;

    [Fact]
    public void A_GS_that_IRET_makes_null_keeps_its_base()
    {
        using var m = new TestMachine();
        m.State->GdtBase = Gdt;
        m.State->GdtLimit = 0x2F;
        m.Memory.TryWrite(new Gpa(Gdt + 0x20), 0x00CF_F300_0000_FFFFul);
        m.Memory.TryWrite(new Gpa(Gdt + 0x28), 0x00AF_FB00_0000_FFFFul);
        m.Memory.TryWrite(new Gpa(Data), 0x1234_5678ul);
        Assert.True(m.Cpu.TryWriteMsr(0xC000_0101, Data));
        m.Load(a =>
        {
            var user = a.CreateLabel();
            a.push(0x23);
            a.push(0x8000);
            a.push(0x2);
            a.push(0x2B);
            a.lea(rax, __[user]);
            a.push(rax);
            a.iretq();
            a.Label(ref user);
            a.mov(rbx, __qword_ptr.gs[0]);
            a.mov(ecx, gs);
            a.jmp(TestMachine.CodeAt + 0x100);
        });
        m.Memory.TryWrite(new Gpa(TestMachine.CodeAt + 0x100), (ushort)0xFEEB);
        m.Run(100);

        Assert.Equal(3, m.State->Cpl);
        Assert.Equal(0x1234_5678ul, m.State->Gpr[3]);
        Assert.Equal(0ul, m.State->Gpr[1]);
        Assert.True(m.State->Gs.Unusable);
    }
}
