using Iced.Intel;
using Vmm.Cli;
using Vmm.Cpu.Vcpus;
using Vmm.Firmware.Boot;
using Vmm.Machine;
using Vmm.Machine.MachineChecks;
using Vmm.Platform.Memory;
using Vmm.Platform.Snapshots;
using Vmm.Specs.X86;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Unit.Machine;

/// <summary>When injections happen, and what a machine keeps of them.</summary>
public sealed class MachineCheckInjectorTests
{
    const ulong Ram = 16 << 20, Code = 0x10_0000, Data = 0x80_0000, Limit = 1_000_000;

    /// <summary>A guest that counts, executes CPUID now and then and reads one page, with CR4.MCE clear.</summary>
    static VirtualMachine Spin(int vcpus = 1, Func<MachineConfig, MachineConfig>? configure = null)
    {
        var a = new Assembler(64);
        var outer = a.CreateLabel();
        var inner = a.CreateLabel();
        a.mov(ebx, (int)Data);
        a.Label(ref outer);
        a.mov(esi, 1000);
        a.Label(ref inner);
        a.inc(r8);
        a.dec(esi);
        a.jnz(inner);
        a.push(rbx);
        a.cpuid();
        a.pop(rbx);
        a.mov(r9, __qword_ptr[rbx]);
        a.jmp(outer);
        var stream = new MemoryStream();
        a.Assemble(new StreamCodeWriter(stream), Code);
        var config = new MachineConfig { MemoryBytes = Ram, Vcpus = vcpus };
        var machine = new VirtualMachine(configure?.Invoke(config) ?? config, new ConsolePort());
        machine.Boot(BootLoader.Plan(new()
        {
            RamBytes = Ram, Image = stream.ToArray(), Protocol = BootProtocol.Flat, Flat = new(new Gpa(Code), CpuMode.Long64),
        }));
        return machine;
    }

    static MachineCheckInjection Fatal(InjectionCondition when = default) => new() { Bank = 1, Status = MachineCheckCode.ContextCorrupt, When = when };

    static MachineCheckInjection Corrected(InjectionCondition when = default) => new() { Bank = 3, Status = MachineCheckCode.CorrectedDataRead, When = when };

    [Theory]
    [InlineData(1ul)]
    [InlineData(1234ul)]
    [InlineData(54_321ul)]
    public void An_instruction_is_met_exactly(ulong instruction)
    {
        using var machine = Spin();
        machine.MachineChecks.Inject(Corrected(new(InjectionTrigger.Instruction, instruction)));
        machine.Run(untilInstructions: instruction);
        Assert.Equal(0ul, machine.MachineChecks.Injected);
        machine.Run(untilInstructions: instruction + 1);
        Assert.Equal(1ul, machine.MachineChecks.Injected);
        Assert.Empty(machine.MachineChecks.Armed);
        Assert.Equal(MachineCheckCode.CorrectedDataRead, machine.Vcpus[0].Mca!.Bank(3).Status);
    }

    [Fact]
    public void A_time_is_met_between_the_instructions_around_it()
    {
        using var machine = Spin();
        machine.MachineChecks.Inject(Corrected(new(InjectionTrigger.Time, 777_777)));
        machine.Run(untilTime: 2_000_000);
        Assert.Equal(777_777ul, machine.MachineChecks.Fired.Single().Time);
    }

    [Fact]
    public void The_third_exit_for_a_reason_is_counted_from_arming()
    {
        using var machine = Spin();
        machine.MachineChecks.Inject(Corrected(new(InjectionTrigger.Exit, 3, ExitReason.Cpuid)));
        machine.Run(untilInstructions: 2 * 3005);
        Assert.Equal(1ul, machine.MachineChecks.Armed.Single().Left);
        machine.Run(untilInstructions: 4 * 3005);
        Assert.Equal(1ul, machine.MachineChecks.Injected);
    }

    [Fact]
    public void A_touched_page_records_where_and_by_whom()
    {
        using var machine = Spin();
        machine.Run(untilInstructions: 10_000);
        machine.MachineChecks.Inject(new() { When = new(InjectionTrigger.Page, Data + 8), Signal = MachineCheckSignal.Silent, Once = true });
        Assert.Equal(1, machine.Memory.PoisonedPages);
        machine.Run(untilInstructions: 20_000);
        var fired = machine.MachineChecks.Fired.Single();
        Assert.Equal((0, 1, MachineCheckCode.DataLoad, Data), (fired.Cpu, fired.Record.Bank, fired.Record.Status, fired.Record.Addr));
        Assert.Equal(0, machine.Memory.PoisonedPages);
    }

    [Fact]
    public void Poison_stays_until_it_is_disarmed()
    {
        using var machine = Spin();
        var id = machine.MachineChecks.Inject(new() { When = new(InjectionTrigger.Page, Data), Signal = MachineCheckSignal.Silent });
        machine.Run(untilInstructions: 4 * 3010);
        Assert.Equal(4ul, machine.MachineChecks.Injected);
        Assert.Equal(3ul, machine.MachineChecks.Lost);
        Assert.True(machine.MachineChecks.Disarm(id));
        Assert.False(machine.MachineChecks.Disarm(id));
        Assert.Equal(0, machine.Memory.PoisonedPages);
        machine.Run(untilInstructions: 8 * 3010);
        Assert.Equal(4ul, machine.MachineChecks.Injected);
    }

    [Fact]
    public void A_device_does_not_count_where_processors_are_waited_for()
    {
        using var machine = Spin();
        machine.MachineChecks.Inject(new() { When = new(InjectionTrigger.Page, Data, By: PageToucher.Device), Signal = MachineCheckSignal.Silent });
        machine.Run(untilInstructions: 10_000);
        Assert.Equal(0ul, machine.MachineChecks.Injected);
    }

    [Fact]
    public void A_run_with_injections_repeats_and_a_snapshot_before_them_goes_on_alike()
    {
        static void Arm(VirtualMachine machine)
        {
            machine.MachineChecks.Inject(Corrected(new(InjectionTrigger.Instruction, 150_000)));
            machine.MachineChecks.Inject(Corrected(new(InjectionTrigger.Time, 400_000)));
            machine.MachineChecks.Inject(Corrected(new(InjectionTrigger.Exit, 90, ExitReason.Cpuid)) with { Addr = 5 });
            machine.MachineChecks.Inject(new() { When = new(InjectionTrigger.Page, Data), Signal = MachineCheckSignal.Silent });
        }

        using var whole = Spin();
        Arm(whole);
        whole.Run(untilInstructions: 400_000);
        using var part = Spin();
        Arm(part);
        part.Run(untilInstructions: 100_000);
        using var image = part.Freeze();
        using var fork = Spin();
        fork.Restore(image);
        Assert.Equal(part.MachineChecks.Armed.Count, fork.MachineChecks.Armed.Count);
        Assert.Equal(1, fork.Memory.PoisonedPages);
        part.Run(untilInstructions: 400_000);
        fork.Run(untilInstructions: 400_000);
        Assert.True(whole.MachineChecks.Injected > 10);
        Assert.Equal(whole.StateHash(), part.StateHash());
        Assert.Equal(whole.StateHash(), fork.StateHash());
    }

    /// <summary>Preserved, copied stale from a host that had it clear: what a machine check does while the guest has CR4.MCE clear.</summary>
    [Theory]
    [InlineData(true, false, StopCause.InstructionLimit, 0u, 1u, 0u)]
    [InlineData(false, false, StopCause.Caterr, 0u, 0u, 1u)]
    [InlineData(true, true, StopCause.Caterr, 0u, 0u, 1u)]
    public void A_machine_check_under_a_spinning_guest_is_an_exit_or_caterr(bool preserve, bool stale, StopCause cause, uint told, uint kept, uint died)
    {
        using var machine = Spin(configure: c => c with { Vmx = new() { PreserveMce = preserve, StaleHostCr4 = stale, HostMceAtCreation = !stale } });
        machine.MachineChecks.Inject(Fatal(new(InjectionTrigger.Instruction, 5_000)));
        var outcome = machine.Run(untilInstructions: 20_000);
        Assert.Equal(cause, outcome.Cause);
        var fired = machine.MachineChecks.Fired.Single();
        Assert.Equal((told, kept, died), (fired.Told, fired.Kept, fired.Died));
        Assert.Equal(died == 0 ? 1ul : 0, machine.Clock.Ledger.Vcpu(0)[ExitReason.ExceptionOrNmi].Count);
        Assert.Equal(died == 0 ? 20_000ul : 5_000, machine.Instructions);
        Assert.Equal(died != 0, outcome.Detail.Contains("CATERR", StringComparison.Ordinal));
    }

    [Fact]
    public void Every_violation_is_named_at_once()
    {
        using var machine = Spin();
        var wrong = new MachineCheckInjection { Cpu = 4, Bank = 10, Status = 1, Addr = 5, McgStatus = 8, Once = true };
        var fields = machine.MachineChecks.Violations(wrong).Select(v => v.Field).ToArray();
        Assert.Equal(["cpu", "bank", "status", "addr", "mcg_status", "once"], fields);
        var thrown = Assert.Throws<ArgumentException>(() => machine.MachineChecks.Inject(wrong));
        Assert.All(fields, f => Assert.Contains(f + ":", thrown.Message, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(Ram)]
    [InlineData(0xFEE0_0000ul)]
    [InlineData(ulong.MaxValue)]
    public void A_page_that_is_no_ram_cannot_be_poisoned(ulong page)
    {
        using var machine = Spin();
        Assert.Equal("page", machine.MachineChecks.Violations(new() { When = new(InjectionTrigger.Page, page) }).Single().Field);
    }

    [Fact]
    public void Without_the_architecture_nothing_can_be_injected_and_cpuid_says_so()
    {
        using var machine = Spin(configure: c => c with { MachineCheck = null });
        Assert.Equal("machine", machine.MachineChecks.Violations(Fatal()).Single().Field);
        Assert.Equal(0u, machine.Model.Query(1, 0, 0).Edx & (1 << 7 | 1 << 14));
        Assert.Null(machine.Vcpus[0].Mca);
    }

    [Fact]
    public void A_damaged_snapshot_with_an_impossible_injection_is_refused()
    {
        using var machine = Spin();
        machine.MachineChecks.Inject(Corrected(new(InjectionTrigger.Time, Limit)));
        var writer = new SnapshotWriter();
        machine.MachineChecks.Save(writer);
        var bytes = writer.Written.ToArray();
        bytes[3 * 8 + 4 + 2 + 4 + 8] = 9;
        Assert.Throws<SnapshotException>(() => machine.MachineChecks.Load(new("machine-checks", 1, bytes)));
    }
}
