using Iced.Intel;
using Vmm.Firmware.BuiltIn.Runtime;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Firmware.BuiltIn.Tests;

/// <summary>Exceptions at CPL 0: vectors, error codes and saved RIP (SDM 3A §6.15).</summary>
internal static class ExceptionTests
{
    const int DivideError = 0, Breakpoint = 3, InvalidOpcode = 6, DoubleFault = 8, NotPresent = 11, StackFault = 12, Protection = 13, PageFault = 14;
    const ulong NotCanonical = 0x8000_0000_0000ul;

    /// <summary>The IDT entry's byte that holds P.</summary>
    const int GateRights = 5;

    const byte SpareVector = 0x90;

    /// <summary>Emits the tests.</summary>
    public static void Emit(Guest g) => g.Checks.Test("exceptions", $"#DE #BP #UD #NP #SS #GP #PF with error codes, #DF on its own stack, traps and faults save the right RIP", () =>
    {
        Simple(g);
        Segments(g);
        Addresses(g);
        DoubleFaults(g);
    });

    static void Simple(Guest g)
    {
        var a = g.A;
        var (divide, breakpoint, invalid) = (a.CreateLabel(), a.CreateLabel(), a.CreateLabel());
        g.Faults.Expect(() =>
        {
            a.xor(edx, edx);
            a.mov(eax, 1);
            a.xor(ecx, ecx);
            g.Place(divide);
            a.div(ecx);
        });
        g.Faults.Check("division by zero", DivideError);
        g.Checks.Equal(g.Faults.Rip, Operand.AddressOf(divide), "a fault saves its own RIP");
        g.Faults.Expect(() =>
        {
            a.mov(edx, 2);
            a.mov(ecx, 2);
            a.div(ecx);
        });
        g.Faults.Check("quotient too large", DivideError);
        g.Faults.Expect(() =>
        {
            a.int3();
            g.Place(breakpoint);
            a.nop();
        });
        g.Faults.Check("INT3", Breakpoint);
        g.Checks.Equal(g.Faults.Rip, Operand.AddressOf(breakpoint), "a trap saves the next RIP");
        g.Faults.Expect(() =>
        {
            g.Place(invalid);
            a.ud2();
        });
        g.Faults.Check("UD2", InvalidOpcode);
        g.Checks.Equal(g.Faults.Rip, Operand.AddressOf(invalid), "UD2 saves its own RIP");
        g.Faults.Expect(() => a.db(0xCE));
        g.Faults.Check("INTO in 64-bit mode", InvalidOpcode);
        g.Faults.Expect(() => a.db(0xF0, 0x90));
        g.Faults.Check("LOCK NOP", InvalidOpcode);
    }

    static void Segments(Guest g)
    {
        var a = g.A;
        g.Faults.Expect(() =>
        {
            a.mov(eax, 0xFFF8);
            a.mov(es, eax);
        });
        g.Faults.Check("selector beyond the GDT", Protection, 0xFFF8);
        g.Faults.Expect(() =>
        {
            a.mov(eax, Descriptors.Absent);
            a.mov(es, eax);
        });
        g.Faults.Check("segment not present", NotPresent, Descriptors.Absent);
        g.Faults.Expect(() =>
        {
            a.mov(eax, Descriptors.Absent);
            a.mov(ss, eax);
        });
        g.Faults.Check("stack segment not present", StackFault, Descriptors.Absent);
        var rights = g.Descriptors.Idt.As(1, SpareVector * 16 + GateRights);
        a.and(rights, 0x7F);
        g.Faults.Expect(() => a.@int(SpareVector));
        g.Faults.Check("gate not present", NotPresent);
        g.Checks.ExceptOnTcg(() => g.Checks.Equal(g.Faults.Error, SpareVector * 8 + 2, "gate not present: error code"));
        a.or(rights, 0x80);
        a.@int(SpareVector);
        g.Checks.Equal(g.Faults.Counts[SpareVector], 1, "INT n through a present gate");
    }

    static void Addresses(Guest g)
    {
        var a = g.A;
        g.Faults.Expect(() =>
        {
            a.mov(rcx, NotCanonical);
            a.mov(rcx, __qword_ptr[rcx]);
        });
        g.Faults.Check("address that is not canonical", Protection, 0);
        g.Faults.Expect(() =>
        {
            a.mov(rbp, NotCanonical);
            a.mov(rcx, __qword_ptr[rbp]);
        });
        g.Checks.ExceptOnTcg(() => g.Faults.Check("address by RBP that is not canonical", StackFault, 0));
        g.Faults.Expect(() =>
        {
            a.mov(rcx, NotCanonical);
            a.jmp(rcx);
        });
        g.Faults.Check("jump that is not canonical", Protection, 0);
        g.Faults.Expect(() =>
        {
            a.mov(rcx, Layout.PagingWindow + 0x1234_5678);
            a.mov(ecx, __dword_ptr[rcx]);
        });
        g.Faults.Check("read of nothing", PageFault, 0, Layout.PagingWindow + 0x1234_5678);
        g.Faults.Expect(() =>
        {
            a.mov(rcx, Layout.PagingWindow + 0x1234_5678);
            a.mov(__dword_ptr[rcx], ecx);
        });
        g.Faults.Check("write of nothing", PageFault, 2, Layout.PagingWindow + 0x1234_5678);
    }

    static void DoubleFaults(Guest g)
    {
        var a = g.A;
        var rights = g.Descriptors.Idt.As(1, PageFault * 16 + GateRights);
        g.Faults.Expect(() =>
        {
            a.mov(rsp, Layout.PagingWindow + 0x2000);
            a.push(rax);
        });
        g.Faults.Check("page fault whose frame has no stack", DoubleFault, 0);
        g.Checks.Equal(g.Faults.Rsp, Layout.PagingWindow + 0x2000, "RSP saved by the double fault");
        a.and(rights, 0x7F);
        g.Faults.Expect(() =>
        {
            a.mov(rcx, Layout.PagingWindow + 0x2000);
            a.mov(ecx, __dword_ptr[rcx]);
        });
        a.or(rights, 0x80);
        g.Faults.Check("page fault whose gate is not present", DoubleFault, 0);
    }
}
