using Iced.Intel;
using Vmm.Firmware.BuiltIn.Runtime;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Firmware.BuiltIn.Tests;

/// <summary>The machine's clocks agree: interval timer, PM timer, HPET, RTC, and the TSC with what CPUID says of it.</summary>
internal static class ClockTests
{
    const int PmHertz = 3_579_545, RtcHertz = 1024;
    const long FemtosecondsPerSecond = 1_000_000_000_000_000;
    const byte RtcVector = 0x58, PeriodicFlag = 0x40;
    const int RtcInput = 8;

    /// <summary>Tolerance: the difference may be one part of this many.</summary>
    const int Close = 100, Loose = 20, RtcTries = 10, PollPeriod = 30;

    /// <summary>Emits the tests.</summary>
    public static void Emit(Guest g)
    {
        var (pit, pm, hpet, rtc) = (g.Data.U64(), g.Data.U64(), g.Data.U64(), g.Data.U64());
        var (readPm, readHpet) = Readers(g);
        g.Checks.Test("clocks", () => Summary(g, pit, pm, hpet, rtc), () =>
        {
            g.Call(g.Clock.StartPit, 0xFFFF);
            g.Counters.Measure(g.Clock.ReadPit, 0xFFFF, down: true);
            g.A.mov(pit, rax);
            g.Clock.CheckNear(pit, Clock.PitHertz, Close, "interval timer");
            Tsc(g);
            Pm(g, readPm, pm);
            Hpet(g, readHpet, hpet);
            Rtc(g, rtc);
        });
    }

    static void Summary(Guest g, Variable pit, Variable pm, Variable hpet, Variable rtc)
    {
        g.Print($"by a TSC of {g.Clock.Kilohertz:k} MHz: interval timer {pit} Hz");
        foreach (var (name, rate) in new[] { ("PM timer", pm), ("HPET", hpet), ("RTC", rtc) })
        {
            g.A.cmp(rate, 0);
            g.If(When.NotEqual, () => g.Print($", {(Operand)name:s} {rate} Hz"), () => g.Print($", no {(Operand)name:s}"));
        }
    }

    static (Routine Pm, Routine Hpet) Readers(Guest g)
    {
        var a = g.A;
        var (pm, hpet) = (g.NewRoutine(), g.NewRoutine());
        g.Define(pm, () =>
        {
            a.mov(rdx, g.Acpi.PmTimer);
            a.@in(eax, dx);
        });
        g.Define(hpet, () =>
        {
            a.mov(rax, g.Acpi.Hpet);
            a.mov(eax, __dword_ptr[rax + 0xF0]);
        });
        return (pm, hpet);
    }

    /// <summary>CPUID.15H: TSC rate is crystal rate times EBX over EAX.</summary>
    static void Tsc(Guest g)
    {
        var a = g.A;
        a.xor(eax, eax);
        a.cpuid();
        a.cmp(eax, 0x15);
        g.If(When.NotBelow, () =>
        {
            a.mov(eax, 0x15);
            a.cpuid();
            a.mov(r12d, eax);
            a.mov(eax, ecx);
            a.imul(rax, rbx);
            a.imul(rcx, r12, 1000);
            a.test(rax, rax);
            g.If(When.NotEqual, () =>
            {
                a.xor(edx, edx);
                a.div(rcx);
                a.mov(rbx, rax);
                g.Clock.CheckNear(rbx, g.Clock.Kilohertz, Close, "TSC rate of CPUID.15H, kHz");
            });
        });
    }

    static void Pm(Guest g, Routine reader, Variable rate)
    {
        g.A.cmp(g.Acpi.PmTimer, 0);
        g.If(When.NotEqual, () =>
        {
            g.Counters.Measure(reader, g.Acpi.PmTimerBits, down: false);
            g.A.mov(rate, rax);
            g.Clock.CheckNear(rate, PmHertz, Close, "PM timer");
        });
    }

    static void Hpet(Guest g, Routine reader, Variable rate)
    {
        var a = g.A;
        a.mov(rcx, g.Acpi.Hpet);
        a.test(rcx, rcx);
        g.If(When.NotEqual, () =>
        {
            a.mov(eax, __dword_ptr[rcx + 4]);
            a.mov(rbx, rax);
            a.bts(__dword_ptr[rcx + 0x10], 0);
            g.Checks.Between(rbx, 1, 100_000_000, "HPET period, femtoseconds");
            a.mov(rax, FemtosecondsPerSecond);
            a.xor(edx, edx);
            a.test(rbx, rbx);
            g.If(When.NotEqual, () => a.div(rbx));
            a.mov(rbx, rax);
            g.Counters.Measure(reader, uint.MaxValue, down: false);
            a.mov(rate, rax);
            g.Clock.CheckNear(rate, rbx, Close, "HPET");
        });
    }

    /// <summary>The periodic interrupt at 1024 Hz, polled in register C and counted through the I/O APIC.</summary>
    static void Rtc(Guest g, Variable rate)
    {
        var a = g.A;
        g.Call(g.Apic.Own);
        a.mov(edx, eax);
        a.shl(edx, 24);
        g.Call(g.Apic.Route, RtcInput, RtcVector, rdx);
        WriteRtc(g, 0xA, 0x26);
        ReadRtc(g, 0xB);
        a.movzx(ebp, al);
        a.or(al, PeriodicFlag);
        a.mov(ah, al);
        WriteRtcFromAh(g, 0xB);
        ReadRtc(g, 0xC);
        // A host that holds the guest up makes it miss ticks: then the measurement is made again.
        var near = a.CreateLabel();
        a.mov(r15d, RtcTries);
        g.Forever(end =>
        {
            MeasureRtc(g, rate);
            a.mov(rax, rate);
            a.sub(rax, RtcHertz - RtcHertz / Loose);
            a.cmp(rax, 2 * RtcHertz / Loose);
            a.jbe(near);
            a.dec(r15d);
            a.je(end);
        });
        g.Place(near);
        // QEMU loses ticks while its host is busy.
        g.Checks.Between(rate, RtcHertz / 8, RtcHertz + RtcHertz / Loose, "RTC, at least some ticks");
        g.Checks.ExceptOnTcg(() => g.Clock.CheckNear(rate, RtcHertz, Loose, "RTC"));
        g.Apic.Within(10_000, RtcVector, 1, "interrupt of the RTC through the I/O APIC");
        a.mov(eax, ebp);
        a.mov(ah, al);
        WriteRtcFromAh(g, 0xB);
        ReadRtc(g, 0xC);
        g.Call(g.Apic.Route, RtcInput, Apic.Masked, 0);
    }

    /// <summary>Takes the time of some periods; R15 and RBP survive.</summary>
    static void MeasureRtc(Guest g, Variable rate)
    {
        var a = g.A;
        WaitForTick(g);
        a.mov(r12, rax);
        a.mov(rbx, rax);
        a.call(g.Counters.Window.Label);
        a.mov(r13d, 16);
        a.cmp(eax, 10_000);
        g.If(When.Below, () => a.mov(r13d, 4));
        a.mov(r14d, r13d);
        g.Forever(end =>
        {
            WaitForTick(g);
            a.mov(rbx, rax);
            a.dec(r13d);
            a.je(end);
        });
        a.sub(rbx, r12);
        a.imul(rax, g.Clock.Kilohertz, 1000);
        a.mul(r14);
        a.test(rbx, rbx);
        g.If(When.NotEqual, () => a.div(rbx));
        a.mov(rate, rax);
    }

    /// <summary>Waits for PF in register C, but not for long; RAX is the TSC then.</summary>
    static void WaitForTick(Guest g)
    {
        g.WaitUntil(100_000, When.NotEqual, () =>
        {
            // Not too often: emulated devices get less done while the guest reads them.
            g.Call(g.Clock.Delay, PollPeriod);
            ReadRtc(g, 0xC);
            g.A.test(al, PeriodicFlag);
        });
        g.ReadTsc();
    }

    static void ReadRtc(Guest g, byte register)
    {
        g.Out8(0x70, register);
        g.In8(0x71);
    }

    static void WriteRtc(Guest g, byte register, byte value)
    {
        g.Out8(0x70, register);
        g.Out8(0x71, value);
    }

    static void WriteRtcFromAh(Guest g, byte register)
    {
        g.A.mov(al, register);
        g.Out8(0x70);
        g.A.mov(al, ah);
        g.Out8(0x71);
    }
}
