using Iced.Intel;
using Vmm.Differential.Cases;
using Vmm.Differential.Emulated;
using Vmm.Differential.Native;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Differential.Tests;

/// <summary>A store to code through the same linear address takes effect at the next instruction (SDM 3A §8.1.3, and every processor since).</summary>
[System.Runtime.Versioning.SupportedOSPlatform("linux")]
public sealed unsafe class SelfModifyingCodeTests
{
    /// <summary>Runs the code on host and software processor, three times, and compares the general registers.</summary>
    static void Same(Action<Assembler> write)
    {
        Skip.IfNot(NativeHost.IsSupported, NativeHost.Reason);
        using var host = new NativeRunner();
        using var emulated = new InterpreterRunner();
        using var made = new HandMadeCase(write);
        for (var i = 0; i < 16; i++)
        {
            made.State.Gpr[i] = i == 4 ? made.State.Gpr[4] : 0;
        }

        for (var round = 0; round < 3; round++)
        {
            var expected = made.Run(host);
            var got = made.Run(emulated);
            Assert.Equal(new ReadOnlySpan<ulong>(expected.Gpr, 16).ToArray(), new ReadOnlySpan<ulong>(got.Gpr, 16).ToArray());
            Assert.Equal((expected.Trap, expected.Rip), (got.Trap, got.Rip));
        }
    }

    [SkippableFact]
    public void The_next_instruction_is_changed() => Same(a =>
    {
        a.mov(__byte_ptr[Sandbox.CodeBase + 9], 0x5A);
        a.mov(al, 0x11);
    });

    [SkippableFact]
    public void A_later_instruction_of_the_same_block_is_changed() => Same(a =>
    {
        a.mov(ecx, 5);
        a.mov(__byte_ptr[Sandbox.CodeBase + 5 + 8 + 2 + 1], 0x5A);
        a.add(ecx, ecx);
        a.mov(al, 0x11);
        a.mov(dl, al);
    });

    [SkippableFact]
    public void A_read_modify_write_changes_code_too() => Same(a =>
    {
        a.add(__byte_ptr[Sandbox.CodeBase + 9], 0x22);
        a.mov(al, 0x11);
        a.inc(rcx);
    });

    [SkippableFact]
    public void A_repeated_string_store_changes_what_follows_it() => Same(a =>
    {
        a.mov(edi, (int)Sandbox.CodeBase + 5 + 5 + 2 + 2 + 1);
        a.mov(ecx, 4);
        a.mov(al, 0x77);
        a.rep.stosb();
        a.mov(edx, 0x01020304);
        a.inc(rbx);
    });

    [SkippableFact]
    public void A_push_onto_code_changes_it() => Same(a =>
    {
        a.mov(rbx, rsp);
        a.mov(esp, (int)Sandbox.CodeBase + 3 + 5 + 5 + 1 + 8);
        a.push(0x12345678);
        a.mov(rax, 0x1111111111111111);
        a.mov(rsp, rbx);
    });

    [SkippableFact]
    public void A_store_across_two_pages_of_code_changes_both() => Same(a =>
    {
        // The other slots of the two pages are empty: the stored word is INC EAX, INC EAX, RET ... across the page edge.
        a.mov(rax, 0x00C3_C0FF_C0FF_C0FFul);
        a.mov(__qword_ptr[Sandbox.CodeBase + 0xFFD], rax);
        a.mov(ebx, (int)Sandbox.CodeBase + 0xFFD);
        a.xor(eax, eax);
        a.call(rbx);
        a.mov(rcx, 0x00C3_C8FF_C8FF_C0FFul);
        a.mov(__qword_ptr[Sandbox.CodeBase + 0xFFD], rcx);
        a.call(rbx);
    });
}
