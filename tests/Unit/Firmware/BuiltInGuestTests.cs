using System.Text;
using Vmm.Firmware.Boot;
using Vmm.Firmware.BuiltIn;
using Vmm.Machine;
using Vmm.Platform.Bus;
using Xunit;

namespace Vmm.Unit.Firmware;

public sealed class BuiltInGuestTests
{
    const ulong Memory = 16 << 20;

    /// <summary>More virtual time than any test of the guest may take.</summary>
    const ulong TimeLimit = 20_000_000_000;

    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    public void It_passes_and_two_runs_are_the_same(int processors)
    {
        var first = Run(processors, out var hash);
        Assert.Contains("\nPASS ", first.Output, StringComparison.Ordinal);
        Assert.DoesNotContain("[FAIL]", first.Output, StringComparison.Ordinal);
        Assert.Equal((StopCause.DebugExit, 0u), (first.Outcome.Cause, first.Outcome.Value));
        var second = Run(processors, out var again);
        Assert.Equal(first.Output, second.Output);
        Assert.Equal(hash, again);
    }

    [Theory]
    [InlineData(BootProtocol.Multiboot)]
    [InlineData(BootProtocol.Pvh)]
    public void Both_boot_protocols_start_it(BootProtocol protocol)
    {
        using var machine = new VirtualMachine(new() { MemoryBytes = Memory }, new Transcript());
        machine.Boot(BootLoader.Plan(new() { RamBytes = Memory, Image = BuiltInGuest.Build(), Protocol = protocol }));
        machine.Run(untilInstructions: 100);
        Assert.True(machine.Instructions >= 100);
    }

    [Fact]
    public void Every_build_gives_the_same_image() => Assert.Equal(BuiltInGuest.Build(), BuiltInGuest.Build());

    [Fact]
    public void Options_become_words() =>
        Assert.Equal("quick smp=4 dma", new BuiltInOptions { Quick = true, Processors = 4, RequireDma = true }.ToString());

    static (string Output, RunOutcome Outcome) Run(int processors, out string hash)
    {
        var transcript = new Transcript();
        using var machine = new VirtualMachine(new() { MemoryBytes = Memory, Vcpus = processors }, transcript);
        machine.Boot(BootLoader.Plan(new()
        {
            RamBytes = Memory,
            Image = BuiltInGuest.Build(),
            Acpi = machine.BuildAcpi(),
            CommandLine = new BuiltInOptions { Quick = true, Processors = processors }.ToString(),
        }));
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
