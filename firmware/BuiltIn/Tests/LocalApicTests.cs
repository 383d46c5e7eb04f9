using Iced.Intel;
using Vmm.Firmware.BuiltIn.Runtime;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Firmware.BuiltIn.Tests;

/// <summary>The local APIC in xAPIC mode: identity, self interrupts, priorities, non-maskable interrupts.</summary>
internal static class LocalApicTests
{
    const byte Low = 0x41, High = 0x61, Lower = 0x3F;

    /// <summary>Emits the tests.</summary>
    public static void Emit(Guest g)
    {
        var id = g.Data.U64();
        g.Checks.Test("local apic", $"ID {id} at {g.Apic.Base:x}; self IPI, IRR, task priority, order of delivery, NMI", () =>
        {
            g.Call(g.Apic.Own);
            g.A.mov(id, rax);
            Identity(g, id);
            Self(g);
            Priority(g);
            Order(g);
            NonMaskable(g, id);
        });
    }

    /// <summary>Emits a self interrupt.</summary>
    static void SendToSelf(Guest g, byte vector) => g.Call(g.Apic.Send, 0, Apic.ToSelf | Apic.Assert | vector);

    static void Identity(Guest g, Variable id)
    {
        var a = g.A;
        a.mov(eax, 1);
        a.cpuid();
        a.shr(ebx, 24);
        g.Checks.Equal(rbx, id, "initial APIC ID of CPUID");
        g.Call(g.Apic.Read, Apic.Version);
        a.movzx(ebx, al);
        a.shr(eax, 16);
        a.movzx(r12d, al);
        g.Checks.Between(rbx, 0x10, 0x1F, "version");
        g.Checks.Between(r12, 3, 0xF, "highest LVT entry");
        g.ReadMsr(Apic.BaseMsr);
        a.and(eax, 0x900);
        g.Checks.Equal(rax, 0x900, "APIC base MSR: enabled, bootstrap processor");
    }

    static void Self(Guest g)
    {
        var a = g.A;
        a.mov(ebx, g.Faults.Counts[High]);
        a.inc(ebx);
        SendToSelf(g, High);
        CheckRequest(g, true, "IRR holds the interrupt while IF is 0");
        g.Apic.Within(10_000, High, rbx, "self interrupt");
        CheckRequest(g, false, "IRR is clear afterwards");
        g.Call(g.Apic.Read, Apic.InService + High / 32 * 16);
        g.Checks.Equal(rax, 0, "ISR is clear after EOI");
    }

    static void CheckRequest(Guest g, bool set, string what)
    {
        g.Call(g.Apic.Read, Apic.Request + High / 32 * 16);
        g.A.bt(eax, High % 32);
        g.Checks.True(set ? When.Below : When.NotBelow, what);
    }

    static void Priority(Guest g)
    {
        var a = g.A;
        a.mov(ebx, g.Faults.Counts[High]);
        g.Call(g.Apic.Write, Apic.TaskPriority, High & 0xF0);
        SendToSelf(g, High);
        g.Apic.Listen(50);
        g.Checks.Equal(g.Faults.Counts[High], rbx, "task priority holds an interrupt back");
        a.mov(rax, cr8);
        g.Checks.Equal(rax, High >> 4, "CR8 is the task priority");
        a.mov(eax, (High >> 4) - 1);
        a.mov(cr8, rax);
        a.inc(ebx);
        g.Apic.Within(10_000, High, rbx, "a lower task priority lets it in");
        a.xor(eax, eax);
        a.mov(cr8, rax);
    }

    static void Order(Guest g)
    {
        var a = g.A;
        SendToSelf(g, Low);
        SendToSelf(g, Lower);
        SendToSelf(g, High);
        g.Apic.Within(10_000, Lower, 1, "three interrupts");
        a.mov(eax, g.Faults.Order[High]);
        a.cmp(eax, g.Faults.Order[Low]);
        g.Checks.True(When.Below, "the highest vector comes first");
        a.mov(eax, g.Faults.Order[Low]);
        a.cmp(eax, g.Faults.Order[Lower]);
        g.Checks.True(When.Below, "the lowest vector comes last");
    }

    static void NonMaskable(Guest g, Variable id)
    {
        g.Call(g.Apic.Send, id, Apic.Nmi | Apic.Assert);
        g.Checks.Within(10_000, When.NotEqual, "NMI to itself while IF is 0", () => g.A.cmp(g.Faults.Counts[2], 0));
        g.Checks.Equal(g.Faults.Counts[2], 1, "and only one");
    }
}
