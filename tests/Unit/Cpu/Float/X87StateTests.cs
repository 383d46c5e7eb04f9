using Iced.Intel;
using Vmm.Cpu.Float;
using Vmm.Cpu.State;
using Vmm.Cpu.Vcpus;
using Vmm.Platform.Memory;
using Xunit;
using Vmm.Specs.X86;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Unit.Cpu.Float;

/// <summary>What surrounds x87 and SSE arithmetic and cannot be compared with a user-mode host: availability, errors, images.</summary>
public sealed unsafe class X87StateTests
{
    private const ulong Data = 0x200000;
    private const byte UD = 6, NM = 7, GP = 13, MF = 16, XM = 19;

    [Theory]
    [InlineData(Cr.Cr0TS)]
    [InlineData(Cr.Cr0EM)]
    public void TS_and_EM_make_the_x87_unavailable(ulong bit)
    {
        using TestMachine m = new TestMachine().Load(c => c.fninit());
        m.State->Cr0 |= bit;
        Assert.Equal(NM, Step(m));
    }

    [Theory]
    [InlineData(0, -1)]
    [InlineData(Cr.Cr0TS, -1)]
    [InlineData(Cr.Cr0MP, -1)]
    [InlineData(Cr.Cr0TS | Cr.Cr0MP, (int)NM)]
    public void WAIT_is_unavailable_only_with_TS_and_MP(ulong bits, int vector)
    {
        using TestMachine m = new TestMachine().Load(c => c.wait());
        m.State->Cr0 |= bits;
        Assert.Equal(vector, Step(m));
    }

    [Fact]
    public void An_unmasked_exception_is_reported_by_the_next_waiting_instruction()
    {
        using TestMachine m = new TestMachine().Load(c =>
        {
            c.fldz();
            c.fld1();
            c.fdiv(st0, st1);
            c.fnstsw(ax);
            c.fldz();
        });
        m.State->Fcw = 0x37B;
        for (int i = 0; i < 4; i++)
        {
            Assert.Equal(-1, Step(m));
        }

        Assert.Equal(0xB084, (int)(ushort)m.State->Gpr[0]);
        Assert.Equal(MF, Step(m));
    }

    [Fact]
    public void Without_NE_an_error_goes_out_as_FERR_and_IGNNE_lets_the_instruction_go_on()
    {
        using TestMachine m = new TestMachine().Load(c => c.fldz());
        m.State->Cr0 &= ~Cr.Cr0NE;
        m.State->Fcw = 0x37B;
        m.State->Fsw = 0x8084;
        Assert.Equal(-1, Step(m));
        Assert.Contains(m.Exits, e => e.Kind == ExitKind.FloatError);
        Assert.Equal(0x3800, m.State->Fsw & 0x3800);
    }

    [Fact]
    public void Without_NE_and_IGNNE_the_processor_waits_on_the_instruction()
    {
        using FrozenMachine m = new();
        m.Machine.Load(c => c.fldz());
        m.Machine.State->Cr0 &= ~Cr.Cr0NE;
        m.Machine.State->Fcw = 0x37B;
        m.Machine.State->Fsw = 0x8084;
        // Each try is an instruction and, at its exit, a read of CR4 of 24 cycles.
        Assert.Equal(100, m.Machine.Cpu.Run(m, 100 * 25));
        Assert.Equal(TestMachine.CodeAt, m.Machine.State->Rip);
        Assert.Equal(100, m.Errors);
    }

    [Fact]
    public void A_ninth_push_overflows_the_stack()
    {
        using TestMachine m = new TestMachine().Load(c =>
        {
            for (int i = 0; i < 9; i++)
            {
                c.fld1();
            }
        });
        m.Run(9);
        Assert.Equal(0x3A41, m.State->Fsw);
        Assert.Equal(0xFFFFul, m.State->Fpr[15]);
        Assert.Equal(0xC000000000000000, m.State->Fpr[14]);
    }

    [Fact]
    public void The_last_instruction_and_operand_are_recorded_and_the_opcode_with_an_error()
    {
        using TestMachine m = new TestMachine().Load(c =>
        {
            c.fld1();
            c.fdiv(__dword_ptr[rbx + 8]);
        });
        m.State->Gpr[3] = Data;
        m.State->Fcw = 0x37B;
        m.Run(2);
        Assert.Equal(TestMachine.CodeAt + 2, m.State->Fip);
        Assert.Equal(Data + 8, m.State->Fdp);
        Assert.Equal(0x10, m.State->Fcs);
        Assert.Equal(0x18, m.State->Fds);
        Assert.Equal(0x073, m.State->Fop);
    }

    [Fact]
    public void FNSTENV_in_protected_mode_stores_seven_words_or_dwords_and_masks_everything()
    {
        using TestMachine m = new TestMachine().Load(c =>
        {
            c.fnstenv(__[rbx]);
            c.AddInstruction(Instruction.Create(Code.Fnstenv_m14byte, new MemoryOperand(Register.RBX, 32)));
        });
        Environment(m.State);
        m.State->Gpr[3] = Data;
        m.Run(2);
        Assert.Equal(
            [0x37A, 0xFFFF, 0x1234, 0xFFFF, 0xC3FF, 0xFFFF, 0x5678, 0x0012, 0x0010, 0x0123, 0xDEF0, 0x9ABC, 0x0018, 0xFFFF],
            Words(m, Data, 14));
        Assert.Equal([0x37F, 0x1234, 0xC3FF, 0x5678, 0x0010, 0xDEF0, 0x0018], Words(m, Data + 32, 7));
        Assert.Equal(0x37F, m.State->Fcw);
    }

    [Fact]
    public void FNSTENV_in_real_mode_stores_linear_pointers()
    {
        using TestMachine m = new();
        EnterRealMode(m);
        byte[] code = [0xD9, 0x37, 0x66, 0xD9, 0x77, 0x20];
        m.Memory.TryWrite(new Gpa(0x7000), code);
        Environment(m.State);
        m.State->Fip = 0x5678;
        m.State->Fdp = 0x9ABC;
        m.State->Fcs = 0x1000;
        m.State->Fds = 0x2000;
        m.State->Gpr[3] = 0x4000;
        m.Run(2);
        Assert.Equal([0x37A, 0x1234, 0xC3FF, 0x5678, 0x1123, 0x9ABC, 0x2000], Words(m, 0x4000, 7));
        Assert.Equal(
            [0x37F, 0xFFFF, 0x1234, 0xFFFF, 0xC3FF, 0xFFFF, 0x5678, 0xFFFF, 0x1123, 0x0000, 0x9ABC, 0xFFFF, 0x2000, 0x0000],
            Words(m, 0x4020, 14));
    }

    [Fact]
    public void FRSTOR_brings_back_what_FNSAVE_stored()
    {
        using TestMachine m = new TestMachine().Load(c =>
        {
            c.fldpi();
            c.fldln2();
            c.fnsave(__[rbx]);
            c.frstor(__[rbx]);
        });
        m.State->Gpr[3] = Data;
        m.Run(3);
        Assert.Equal(0, m.State->Ftw);
        Assert.Equal(0x37F, m.State->Fcw);
        m.Run(1);
        Assert.Equal(0xC0, m.State->Ftw);
        Assert.Equal(0x3000, m.State->Fsw);
        Assert.Equal(0xC90FDAA22168C235, m.State->Fpr[14]);
        Assert.Equal(0xB17217F7D1CF79AC, m.State->Fpr[12]);
        Assert.Equal(TestMachine.CodeAt + 2, m.State->Fip);
    }

    [Fact]
    public void FXRSTOR_brings_back_what_FXSAVE_stored()
    {
        using TestMachine m = new TestMachine().Load(c =>
        {
            c.fldpi();
            c.fxsave64(__[rbx]);
            c.fninit();
            c.xorps(xmm15, xmm15);
            c.fxrstor64(__[rbx]);
        });
        m.State->Gpr[3] = Data;
        m.State->Xmm[31] = 0x1122334455667788;
        m.Run(5);
        Assert.Equal(0x80, m.State->Ftw);
        Assert.Equal(0xC90FDAA22168C235, m.State->Fpr[14]);
        Assert.Equal(0x1122334455667788ul, m.State->Xmm[31]);
        Assert.Equal(TestMachine.CodeAt, m.State->Fip);
        Assert.Equal([0x37F, 0x3800, 0x0080], Words(m, Data, 3));
        Assert.Equal([0x1F80, 0, 0xFFFF, 0], Words(m, Data + 24, 4));
    }

    [Fact]
    public void FXSAVE_and_FXRSTOR_check_alignment_and_reserved_MXCSR_bits()
    {
        using TestMachine m = new TestMachine().Load(c => c.fxrstor(__[rbx]));
        m.State->Gpr[3] = Data + 8;
        Assert.Equal(GP, Step(m));
        m.State->Gpr[3] = Data;
        m.State->Rip = TestMachine.CodeAt;
        m.Memory.TryWrite(new Gpa(Data + 24), 0x0001_1F80u);
        Assert.Equal(GP, Step(m));
        m.Memory.TryWrite(new Gpa(Data + 24), 0xFFFFu);
        m.State->Rip = TestMachine.CodeAt;
        Assert.Equal(-1, Step(m));
        Assert.Equal(0xFFFFu, m.State->Mxcsr);
    }

    [Theory]
    [InlineData(0u, -1)]
    [InlineData(0xFFFFu, -1)]
    [InlineData(0x10000u, (int)GP)]
    [InlineData(0x80000000u, (int)GP)]
    public void LDMXCSR_refuses_reserved_bits(uint value, int vector)
    {
        using TestMachine m = new TestMachine().Load(c => c.ldmxcsr(__dword_ptr[rbx]));
        m.State->Gpr[3] = Data;
        m.Memory.TryWrite(new Gpa(Data), value);
        Assert.Equal(vector, Step(m));
    }

    [Theory]
    [InlineData(true, XM)]
    [InlineData(false, UD)]
    public void An_unmasked_SSE_exception_leaves_the_destination(bool supported, byte vector)
    {
        using TestMachine m = new TestMachine().Load(c => c.divsd(xmm1, xmm2));
        m.State->Cr4 = supported ? m.State->Cr4 | Cr.Cr4OSXMMEXCPT : m.State->Cr4 & ~Cr.Cr4OSXMMEXCPT;
        m.State->Mxcsr = 0x1F80 & ~0x200u;
        m.State->Xmm[2] = 0x3FF0000000000000;
        Assert.Equal(vector, Step(m));
        Assert.Equal(0x1D84u, m.State->Mxcsr);
        Assert.Equal(0x3FF0000000000000ul, m.State->Xmm[2]);
    }

    [Theory]
    [InlineData(0xFFFF, 0x1F7F)]
    [InlineData(0x0000, 0x0040)]
    public void Reserved_control_word_bits_cannot_be_changed(int value, int expected)
    {
        using TestMachine m = new TestMachine().Load(c => c.fldcw(__word_ptr[rbx]));
        m.State->Gpr[3] = Data;
        m.Memory.TryWrite(new Gpa(Data), (ushort)value);
        m.Run(1);
        Assert.Equal(expected, m.State->Fcw);
    }

    // Runs one instruction; the vector of the exception it raised, or -1.
    private static int Step(TestMachine m)
    {
        const ulong Gdt = 0x4000, Idt = 0x5000, Handlers = 0x20000;
        CpuState* s = m.State;
        s->GdtBase = Gdt;
        s->IdtBase = Idt;
        m.Memory.TryWrite(new Gpa(Gdt + 16), 0x00AF_9B00_0000_FFFFul);
        for (ulong vector = 0; vector < 32; vector++)
        {
            ulong handler = Handlers + (vector * 16);
            m.Memory.TryWrite(new Gpa(Idt + (vector * 16)), (handler & 0xFFFF) | 0x8E00_0010_0000 | (handler >> 16 << 48));
        }

        m.Run(1);
        return s->Rip >= Handlers && s->Rip < Handlers + 512 ? (int)(s->Rip - Handlers) / 16 : -1;
    }

    // TOP is 2 and R4 to R7 are in use but R6, and R5 holds one.
    private static void Environment(CpuState* s)
    {
        s->Fcw = 0x37A;
        s->Fsw = 0x1234;
        s->Ftw = 0x60;
        s->Fpr[10] = 1UL << 63;
        s->Fpr[11] = 0x3FFF;
        s->Fpr[12] = 1UL << 63;
        s->Fpr[13] = 0x4000;
        s->Fip = 0x00125678;
        s->Fdp = 0x9ABCDEF0;
        s->Fcs = 0x10;
        s->Fds = 0x18;
        s->Fop = 0x123;
    }

    private static void EnterRealMode(TestMachine m)
    {
        CpuState* s = m.State;
        s->Cr0 = Cr.Cr0ET;
        s->Cr4 = 0;
        s->Efer = 0;
        s->Cs = s->Ss = s->Ds = s->Es = new() { Access = 0x93, Limit = 0xFFFF };
        s->Cs.Access = 0x9B;
        s->Rip = 0x7000;
        m.Cpu.FlushTlb();
        m.Cpu.UpdateMode();
    }

    private static int[] Words(TestMachine m, ulong at, int count)
    {
        int[] words = new int[count];
        for (int i = 0; i < count; i++)
        {
            m.Memory.TryRead(new Gpa(at + ((ulong)i * 2)), out ushort word);
            words[i] = word;
        }

        return words;
    }

    private sealed class FrozenMachine : IExitHandler, IDisposable
    {
        public TestMachine Machine { get; } = new();

        public int Errors { get; private set; }

        public void Handle(ref VmExit exit)
        {
            Errors++;
            exit.Data = 0;
        }

        public void Dispose() => Machine.Dispose();
    }
}
