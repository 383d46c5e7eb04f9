using Vmm.Differential.Cases;
using Vmm.Differential.Native;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Differential.Tests;

/// <summary>The oracle itself: states go in and come out unchanged, exceptions are recorded with all their details.</summary>
[System.Runtime.Versioning.SupportedOSPlatform("linux")]
public sealed unsafe class NativeHelperTests
{
    const ulong ResumeFlag = 0x10000;

    static CaseState Run(HandMadeCase made)
    {
        Skip.IfNot(NativeHost.IsSupported, NativeHost.Reason);
        using var host = new NativeRunner();
        using (made)
        {
            return made.Run(host);
        }
    }

    [SkippableFact]
    public void An_empty_case_gives_its_state_back()
    {
        Skip.IfNot(NativeHost.IsSupported, NativeHost.Reason);
        using var host = new NativeRunner();
        using var made = new HandMadeCase(_ => { });
        var state = made.Batch.States;
        for (var i = 0; i < 16; i++)
        {
            state->Gpr[i] = 0x0123_4567_89AB_CDEF * (ulong)(i + 1);
        }

        state->Flags = 0xED7;
        new Span<byte>(state->Fx + 32, 128).Fill(0x5A);
        for (var i = 0; i < 8; i++)
        {
            new Span<byte>(state->Fx + 32 + 16 * i + 10, 6).Clear();
        }

        new Span<byte>(state->Fx + 160, 256).Fill(0xC3);
        new Span<byte>(state->Memory, Sandbox.WindowBytes).Fill(0x77);
        *(uint*)(state->Fx + 24) = 0x7FBF;
        state->Fx[4] = 0xA5;

        var result = made.Run(host);

        Assert.True(new ReadOnlySpan<byte>(state, 128).SequenceEqual(new ReadOnlySpan<byte>(&result, 128)));
        Assert.Equal(0xED7ul, result.Flags);
        Assert.Equal(Sandbox.Exit, result.Rip);
        Assert.Equal(CaseState.NoTrap, result.Trap);
        Assert.True(new ReadOnlySpan<byte>(state->Fx + 32, 384 + Sandbox.WindowBytes).Length > 0);
        Assert.True(new ReadOnlySpan<byte>(state->Fx + 32, 384).SequenceEqual(new ReadOnlySpan<byte>(result.Fx + 32, 384)));
        Assert.True(new ReadOnlySpan<byte>(state->Memory, Sandbox.WindowBytes).SequenceEqual(new ReadOnlySpan<byte>(result.Memory, Sandbox.WindowBytes)));
        Assert.Equal(0x7FBFu, *(uint*)(result.Fx + 24));
        Assert.Equal(0xA5, result.Fx[4]);
    }

    [SkippableFact]
    public void Addition_sets_registers_and_flags()
    {
        var made = new HandMadeCase(a => a.add(al, bl));
        made.State.Gpr[0] = 0x11FF;
        made.State.Gpr[3] = 1;
        var result = Run(made);
        Assert.Equal(0x1100ul, result.Gpr[0]);
        Assert.Equal(0x257ul, result.Flags);
    }

    [SkippableFact]
    public void Division_by_zero_is_vector_0_at_the_instruction()
    {
        var result = Run(new HandMadeCase(a =>
        {
            a.nop();
            a.div(ecx);
        }));
        Assert.Equal(0ul, result.Trap);
        Assert.Equal(Sandbox.CodeBase + 1, result.Rip);
        Assert.Equal(8ul, result.Signal);
    }

    [SkippableFact]
    public void A_page_fault_tells_address_and_error_code()
    {
        var made = new HandMadeCase(a => a.mov(__dword_ptr[rax], ecx));
        made.State.Gpr[0] = Sandbox.High + Sandbox.ReadOnly - 2;
        made.State.Edges = 1;
        var result = Run(made);
        Assert.Equal(14ul, result.Trap);
        Assert.Equal(7ul, result.Error);
        Assert.Equal(Sandbox.High + Sandbox.ReadOnly, result.Cr2);
        Assert.Equal(Sandbox.CodeBase, result.Rip);
    }

    [SkippableFact]
    public void Breakpoint_invalid_opcode_and_protection_are_told_apart()
    {
        Assert.Equal(3ul, Run(new HandMadeCase(a => a.int3())).Trap);
        Assert.Equal(6ul, Run(new HandMadeCase(a => a.ud2())).Trap);
        Assert.Equal(13ul, Run(new HandMadeCase(a => a.hlt())).Trap);
        var interrupt = Run(new HandMadeCase(a => a.@int(0x40)));
        Assert.Equal((13ul, 0x202ul), (interrupt.Trap, interrupt.Error));
    }

    [SkippableFact]
    public void A_single_step_trap_ends_the_case_behind_the_instruction()
    {
        var made = new HandMadeCase(a =>
        {
            a.popfq();
            a.nop();
            a.nop();
        });
        *(ulong*)(made.Batch.States->Memory + 256) = 0x302;
        var result = Run(made);
        Assert.Equal(1ul, result.Trap);
        Assert.Equal(Sandbox.CodeBase + 2, result.Rip);
    }

    [SkippableFact]
    public void Segment_bases_are_those_of_the_sandbox()
    {
        var made = new HandMadeCase(a =>
        {
            a.mov(rcx, __qword_ptr.fs[rax]);
            a.mov(rdx, __qword_ptr.gs[rbx]);
        });
        made.State.Gpr[0] = Sandbox.Low + Sandbox.Window - Sandbox.FsBase;
        made.State.Gpr[3] = Sandbox.Low + Sandbox.Window + 8 - Sandbox.GsBase;
        *(ulong*)made.Batch.States->Memory = 0x1234;
        *(ulong*)(made.Batch.States->Memory + 8) = 0x5678;
        var result = Run(made);
        Assert.Equal((0x1234ul, 0x5678ul), (result.Gpr[1], result.Gpr[2]));
    }

    [SkippableFact]
    public void Stored_floating_point_exceptions_come_through()
    {
        var made = new HandMadeCase(a => a.divss(xmm0, xmm1));
        *(uint*)(made.Batch.States->Fx + 24) = 0x1D80;
        *(float*)(made.Batch.States->Fx + 160) = 1;
        var result = Run(made);
        Assert.Equal(19ul, result.Trap);
        Assert.Equal(0x1D84u, *(uint*)(result.Fx + 24));
        Assert.Equal(ResumeFlag, result.Flags & ResumeFlag);
    }
}
