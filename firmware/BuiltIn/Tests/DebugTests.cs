using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Firmware.BuiltIn.Tests;

/// <summary>Debug exceptions (SDM 3B §17.3): single step, breakpoints on code and data.</summary>
internal static class DebugTests
{
    const int Debug = 1, InvalidOpcode = 6;
    const int TrapFlag = 1 << 8, ResumeFlag = 1 << 16;
    const int HitMask = 0xF | SingleStep;
    const int SingleStep = 1 << 14;

    /// <summary>DR7 for breakpoint 0 on code, 1 on writes of 4 bytes, 2 on any access of 1 byte.</summary>
    const int OnCode = 1, OnWrite = 1 << 2 | 0b1101 << 20, OnAccess = 1 << 4 | 0b0011 << 24;

    const int Inactive = 0x400;

    /// <summary>Emits the tests.</summary>
    public static void Emit(Guest g)
    {
        var watched = g.Data.U64();
        g.Checks.Test("debug", $"single step, code breakpoint with RF, write and access watchpoints, DR6 tells which", () =>
        {
            Step(g);
            Code(g);
            Data(g, watched);
            g.Faults.Expect(() => g.A.mov(rax, dr4));
            g.Faults.Check("DR4 with CR4.DE", InvalidOpcode);
        });
    }

    static void Clear(Guest g)
    {
        g.A.xor(eax, eax);
        g.A.mov(dr6, rax);
        g.A.mov(eax, Inactive);
        g.A.mov(dr7, rax);
    }

    static void CheckCause(Guest g, int cause, string what)
    {
        g.A.mov(rbx, dr6);
        g.A.and(ebx, HitMask);
        g.Checks.Equal(rbx, cause, what);
        Clear(g);
    }

    static void Step(Guest g)
    {
        var a = g.A;
        var after = a.CreateLabel();
        Clear(g);
        g.Faults.Expect(() =>
        {
            a.pushfq();
            a.or(__qword_ptr[rsp], TrapFlag);
            a.popfq();
            a.mov(ebx, 1);
            g.Place(after);
            a.mov(ebx, 2);
        });
        a.mov(r12, rbx);
        g.Faults.Check("single step", Debug);
        g.Checks.Equal(g.Faults.Rip, At(after), "RIP after one step");
        g.Checks.Equal(r12, 1, "one instruction was executed");
        CheckCause(g, SingleStep, "DR6.BS");
    }

    static Operand At(Label label) => Operand.AddressOf(label);

    static void Code(Guest g)
    {
        var a = g.A;
        var (place, past) = (a.CreateLabel(), a.CreateLabel());
        a.lea(rax, __[place]);
        a.mov(dr0, rax);
        a.mov(eax, Inactive | OnCode);
        a.mov(dr7, rax);
        a.xor(ebx, ebx);
        g.Faults.Expect(() =>
        {
            g.Place(place);
            a.inc(ebx);
            g.Place(past);
            a.nop();
        });
        a.mov(r12, rbx);
        g.Faults.Check("code breakpoint", Debug);
        g.Checks.Equal(g.Faults.Rip, At(place), "RIP of a code breakpoint");
        g.Checks.Equal(r12, 0, "the instruction was not executed");
        CheckCause(g, 1, "DR6.B0");
        a.mov(eax, Inactive | OnCode);
        a.mov(dr7, rax);
        a.mov(rcx, rsp);
        a.mov(rbp, rsp);
        var landing = a.CreateLabel();
        g.Faults.Expect(() =>
        {
            a.lea(rdx, __[landing]);
            a.mov(dr0, rdx);
            a.push(Runtime.Descriptors.KernelData);
            a.push(rcx);
            a.push(2 | ResumeFlag);
            a.push(Runtime.Descriptors.KernelCode);
            a.push(rdx);
            a.iretq();
            g.Place(landing);
            a.inc(ebx);
        });
        g.Checks.Equal(g.Faults.Vector, Runtime.Faults.None, "RF set by IRETQ suppresses a code breakpoint");
        a.mov(rsp, rbp);
        Clear(g);
    }

    static void Data(Guest g, Variable watched)
    {
        var a = g.A;
        var after = a.CreateLabel();
        a.mov(eax, watched.Address);
        a.mov(dr1, rax);
        a.mov(dr2, rax);
        a.mov(eax, Inactive | OnWrite);
        a.mov(dr7, rax);
        g.Faults.Expect(() =>
        {
            a.mov(eax, watched.As(4));
            a.mov(watched.As(1), 0x5A);
            g.Place(after);
            a.nop();
        });
        g.Faults.Check("write watchpoint", Debug);
        g.Checks.Equal(g.Faults.Rip, At(after), "RIP after the write");
        g.Checks.Equal(watched.As(1), 0x5A, "the write was made");
        CheckCause(g, 2, "DR6.B1");
        a.mov(eax, Inactive | OnAccess);
        a.mov(dr7, rax);
        g.Faults.Expect(() => a.mov(rax, watched));
        g.Faults.Check("access watchpoint on a read", Debug);
        CheckCause(g, 4, "DR6.B2");
        a.mov(eax, Inactive | OnAccess);
        a.mov(dr7, rax);
        g.Faults.Expect(() => a.mov(eax, watched.As(4, 4)));
        g.Checks.Equal(g.Faults.Vector, Runtime.Faults.None, "a read beside the watchpoint");
        Clear(g);
    }
}
