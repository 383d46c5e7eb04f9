using System.Text;
using Vmm.Chipset;
using Vmm.Firmware.Boot;
using Vmm.Firmware.BuiltIn;
using Vmm.Iommu;
using Vmm.Machine;
using Vmm.Platform.Block;
using Vmm.Platform.Bus;
using Vmm.Platform.Time;
using Xunit;

namespace Vmm.Unit.Firmware;

public sealed class BuiltInGuestTests
{
    const ulong Memory = 16 << 20;

    static readonly byte[] Image = BuiltInGuest.Build();

    /// <summary>More virtual time than any test of the guest may take.</summary>
    const ulong TimeLimit = 20_000_000_000;

    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    public void It_passes_with_every_device_and_two_runs_are_the_same(int processors)
    {
        var config = WithDevices(processors);
        var options = new BuiltInOptions { Quick = true, Processors = processors, RequireDma = true };
        var first = Run(config, options, out var hash);
        AssertPassed(first);
        Assert.DoesNotContain(first.Output.Split('\n'), line => line.StartsWith("[skip]", StringComparison.Ordinal) && processors > 1);
        var second = Run(config, options, out var again);
        Assert.Equal(first.Output, second.Output);
        Assert.Equal(hash, again);
    }

    [Theory]
    [InlineData(VtdProfile.Scalable)]
    [InlineData(VtdProfile.Strict)]
    public void It_passes_on_every_remapping_unit_and_makes_eight_faults(VtdProfile profile)
    {
        var transcript = new Transcript();
        using var machine = Start(WithDevices(1) with { Vtd = new() { Profile = profile } }, new() { Quick = true, RequireDma = true }, transcript);
        var outcome = machine.Run(untilTime: TimeLimit);
        AssertPassed((transcript.Text, outcome));
        Assert.Equal(8ul, machine.Iommu!.Counters.RecordedFaults + machine.Iommu.Counters.CompressedFaults);
        Assert.Equal(0ul, machine.Iommu.MissingInvalidations.Total);
    }

    [Theory]
    [InlineData(1, 1)]
    [InlineData(4, 1)]
    [InlineData(2, 3)]
    public void Its_ledger_sums_up_to_the_clock_and_repeats_to_the_cycle(int processors, ulong price)
    {
        var config = WithDevices(processors);
        config = config with { Cost = config.Cost.With(CostKind.Instruction, price) };
        LedgerImage? before = null;
        for (var run = 0; run < 2; run++)
        {
            using var machine = Start(config, new() { Quick = true, Processors = processors, RequireDma = true }, new());
            machine.Run(untilTime: TimeLimit);
            var ledger = machine.TakeLedger();
            Assert.All(ledger.Vcpus, t => Assert.Equal(machine.Now, t.Cycles));
            Assert.Equal(machine.Instructions, ledger.Total[CostKind.Instruction].Count);
            Assert.NotEqual(0ul, ledger.Between[CostKind.DmaLine].Cycles);
            Assert.Equal(before?.Total.Rows ?? ledger.Total.Rows, ledger.Total.Rows);
            before = ledger;
        }
    }

    [Fact]
    public void It_passes_without_devices_and_says_what_it_left_out()
    {
        var run = Run(new() { MemoryBytes = Memory }, new() { Quick = true }, out _);
        AssertPassed(run);
        Assert.Contains("[skip] vt-d:", run.Output, StringComparison.Ordinal);
        Assert.Contains("[skip] nvme:", run.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void A_machine_that_is_not_as_told_fails()
    {
        var run = Run(new() { MemoryBytes = Memory }, new() { Quick = true, Processors = 2, RequireDma = true }, out _);
        Assert.Contains("[FAIL] processors:", run.Output, StringComparison.Ordinal);
        Assert.Contains("[FAIL] vt-d:", run.Output, StringComparison.Ordinal);
        Assert.Contains("\nFAIL ", run.Output, StringComparison.Ordinal);
        Assert.Equal((StopCause.DebugExit, 1u), (run.Outcome.Cause, run.Outcome.Value));
    }

    [Fact]
    public void It_reports_the_block_that_the_disk_holds()
    {
        var disk = Disk();
        var config = new MachineConfig { MemoryBytes = Memory, Disks = [new(() => new MemoryBlockBackend("disk", disk), Serial: "SN42")] };
        var run = Run(config, new() { Quick = true }, out _);
        var sum = 0u;
        for (var i = 0; i < 512; i += 4)
        {
            sum += BitConverter.ToUInt32(disk, i);
        }

        Assert.Contains($"serial SN42: {disk.Length / 512} blocks of 512 bytes, sum of block 0 is {sum:x8}", run.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(BootProtocol.Multiboot)]
    [InlineData(BootProtocol.Pvh)]
    public void Both_boot_protocols_start_it(BootProtocol protocol)
    {
        using var machine = new VirtualMachine(new() { MemoryBytes = Memory }, new Transcript());
        machine.Boot(BootLoader.Plan(new() { RamBytes = Memory, Image = Image, Protocol = protocol }));
        machine.Run(untilInstructions: 100);
        Assert.True(machine.Instructions >= 100);
    }

    [Fact]
    public void Every_build_gives_the_same_image() => Assert.Equal(BuiltInGuest.Build(), BuiltInGuest.Build());

    [Fact]
    public void Options_become_words() =>
        Assert.Equal("quick smp=4 dma legacy", new BuiltInOptions { Quick = true, Processors = 4, RequireDma = true, LegacyMode = true }.ToString());

    static void AssertPassed((string Output, RunOutcome Outcome) run)
    {
        Assert.Contains("\nPASS ", run.Output, StringComparison.Ordinal);
        Assert.DoesNotContain("[FAIL]", run.Output, StringComparison.Ordinal);
        Assert.Equal((StopCause.DebugExit, 0u), (run.Outcome.Cause, run.Outcome.Value));
    }

    static byte[] Disk()
    {
        var bytes = new byte[64 << 10];
        for (var i = 0; i < bytes.Length; i++)
        {
            bytes[i] = (byte)(i * 7 + (i >> 8));
        }

        return bytes;
    }

    static MachineConfig WithDevices(int processors) => new()
    {
        MemoryBytes = Memory,
        Vcpus = processors,
        Vtd = new VtdOptions(),
        Edu = new EduOptions(),
        Disks = [new(static () => new MemoryBlockBackend("disk", Disk()))],
    };

    static VirtualMachine Start(MachineConfig config, BuiltInOptions options, Transcript transcript)
    {
        var machine = new VirtualMachine(config, transcript);
        machine.Boot(BootLoader.Plan(new()
        {
            RamBytes = config.MemoryBytes,
            Image = Image,
            Acpi = machine.BuildAcpi(),
            CommandLine = options.ToString(),
        }));
        return machine;
    }

    static (string Output, RunOutcome Outcome) Run(MachineConfig config, BuiltInOptions options, out string hash)
    {
        var transcript = new Transcript();
        using var machine = Start(config, options, transcript);
        var outcome = machine.Run(untilTime: TimeLimit);
        hash = machine.StateHash();
        return (transcript.Text, outcome);
    }

    sealed class Transcript : IConsoleOutput
    {
        readonly StringBuilder text = new();

        public string Text => text.ToString();

        public void Write(ReadOnlySpan<byte> data) => text.Append(Encoding.ASCII.GetString(data));
    }
}
