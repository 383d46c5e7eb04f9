using Iced.Intel;
using Vmm.Firmware.BuiltIn.Runtime;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Firmware.BuiltIn.Tests;

/// <summary>CPL 3 and the ways there and back: IRETQ, interrupts through the task state segment, SYSCALL and SYSRET.</summary>
internal static class PrivilegeTests
{
    const int Breakpoint = 3, Protection = 13;
    const uint Star = 0xC000_0081, Lstar = 0xC000_0082, Fmask = 0xC000_0084, Efer = 0xC000_0080;
    const int Carry = 1, Direction = 1 << 10;

    /// <summary>Emits the tests.</summary>
    public static void Emit(Guest g) => g.Checks.Test("privilege", $"IRETQ to CPL 3, stack from the TSS, I/O map, privileged instructions refused, SYSCALL and SYSRET", () =>
    {
        Excursion(g);
        Refused(g);
        Gates(g);
        SystemCall(g);
        BadReturn(g);
    });

    static void Excursion(Guest g)
    {
        var a = g.A;
        g.User.Run(() => a.mov(ebx, cs));
        g.Faults.Check("INT3 at CPL 3", Breakpoint);
        g.Checks.Equal(rbx, Descriptors.UserCode, "CS at CPL 3");
        g.Checks.Equal(g.Faults.Selector, Descriptors.UserCode, "CS saved");
        g.Checks.Equal(g.Faults.Rsp, Layout.UserStackTop, "RSP saved");
        a.mov(rbx, g.Descriptors.FirstRsp0);
        a.sub(rbx, g.Faults.Frame);
        g.Checks.Equal(rbx, 7 * 8, "the frame is at the top of the TSS's stack");
        g.Checks.Equal(g.Faults.HandlerSs, 0, "SS is null in the handler");
    }

    static void Refused(Guest g)
    {
        var a = g.A;
        (string Name, Action Code)[] privileged =
        [
            ("HLT", a.hlt),
            ("CLI", a.cli),
            ("WRMSR", a.wrmsr),
            ("INVLPG", () => a.invlpg(__[rax])),
            ("MOV from CR3", () => a.mov(rax, cr3)),
            ("LGDT", () => a.lgdt(__[rax])),
            ("CLTS", a.clts),
            ("IN of a closed port", () => a.@in(al, 0x71)),
        ];
        foreach (var (name, code) in privileged)
        {
            g.User.Run(code);
            g.Faults.Check(name + " at CPL 3", Protection, 0);
        }

        g.User.Run(() => a.@out((byte)Descriptors.OpenPort, al));
        g.Faults.Check("OUT of an open port at CPL 3", Breakpoint);
    }

    static void Gates(Guest g)
    {
        var a = g.A;
        g.User.Run(() =>
        {
            a.@int(Descriptors.UserVector);
            a.mov(ebx, 0x1234);
        });
        g.Faults.Check("INT through a gate for CPL 3", Breakpoint);
        g.Checks.Equal(g.Faults.Counts[Descriptors.UserVector], 1, "handler of that gate");
        g.Checks.Equal(rbx, 0x1234, "CPL 3 goes on after IRETQ");
        g.User.Run(() => a.@int(Descriptors.UserVector + 1));
        g.Faults.Check("INT through a gate for CPL 0", Protection);
        g.Checks.ExceptOnTcg(() => g.Checks.Equal(g.Faults.Error, (Descriptors.UserVector + 1) * 8 + 2, "INT through a gate for CPL 0: error code"));
    }

    static void SystemCall(Guest g)
    {
        var a = g.A;
        var (entry, user, after) = (a.CreateLabel(), a.CreateLabel(), a.CreateLabel());
        var (stack, userStack) = (g.Data.U64(), g.Data.U64());
        g.ReadMsr(Efer);
        a.or(eax, 1);
        g.WriteMsr(Efer);
        a.mov(rax, (ulong)Descriptors.UserCode32 << 48 | (ulong)Descriptors.KernelCode << 32);
        g.WriteMsr(Star);
        a.lea(rax, __[entry]);
        g.WriteMsr(Lstar);
        a.mov(eax, Direction);
        g.WriteMsr(Fmask);
        a.mov(stack, rsp);
        g.Faults.Expect(() =>
        {
            g.User.LoadUserAddress(user);
            a.mov(rcx, rax);
            a.mov(r11d, 2 | Carry | Direction);
            a.mov(rsp, Layout.UserStackTop);
            a.sysretq();
            g.Place(user);
            a.mov(ebx, cs);
            a.mov(r12d, ss);
            a.mov(eax, 20);
            a.syscall();
            g.Place(after);
            a.int3();
            g.Place(entry);
            a.mov(userStack, rsp);
            a.mov(rsp, stack);
            a.mov(r13, rcx);
            a.mov(r14, r11);
            a.pushfq();
            a.pop(r15);
            a.mov(ebp, cs);
            a.add(eax, 22);
            a.mov(rsp, userStack);
            a.sysretq();
        });
        a.mov(rsp, stack);
        a.cld();
        a.mov(userStack, rax);
        g.Faults.Check("CPL 3 after SYSRET", Breakpoint);
        g.Checks.Equal(rbx, Descriptors.UserCode, "CS after SYSRET");
        g.Checks.Equal(r12, Descriptors.UserData, "SS after SYSRET");
        g.Checks.Equal(userStack, 42, "what the system call returned");
        g.Checks.Equal(rbp, Descriptors.KernelCode, "CS after SYSCALL");
        g.User.LoadUserAddress(after);
        g.Checks.Equal(r13, rax, "RCX after SYSCALL");
        a.and(r14d, Carry | Direction);
        g.Checks.Equal(r14, Carry | Direction, "R11 after SYSCALL");
        a.and(r15d, Carry | Direction);
        a.mov(ebx, r15d);
        a.and(ebx, Direction);
        g.Checks.Equal(rbx, 0, "RFLAGS are masked by FMASK");
        g.Checks.ExceptOnTcg(() => g.Checks.Equal(r15, Carry, "RFLAGS are kept outside FMASK"));
    }

    static void BadReturn(Guest g)
    {
        var a = g.A;
        g.Faults.Expect(() =>
        {
            a.push(Descriptors.UserData);
            a.push(0);
            a.push(2);
            a.push(Descriptors.KernelCode | 3);
            a.push(0);
            a.iretq();
        });
        g.Faults.Check("IRETQ to CPL 3 with a code segment of CPL 0", Protection, Descriptors.KernelCode);
    }
}
