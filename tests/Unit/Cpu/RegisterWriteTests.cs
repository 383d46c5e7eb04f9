using Vmm.Cpu.State;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Unit.Cpu;

/// <summary>Model-specific registers whose writes are checked or change what CPUID says.</summary>
public sealed unsafe class RegisterWriteTests
{
    const ulong NXE = 1 << 11;

    [Theory]
    [InlineData(0x2FFu, 0xC06ul, true)]
    [InlineData(0x2FFu, 0xC02ul, false)]
    [InlineData(0x2FFu, 0x1006ul, false)]
    [InlineData(0x200u, 0xC000_0006ul, true)]
    [InlineData(0x200u, 0xC000_0106ul, false)]
    [InlineData(0x200u, 0xC000_0007ul, false)]
    [InlineData(0x200u, 1ul << 52 | 6, false)]
    [InlineData(0x201u, 0x7F_C000_0800ul, true)]
    [InlineData(0x201u, 0x7F_C000_0C00ul, false)]
    [InlineData(0x250u, 0x0606_0606_0505_0400ul, true)]
    [InlineData(0x26Fu, 0x0306_0606_0606_0606ul, false)]
    public void An_MTRR_takes_no_reserved_type_and_no_reserved_bit(uint msr, ulong value, bool accepted)
    {
        using var m = new TestMachine();
        Assert.True(m.Cpu.TryReadMsr(msr, out var before));
        Assert.Equal(accepted, m.Cpu.TryWriteMsr(msr, value));
        m.Cpu.TryReadMsr(msr, out var after);
        Assert.Equal(accepted ? value : before, after);
    }

    [Fact]
    public void MISC_ENABLE_keeps_its_writable_bits_and_drops_read_only_ones()
    {
        using var m = new TestMachine();
        Assert.True(m.Cpu.TryWriteMsr(0x1A0, 0x4_00C5_0809 | 0x1880));
        m.Cpu.TryReadMsr(0x1A0, out var value);
        Assert.Equal(0x4_00C5_0009ul, value);
    }

    [Theory]
    [InlineData(0u, 1ul << 22, 0, 2ul)]
    [InlineData(0x8000_0001u, 1ul << 34, 2, 1ul << 11 | 1 << 26 | 1 << 27 | 1 << 29)]
    public void MISC_ENABLE_limits_CPUID_and_hides_XD(uint leaf, ulong bit, int register, ulong expected)
    {
        using var m = new TestMachine();
        m.Cpu.TryWriteMsr(0x1A0, 1 | bit);
        m.Load(a =>
        {
            a.mov(eax, leaf);
            a.cpuid();
            a.hlt();
        }).Run();
        Assert.Equal(expected, m.State->Gpr[register]);
    }

    [Fact]
    public void NXE_cannot_be_set_while_XD_is_disabled()
    {
        using var m = new TestMachine();
        Assert.True(m.Cpu.TryWriteMsr(0xC000_0080, m.State->Efer & ~NXE));
        m.Cpu.TryWriteMsr(0x1A0, 1ul << 34);
        Assert.False(m.Cpu.TryWriteMsr(0xC000_0080, m.State->Efer | NXE));
        m.Cpu.TryWriteMsr(0x1A0, 1);
        Assert.True(m.Cpu.TryWriteMsr(0xC000_0080, m.State->Efer | NXE));
    }

    [Theory]
    [InlineData(Cr.Cr0CD, true)]
    [InlineData(Cr.Cr0TS, false)]
    public void A_change_of_CD_loads_the_page_directory_pointers_anew(ulong bit, bool loads)
    {
        const uint Pointers = 0x40000;
        using var m = new ProtectedMachine();
        for (var i = 0u; i < 512; i++)
        {
            m.Memory.TryWrite(new(0x41000 + i * 8), (ulong)i << 21 | 0x87);
        }

        m.Memory.TryWrite(new(Pointers), 0x41001ul);
        m.State->Cr4 |= Cr.Cr4PAE;
        Assert.True(m.Cpu.TryWriteCr3(Pointers));
        Assert.True(m.Cpu.TryWriteCr0(m.State->Cr0 | Cr.Cr0PG));
        m.Memory.TryWrite(new(Pointers + 8), 0x7ul);
        m.Load(ProtectedMachine.CodeAt, 32, a =>
        {
            a.mov(eax, (uint)(m.State->Cr0 | bit));
            a.mov(cr0, eax);
            a.mov(al, 0);
            a.hlt();
        });
        m.Run();
        Assert.Equal(loads ? 13 : 0, m.Handler);
    }
}
