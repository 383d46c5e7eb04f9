using Iced.Intel;
using Vmm.Firmware.BuiltIn.Runtime;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Firmware.BuiltIn.Tests;

/// <summary>x2APIC mode on all processors (SDM 3A §11.12). There is no way back but INIT or disabling, so it is the last test.</summary>
internal static class X2ApicTests
{
    const int Feature = 21, Protection = 13;
    const uint Extended = 1 << 10, SelfIpi = 0x83F, IdMsr = 0x802, DestinationFormatMsr = 0x80E, LogicalMsr = 0x80D;
    const byte Vector = 0x63;

    /// <summary>Emits the tests.</summary>
    public static void Emit(Guest g) => g.Checks.Test("x2apic", $"all processors in x2APIC mode; IDs, self IPI, 64-bit commands, timer", () =>
    {
        var a = g.A;
        a.mov(eax, 1);
        a.cpuid();
        a.bt(ecx, Feature);
        g.If(When.NotBelow, () => g.Checks.Skip("CPUID does not advertise it"));
        Enter(g);
        Identity(g);
        Refused(g);
        Interrupts(g);
        g.Checks.Equal(g.Faults.Stray, 0, "exceptions on other processors");
    });

    static void Enter(Guest g)
    {
        var a = g.A;
        var (routine, over) = (g.NewRoutine(), a.CreateLabel());
        a.jmp(over);
        g.Define(routine, () =>
        {
            g.ReadMsr(Apic.BaseMsr);
            a.or(eax, Extended);
            g.WriteMsr(Apic.BaseMsr);
        });
        g.Place(over);
        g.Call(g.Processors.RunOnOthers, Operand.AddressOf(routine.Label));
        g.Checks.Equal(rax, 1, "all others switch");
        g.Call(routine);
        g.ReadMsr(Apic.BaseMsr);
        a.and(eax, 0xC00);
        g.Checks.Equal(rax, 0xC00, "APIC base MSR");
    }

    static void Identity(Guest g)
    {
        var a = g.A;
        g.ReadMsr(IdMsr);
        a.mov(r12, rax);
        g.Checks.Equal(r12, g.Processors.Ids, "x2APIC ID");
        a.mov(eax, 0xB);
        a.xor(ecx, ecx);
        a.cpuid();
        a.mov(ebx, edx);
        g.Checks.Equal(rbx, r12, "x2APIC ID of CPUID.0BH");
        // Logical ID: cluster in the upper half, a bit for the processor in the lower one.
        a.mov(ecx, r12d);
        a.and(ecx, 0xF);
        a.mov(ebx, 1);
        a.shl(ebx, cl);
        a.mov(ecx, r12d);
        a.shr(ecx, 4);
        a.shl(ecx, 16);
        a.or(ebx, ecx);
        g.ReadMsr(LogicalMsr);
        g.Checks.Equal(rax, rbx, "logical ID");
    }

    static void Refused(Guest g)
    {
        var a = g.A;
        g.Faults.Expect(() =>
        {
            a.xor(eax, eax);
            g.WriteMsr(IdMsr);
        });
        g.Faults.Check("write of the ID register", Protection, 0);
        g.Faults.Expect(() => g.ReadMsr(DestinationFormatMsr));
        g.Faults.Check("read of the destination format register", Protection, 0);
        g.Faults.Expect(() =>
        {
            g.ReadMsr(Apic.BaseMsr);
            a.and(eax, unchecked((int)~Extended));
            g.WriteMsr(Apic.BaseMsr);
        });
        g.Faults.Check("change from x2APIC to xAPIC mode", Protection, 0);
    }

    static void Interrupts(Guest g)
    {
        var a = g.A;
        a.mov(eax, Vector);
        g.WriteMsr(SelfIpi);
        g.Apic.Within(10_000, Vector, 1, "self IPI register");
        g.Call(g.Apic.Send, g.Processors.Ids, Apic.Assert | Vector);
        g.Apic.Within(10_000, Vector, 2, "IPI to its own ID");
        a.mov(ebx, 3);
        g.Call(g.Apic.Write, Apic.LvtTimer, Vector);
        g.Call(g.Apic.Write, Apic.InitialCount, 1000);
        g.Apic.Within(100_000, Vector, rbx, "timer");
        g.Call(g.Apic.Write, Apic.LvtTimer, Apic.Masked);
        a.mov(ebx, g.Faults.Counts[Vector]);
        a.mov(r12, g.Processors.Online);
        a.add(rbx, r12);
        g.For(r13, r12, () =>
        {
            a.mov(edi, g.Processors.Ids.As(4, 4).At(r13));
            g.Call(g.Apic.Send, rdi, Apic.Assert | Vector);
        });
        g.Apic.Within(10_000, Vector, rbx, "an IPI to every other processor");
        g.Call(g.Apic.Read, Apic.Request + Vector / 32 * 16);
        g.Checks.Equal(rax, 0, "IRR afterwards");
    }
}
