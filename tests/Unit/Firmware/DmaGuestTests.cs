using System.Text;
using Vmm.Firmware.BuiltIn;
using Vmm.Iommu;
using Vmm.Machine;
using Vmm.Platform.Block;
using Vmm.Platform.Bus;
using Vmm.Specs.VtD;
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
            Assert.Contains("VT-d unit at fed90000 in legacy mode, caching mode off", output, StringComparison.Ordinal);
            Assert.Equal(3ul, machine.Iommu!.Counters.RecordedFaults);
        }
    }

    [Theory]
    [InlineData(false, FaultReason.SsNotPresent, 2, FaultReason.SmNoWritePermission, 1)]
    [InlineData(true, FaultReason.NoWritePermission, 3, FaultReason.None, 0)]
    public void It_uses_scalable_mode_where_there_is_one_unless_told_not_to(bool legacy, FaultReason first, ulong times, FaultReason second, ulong more)
    {
        var (output, outcome, machine) = Run(Config() with { Vtd = new() { Profile = VtdProfile.Scalable } }, new() { LegacyMode = legacy });
        using (machine)
        {
            AssertPassed(output, outcome);
            Assert.Contains(legacy ? "in legacy mode" : "in scalable mode", output, StringComparison.Ordinal);
            Assert.Equal((times, more), (machine.Iommu!.Counters.Faults(first), machine.Iommu.Counters.Faults(second)));
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
        Assert.Equal(4, output.Split("left out: without a unit").Length - 1);
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

    [Theory]
    [InlineData(VtdProfile.Legacy, false, 0)]
    [InlineData(VtdProfile.Scalable, true, 0)]
    [InlineData(VtdProfile.Strict, true, 1)]
    public void The_only_invalidation_that_is_ever_missing_is_the_one_it_defers_on_purpose(VtdProfile profile, bool cachingMode, ulong found)
    {
        var (output, outcome, machine) = Run(Config() with { Vtd = new() { Profile = profile, CachingMode = cachingMode } });
        using (machine)
        {
            AssertPassed(output, outcome);
            Assert.Equal(found, machine.Iommu!.MissingInvalidations.Total);
        }
    }

    [Fact]
    public void A_disk_that_forgets_a_byte_is_found_out()
    {
        var (output, outcome, machine) = Run(Config(static () => new ForgetfulDisk(1 << 20)) with { Vtd = new() });
        machine.Dispose();
        Assert.Contains("bursts that were read otherwise than written", output, StringComparison.Ordinal);
        AssertFailed(output, outcome);
    }

    [Theory]
    [InlineData(true, "content of the disk can be written back")]
    [InlineData(false, "there is an NVMe controller")]
    public void Without_a_disk_to_write_to_it_fails_and_says_why(bool hasDisk, string reason)
    {
        var config = hasDisk ? Config(static () => new MemoryBlockBackend("disk", Content(1 << 20), isReadOnly: true)) : new() { MemoryBytes = Memory };
        var (output, outcome, machine) = Run(config with { Vtd = new() });
        machine.Dispose();
        Assert.Contains(reason, output, StringComparison.Ordinal);
        AssertFailed(output, outcome);
    }

    [Theory]
    [InlineData(128 << 10, 3)]
    [InlineData(4096, 6)]
    public void Sizes_that_the_disk_does_not_take_are_left_out(int bytes, int lines)
    {
        var (output, outcome, machine) = Run(Config(() => new MemoryBlockBackend("disk", Content(bytes))) with { VirtioIommu = new() });
        machine.Dispose();
        AssertPassed(output, outcome);
        Assert.Equal(2 * lines, output.Split("left out: the disk").Length - 1);
    }

    [Fact]
    public void A_disk_with_blocks_of_4_KiB_and_more_processors_change_nothing()
    {
        var config = Config() with { VirtioIommu = new() { InputEnd = uint.MaxValue }, Vcpus = 2 };
        var (output, outcome, machine) = Run(config with { Disks = [config.Disks[0] with { BlockSize = 4096 }] });
        machine.Dispose();
        AssertPassed(output, outcome);
        Assert.Contains("256 blocks of 4096 bytes", output, StringComparison.Ordinal);
    }

    [Fact]
    public void Two_runs_are_the_same_to_the_last_byte()
    {
        var hashes = new List<string>();
        for (var i = 0; i < 2; i++)
        {
            var (_, _, machine) = Run(Config() with { Vtd = new() { CachingMode = true } });
            hashes.Add(machine.StateHash());
            machine.Dispose();
        }

        Assert.Equal(hashes[0], hashes[1]);
    }

    [Fact]
    public void Every_guest_has_an_image_of_its_own_and_no_other_has_a_name()
    {
        Assert.Equal(["test", "dma"], BuiltInGuest.Names);
        Assert.NotEqual(BuiltInGuest.Build(BuiltInGuest.Test), BuiltInGuest.Build(BuiltInGuest.Dma));
        Assert.Throws<ArgumentException>(static () => BuiltInGuest.Build("other"));
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

    static void AssertFailed(string output, RunOutcome outcome)
    {
        Assert.Contains("\nFAIL ", output, StringComparison.Ordinal);
        Assert.Equal((StopCause.DebugExit, 1u), (outcome.Cause, outcome.Value));
    }

    static (string Output, RunOutcome Outcome, VirtualMachine Machine) Run(MachineConfig config, BuiltInOptions? options = null)
    {
        var transcript = new Transcript();
        var machine = new VirtualMachine(config, transcript);
        machine.Boot(new BootSource { Guest = BuiltInGuest.Dma, CommandLine = options?.ToString() });
        var outcome = machine.Run(untilTime: TimeLimit);
        return (transcript.Text, outcome, machine);
    }

    /// <summary>Byte 70,000 of the disk cannot be changed.</summary>
    sealed class ForgetfulDisk(ulong length) : IBlockBackend
    {
        const int Stuck = 70_000;
        readonly MemoryBlockBackend below = new("disk", length);

        public string Name => below.Name;

        public ulong Length => below.Length;

        public bool IsReadOnly => false;

        public BlockResult Read(ulong offset, Span<byte> destination)
        {
            var result = below.Read(offset, destination);
            if (offset <= Stuck && Stuck < offset + (ulong)destination.Length)
            {
                destination[(int)(Stuck - offset)] = 0;
            }

            return result;
        }

        public BlockResult Write(ulong offset, ReadOnlySpan<byte> source) => below.Write(offset, source);

        public BlockResult Zero(ulong offset, ulong length) => below.Zero(offset, length);

        public void Discard(ulong offset, ulong length) => below.Discard(offset, length);

        public BlockResult Flush() => below.Flush();

        public void Dispose() => below.Dispose();
    }

    sealed class Transcript : IConsoleOutput
    {
        readonly StringBuilder text = new();

        public string Text => text.ToString();

        public void Write(ReadOnlySpan<byte> data) => text.Append(Encoding.ASCII.GetString(data));
    }
}
