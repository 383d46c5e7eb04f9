using Iced.Intel;
using Vmm.Cpu.MachineCheck;
using Vmm.Cpu.State;
using Vmm.Cpu.Vcpus;
using Vmm.Platform.Memory;
using Vmm.Platform.Snapshots;
using Vmm.Specs.X86;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Unit.Cpu.MachineCheck;

/// <summary>Vector 18: when it is taken, on which stack, and what shuts the processor down (SDM 3A §6.15).</summary>
public sealed unsafe class DeliveryTests
{
    const ulong Idt = 0x20000, Gdt = 0x22000, Tss = 0x23000, IstTop = 0x28000, Handler = 0x30000, Victim = 0x80_0000;

    /// <summary>A machine whose #MC handler halts on the second IST stack.</summary>
    static TestMachine Machine(bool enabled = true)
    {
        var machine = new TestMachine(new CpuModel { MachineCheck = new() });
        var memory = machine.Memory;
        memory.TryWrite(new Gpa(Gdt + 0x10), 0x00AF_9B00_0000_FFFFul);
        memory.TryWrite(new Gpa(Idt + 18 * 16), (Handler & 0xFFFF) | 0x10ul << 16 | 2ul << 32 | 0x8Eul << 40 | (Handler >> 16) << 48);
        memory.TryWrite(new Gpa(Tss + 36 + 8), IstTop);
        memory.TryWrite(new Gpa(Handler), (byte)0xF4);
        var s = machine.State;
        (s->GdtBase, s->GdtLimit) = (Gdt, 0x1F);
        (s->IdtBase, s->IdtLimit) = (Idt, 0xFFF);
        s->Tr = new() { Base = Tss, Limit = 0x67, Access = 0x8B, Selector = 0x18 };
        s->Cr4 |= enabled ? Cr.Cr4MCE : 0;
        machine.Cpu.StateChanged();
        return machine;
    }

    static ulong Pushed(TestMachine machine, int word)
    {
        machine.Memory.TryRead(new Gpa(IstTop - 40 + (ulong)word * 8), out ulong value);
        return value;
    }

    static void AssertHandled(TestMachine machine, ulong rip, ulong mcgStatus)
    {
        Assert.Null(machine.Cpu.ShutdownCause);
        Assert.Equal(Handler + 1, machine.State->Rip);
        Assert.Equal(IstTop - 40, machine.State->Gpr[4]);
        Assert.Equal(rip, Pushed(machine, 0));
        Assert.Equal(TestMachine.StackTop, Pushed(machine, 3));
        Assert.Equal(mcgStatus | McgStatus.MCIP, machine.Cpu.Mca!.Status);
    }

    [Fact]
    public void It_is_taken_between_two_instructions_on_its_own_stack()
    {
        using var machine = Machine().Load(a =>
        {
            a.nop();
            a.nop();
        });
        machine.Run(1);
        machine.Cpu.DeliverMachineCheck(McgStatus.RIPV | McgStatus.EIPV);
        machine.Run();
        AssertHandled(machine, TestMachine.CodeAt + 1, McgStatus.RIPV | McgStatus.EIPV);
        Assert.Equal(1ul, machine.Cpu.Mca!.Delivered);
    }

    [Fact]
    public void It_wakes_a_halted_processor_that_takes_no_interrupts()
    {
        using var machine = Machine().Load(a => a.hlt());
        machine.Run();
        Assert.Equal(Activity.Halted, machine.Cpu.Activity);
        Assert.False(machine.Cpu.IsRunnable);
        machine.Cpu.DeliverMachineCheck(McgStatus.RIPV);
        Assert.True(machine.Cpu.IsRunnable);
        machine.Run();
        AssertHandled(machine, TestMachine.CodeAt + 1, McgStatus.RIPV);
    }

    [Fact]
    public void It_comes_before_an_interrupt_and_an_nmi_and_is_not_held_off_by_sti()
    {
        using var machine = Machine().Load(a =>
        {
            a.sti();
            a.nop();
        });
        machine.Run(1);
        Assert.NotEqual(0, machine.State->Shadow);
        machine.Cpu.DeliverMachineCheck(0);
        machine.Run();
        AssertHandled(machine, TestMachine.CodeAt + 1, 0);
    }

    [Fact]
    public void With_cr4_mce_clear_the_processor_shuts_down()
    {
        using var machine = Machine(enabled: false).Load(a => a.nop());
        machine.Cpu.DeliverMachineCheck(McgStatus.RIPV);
        machine.Run(1);
        Assert.Equal(Activity.Shutdown, machine.Cpu.Activity);
        Assert.StartsWith("machine check with CR4.MCE clear", machine.Cpu.ShutdownCause, StringComparison.Ordinal);
    }

    [Fact]
    public void With_mcip_set_the_processor_shuts_down()
    {
        using var machine = Machine().Load(a => a.nop());
        machine.Cpu.DeliverMachineCheck(McgStatus.RIPV);
        machine.Run();
        machine.Cpu.DeliverMachineCheck(McgStatus.RIPV);
        machine.Run();
        Assert.Equal(Activity.Shutdown, machine.Cpu.Activity);
        Assert.StartsWith("machine check while MCG_STATUS.MCIP is set", machine.Cpu.ShutdownCause, StringComparison.Ordinal);
    }

    [Fact]
    public void A_processor_that_waits_for_startup_shuts_down()
    {
        using var machine = Machine();
        machine.Cpu.Init();
        machine.Run(1);
        Assert.Equal(Activity.WaitForStartUp, machine.Cpu.Activity);
        machine.Cpu.DeliverMachineCheck(McgStatus.RIPV);
        machine.Run(1);
        Assert.Equal(Activity.Shutdown, machine.Cpu.Activity);
    }

    [Fact]
    public void One_that_waits_survives_a_snapshot()
    {
        using var machine = Machine().Load(a => a.nop());
        machine.Cpu.DeliverMachineCheck(McgStatus.RIPV);
        var writer = new SnapshotWriter();
        machine.Cpu.Save(writer);
        using var other = Machine().Load(a => a.nop());
        other.Cpu.Load(new("vcpu0", machine.Cpu.SectionVersion, writer.Written.ToArray()));
        other.Run();
        AssertHandled(other, TestMachine.CodeAt, McgStatus.RIPV);
    }

    [Fact]
    public void Int_18_is_a_software_interrupt_and_no_machine_check()
    {
        using var machine = Machine(enabled: false).Load(a => a.@int(18));
        machine.Run();
        Assert.Null(machine.Cpu.ShutdownCause);
        Assert.Equal(Handler + 1, machine.State->Rip);
        Assert.Equal(0ul, machine.Cpu.Mca!.Delivered);
    }

    /// <summary>Raises SRAR on every touch of poison, as the machine does.</summary>
    sealed class Raiser(TestMachine machine, bool raises = true) : IPoisonObserver
    {
        public List<(PoisonAccess Access, ulong Address)> Seen { get; } = [];

        public void Touched(PoisonAccess access, int source, Gpa address)
        {
            Seen.Add((access, address.Value));
            if (raises)
            {
                machine.Cpu.DeliverMachineCheck(McgStatus.RIPV | McgStatus.EIPV);
            }
        }
    }

    static readonly Dictionary<string, (Action<Assembler> Emit, PoisonAccess Access)> Touches = new()
    {
        ["load"] = (a => a.mov(rax, __qword_ptr[rbx]), PoisonAccess.Load),
        ["store"] = (a => a.mov(__qword_ptr[rbx], rax), PoisonAccess.Store),
        ["read-modify-write"] = (a => a.add(__qword_ptr[rbx], rax), PoisonAccess.Store),
        ["compare"] = (a => a.cmp(__byte_ptr[rbx], 0), PoisonAccess.Load),
        ["second page of a split load"] = (a => a.mov(rax, __qword_ptr[rbx - 4]), PoisonAccess.Load),
        ["vector"] = (a => a.movdqu(xmm0, __xmmword_ptr[rbx]), PoisonAccess.Load),
        ["x87"] = (a => a.fld(__qword_ptr[rbx]), PoisonAccess.Load),
        ["string source"] = (a => a.lodsb(), PoisonAccess.Load),
        ["repeated store"] = (a => a.rep.stosb(), PoisonAccess.Store),
        ["fetch"] = (a => a.call(rbx), PoisonAccess.Fetch),
    };

    public static TheoryData<string> TouchNames => [.. Touches.Keys];

    [Theory]
    [MemberData(nameof(TouchNames))]
    public void Poison_is_consumed_at_the_very_instruction(string name)
    {
        var (emit, access) = Touches[name];
        using var machine = Machine().Load(a =>
        {
            var again = a.CreateLabel();
            a.mov(ebp, 2);
            a.Label(ref again);
            a.nop();
            a.nop();
            emit(a);
            a.dec(ebp);
            a.jnz(again);
            a.hlt();
        });
        var s = machine.State;
        void Registers()
        {
            s->Gpr[0] = 0x1234;
            s->Gpr[1] = 1;
            s->Gpr[3] = s->Gpr[6] = s->Gpr[7] = Victim;
        }

        // A first round without poison decodes the code and fills the TLB.
        machine.Memory.TryWrite(new Gpa(Victim), (byte)0xC3);
        Registers();
        machine.Run();
        Assert.Equal(Activity.Halted, machine.Cpu.Activity);
        var raiser = new Raiser(machine);
        machine.Memory.PoisonObserver = raiser;
        Assert.True(machine.Memory.Poison(new Gpa(Victim), true));
        machine.Cpu.ForgetTranslations();
        Restart(machine);
        Registers();
        machine.Run();
        var fetched = access == PoisonAccess.Fetch;
        Assert.Equal(fetched ? Victim : TestMachine.CodeAt + 7, Pushed(machine, 0));
        Assert.Equal(Handler + 1, s->Rip);
        Assert.Equal(McgStatus.RIPV | McgStatus.EIPV | McgStatus.MCIP, machine.Cpu.Mca!.Status);
        Assert.Equal(0x1234ul, s->Gpr[0]);
        Assert.Equal((access, Victim), raiser.Seen[0]);
    }

    static void Restart(TestMachine machine)
    {
        using var template = Machine();
        var writer = new SnapshotWriter();
        template.Cpu.Save(writer);
        machine.Cpu.Load(new("vcpu0", machine.Cpu.SectionVersion, writer.Written.ToArray()));
        machine.State->Rip = TestMachine.CodeAt;
        machine.Cpu.StateChanged();
    }

    [Fact]
    public void The_page_walk_consumes_poison_of_a_table()
    {
        using var machine = Machine().Load(a => a.mov(rax, __qword_ptr[rbx]));
        var raiser = new Raiser(machine);
        machine.Memory.PoisonObserver = raiser;
        // A second table for the third GiB, so that the code's own stays healthy.
        machine.Memory.TryWrite(new Gpa(0x2010), 0x5007ul);
        machine.Memory.TryWrite(new Gpa(0x5000), Victim & ~0x1F_FFFFul | 0x87);
        machine.Memory.Poison(new Gpa(0x5000), true);
        machine.Cpu.ForgetTranslations();
        machine.State->Gpr[3] = 0x8000_0000;
        machine.Run(2);
        Assert.Equal(TestMachine.CodeAt, Pushed(machine, 0));
        Assert.Equal([(PoisonAccess.PageWalk, 0x5000ul)], raiser.Seen);
    }

    [Fact]
    public void An_access_goes_on_when_nobody_raises_a_machine_check_and_after_healing()
    {
        using var machine = Machine().Load(a =>
        {
            a.mov(rax, __qword_ptr[rbx]);
            a.mov(rcx, __qword_ptr[rbx]);
            a.hlt();
        });
        var raiser = new Raiser(machine, raises: false);
        machine.Memory.PoisonObserver = raiser;
        machine.Memory.TryWrite(new Gpa(Victim), 77ul);
        machine.Memory.Poison(new Gpa(Victim), true);
        machine.State->Gpr[3] = Victim;
        machine.Run(1);
        Assert.Single(raiser.Seen);
        Assert.True(machine.Memory.Poison(new Gpa(Victim), false));
        machine.Run();
        Assert.Single(raiser.Seen);
        Assert.Equal((77ul, 77ul), (machine.State->Gpr[0], machine.State->Gpr[1]));
        Assert.Equal(0, machine.Memory.PoisonedPages);
    }
}
