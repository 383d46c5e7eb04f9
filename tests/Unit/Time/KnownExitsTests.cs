using Iced.Intel;
using Vmm.Firmware.Boot;
using Vmm.Machine;
using Vmm.Platform.Bus;
using Vmm.Platform.Memory;
using Vmm.Platform.Time;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace Vmm.Unit.Time;

/// <summary>A flat guest makes a known number of each exit; the ledger has exactly those, and their sum is the clock.</summary>
public sealed class KnownExitsTests
{
    const uint Lapic = 0xFEE0_0000, TestMemory = 0xFF00_0000, Nobody = 0xFED4_0000;
    const int Origin = 0x10_0000, Idt = 0x20_0000;

    sealed class Silent : IConsoleOutput
    {
        public void Write(ReadOnlySpan<byte> data)
        {
        }
    }

    static byte[] Assemble(Action<Assembler> code)
    {
        var assembler = new Assembler(64);
        code(assembler);
        var stream = new MemoryStream();
        assembler.Assemble(new StreamCodeWriter(stream), Origin);
        return stream.ToArray();
    }

    static VirtualMachine Start(Action<Assembler> code, CostModel? cost = null)
    {
        var config = new MachineConfig { MemoryBytes = 16 << 20, Cost = cost ?? CostModel.Default };
        var machine = new VirtualMachine(config, new Silent());
        machine.Boot(BootLoader.Plan(new()
        {
            RamBytes = config.MemoryBytes, Image = Assemble(code), Flat = new(new Gpa(Origin), CpuMode.Long64), Acpi = machine.BuildAcpi(),
        }));
        return machine;
    }

    static void Repeat(Assembler c, int times, Action body)
    {
        c.mov(esi, times);
        var loop = c.CreateLabel();
        c.Label(ref loop);
        body();
        c.dec(esi);
        c.jnz(loop);
    }

    static void Exits(Assembler c)
    {
        Repeat(c, 7, () =>
        {
            c.xor(eax, eax);
            c.cpuid();
        });
        Repeat(c, 5, () => c.@in(al, 0xE8));
        Repeat(c, 3, () => c.@out(0xE4, al));
        Repeat(c, 4, () => c.@in(al, 0x61));
        Repeat(c, 2, () => c.@in(al, 0x99));
        Repeat(c, 6, () => c.mov(eax, __dword_ptr[rdi + (TestMemory - 0x8000_0000)]));
        Repeat(c, 8, () => c.mov(__word_ptr[rdi + (TestMemory - 0x8000_0000)], ax));
        Repeat(c, 9, () => c.mov(eax, __dword_ptr[rdi + (Lapic - 0x8000_0000) + 0x20]));
        Repeat(c, 2, () => c.mov(al, __byte_ptr[rdi + (Nobody - 0x8000_0000)]));
        Repeat(c, 10, () =>
        {
            c.mov(ecx, 0x1B);
            c.rdmsr();
        });
        Repeat(c, 4, () =>
        {
            c.mov(ecx, 0x6E0);
            c.xor(eax, eax);
            c.xor(edx, edx);
            c.wrmsr();
        });
        Repeat(c, 11, () => c.pause());
        Repeat(c, 12, () => c.clflush(__[rsp]));
        c.mov(edx, 0xE8);
        c.mov(ecx, 13);
        c.mov(rsi, Origin);
        c.rep.outsb();
    }

    /// <summary>What <see cref="Exits"/> makes, in the ledger's order, with the last HLT.</summary>
    static readonly (string, ExitHandler?, ulong, CostKind)[] Expected =
    [
        ("Cpuid", ExitHandler.Kernel, 7, CostKind.Cpuid),
        ("Hlt", ExitHandler.Kernel, 1, CostKind.Halt),
        ("IoInstruction.Read", ExitHandler.Kernel, 4, CostKind.PortKernel),
        ("IoInstruction.Read", ExitHandler.User, 7, CostKind.PortUser),
        ("IoInstruction.Write", ExitHandler.User, 16, CostKind.PortUser),
        ("Rdmsr", ExitHandler.Kernel, 10, CostKind.Msr),
        ("Wrmsr", ExitHandler.Kernel, 4, CostKind.Msr),
        ("ApicAccess.Read", ExitHandler.Kernel, 9, CostKind.MmioKernel),
        ("EptMisconfiguration.Read", ExitHandler.User, 8, CostKind.MmioUser),
        ("EptMisconfiguration.Write", ExitHandler.User, 8, CostKind.MmioUser),
        ("pause", null, 11, CostKind.Pause),
        // One at each of the exits above but HLT, on the way back.
        ("cr4-read", null, 73, CostKind.Cr4Read),
        ("cache-flush", null, 12, CostKind.CacheFlush),
    ];

    public static TheoryData<string> Profiles => [.. CostProfiles.Names];

    [Theory]
    [MemberData(nameof(Profiles))]
    public void The_ledger_has_exactly_the_exits_that_were_made(string profile)
    {
        var cost = CostProfiles.Get(profile).With(CostKind.Instruction, 3);
        using var machine = Start(
            c =>
            {
                c.mov(edi, 0x8000_0000);
                Exits(c);
                c.cli();
                c.hlt();
            },
            cost);
        Assert.Equal(StopCause.Stuck, machine.Run().Cause);
        var ledger = machine.TakeLedger();
        var total = ledger.Total;
        Assert.Equal(
            Expected.Select(e => new LedgerRow(e.Item1, e.Item2, e.Item3, e.Item3 * cost[e.Item4])),
            total.Rows.Where(r => r.Name is not ("instruction" or "stall")));
        Assert.Equal(machine.Instructions, total[CostKind.Instruction].Count);
        Assert.Equal(machine.Now, total.Cycles);
        Assert.Equal(5ul + 3 + 6 + 8 + 13, ledger.Devices["testdev"].ExitCount);
        Assert.Equal(9ul + 10 + 4, ledger.Devices["lapic"].ExitCount);
        Assert.Equal(4ul, ledger.Devices["pit"].ExitCount);
        Assert.Equal(4ul, ledger.Devices["unclaimed"].ExitCount);
    }

    [Fact]
    public void Sleep_is_idle_and_waking_up_has_its_price()
    {
        using var machine = Start(c =>
        {
            var handler = c.CreateLabel();
            var start = c.CreateLabel();
            c.mov(edi, Lapic);
            c.jmp(start);
            c.Label(ref handler);
            c.mov(__dword_ptr[rdi + 0xB0], 0);
            c.iretq();
            c.Label(ref start);
            c.lea(rax, __[handler]);
            c.mov(__word_ptr[Idt + 0x400], ax);
            c.mov(__dword_ptr[Idt + 0x402], 0x8E00_0010);
            c.shr(rax, 16);
            c.mov(__word_ptr[Idt + 0x406], ax);
            c.mov(ax, cs);
            c.mov(__word_ptr[Idt + 0x402], ax);
            c.mov(__word_ptr[Idt + 0x1000], 0xFFF);
            c.mov(__qword_ptr[Idt + 0x1002], Idt);
            c.lidt(__[Idt + 0x1000]);
            c.mov(__dword_ptr[rdi + 0xF0], 0x1FF);
            c.mov(__dword_ptr[rdi + 0x3E0], 0xB);
            c.mov(__dword_ptr[rdi + 0x320], 0x2_0040);
            c.mov(__dword_ptr[rdi + 0x380], 24_000);
            c.sti();
            Repeat(c, 5, () => c.hlt());
            c.cli();
            c.hlt();
        });
        machine.Run(untilTime: machine.Clock.Hertz);
        var ledger = machine.TakeLedger();
        var table = ledger.Vcpus[0];
        Assert.Equal(6ul, table[Specs.X86.ExitReason.Hlt].Count);
        Assert.Equal(5ul, table[CostKind.Wake].Count);
        Assert.Equal(5 * machine.Config.Cost[CostKind.Wake], table[CostKind.Wake].Cycles);
        Assert.Equal(6ul, table[CostKind.Idle].Count);
        Assert.Equal(machine.Now, ledger.Total.Cycles);
        // Five timer periods of a millisecond, but for what was not slept through.
        Assert.InRange(table[CostKind.Idle].Cycles, 5 * machine.Clock.Hertz / 1000 - 200_000, machine.Now);
    }

    [Fact]
    public void A_snapshot_in_between_changes_nothing()
    {
        Action<Assembler> code = c =>
        {
            c.mov(edi, 0x8000_0000);
            Exits(c);
            c.cli();
            c.hlt();
        };
        using var whole = Start(code);
        whole.Run();
        var expected = whole.TakeLedger().Total.Rows;
        for (var at = 1ul; at < whole.Instructions; at += 23)
        {
            using var first = Start(code);
            first.Run(untilInstructions: at);
            using var image = first.Freeze();
            using var second = new VirtualMachine(image.Config, new Silent());
            second.Restore(image);
            var before = second.TakeLedger();
            Assert.Equal(first.TakeLedger().Total.Rows, before.Total.Rows);
            second.Run();
            Assert.Equal(expected, second.TakeLedger().Total.Rows);
            Assert.Equal(second.Now - first.Now, second.TakeLedger().Since(before).Total.Cycles);
            Assert.Equal(whole.StateHash(), second.StateHash());
        }
    }

    [Fact]
    public void Without_the_ledger_the_same_time_passes()
    {
        Action<Assembler> code = c =>
        {
            c.mov(edi, 0x8000_0000);
            Exits(c);
            c.cli();
            c.hlt();
        };
        using var on = Start(code);
        on.Run();
        var config = on.Config with { Ledger = false };
        using var off = new VirtualMachine(config, new Silent());
        off.Boot(BootLoader.Plan(new()
        {
            RamBytes = config.MemoryBytes, Image = Assemble(code), Flat = new(new Gpa(Origin), CpuMode.Long64), Acpi = off.BuildAcpi(),
        }));
        off.Run();
        Assert.Equal(on.Now, off.Now);
        Assert.Equal(0ul, off.Clock.Ledger.Take().Total.Cycles);
    }
}
