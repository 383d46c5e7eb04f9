using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Bench.Image;

/// <summary>The measured loops. Counts are such that an engine with a code generator takes about a second for each.</summary>
internal static class Loops
{
    /// <summary>In the order of the image.</summary>
    public static IReadOnlyList<Loop> All { get; } =
    [
        new("alu", "10 register instructions", Unit.Mips, 10, 100_000_000, Alu),
        new("memory", "10 instructions, 4 of them accesses over 64 KiB", Unit.Mips, 10, 60_000_000, Memory),
        new("call", "11 instructions: a data-dependent branch, a call and a return", Unit.Mips, 11, 30_000_000, Call),
        new("rep", "REP MOVSB of 4 KiB, page to page", Unit.GigabytesPerSecond, 4096, 200_000, Rep),
        new("cr3", "MOV to CR3, then one load from each of 4 pages", Unit.Nanoseconds, 1, 2_000_000, Cr3),
        new("port", "OUT to port 0x80", Unit.Nanoseconds, 1, 20_000_000, Port),
    ];

    static void Alu(Assembler a)
    {
        a.mov(rax, 0x0123_4567_89AB_CDEF);
        a.mov(rbx, 0x9E37_79B9_7F4A_7C15);
        var top = Top(a);
        a.add(rax, rbx);
        a.xor(rcx, rax);
        a.lea(rdx, __[rcx + rax * 2 + 7]);
        a.shr(rcx, 3);
        a.sub(rsi, rdx);
        a.rol(rbx, 5);
        a.or(rdi, rdx);
        a.add(r8, rsi);
        Bottom(a, top);
        a.xor(rax, r8);
    }

    static void Memory(Assembler a)
    {
        a.mov(ebx, (uint)Layout.Working);
        var top = Top(a);
        a.mov(rax, __[rbx + rcx]);
        a.add(rax, rdx);
        a.mov(__[rbx + rcx + 8], rax);
        a.mov(rdx, __[rbx + rcx + 1024]);
        a.xor(rdx, rax);
        a.mov(__[rbx + rcx + 1032], rdx);
        a.add(rcx, 264);
        a.and(rcx, 0xFFF8);
        Bottom(a, top);
        a.xor(rax, rdx);
    }

    static void Call(Assembler a)
    {
        Label even = a.CreateLabel(), done = a.CreateLabel(), first = a.CreateLabel(), second = a.CreateLabel();
        a.mov(r8, 0x0123_4567_89AB_CDEF);
        a.mov(r9, 6364136223846793005);
        a.mov(r10, 1442695040888963407);
        var top = Top(a);
        a.imul(r8, r9);
        a.add(r8, r10);
        a.mov(rax, r8);
        a.shr(rax, 33);
        a.test(al, 1);
        a.je(even);
        a.call(first);
        Bottom(a, top);
        a.jmp(done);
        a.Label(ref even);
        a.call(second);
        Bottom(a, top);
        a.jmp(done);
        a.Label(ref first);
        a.add(rbx, rax);
        a.ret();
        a.Label(ref second);
        a.xor(rbx, rax);
        a.ret();
        a.Label(ref done);
        a.mov(rax, rbx);
    }

    static void Rep(Assembler a)
    {
        var top = Top(a);
        a.mov(esi, (uint)Layout.Source);
        a.mov(edi, (uint)Layout.Target);
        a.mov(ecx, 4096);
        a.rep.movsb();
        Bottom(a, top);
        var sum = a.CreateLabel();
        a.xor(eax, eax);
        a.mov(ecx, 4096 / 8);
        a.Label(ref sum);
        a.add(rax, __[rcx * 8 + (Layout.Target - 8)]);
        a.rol(rax, 1);
        a.dec(ecx);
        a.jne(sum);
    }

    static void Cr3(Assembler a)
    {
        a.mov(rdx, cr3);
        a.xor(eax, eax);
        var top = Top(a);
        a.mov(cr3, rdx);
        for (var page = 0; page < 4; page++)
        {
            a.add(rax, __qword_ptr[Layout.Working + page * 4096 + page * 8]);
        }

        Bottom(a, top);
    }

    static void Port(Assembler a)
    {
        a.mov(eax, 0x5A);
        var top = Top(a);
        a.@out(0x80, al);
        Bottom(a, top);
        a.movzx(eax, al);
    }

    static Label Top(Assembler a)
    {
        var top = a.CreateLabel();
        a.Label(ref top);
        return top;
    }

    static void Bottom(Assembler a, Label top)
    {
        a.dec(r15);
        a.jne(top);
    }
}
