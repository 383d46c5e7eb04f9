using Iced.Intel;
using Vmm.Firmware.BuiltIn.Runtime;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Firmware.BuiltIn.Tests;

/// <summary>All processors start by INIT and start-up interrupts, are heard, and share memory (SDM 3A §8.4, §8.1).</summary>
internal static class MultiprocessorTests
{
    const int Rounds = 200, LockedRounds = 50;
    const ulong Window = Layout.PagingWindow + 0x20_0000;
    const ulong ReadWrite = PageTables.Present | PageTables.Writable;

    /// <summary>Emits the tests.</summary>
    public static void Emit(Guest g)
    {
        var all = g.Data.U64();
        g.Checks.Test("processors", $"{all} of {g.Acpi.Processors} in the MADT run; wake-up IPIs, LOCK XADD, spin lock, NMI, TLB shoot-down", () =>
        {
            Start(g);
            g.A.mov(rax, g.Processors.Online);
            g.A.inc(rax);
            g.A.mov(all, rax);
            Expected(g, all);
            g.A.cmp(g.Processors.Online, 0);
            g.If(When.Equal, () => g.Checks.Skip("the machine has one processor"));
            Wake(g);
            Counting(g);
            Locking(g);
            NonMaskable(g);
            ShootDown(g);
            g.Checks.Equal(g.Faults.Stray, 0, "exceptions on other processors");
        });
    }

    /// <summary>
    /// INIT, start-up and, if that was not enough, a second start-up to each processor of the MADT. Without ACPI all
    /// others are called at once.
    /// </summary>
    static void Start(Guest g)
    {
        var a = g.A;
        g.Call(g.Processors.Install);
        g.Call(g.Apic.Own);
        a.mov(r13d, eax);
        a.mov(g.Processors.Ids, eax);
        a.cmp(g.Acpi.Processors, 0);
        g.If(
            When.Equal,
            () =>
            {
                g.Call(g.Apic.Send, 0, Apic.ToOthers | Apic.Assert | Apic.Init);
                g.Call(g.Clock.Delay, 200);
                g.Call(g.Apic.Send, 0, Apic.ToOthers | Apic.Assert | Apic.StartUp | Layout.Trampoline >> 12);
                g.Call(g.Clock.Delay, 2_000);
            },
            () =>
            {
                a.mov(rbp, g.Acpi.Processors);
                a.mov(eax, AcpiReader.MostProcessors);
                a.cmp(rbp, rax);
                g.If(When.Above, () => a.mov(rbp, rax));
                g.For(r12, rbp, () => StartOne(g));
            });
    }

    /// <summary>Starts processor R12 of the MADT unless it is this one, whose APIC ID is in R13.</summary>
    static void StartOne(Guest g)
    {
        var a = g.A;
        a.mov(ebx, g.Acpi.ProcessorIds.At(r12));
        a.cmp(ebx, r13d);
        g.If(When.NotEqual, () =>
        {
            a.mov(r14, g.Processors.Online);
            g.Call(g.Apic.Send, rbx, Apic.Assert | Apic.Init);
            g.Checks.Equal(rax, 1, "INIT is delivered");
            g.Call(g.Clock.Delay, 200);
            g.Call(g.Apic.Send, rbx, Apic.Assert | Apic.StartUp | Layout.Trampoline >> 12);
            Await();
            g.If(When.Equal, () =>
            {
                g.Call(g.Apic.Send, rbx, Apic.Assert | Apic.StartUp | Layout.Trampoline >> 12);
                Await();
            });
            g.Checks.True(When.NotEqual, "a processor starts");
            a.mov(rcx, g.Processors.Online);
            a.mov(eax, g.Processors.Ids.At(rcx));
            g.Checks.Equal(rax, rbx, "its APIC ID");
        });

        void Await() => g.WaitUntil(100_000, When.NotEqual, () => a.cmp(g.Processors.Online, r14));
    }

    static void Expected(Guest g, Variable all)
    {
        var a = g.A;
        a.cmp(g.Options.Processors, 0);
        g.If(When.NotEqual, () => g.Checks.Equal(all, g.Options.Processors, "processors told by the command line"));
        a.cmp(g.Acpi.Processors, 0);
        g.If(When.NotEqual, () =>
        {
            a.mov(rbx, g.Acpi.Processors);
            a.cmp(rbx, AcpiReader.MostProcessors);
            g.If(When.NotAbove, () => g.Checks.Equal(all, rbx, "processors told by the MADT"));
        });
    }

    /// <summary>Emits code that has the others run a job, and checks that they do.</summary>
    static void OnOthers(Guest g, string what, Action job)
    {
        var (routine, over) = (g.NewRoutine(), g.A.CreateLabel());
        g.A.jmp(over);
        g.Define(routine, [rbx, r12], job);
        g.Place(over);
        g.Call(g.Processors.RunOnOthers, Operand.AddressOf(routine.Label));
        g.Checks.Equal(rax, 1, what);
    }

    static void Wake(Guest g)
    {
        var a = g.A;
        var seen = g.Data.U32();
        a.mov(ebx, g.Faults.Counts[Processors.WakeVector]);
        a.add(rbx, g.Processors.Online);
        OnOthers(g, "all others run a routine", () => a.@lock.inc(seen));
        g.Checks.Equal(seen, g.Processors.Online, "each of them once");
        g.Checks.Within(10_000, When.Equal, "each of them is interrupted once", () => a.cmp(g.Faults.Counts[Processors.WakeVector], ebx));
    }

    /// <summary>All others at once add to one counter.</summary>
    static void Counting(Guest g)
    {
        var a = g.A;
        var counter = g.Data.U64();
        OnOthers(g, "all others count", () => g.For(rbx, Rounds, () =>
        {
            a.mov(ecx, 1);
            a.@lock.xadd(counter, rcx);
        }));
        a.mov(rax, g.Processors.Online);
        a.imul(rax, rax, Rounds);
        g.Checks.Equal(counter, rax, "sum of LOCK XADD");
    }

    static void Locking(Guest g)
    {
        var a = g.A;
        var (mutex, plain) = (g.Data.U32(), g.Data.U64());
        OnOthers(g, "all others take turns", () => g.For(rbx, LockedRounds, () =>
        {
            g.Forever(end =>
            {
                a.xor(eax, eax);
                a.mov(ecx, 1);
                a.@lock.cmpxchg(mutex, ecx);
                a.je(end);
                a.pause();
            });
            a.mov(rcx, plain);
            a.pause();
            a.inc(rcx);
            a.mov(plain, rcx);
            a.mov(mutex, 0);
        }));
        a.mov(rax, g.Processors.Online);
        a.imul(rax, rax, LockedRounds);
        g.Checks.Equal(plain, rax, "sum under a spin lock");
    }

    static void NonMaskable(Guest g)
    {
        var a = g.A;
        a.mov(ebx, g.Faults.Counts[2]);
        a.add(rbx, g.Processors.Online);
        g.Call(g.Apic.Send, 0, Apic.ToOthers | Apic.Assert | Apic.Nmi);
        g.Checks.Within(10_000, When.Equal, "NMI to all others", () => a.cmp(g.Faults.Counts[2], ebx));
    }

    /// <summary>Another processor must not use a translation after it invalidated it.</summary>
    static void ShootDown(Guest g)
    {
        var a = g.A;
        var (first, second, sum) = (g.Data.Pages(1), g.Data.Pages(1), g.Data.U64());
        a.mov(first, 1);
        a.mov(second, 100);
        g.Pages.MapPage(Window, first.Address | ReadWrite);
        a.mov(r12, rax);
        OnOthers(g, "all others read a page", () => AddWord(false));
        g.Checks.Equal(sum, g.Processors.Online, "what they read");
        a.mov(__qword_ptr[r12], (int)(second.Address | ReadWrite));
        a.mov(sum, 0);
        OnOthers(g, "all others read it after INVLPG", () => AddWord(true));
        a.mov(rax, g.Processors.Online);
        a.imul(rax, rax, 100);
        g.Checks.Equal(sum, rax, "what they read then");

        void AddWord(bool invalidate)
        {
            a.mov(rcx, Window);
            if (invalidate)
            {
                a.invlpg(__[rcx]);
            }

            a.mov(rax, __qword_ptr[rcx]);
            a.@lock.add(sum, rax);
        }
    }
}
