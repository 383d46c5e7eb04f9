using Iced.Intel;
using Vmm.Cli;
using Vmm.Cpu.State;
using Vmm.Cpu.Vmx;
using Vmm.Firmware.Boot;
using Vmm.Machine;
using Vmm.Machine.MachineChecks;
using Vmm.Platform.Memory;
using Vmm.Platform.Time;
using Vmm.Specs.X86;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Unit.Cpu.Vmx;

/// <summary>The host's CR4.MCE while guests spin, on three vCPUs: exit and undisturbed guest, exit and guest #MC, or CATERR.</summary>
public sealed class HostMceTests
{
    const int Vcpus = 3, Spins = 0x600, Handled = 0x640, Start = 0x8000, Handler = 0x8200;

    /// <summary>Real-mode code that every vCPU runs, the first of which starts the others: each counts, and counts its machine checks.</summary>
    static byte[] Image(bool mce)
    {
        var c = new Assembler(16);
        var spin = c.CreateLabel();
        c.xor(eax, eax);
        c.mov(ds, ax);
        c.mov(ss, ax);
        c.mov(eax, 1);
        c.cpuid();
        c.shr(ebx, 24);
        c.shl(bx, 2);
        c.mov(di, bx);
        c.shl(bx, 6);
        c.mov(sp, 0x7000);
        c.sub(sp, bx);
        if (mce)
        {
            c.mov(eax, cr4);
            c.or(ax, 0x40);
            c.mov(cr4, eax);
        }

        c.cmp(di, 0);
        c.jne(spin);
        c.mov(bx, 18 * 4);
        c.mov(__word_ptr[bx], Handler);
        c.mov(__word_ptr[bx + 2], 0);
        Write(c, 0x1B, 0xFEE0_0D00);
        foreach (var command in (ReadOnlySpan<uint>)[0xC4500, 0xC4608, 0xC4608])
        {
            Write(c, 0x830, command);
        }

        c.Label(ref spin);
        c.inc(__dword_ptr[di + Spins]);
        c.jmp(spin);
        var handler = new Assembler(16);
        Handle(handler);
        return [.. Assemble(c, Start), .. new byte[Handler - Start - Assemble(c, Start).Length], .. Assemble(handler, Handler)];
    }

    static void Handle(Assembler c)
    {
        c.inc(__dword_ptr[di + Handled]);
        c.push(eax);
        Write(c, 0x17A, 0);
        c.pop(eax);
        c.iret();
    }

    static byte[] Assemble(Assembler c, ulong at)
    {
        var stream = new MemoryStream();
        c.Assemble(new StreamCodeWriter(stream), at);
        return stream.ToArray();
    }

    static void Write(Assembler c, int msr, uint value)
    {
        c.mov(ecx, msr);
        c.mov(eax, (int)value);
        c.xor(edx, edx);
        c.wrmsr();
    }

    static VirtualMachine Spin(bool mce, VmxOptions vmx)
    {
        var config = new MachineConfig { MemoryBytes = 16 << 20, Vcpus = Vcpus, Vmx = vmx };
        var machine = new VirtualMachine(config, new ConsolePort());
        machine.Boot(BootLoader.Plan(new()
        {
            RamBytes = config.MemoryBytes, Image = Image(mce), Protocol = BootProtocol.Flat, Flat = new(new Gpa(Start), CpuMode.Real16),
        }));
        machine.Run(untilTime: 2_000_000);
        Assert.All(Enumerable.Range(0, Vcpus), i => Assert.NotEqual(0u, Count(machine, Spins, i)));
        Assert.All(machine.Vcpus, cpu => Assert.Equal(mce, cpu.Vmx.GuestMachineCheckEnabled));
        return machine;
    }

    static uint Count(VirtualMachine machine, int at, int cpu)
    {
        Assert.True(machine.Memory.TryRead(new Gpa((ulong)(at + cpu * 4)), out uint value));
        return value;
    }

    static void Inject(VirtualMachine machine, int cpu) => machine.MachineChecks.Inject(new()
    {
        Cpu = cpu, Bank = 1, Status = MachineCheckCode.ContextCorrupt, Signal = MachineCheckSignal.Target,
    });

    static ulong MachineCheckExits(VirtualMachine machine, int cpu) => machine.TakeLedger().Vcpus[cpu].Rows
        .Where(r => r.Name == "ExceptionOrNmi.MachineCheck").Aggregate(0ul, (sum, r) => sum + r.Count);

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public void With_the_guests_MCE_clear_the_vCPU_exits_the_host_handles_it_and_the_guest_goes_on(int cpu)
    {
        using var machine = Spin(false, new());
        Inject(machine, cpu);
        var before = Count(machine, Spins, cpu);
        Assert.Equal(StopCause.VirtualTimeout, machine.Run(untilTime: 4_000_000).Cause);
        Assert.True(Count(machine, Spins, cpu) > before + 1000);
        for (var i = 0; i < Vcpus; i++)
        {
            Assert.Equal(i == cpu ? 1ul : 0, MachineCheckExits(machine, i));
            Assert.Equal(0u, Count(machine, Handled, i));
            Assert.Equal(0ul, machine.Vcpus[i].Vmx.Read(VmcsField.Cr4ReadShadow) & Cr.Cr4MCE);
            Assert.NotEqual(0ul, machine.Vcpus[i].Vmx.Read(VmcsField.GuestCr4) & Cr.Cr4MCE);
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public void Without_preservation_the_machine_dies_of_CATERR_and_says_on_which_processor(int cpu)
    {
        using var machine = Spin(false, new() { PreserveMce = false });
        Inject(machine, cpu);
        var outcome = machine.Run(untilTime: 4_000_000);
        Assert.Equal(StopCause.Caterr, outcome.Cause);
        Assert.Contains($"CATERR on physical CPU {cpu}: machine check while vCPU {cpu} ran its guest", outcome.Detail, StringComparison.Ordinal);
        var spins = Enumerable.Range(0, Vcpus).Select(i => Count(machine, Spins, i)).ToArray();
        Assert.Equal(StopCause.Caterr, machine.Run(untilTime: 6_000_000).Cause);
        Assert.Equal(spins, Enumerable.Range(0, Vcpus).Select(i => Count(machine, Spins, i)));
    }

    [Theory]
    [InlineData(0, true)]
    [InlineData(1, true)]
    [InlineData(2, true)]
    [InlineData(1, false)]
    public void With_the_guests_MCE_set_there_is_an_exit_and_a_guest_machine_check(int cpu, bool preserve)
    {
        using var machine = Spin(true, new() { PreserveMce = preserve });
        Inject(machine, cpu);
        Assert.Equal(StopCause.VirtualTimeout, machine.Run(untilTime: 4_000_000).Cause);
        for (var i = 0; i < Vcpus; i++)
        {
            Assert.Equal(i == cpu ? 1ul : 0, MachineCheckExits(machine, i));
            Assert.Equal(i == cpu ? 1u : 0, Count(machine, Handled, i));
        }
    }

    [Fact]
    public void A_broadcast_exits_on_every_processor()
    {
        using var machine = Spin(true, new());
        machine.MachineChecks.Inject(new() { Cpu = 1, Bank = 1, Status = MachineCheckCode.ContextCorrupt, Signal = MachineCheckSignal.Broadcast });
        machine.Run(untilTime: 4_000_000);
        Assert.All(Enumerable.Range(0, Vcpus), i => Assert.Equal((1ul, 1u), (MachineCheckExits(machine, i), Count(machine, Handled, i))));
    }

    [Fact]
    public void A_stale_copy_of_the_hosts_CR4_keeps_MCE_clear_when_the_host_has_set_it_since()
    {
        using var stale = Spin(false, new() { StaleHostCr4 = true, HostMceAtCreation = false });
        Inject(stale, 1);
        Assert.Equal(StopCause.Caterr, stale.Run(untilTime: 4_000_000).Cause);
        using var live = Spin(false, new() { HostMceAtCreation = false });
        Inject(live, 1);
        Assert.Equal(StopCause.VirtualTimeout, live.Run(untilTime: 4_000_000).Cause);
    }

    [Fact]
    public void The_hosts_CR4_may_differ_between_processors_and_change_at_any_time()
    {
        using var machine = Spin(false, new());
        machine.Vcpus[1].Vmx.Physical.MachineCheckEnable = false;
        Assert.Equal([true, false, true], machine.Vcpus.Select(c => c.Vmx.IsMachineCheckEnabled));
        machine.Run(untilTime: 3_000_000);
        Inject(machine, 0);
        Inject(machine, 2);
        Assert.Equal(StopCause.VirtualTimeout, machine.Run(untilTime: 4_000_000).Cause);
        Inject(machine, 1);
        Assert.Equal(StopCause.Caterr, machine.Run(untilTime: 5_000_000).Cause);
        using var moved = Spin(false, new());
        moved.Vcpus[1].Vmx.MoveTo(new PhysicalCpu(7) { MachineCheckEnable = false });
        Inject(moved, 1);
        Assert.Contains("physical CPU 7", moved.Run(untilTime: 4_000_000).Detail, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("haswell", 24)]
    [InlineData("sandy-bridge", 36)]
    public void Each_entry_reads_CR4_at_the_price_of_the_microarchitecture_and_a_stale_copy_costs_nothing(string profile, ulong price)
    {
        static LedgerTable Run(string profile, bool stale)
        {
            using var machine = new VirtualMachine(
                new() { MemoryBytes = 16 << 20, Vcpus = Vcpus, Cost = CostProfiles.Get(profile), Vmx = new() { StaleHostCr4 = stale } }, new ConsolePort());
            machine.Boot(BootLoader.Plan(new()
            {
                RamBytes = 16 << 20, Image = Image(true), Protocol = BootProtocol.Flat, Flat = new(new Gpa(Start), CpuMode.Real16),
            }));
            machine.Run(untilTime: 2_000_000);
            var total = machine.TakeLedger().Total;
            Assert.Equal(machine.Vcpus.Aggregate(0ul, (sum, c) => sum + c.Vmx.Physical.Cr4Reads), total[CostKind.Cr4Read].Count);
            return total;
        }

        var live = Run(profile, false)[CostKind.Cr4Read];
        Assert.True(live.Count >= 10);
        Assert.Equal(live.Count * price, live.Cycles);
        Assert.Equal(0ul, Run(profile, true)[CostKind.Cr4Read].Cycles);
    }
}
