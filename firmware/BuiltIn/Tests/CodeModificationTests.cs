using Iced.Intel;
using Vmm.Firmware.BuiltIn.Runtime;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Firmware.BuiltIn.Tests;

/// <summary>Code that is written as it runs (SDM 3A §8.1.3): the processor must never execute what was there before.</summary>
internal static class CodeModificationTests
{
    const byte MovEax = 0xB8, Ret = 0xC3;

    /// <summary>Emits the tests.</summary>
    public static void Emit(Guest g)
    {
        var page = g.Data.Pages(2);
        g.Checks.Test("smc", $"rewritten routines, next instruction, another linear address, page straddling", () =>
        {
            Rewrite(g, page);
            NextInstruction(g);
            Alias(g, page);
            Straddle(g, page);
        });
    }

    static void WriteRoutine(Guest g, uint at, uint value)
    {
        var a = g.A;
        a.mov(__byte_ptr[(ulong)at], MovEax);
        a.mov(__dword_ptr[(ulong)at + 1], value);
        a.mov(__byte_ptr[(ulong)at + 5], Ret);
    }

    static void Rewrite(Guest g, Variable page)
    {
        var a = g.A;
        WriteRoutine(g, page.Address, 1);
        a.mov(ebx, page.Address);
        a.call(rbx);
        g.Checks.Equal(rax, 1, "a routine that was written");
        a.xor(ebp, ebp);
        g.For(r12, 100, () =>
        {
            a.mov(__dword_ptr[(ulong)page.Address + 1], r12d);
            a.call(rbx);
            a.cmp(eax, r12d);
            g.If(When.Equal, () => a.inc(rbp));
        });
        g.Checks.Equal(rbp, 100, "calls of a routine rewritten each time");
    }

    static void NextInstruction(Guest g)
    {
        var a = g.A;
        var target = a.CreateLabel();
        a.lea(rbx, __[target]);
        a.xor(ebp, ebp);
        g.For(r12, 20, () =>
        {
            a.mov(__dword_ptr[rbx + 1], r12d);
            g.Place(target);
            a.db(MovEax, 0xFF, 0xFF, 0xFF, 0xFF);
            a.cmp(eax, r12d);
            g.If(When.Equal, () => a.inc(rbp));
        });
        g.Checks.Equal(rbp, 20, "a store into the next instruction");
    }

    static void Alias(Guest g, Variable page)
    {
        var a = g.A;
        g.Pages.MapPage(Layout.PagingWindow, page.Address | (uint)(PageTables.Present | PageTables.Writable));
        WriteRoutine(g, page.Address, 5);
        a.mov(r12, Layout.PagingWindow);
        a.call(r12);
        g.Checks.Equal(rax, 5, "a routine called by another linear address");
        a.mov(__dword_ptr[r12 + 1], 6);
        Serialise(g);
        a.mov(ecx, page.Address);
        a.call(rcx);
        g.Checks.Equal(rax, 6, "and rewritten by it");
        a.mov(__dword_ptr[(ulong)page.Address + 1], 7);
        Serialise(g);
        a.call(r12);
        g.Checks.Equal(rax, 7, "and back");
    }

    /// <summary>Only a store by the linear address of the code itself is seen without this.</summary>
    static void Serialise(Guest g)
    {
        g.A.xor(eax, eax);
        g.A.cpuid();
    }

    static void Straddle(Guest g, Variable page)
    {
        var a = g.A;
        var start = page.Address + Layout.PageSize - 3;
        WriteRoutine(g, start, 0x0102_0304);
        a.mov(ebx, start);
        a.call(rbx);
        g.Checks.Equal(rax, 0x0102_0304, "an instruction across two pages");
        a.mov(__byte_ptr[(ulong)page.Address + Layout.PageSize], 0x55);
        a.call(rbx);
        g.Checks.Equal(rax, 0x0155_0304, "its second half rewritten");
    }
}
