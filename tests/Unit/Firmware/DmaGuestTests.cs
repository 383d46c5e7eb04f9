using System.Text;
using Vmm.Firmware.BuiltIn;
using Vmm.Iommu;
using Vmm.Machine;
using Vmm.Platform.Block;
using Vmm.Platform.Bus;
using Vmm.VirtioIommu;
using Xunit;

namespace Vmm.Unit.Firmware;

public sealed class DmaGuestTests
{
    const ulong Memory = 16 << 20, TimeLimit = 2_000_000_000;

    static MachineConfig Config(Func<IBlockBackend>? disk = null) => new()
    {
        MemoryBytes = Memory, Disks = [new(disk ?? (static () => new MemoryBlockBackend("disk", Content(1 << 20))))],
    };

    [Fact]
    public void It_passes_on_VT_d_and_finds_every_stale_access_blocked()
    {
        var (output, outcome, machine) = Run(Config() with { Vtd = new() });
        using (machine)
        {
            AssertPassed(output, outcome);
            Assert.Contains("VT-d unit at fed90000, caching mode off", output, StringComparison.Ordinal);
            Assert.Equal(3ul, machine.Iommu!.Counters.RecordedFaults);
        }
    }

    [Fact]
    public void It_passes_on_a_virtio_iommu()
    {
        var (output, outcome, machine) = Run(Config() with { VirtioIommu = new() { Bypass = false } });
        using (machine)
        {
            AssertPassed(output, outcome);
            Assert.Contains("virtio-iommu 00:01.0", output, StringComparison.Ordinal);
            Assert.Equal(3ul, machine.VirtioIommu!.ReportedEvents);
        }
    }

    [Fact]
    public void It_passes_without_a_unit_and_says_so()
    {
        var (output, outcome, machine) = Run(Config());
        machine.Dispose();
        AssertPassed(output, outcome);
        Assert.Contains("none: the controller uses physical addresses", output, StringComparison.Ordinal);
        Assert.Contains("none: an unmapped buffer is still written", output, StringComparison.Ordinal);
    }

    [Fact]
    public void It_leaves_the_disk_as_it_was()
    {
        var disk = new MemoryBlockBackend("disk", Content(1 << 20));
        var (output, outcome, machine) = Run(Config(() => disk) with { Vtd = new() });
        machine.Dispose();
        AssertPassed(output, outcome);
        var after = new byte[1 << 20];
        disk.Read(0, after);
        Assert.Equal(Content(1 << 20), after);
    }

    static byte[] Content(int length)
    {
        var bytes = new byte[length];
        for (var i = 0; i < length; i++)
        {
            bytes[i] = (byte)(i * 7 + (i >> 8));
        }

        return bytes;
    }

    static void AssertPassed(string output, RunOutcome outcome)
    {
        Assert.Contains("\nPASS ", output, StringComparison.Ordinal);
        Assert.Equal((StopCause.DebugExit, 0u), (outcome.Cause, outcome.Value));
    }

    static (string Output, RunOutcome Outcome, VirtualMachine Machine) Run(MachineConfig config)
    {
        var transcript = new Transcript();
        var machine = new VirtualMachine(config, transcript);
        machine.Boot(new BootSource { Guest = BuiltInGuest.Dma });
        var outcome = machine.Run(untilTime: TimeLimit);
        return (transcript.Text, outcome, machine);
    }

    sealed class Transcript : IConsoleOutput
    {
        readonly StringBuilder text = new();

        public string Text => text.ToString();

        public void Write(ReadOnlySpan<byte> data) => text.Append(Encoding.ASCII.GetString(data));
    }
}
