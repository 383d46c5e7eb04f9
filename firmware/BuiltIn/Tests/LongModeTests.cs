using Iced.Intel;
using Vmm.Firmware.BuiltIn.Runtime;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Firmware.BuiltIn.Tests;

/// <summary>64-bit mode works as such: control bits, registers, addressing, and an excursion to compatibility mode.</summary>
internal static class LongModeTests
{
    const uint Efer = 0xC000_0080, FsBase = 0xC000_0100, GsBase = 0xC000_0101, KernelGsBase = 0xC000_0102;
    const int LongModeEnabledAndActive = 1 << 8 | 1 << 10;

    /// <summary>Emits the tests.</summary>
    public static void Emit(Guest g) => g.Checks.Test("long mode", $"registers, RIP-relative and FS/GS addressing, SWAPGS, compatibility mode and back", () =>
    {
        Control(g);
        Registers(g);
        Bases(g);
        Compatibility(g);
    });

    static void Control(Guest g)
    {
        var a = g.A;
        g.ReadMsr(Efer);
        a.and(eax, LongModeEnabledAndActive);
        g.Checks.Equal(rax, LongModeEnabledAndActive, "EFER.LME and LMA");
        a.mov(rax, cr0);
        a.and(eax, 0x8000_0001);
        g.Checks.Equal(rax, 0x8000_0001, "CR0.PG and PE");
        a.mov(eax, Descriptors.KernelCode);
        a.xor(ecx, ecx);
        a.lar(ecx, eax);
        a.and(ecx, 0x0060_9A00);
        g.Checks.Equal(rcx, 0x0020_9A00, "LAR of a 64-bit code segment");
    }

    static void Registers(Guest g)
    {
        var a = g.A;
        var word = g.Data.Initial(0x1122_3344_5566_7788ul);
        a.mov(r12, 0x1234_5678_9ABC_DEF0L);
        a.mov(rbx, r12);
        a.mov(ebx, r12d);
        g.Checks.Equal(rbx, 0x9ABC_DEF0, "a 32-bit result zero-extends");
        a.mov(rbx, r12);
        a.mov(bx, 0x1111);
        g.Checks.Equal(rbx, 0x1234_5678_9ABC_1111, "a 16-bit result leaves the rest");
        a.mov(rbx, r12);
        a.mov(esi, 0x1234);
        a.mov(sil, bl);
        g.Checks.Equal(rsi, 0x12F0, "SIL is a byte register");
        a.movsxd(rbx, r12d);
        g.Checks.Equal(rbx, 0xFFFF_FFFF_9ABC_DEF0, "MOVSXD");
        a.mov(rax, r12);
        a.mov(rcx, r12);
        a.mul(rcx);
        g.Checks.Equal(rdx, 0x014B_66DC_33F6_ACDC, "64 by 64 bit product, high half");
        a.mov(r13d, word.Address - 0x40);
        a.mov(ebx, 8);
        a.mov(rcx, __qword_ptr[r13 + rbx * 8]);
        g.Checks.Equal(rcx, word, "base plus scaled index");
        var code = a.CreateLabel();
        a.mov(rcx, __qword_ptr[code]);
        a.lea(r12, __[code]);
        a.mov(r12, __qword_ptr[r12]);
        g.Place(code);
        g.Checks.Equal(rcx, r12, "RIP-relative load");
    }

    static void Bases(Guest g)
    {
        var a = g.A;
        var words = g.Data.Initial(0x1111ul);
        g.Data.Initial(0x2222ul);
        g.Data.Initial(0x3333ul);
        foreach (var (msr, offset) in new[] { (FsBase, 0u), (GsBase, 8u), (KernelGsBase, 16u) })
        {
            a.mov(eax, words.Address + offset);
            g.WriteMsr(msr);
        }

        a.mov(rbx, __qword_ptr.fs[0ul]);
        g.Checks.Equal(rbx, 0x1111, "load by FS");
        a.mov(rbx, __qword_ptr.gs[0ul]);
        g.Checks.Equal(rbx, 0x2222, "load by GS");
        a.swapgs();
        a.mov(rbx, __qword_ptr.gs[0ul]);
        a.swapgs();
        g.Checks.Equal(rbx, 0x3333, "load by GS after SWAPGS");
        foreach (var msr in new[] { FsBase, GsBase, KernelGsBase })
        {
            a.xor(eax, eax);
            g.WriteMsr(msr);
        }
    }

    /// <summary>
    /// Calls 32-bit code through a far pointer. There 40h is INC EAX, not a REX prefix; RETF takes 32-bit words from the stack.
    /// </summary>
    static void Compatibility(Guest g)
    {
        var a = g.A;
        var (code, back) = (a.CreateLabel(), a.CreateLabel());
        var pointer = g.Data.Zeroed(8, 4);
        a.lea(rax, __[code]);
        a.mov(pointer, eax);
        a.mov(pointer[1], Descriptors.KernelCode32);
        a.mov(rbx, rsp);
        a.mov(r12, -1L);
        a.mov(eax, 41);
        a.sub(rsp, 8);
        a.mov(__dword_ptr[rsp + 4], Descriptors.KernelCode);
        a.lea(rcx, __[back]);
        a.mov(__dword_ptr[rsp], ecx);
        a.jmp(__fword_ptr[(ulong)pointer.Address]);
        g.Place(code);
        // INC EAX; PUSH EAX; POP ECX; RETF
        a.db(0x40, 0x50, 0x59, 0xCB);
        g.Place(back);
        a.mov(r13, rsp);
        a.mov(rsp, rbx);
        g.Checks.Equal(rcx, 42, "INC EAX in compatibility mode");
        g.Checks.Equal(r13, rbx, "stack after a far return of 32 bits");
        g.Checks.Equal(r12, -1L, "high registers survive compatibility mode");
    }
}
