using System.Text.RegularExpressions;
using Vmm.Cli;
using Vmm.Firmware.Boot;
using Vmm.Guests.Kit;
using Vmm.Machine;
using Xunit;

namespace Vmm.Guests;

/// <summary>A bare-metal guest that knows nothing of this machine: Debian's memtest86+ on its serial console.</summary>
public sealed partial class MemtestTests
{
    [GeneratedRegex(@"#(\d+)\s+\[")]
    private static partial Regex TestNumber();

    [GeneratedRegex(@"Errors:\s*(\d+)")]
    private static partial Regex ErrorCount();

    [SkippableTheory]
    [InlineData("boot/memtest86+x64.bin")]
    [InlineData("boot/memtest86+ia32.bin")]
    public void Memtest_runs_its_tests_and_reports_no_error(string image)
    {
        const ulong Memory = 32ul << 20;
        var package = DebianArchive.Get("memtest86+");
        using var output = new MemoryStream();
        var port = new ConsolePort();
        port.AddSink(output);
        using var machine = new VirtualMachine(new() { MemoryBytes = Memory }, port);
        machine.Boot(BootLoader.Plan(new()
        {
            RamBytes = Memory, Image = package.Extract(image), CommandLine = "console=ttyS0,115200 nosmp", Acpi = machine.BuildAcpi(),
        }));
        var outcome = machine.Run(untilInstructions: 6_000_000_000);
        Assert.Equal(StopCause.InstructionLimit, outcome.Cause);
        var text = System.Text.Encoding.Latin1.GetString(output.ToArray());
        var tests = TestNumber().Matches(text).Select(m => int.Parse(m.Groups[1].Value)).ToHashSet();
        Assert.True(tests.Count >= 2, $"tests seen: {string.Join(", ", tests)}");
        Assert.All(ErrorCount().Matches(text), m => Assert.Equal("0", m.Groups[1].Value));
    }
}
