using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Firmware.BuiltIn.Tests;

/// <summary>String instructions: counts, both directions, overlap, page crossings.</summary>
internal static class StringTests
{
    /// <summary>Emits the tests.</summary>
    public static void Emit(Guest g)
    {
        var buffer = g.Data.Pages(3);
        g.Checks.Test("strings", $"STOS, MOVS, SCAS, CMPS, LODS; both directions, overlap, across pages", () =>
        {
            Fill(g, buffer);
            Copy(g, buffer);
            Compare(g, buffer);
        });
    }

    static void Fill(Guest g, Variable buffer)
    {
        var a = g.A;
        var start = buffer.Address + Layout.PageSize - 16;
        a.mov(edi, start);
        a.mov(rax, 0x0101_0101_0101_0101L);
        a.mov(ecx, 4);
        a.rep.stosq();
        a.mov(rbx, rcx);
        a.mov(r12, rdi);
        g.Checks.Equal(rbx, 0, "RCX after REP STOSQ");
        g.Checks.Equal(r12, start + 32, "RDI after REP STOSQ");
        a.mov(rax, __qword_ptr[(ulong)start + 24]);
        g.Checks.Equal(rax, 0x0101_0101_0101_0101L, "last word of REP STOSQ across pages");
        a.mov(rax, __qword_ptr[(ulong)start + 32]);
        g.Checks.Equal(rax, 0, "REP STOSQ stops in time");
        a.mov(edi, start);
        a.xor(ecx, ecx);
        a.rep.stosq();
        g.Checks.Equal(rdi, start, "REP with RCX = 0 does nothing");
    }

    static void Copy(Guest g, Variable buffer)
    {
        var a = g.A;
        var start = buffer.Address;
        // 0, 1, 2, ... 255 and then a copy one byte up, which repeats the first byte.
        a.mov(edi, start);
        a.xor(eax, eax);
        g.Forever(end =>
        {
            a.stosb();
            a.inc(al);
            a.je(end);
        });
        a.mov(esi, start);
        a.mov(edi, start + 0x1000 - 100);
        a.mov(ecx, 256);
        a.rep.movsb();
        a.mov(eax, __dword_ptr[(ulong)start + 0x1000 - 4]);
        g.Checks.Equal(rax, 0x6362_6160, "REP MOVSB before a page's end");
        a.mov(eax, __dword_ptr[(ulong)start + 0x1000]);
        g.Checks.Equal(rax, 0x6766_6564, "REP MOVSB after it");
        a.mov(esi, start);
        a.mov(edi, start + 1);
        a.mov(ecx, 16);
        a.rep.movsb();
        a.mov(rax, __qword_ptr[(ulong)start + 8]);
        g.Checks.Equal(rax, 0, "overlapping REP MOVSB repeats the first byte");
        a.mov(esi, start + 0x1000 - 100 + 255);
        a.mov(edi, start + 0x1000 - 100 + 257);
        a.mov(ecx, 256);
        a.std();
        a.rep.movsb();
        a.cld();
        a.movzx(eax, __byte_ptr[(ulong)start + 0x1000 - 100 + 257]);
        g.Checks.Equal(rax, 255, "REP MOVSB downwards keeps an overlapping tail");
        a.movzx(eax, __byte_ptr[(ulong)start + 0x1000 - 100 + 2]);
        g.Checks.Equal(rax, 0, "and reaches the first byte");
    }

    static void Compare(Guest g, Variable buffer)
    {
        var a = g.A;
        var left = g.Data.Initial("finding a needle in a haystack"u8, 1, 16);
        var right = g.Data.Initial("finding a noodle in a haystack"u8, 1, 16);
        a.mov(edi, left.Address);
        a.mov(ecx, 30);
        a.mov(al, (byte)'h');
        a.repne.scasb();
        a.mov(rbx, rdi);
        g.Checks.True(When.Equal, "REPNE SCASB finds");
        g.Checks.Equal(rbx, left.Address + 23, "RDI after REPNE SCASB");
        a.mov(esi, left.Address);
        a.mov(edi, right.Address);
        a.mov(ecx, 30);
        a.repe.cmpsb();
        a.mov(rbx, rsi);
        g.Checks.True(When.Below, "REPE CMPSB compares");
        g.Checks.Equal(rbx, left.Address + 12, "RSI after REPE CMPSB");
        a.mov(esi, left.Address);
        a.xor(eax, eax);
        a.lodsw();
        g.Checks.Equal(rax, 'f' | 'i' << 8, "LODSW");
        _ = buffer;
    }
}
