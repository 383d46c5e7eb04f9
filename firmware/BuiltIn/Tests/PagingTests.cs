using Vmm.Firmware.BuiltIn.Runtime;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Firmware.BuiltIn.Tests;

/// <summary>Four-level paging (SDM 3A §4.5 to §4.10): page sizes, permissions with their error codes, A and D, invalidation.</summary>
internal static class PagingTests
{
    const int PageFault = 14;
    const int ErrorPresent = 1, ErrorWrite = 2, ErrorUser = 4, ErrorReserved = 8, ErrorFetch = 16;
    const ulong ReadWrite = PageTables.Present | PageTables.Writable;
    const int WriteProtect = 1 << 16, Smep = 1 << 20, Smap = 1 << 21, AlignmentCheck = 1 << 18;
    const byte Ret = 0xC3;

    /// <summary>Linear addresses of the page under test, by size.</summary>
    const ulong Small = Layout.PagingWindow + 0x10_0000, Medium = Layout.PagingWindow + 0x4000_0000, Big = Layout.PagingWindow + 0x8000_0000;

    /// <summary>Emits the tests.</summary>
    public static void Emit(Guest g)
    {
        var (first, second) = (g.Data.Pages(1), g.Data.Pages(1));
        g.Checks.Test("paging", $"4 KiB, 2 MiB, 1 GiB pages; NX, write protection, U/S, reserved bits fault as they must; A and D bits, INVLPG, SMEP, SMAP", () =>
        {
            g.Call(g.User.Map);
            Sizes(g, first);
            AccessedAndDirty(g, first);
            WriteProtection(g, first);
            NoExecute(g, first);
            Reserved(g, first);
            UserPages(g, first);
            Invalidation(g, first, second);
            SupervisorProtection(g, first);
        });
    }

    static void Read(Guest g, ulong linear) => g.Faults.Expect(() =>
    {
        g.A.mov(rcx, linear);
        g.A.mov(rbx, __qword_ptr[rcx]);
    });

    static void Write(Guest g, ulong linear) => g.Faults.Expect(() =>
    {
        g.A.mov(rcx, linear);
        g.A.mov(__qword_ptr[rcx], rbx);
    });

    static void Sizes(Guest g, Variable page)
    {
        var a = g.A;
        g.Pages.MapPage(Small, page.Address | ReadWrite);
        a.mov(rbx, 0x1111_2222_3333_4444L);
        Write(g, Small + 0xFF8);
        g.Checks.Equal(page[511], rbx, "write through a 4 KiB page");
        g.Pages.MapPage(Medium, Layout.Arena | ReadWrite | PageTables.Large, 21);
        a.mov(rbx, 0x5555_6666_7777_8888L);
        Write(g, Medium + 0x12_3450);
        a.mov(rax, __qword_ptr[(ulong)Layout.Arena + 0x12_3450]);
        g.Checks.Equal(rax, rbx, "write through a 2 MiB page");
        Read(g, Medium + 0x12_3450);
        g.Checks.Equal(g.Faults.Vector, Faults.None, "no fault on the way");
        a.mov(eax, 0x8000_0001);
        a.cpuid();
        a.bt(edx, 26);
        g.If(When.Below, () =>
        {
            g.Pages.MapPage(Big, ReadWrite | PageTables.Large, 30);
            Read(g, Big + Layout.Arena + 0x12_3450);
            g.Checks.Equal(rbx, 0x5555_6666_7777_8888, "read through a 1 GiB page");
        });
    }

    static void AccessedAndDirty(Guest g, Variable page)
    {
        var a = g.A;
        foreach (var (linear, entry, shift, name) in new[] { (Small, page.Address | ReadWrite, 12, "4 KiB"), (Medium, Layout.Arena | ReadWrite | PageTables.Large, 21, "2 MiB") })
        {
            g.Pages.MapPage(linear, entry, shift);
            a.mov(r12, rax);
            Read(g, linear);
            Flags(name + ": a read sets A only", PageTables.Accessed);
            a.mov(rbx, 1);
            Write(g, linear);
            Flags(name + ": a write sets D", PageTables.Accessed | PageTables.Dirty);
        }

        void Flags(string what, ulong expected)
        {
            a.mov(rdx, __qword_ptr[r12]);
            a.and(edx, (uint)(PageTables.Accessed | PageTables.Dirty));
            g.Checks.Equal(rdx, expected, what);
        }
    }

    static void WriteProtection(Guest g, Variable page)
    {
        var a = g.A;
        g.Pages.MapPage(Small, page.Address | PageTables.Present);
        Write(g, Small + 8);
        g.Faults.Check("write of a read-only page", PageFault, ErrorPresent | ErrorWrite, Small + 8);
        a.mov(rax, cr0);
        a.and(eax, ~WriteProtect);
        a.mov(cr0, rax);
        a.mov(ebx, 0x77);
        Write(g, Small + 8);
        a.mov(rax, cr0);
        a.or(eax, WriteProtect);
        a.mov(cr0, rax);
        g.Checks.Equal(g.Faults.Vector, Faults.None, "the same with CR0.WP clear");
        g.Checks.Equal(page[1], 0x77, "and it was written");
        Write(g, Small + 8);
        g.Faults.Check("and with WP set again", PageFault, ErrorPresent | ErrorWrite);
        g.Pages.MapPage(Small, page.Address);
        Read(g, Small);
        g.Faults.Check("read of a page not present", PageFault, 0, Small);
        g.Pages.MapPage(Small, page.Address | ReadWrite);
        Write(g, Small + 0xFFC);
        g.Faults.Check("a write into an absent second page", PageFault, ErrorWrite, Small + 0x1000);
    }

    static void NoExecute(Guest g, Variable page)
    {
        var a = g.A;
        a.mov(page.As(1), Ret);
        Call(PageTables.NoExecute);
        g.Faults.Check("fetch from a page with NX", PageFault, ErrorPresent | ErrorFetch, Small);
        g.Checks.Equal(g.Faults.Rip, Small, "RIP of the fetch");
        Call(0);
        g.Checks.Equal(g.Faults.Vector, Faults.None, "fetch without NX");

        void Call(ulong bits)
        {
            g.Pages.MapPage(Small, page.Address | ReadWrite | bits);
            g.Faults.Expect(() =>
            {
                a.mov(rcx, Small);
                a.call(rcx);
            });
        }
    }

    static void Reserved(Guest g, Variable page)
    {
        g.Pages.MapPage(Small, page.Address | ReadWrite | 1ul << 51);
        Read(g, Small + 0x10);
        Check("a reserved address bit in an entry", Small + 0x10);
        g.Pages.MapPage(Medium, Layout.Arena | 0x2000 | ReadWrite | PageTables.Large, 21);
        Read(g, Medium);
        Check("a reserved bit in a 2 MiB entry", Medium);

        // TCG leaves P clear in the error code.
        void Check(string what, ulong address)
        {
            g.Checks.Equal(g.Faults.Vector, PageFault, what + ": vector");
            g.Checks.Equal(g.Faults.Address, address, what + ": CR2");
            g.Checks.ExceptOnTcg(() => g.Checks.Equal(g.Faults.Error, ErrorPresent | ErrorReserved, what + ": error code"));
        }
    }

    static void UserPages(Guest g, Variable page)
    {
        var a = g.A;
        User(ReadWrite, () => a.mov(rax, __qword_ptr[rdx]));
        g.Faults.Check("CPL 3 reads a supervisor page", PageFault, ErrorPresent | ErrorUser, Small);
        User(PageTables.Present | PageTables.User, () => a.mov(__qword_ptr[rdx], rax));
        g.Faults.Check("CPL 3 writes a read-only page", PageFault, ErrorPresent | ErrorUser | ErrorWrite, Small);
        User(PageTables.Present | PageTables.User | PageTables.NoExecute, () => a.jmp(rdx));
        g.Faults.Check("CPL 3 fetches from a page with NX", PageFault, ErrorPresent | ErrorUser | ErrorFetch, Small);
        User(ReadWrite | PageTables.User, () => a.mov(__qword_ptr[rdx], rdx));
        g.Faults.Check("CPL 3 writes a user page", 3);
        g.Checks.Equal(page, Small, "and it was written");

        void User(ulong bits, Action access)
        {
            g.Pages.MapPage(Small, page.Address | bits);
            a.mov(rdx, Small);
            g.User.Run(access);
        }
    }

    static void Invalidation(Guest g, Variable first, Variable second)
    {
        var a = g.A;
        a.mov(first, 1);
        a.mov(second, 2);
        g.Pages.MapPage(Small, first.Address | ReadWrite);
        a.mov(r12, rax);
        Read(g, Small);
        g.Checks.Equal(rbx, 1, "before the entry changes");
        a.mov(__qword_ptr[r12], (int)(second.Address | ReadWrite));
        a.mov(rcx, Small);
        a.invlpg(__[rcx]);
        Read(g, Small);
        g.Checks.Equal(rbx, 2, "after INVLPG");
        a.mov(__qword_ptr[r12], (int)(first.Address | ReadWrite));
        a.mov(rax, cr3);
        a.mov(cr3, rax);
        Read(g, Small);
        g.Checks.Equal(rbx, 1, "after a write of CR3");
        g.Pages.MapPage(Small, first.Address | ReadWrite | 1 << 8);
        Read(g, Small);
        a.mov(__qword_ptr[r12], (int)(second.Address | ReadWrite | 1 << 8));
        a.mov(rax, cr4);
        a.xor(eax, 1 << 7);
        a.mov(cr4, rax);
        a.xor(eax, 1 << 7);
        a.mov(cr4, rax);
        Read(g, Small);
        g.Checks.Equal(rbx, 2, "a global page after a change of CR4.PGE");
        a.mov(__qword_ptr[r12], 0);
        a.mov(rcx, Small);
        a.invlpg(__[rcx]);
        Read(g, Small);
        g.Faults.Check("after unmapping", PageFault, 0, Small);
    }

    static void SupervisorProtection(Guest g, Variable page)
    {
        var a = g.A;
        a.mov(page.As(1), Ret);
        g.Pages.MapPage(Small, page.Address | ReadWrite | PageTables.User);
        Feature(7, Smep, () => g.Faults.Expect(() =>
        {
            a.mov(rcx, Small);
            a.call(rcx);
        }), () => g.Faults.Check("SMEP: CPL 0 fetches from a user page", PageFault, ErrorPresent | ErrorFetch, Small));
        Feature(20, Smap, () =>
        {
            a.clac();
            Read(g, Small);
        }, () =>
        {
            g.Faults.Check("SMAP: CPL 0 reads a user page", PageFault, ErrorPresent, Small);
            a.pushfq();
            a.pop(rax);
            a.and(eax, AlignmentCheck);
            g.Checks.Equal(rax, 0, "CLAC");
        });
        Feature(20, Smap, () =>
        {
            a.stac();
            Read(g, Small);
            a.clac();
        }, () => g.Checks.Equal(g.Faults.Vector, Faults.None, "SMAP: the same after STAC"));

        void Feature(int bit, int control, Action access, Action check)
        {
            a.mov(eax, 7);
            a.xor(ecx, ecx);
            a.cpuid();
            a.bt(ebx, (byte)bit);
            g.If(When.Below, () =>
            {
                Set();
                access();
                Set();
                check();
            });

            void Set()
            {
                a.mov(rax, cr4);
                a.xor(eax, control);
                a.mov(cr4, rax);
            }
        }
    }
}
