using Iced.Intel;
using Vmm.Firmware.BuiltIn.Runtime;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Firmware.BuiltIn.Tests;

/// <summary>The local APIC's timer (SDM 3A §11.5.4): rate, one-shot, periodic, deadline; it wakes a halted processor.</summary>
internal static class TimerTests
{
    const byte Vector = 0x62;
    const uint DivideBy1 = 0xB, DivideBy16 = 0x3;

    /// <summary>How late an interrupt may come, in microseconds: a host that runs other programs holds the guest up.</summary>
    const int Patience = 200_000;

    const int Shot = 200, Period = 100, Periods = 5, TscDeadlineFeature = 24;

    /// <summary>Emits the tests.</summary>
    public static void Emit(Guest g)
    {
        var (rate, kilohertz, deadlines) = (g.Data.U64(), g.Data.U64(), g.Data.U64());
        g.Checks.Test("apic timer", $"{kilohertz:k} MHz; one-shot, periodic, masked, divider, wakes HLT{deadlines:s}", () =>
        {
            g.Call(g.Apic.Write, Apic.LvtTimer, Apic.Masked | Vector);
            Rates(g, rate);
            g.A.mov(rax, rate);
            g.A.xor(edx, edx);
            g.A.mov(ecx, 1000);
            g.A.div(rcx);
            g.A.mov(kilohertz, rax);
            OneShot(g, rate);
            Masked(g, rate);
            Repeated(g, rate);
            Halt(g, rate);
            Deadline(g, deadlines);
            g.Call(g.Apic.Write, Apic.LvtTimer, Apic.Masked | Vector);
            g.Call(g.Apic.Write, Apic.InitialCount, 0);
        });
    }

    /// <summary>Measures the count rate undivided and divided by 16.</summary>
    static void Rates(Guest g, Variable rate)
    {
        var a = g.A;
        g.Call(g.Apic.Write, Apic.Divide, DivideBy16);
        g.Call(g.Apic.Write, Apic.InitialCount, uint.MaxValue);
        g.Counters.Measure(g.Apic.ReadTimer, uint.MaxValue, down: true);
        a.mov(rbx, rax);
        g.Call(g.Apic.Write, Apic.Divide, DivideBy1);
        g.Call(g.Apic.Write, Apic.InitialCount, uint.MaxValue);
        g.Counters.Measure(g.Apic.ReadTimer, uint.MaxValue, down: true);
        a.mov(rate, rax);
        g.Checks.Between(rax, 1_000_000, 5_000_000_000, "count rate, Hz");
        a.mov(r12, rbx);
        a.shl(r12, 4);
        g.Clock.CheckNear(r12, rate, 50, "16 times the rate divided by 16");
        g.Call(g.Apic.Write, Apic.InitialCount, 0);
        g.Call(g.Apic.Read, Apic.CurrentCount);
        g.Checks.Equal(rax, 0, "an initial count of 0 stops it");
        ByCpuid(g, rate);
    }

    /// <summary>CPUID.15H gives the crystal's rate, which is what the timer counts.</summary>
    static void ByCpuid(Guest g, Variable rate)
    {
        var a = g.A;
        a.xor(eax, eax);
        a.cpuid();
        a.cmp(eax, 0x15);
        g.If(When.NotBelow, () =>
        {
            a.mov(eax, 0x15);
            a.cpuid();
            a.mov(ebx, ecx);
            a.test(ebx, ebx);
            g.If(When.NotEqual, () => g.Clock.CheckNear(rbx, rate, 100, "crystal rate of CPUID.15H"));
        });
    }

    /// <summary>Starts the timer for some microseconds; R12 is then the TSC before, R13 the earliest TSC for its end.</summary>
    static void Start(Guest g, Variable rate, uint mode, int microseconds)
    {
        var a = g.A;
        g.Call(g.Apic.Write, Apic.LvtTimer, mode | Vector);
        g.ReadTsc();
        a.mov(r12, rax);
        g.Call(g.Clock.Deadline, microseconds);
        a.mov(r13, rax);
        // A hundredth less, for the errors of both measured rates.
        a.sub(rax, r12);
        a.mov(ecx, 100);
        a.xor(edx, edx);
        a.div(rcx);
        a.sub(r13, rax);
        a.imul(rax, rate, microseconds);
        a.mov(ecx, 1_000_000);
        a.xor(edx, edx);
        a.div(rcx);
        g.Call(g.Apic.Write, Apic.InitialCount, rax);
    }

    static void OneShot(Guest g, Variable rate)
    {
        var a = g.A;
        a.mov(ebx, g.Faults.Counts[Vector]);
        a.inc(ebx);
        Start(g, rate, 0, Shot);
        g.Apic.Within(Patience, Vector, rbx, "one-shot interrupt");
        a.cmp(g.Faults.Times[Vector], r13);
        g.Checks.True(When.NotBelow, "not before its time");
        g.Apic.Listen(Shot * 2);
        g.Checks.Equal(g.Faults.Counts[Vector], rbx, "only one");
        g.Call(g.Apic.Read, Apic.CurrentCount);
        g.Checks.Equal(rax, 0, "current count afterwards");
    }

    static void Masked(Guest g, Variable rate)
    {
        g.A.mov(ebx, g.Faults.Counts[Vector]);
        Start(g, rate, Apic.Masked, Shot / 2);
        g.Apic.Listen(Shot);
        g.Checks.Equal(g.Faults.Counts[Vector], rbx, "masked");
    }

    static void Repeated(Guest g, Variable rate)
    {
        var a = g.A;
        a.mov(ebx, g.Faults.Counts[Vector]);
        a.add(ebx, Periods);
        Start(g, rate, Apic.Periodic, Period);
        g.Apic.Within(Patience, Vector, rbx, "periodic interrupts");
        a.sub(r13, r12);
        a.imul(r13, r13, Periods);
        a.mov(rax, g.Faults.Times[Vector]);
        a.sub(rax, r12);
        a.cmp(rax, r13);
        g.Checks.True(When.NotBelow, "periods are not shorter than set");
        g.Call(g.Apic.Write, Apic.LvtTimer, Apic.Masked | Vector);
        g.Apic.Listen(10);
        a.mov(ebx, g.Faults.Counts[Vector]);
        g.Apic.Listen(Period * 3);
        g.Checks.Equal(g.Faults.Counts[Vector], rbx, "no more when masked");
    }

    /// <summary>HLT: made only if interrupts of the timer were seen, else nothing might end it.</summary>
    static void Halt(Guest g, Variable rate)
    {
        var a = g.A;
        a.cmp(g.Faults.Counts[Vector], 0);
        g.If(When.NotEqual, () =>
        {
            a.mov(ebx, g.Faults.Counts[Vector]);
            a.inc(ebx);
            Start(g, rate, 0, Shot);
            a.sti();
            a.hlt();
            a.cli();
            g.Checks.Equal(g.Faults.Counts[Vector], rbx, "HLT ends with the interrupt");
        });
    }

    static void Deadline(Guest g, Variable text)
    {
        var a = g.A;
        a.mov(text, (int)g.Data.Text(", no TSC deadline"));
        a.mov(eax, 1);
        a.cpuid();
        a.bt(ecx, TscDeadlineFeature);
        g.If(When.Below, () =>
        {
            a.mov(text, (int)g.Data.Text(", TSC deadline"));
            a.mov(ebx, g.Faults.Counts[Vector]);
            a.inc(ebx);
            g.Call(g.Apic.Write, Apic.LvtTimer, Apic.Deadline | Vector);
            a.mfence();
            g.Call(g.Clock.Deadline, Shot);
            a.mov(r12, rax);
            g.WriteMsr(Apic.TimerDeadlineMsr);
            g.ReadMsr(Apic.TimerDeadlineMsr);
            g.Checks.Equal(rax, r12, "TSC deadline reads back");
            g.Apic.Within(Patience, Vector, rbx, "TSC deadline interrupt");
            a.cmp(g.Faults.Times[Vector], r12);
            g.Checks.True(When.NotBelow, "not before the deadline");
            g.ReadMsr(Apic.TimerDeadlineMsr);
            g.Checks.Equal(rax, 0, "TSC deadline is 0 afterwards");
            g.Call(g.Clock.Deadline, Shot);
            g.WriteMsr(Apic.TimerDeadlineMsr);
            a.xor(eax, eax);
            g.WriteMsr(Apic.TimerDeadlineMsr);
            g.Apic.Listen(Shot * 2);
            g.Checks.Equal(g.Faults.Counts[Vector], rbx, "a deadline of 0 disarms");
            a.mov(eax, 1);
            g.WriteMsr(Apic.TimerDeadlineMsr);
            a.inc(ebx);
            g.Apic.Within(Patience, Vector, rbx, "a deadline in the past comes at once");
        });
    }
}
