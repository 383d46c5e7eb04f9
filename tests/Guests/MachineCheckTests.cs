using Vmm.Cpu.MachineCheck;
using Vmm.Firmware.Initrd;
using Vmm.Guests.Kit;
using Vmm.Machine;
using Vmm.Machine.MachineChecks;
using Vmm.Platform.Memory;
using Vmm.Platform.Time;
using Vmm.Specs.X86;
using Xunit;
using Xunit.Abstractions;

namespace Vmm.Guests;

/// <summary>A booted kernel that the tests below fork, once for each number of processors.</summary>
public sealed class MachineCheckGuests : IDisposable
{
    internal sealed record Kind(int Vcpus = 1, ulong InstructionCost = 1, bool Cmci = true, bool Cloud = false, bool Preserve = true);

    readonly Dictionary<Kind, (MachineImage PowerOn, MachineImage Ready)> images = [];

    /// <summary>The machine before its first instruction.</summary>
    internal MachineImage PowerOn(Kind kind) => images[kind].PowerOn;

    internal GuestShell Fork(Kind kind)
    {
        if (!images.TryGetValue(kind, out var image))
        {
            var guest = new Guest(
                kind.Cloud ? Kernel.Cloud : Kernel.Generic,
                new MachineConfig
                {
                    MemoryBytes = 256 << 20, Vcpus = kind.Vcpus, Cost = CostModel.Default.With(CostKind.Instruction, kind.InstructionCost),
                    MachineCheck = new() { Cmci = kind.Cmci }, Vmx = new() { PreserveMce = kind.Preserve },
                },
                GuestShell.Init, "panic=-1", [InitramfsEntries.Program("bin/eat", EatProgram.Build())]);
            using var shell = new GuestShell(guest);
            var powerOn = guest.Machine.Freeze();
            shell.Expect(GuestShell.Ready);
            image = images[kind] = (powerOn, guest.Machine.Freeze());
        }

        return new(Guest.Fork(image.Ready));
    }

    public void Dispose()
    {
        foreach (var (powerOn, ready) in images.Values)
        {
            powerOn.Dispose();
            ready.Dispose();
        }
    }
}

/// <summary>Debian's generic kernel says of each kind of machine check what it says on hardware.</summary>
public sealed class MachineCheckTests(MachineCheckGuests guests, ITestOutputHelper log) : IClassFixture<MachineCheckGuests>
{
    /// <summary>Cycles per instruction where a kernel spins for a virtual second.</summary>
    const ulong Slow = 20;

    static MachineCheckInjection Now(int bank, ulong status, ulong addr = 0, int cpu = 0) => new() { Cpu = cpu, Bank = bank, Status = status, Addr = addr };

    static int Logged(string output) => output.Split('\n').Count(l => l.Contains("[Hardware Error]: CPU ", StringComparison.Ordinal) && l.Contains("Machine Check", StringComparison.Ordinal));

    /// <summary>Starts eat and returns the physical address of its page.</summary>
    static ulong StartEating(GuestShell shell, string how)
    {
        shell.Type($"eat {how}; echo EAT-STATUS $?");
        shell.Expect(EatProgram.Ready);
        for (var i = 0; i < shell.Machine.Vcpus.Count; i++)
        {
            if (Physical(shell.Machine, i, EatProgram.Page) is { } page)
            {
                return page;
            }
        }

        throw new InvalidOperationException("eat runs on no processor");
    }

    internal static unsafe ulong? Physical(VirtualMachine machine, int cpu, ulong linear)
    {
        var table = machine.Vcpus[cpu].State->Cr3;
        for (var level = 3; level >= 0; level--)
        {
            if (!machine.Memory.TryRead(new Gpa((table & 0xFF_FFFF_F000) + (linear >> 12 + 9 * level & 0x1FF) * 8), out table) || (table & 1) == 0)
            {
                return null;
            }
        }

        return table & 0xFF_FFFF_F000;
    }

    static void Finish(GuestShell shell)
    {
        shell.Type("poweroff -f");
        Assert.Equal(StopCause.PowerOff, shell.Finish().Cause);
    }

    static readonly MachineCheckInjection Poison = new() { When = new(InjectionTrigger.Page) };

    static MachineCheckInjection At(ulong page) => Poison with { When = Poison.When with { Value = page } };

    static string Frame(ulong page) => $"Memory failure: 0x{page >> 12:x}";

    [SkippableFact]
    public void Corrected_errors_are_logged_through_cmci_one_entry_each()
    {
        using var shell = guests.Fork(new());
        for (var i = 0; i < 3; i++)
        {
            shell.Machine.MachineChecks.Inject(Now(3, 0x9c00000000000135, 0x29da000 + (ulong)i * 4096));
            shell.Expect("CPU 0: Machine Check: 0 Bank 3: 9c00000000000135");
            shell.Expect($" ADDR {0x29da000 + i * 4096:x} MISC 8c");
        }

        shell.Type("echo T $(grep THR: /proc/interrupts)");
        shell.Expect("T THR: 3");
        Finish(shell);
        log.WriteLine(shell.Output);
        Assert.Contains("Machine check events logged", shell.Output);
        Assert.Equal(3, Logged(shell.Output));
        Assert.Equal(3ul, shell.Machine.MachineChecks.Injected);
        Assert.Equal(3ul, shell.Machine.Vcpus[0].Mca!.Interrupts);
    }

    [SkippableFact]
    public void Corrected_errors_are_logged_by_polling_where_there_is_no_interrupt()
    {
        using var shell = guests.Fork(new(Cmci: false));
        shell.Type("cd /sys/devices/system/machinecheck/machinecheck0; echo 1 > check_interval; echo POLLS");
        shell.Expect("POLLS");
        for (var i = 0; i < 3; i++)
        {
            shell.Machine.MachineChecks.Inject(Now(2 + i, 0x9c00000000000135, 0x29da000));
            shell.Expect($"CPU 0: Machine Check: 0 Bank {2 + i}: 9c00000000000135");
            shell.Expect("TSC 0 ADDR 29da000 MISC 8c");
        }

        Finish(shell);
        log.WriteLine(shell.Output);
        Assert.Equal(3, Logged(shell.Output));
        Assert.Equal(0ul, shell.Machine.Vcpus[0].Mca!.Interrupts);
    }

    [SkippableTheory]
    [InlineData(9, MachineCheckCode.MemoryScrub, 1)]
    [InlineData(6, MachineCheckCode.ExplicitWriteBack, 1)]
    [InlineData(7, MachineCheckCode.MemoryReadUcna, 0)]
    public void An_optional_action_takes_the_page_out_and_kills_who_comes_back_to_it(int bank, ulong status, int exceptions)
    {
        using var shell = guests.Fork(new());
        var page = StartEating(shell, "d");
        shell.Machine.MachineChecks.Inject(Now(bank, status, page));
        shell.Expect("mce: [Hardware Error]: Machine check events logged");
        shell.Expect($"{Frame(page)}: recovery action for dirty LRU page: Recovered");
        shell.Expect($"EAT-STATUS {128 + 7}");
        shell.Type("echo M $(grep -E '(MCE|THR):' /proc/interrupts)");
        shell.Expect("M THR:");
        Finish(shell);
        log.WriteLine(shell.Output);
        Assert.Contains("MCE: Killing eat:", shell.Output);
        Assert.Contains($"due to hardware memory corruption fault at {EatProgram.Page + 8:x}", shell.Output);
        Assert.Equal((ulong)exceptions, shell.Machine.Vcpus[0].Mca!.Delivered);
        Assert.Equal(1ul - (ulong)exceptions, shell.Machine.Vcpus[0].Mca!.Interrupts);
    }

    [SkippableTheory]
    [InlineData("d", "Machine Check Exception: f Bank 1: bd80000000100134")]
    [InlineData("s", "Machine Check Exception: f Bank 1: bd80000000100134")]
    [InlineData("f", "Machine Check Exception: f Bank 0: bd800000000f0150")]
    public void A_process_that_touches_a_poisoned_page_gets_sigbus_and_the_page_is_taken_out(string how, string entry)
    {
        using var shell = guests.Fork(new());
        var page = StartEating(shell, how);
        shell.Machine.MachineChecks.Inject(At(page));
        shell.Expect($"mce: Uncorrected hardware memory error in user-access at {page:x}");
        shell.Expect("Machine check events logged");
        shell.Expect($"CPU 0: {entry}");
        shell.Expect("RIP 33:<");
        shell.Expect($"{Frame(page)}: Sending SIGBUS to eat:");
        shell.Expect($"{Frame(page)}: recovery action for dirty LRU page: Recovered");
        shell.Expect("EAT-STATUS 135");
        Finish(shell);
        log.WriteLine(shell.Output);
        Assert.Equal(1, Logged(shell.Output));
        Assert.Equal(1ul, shell.Machine.MachineChecks.Injected);
        Assert.DoesNotContain("INEXACT", shell.Output);
    }

    [SkippableFact]
    public void A_system_call_that_reads_its_argument_from_poison_fails_and_the_kernel_goes_on()
    {
        using var shell = guests.Fork(new());
        var page = StartEating(shell, "k");
        shell.Machine.MachineChecks.Inject(At(page));
        shell.Expect($"mce: Kernel accessed poison in user space at {page:x}");
        shell.Expect($"{Frame(page)}: recovery action for dirty LRU page: Recovered");
        shell.Expect("EAT-STATUS 7");
        Finish(shell);
        log.WriteLine(shell.Output);
        // The copy tries again by single bytes before it gives up: each access consumes the poison.
        Assert.Equal(shell.Machine.MachineChecks.Injected, shell.Machine.Vcpus[0].Mca!.Delivered);
    }

    [SkippableTheory]
    [InlineData(1, 0xb200000000000150ul, 5ul, "Machine check: Processor context corrupt")]
    [InlineData(1, MachineCheckCode.MemoryScrub, 0ul, "Machine check: Neither restart nor error IP")]
    [InlineData(1, MachineCheckCode.DataLoad | MciStatus.OVER, 7ul, "Machine check: Action required with lost events")]
    [InlineData(1, (MachineCheckCode.DataLoad & ~0xFFFFul) | 0x0005, 7ul, "Machine check: Action required: unknown MCACOD")]
    [InlineData(2, MachineCheckCode.DataLoad, 7ul, "Machine check: Data load in unrecoverable area of kernel")]
    public void A_fatal_error_panics_with_its_reason(int bank, ulong status, ulong mcgStatus, string reason)
    {
        using var shell = guests.Fork(new());
        shell.Machine.MachineChecks.Inject(Now(bank, status, (status & MciStatus.ADDRV) != 0 ? 0x1234000ul : 0) with { McgStatus = mcgStatus, Signal = MachineCheckSignal.Broadcast });
        Assert.Equal(StopCause.Reset, shell.Finish().Cause);
        log.WriteLine(shell.Output);
        Assert.Contains($"CPU 0: Machine Check Exception: {mcgStatus | 4:x} Bank {bank}: {status:x16}", shell.Output);
        Assert.Contains(reason, shell.Output);
        Assert.Contains("Kernel panic - not syncing: Fatal", shell.Output);
    }

    [SkippableFact]
    public void The_kernel_that_comes_after_a_reset_finds_what_the_last_one_could_not_clear()
    {
        using var shell = guests.Fork(new());
        shell.Machine.MachineChecks.Inject(Now(1, MachineCheckCode.ContextCorrupt));
        Assert.Equal(StopCause.Reset, shell.Finish().Cause);
        shell.Machine.WarmReset(guests.PowerOn(new()));
        shell.Expect("mce: [Hardware Error]: Machine check events logged");
        shell.Expect("CPU 0: Machine Check: 0 Bank 1: b200000000000150");
        shell.Expect(GuestShell.Ready);
        log.WriteLine(shell.Output);
    }

    [SkippableTheory]
    [InlineData(MachineCheckSignal.Auto, "f", 1)]
    [InlineData(MachineCheckSignal.Broadcast, "7", 4)]
    public void On_four_processors_poison_reaches_its_own_or_all_of_them(MachineCheckSignal signal, string mcg, int told)
    {
        using var shell = guests.Fork(new(4, Slow));
        var page = StartEating(shell, "d");
        shell.Machine.MachineChecks.Inject(At(page) with { Signal = signal });
        shell.Expect($"Machine Check Exception: {mcg} Bank 1: bd80000000100134");
        shell.Expect($"{Frame(page)}: recovery action for dirty LRU page: Recovered");
        shell.Expect("EAT-STATUS 135");
        shell.Type("echo M $(grep MCE: /proc/interrupts)");
        shell.Expect("M MCE:");
        Finish(shell);
        log.WriteLine(shell.Output);
        Assert.Equal(1, Logged(shell.Output));
        Assert.Equal(told, shell.Machine.Vcpus.Count(c => c.Mca!.Delivered == 1));
    }

    [SkippableTheory]
    [InlineData(MachineCheckSignal.Auto, "Kernel panic - not syncing: Fatal machine check", 4)]
    [InlineData(MachineCheckSignal.Local, "Kernel panic - not syncing: Fatal local machine check", 1)]
    [InlineData(MachineCheckSignal.Target, "Timeout: Not all CPUs entered broadcast exception handler", 1)]
    public void On_four_processors_a_fatal_error_panics_as_it_was_told(MachineCheckSignal signal, string panic, int told)
    {
        using var shell = guests.Fork(new(4, Slow));
        shell.Machine.MachineChecks.Inject(Now(1, MachineCheckCode.ContextCorrupt, cpu: 2) with { Signal = signal });
        Assert.Equal(StopCause.Reset, shell.Finish().Cause);
        log.WriteLine(shell.Output);
        Assert.Contains(panic, shell.Output);
        Assert.Contains(
            signal == MachineCheckSignal.Target ? "mce: CPUs not responding to MCE broadcast (may include false positives): 0-1,3" : " Bank 1: b200000000000150",
            shell.Output);
        Assert.Equal(told, shell.Machine.Vcpus.Count(c => c.Mca!.Delivered == 1));
    }

    static ulong Exits(VirtualMachine machine, int cpu) =>
        machine.Clock.Ledger.Vcpu(cpu)[ExitReason.ExceptionOrNmi, ExitKind.MachineCheck, ExitHandler.Kernel].Count;

    /// <summary>The cloud kernel has no machine-check support: its CR4.MCE is clear.</summary>
    [SkippableTheory]
    [InlineData(0)]
    [InlineData(2)]
    [InlineData(3)]
    public unsafe void A_guest_with_cr4_mce_clear_goes_on_undisturbed_after_the_exit(int cpu)
    {
        using var shell = guests.Fork(new(4, Cloud: true));
        Assert.Equal(0ul, shell.Machine.Vcpus[cpu].State->Cr4 & Vmm.Cpu.State.Cr.Cr4MCE);
        Spin(shell, cpu);
        shell.Machine.MachineChecks.Inject(Now(1, MachineCheckCode.ContextCorrupt, cpu: cpu));
        shell.Expect("SPUN");
        Finish(shell);
        log.WriteLine(shell.Output);
        Assert.Equal(1ul, Exits(shell.Machine, cpu));
        Assert.Equal(0ul, shell.Machine.Vcpus[cpu].Mca!.Delivered);
        Assert.Equal((0u, 15u), (shell.Machine.MachineChecks.Fired.Single().Told, shell.Machine.MachineChecks.Fired.Single().Kept));
        Assert.DoesNotContain("Hardware Error", shell.Output);
    }

    [SkippableTheory]
    [InlineData(0)]
    [InlineData(2)]
    public void Without_preservation_the_same_machine_check_is_caterr(int cpu)
    {
        using var shell = guests.Fork(new(4, Cloud: true, Preserve: false));
        Spin(shell, cpu);
        shell.Machine.MachineChecks.Inject(Now(1, MachineCheckCode.ContextCorrupt, cpu: cpu) with { Signal = MachineCheckSignal.Target });
        var outcome = shell.Finish();
        log.WriteLine(outcome.Detail);
        Assert.Equal(StopCause.Caterr, outcome.Cause);
        Assert.StartsWith($"vCPU {cpu}: CATERR on physical CPU {cpu}", outcome.Detail, StringComparison.Ordinal);
        Assert.Equal(1u << cpu, shell.Machine.MachineChecks.Fired.Single().Died);
    }

    [SkippableTheory]
    [InlineData(0)]
    [InlineData(2)]
    [InlineData(3)]
    public void A_guest_with_cr4_mce_set_gets_it_after_an_exit(int cpu)
    {
        using var shell = guests.Fork(new(4, Slow));
        Spin(shell, cpu);
        shell.Machine.MachineChecks.Inject(Now(9, MachineCheckCode.MemoryScrub, 0x123_4000, cpu));
        shell.Expect("Memory failure: 0x1234: recovery action");
        shell.Expect("SPUN");
        Finish(shell);
        log.WriteLine(shell.Output);
        Assert.Equal(1ul, Exits(shell.Machine, cpu));
        Assert.All(shell.Machine.Vcpus, c => Assert.Equal(1ul, c.Mca!.Delivered));
    }

    /// <summary>Keeps one processor busy, and stops while it is.</summary>
    static void Spin(GuestShell shell, int cpu)
    {
        shell.Type($"taskset {1 << cpu:x} eat w; echo SPUN");
        shell.Expect(EatProgram.Ready);
    }
}
