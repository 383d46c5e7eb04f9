using Vmm.Cli;
using Vmm.Firmware.Initrd;
using Vmm.Guests.Kit;
using Vmm.Machine;
using Xunit;
using Xunit.Abstractions;

namespace Vmm.Guests;

/// <summary>Debian's unmodified kernels with a busybox initramfs on the serial console.</summary>
public sealed class LinuxTests(ITestOutputHelper log)
{
    static int Repeats(int few, int many) => Environment.GetEnvironmentVariable("CI") == "true" ? many : few;

    static string Words(string text, string before) => text.Split('\n').First(l => l.StartsWith(before, StringComparison.Ordinal))[before.Length..];

    /// <summary>
    /// What Debian's kernels log at warning level or above on this machine, and why it stays:
    /// nothing may be added here without a reason that is not the machine.
    /// </summary>
    static readonly string[] Explained =
    [
        // busybox poweroff -f, by design without unmounting.
        "reboot: ",
    ];

    static void AssertQuietLog(string output)
    {
        var lines = output.Split('\n').Where(l => l.StartsWith("LOG <", StringComparison.Ordinal)).ToArray();
        Assert.DoesNotContain(lines, line => !Explained.Any(line.Contains));
    }

    const string WarningsToConsole = "dmesg -r | grep -E '^<[0-4]>' | sed 's/^/LOG /'";

    [SkippableFact]
    public void The_cloud_kernel_boots_logs_no_warning_and_powers_off_with_the_same_hash_every_time()
    {
        var hashes = new HashSet<string>();
        for (var i = 0; i < Repeats(2, 10); i++)
        {
            using var guest = new Guest(Kernel.Cloud, Guest.Script($"echo nproc=$(nproc)\n{WarningsToConsole}"), append: "quiet");
            var outcome = guest.Run();
            Assert.Equal(StopCause.PowerOff, outcome.Cause);
            Assert.Contains(Guest.Marker, guest.Output);
            Assert.Equal("1", Words(guest.Output, "nproc="));
            AssertQuietLog(guest.Output);
            hashes.Add(guest.Machine.StateHash());
            log.WriteLine($"{guest.Machine.Instructions:N0} instructions, hash {hashes.First()}");
        }

        Assert.Single(hashes);
    }

    [SkippableTheory]
    [InlineData(1)]
    [InlineData(4)]
    public void The_generic_kernel_boots_with_modules_on_one_and_four_processors(int vcpus)
    {
        var kernel = Kernel.Generic;
        var modules = kernel.NvmeModules;
        using var guest = new Guest(
            kernel,
            Guest.Script($"sh /{BusyboxInitrd.LoadScript}\necho nproc=$(nproc)\nlsmod\n{WarningsToConsole}"),
            vcpus, append: "quiet", modules: modules);
        var outcome = guest.Run();
        Assert.Equal(StopCause.PowerOff, outcome.Cause);
        Assert.Equal(vcpus.ToString(), Words(guest.Output, "nproc="));
        Assert.Contains("nvme_core", guest.Output);
        AssertQuietLog(guest.Output);
    }

    [SkippableFact]
    public void The_backported_kernel_boots_on_two_processors()
    {
        using var guest = new Guest(Kernel.Backport, Guest.Script($"uname -r\necho nproc=$(nproc)\n{WarningsToConsole}"), 2, append: "quiet");
        var outcome = guest.Run();
        Assert.Equal(StopCause.PowerOff, outcome.Cause);
        Assert.Equal("2", Words(guest.Output, "nproc="));
        Assert.Contains("6.12.", guest.Output);
        AssertQuietLog(guest.Output);
    }

    [SkippableTheory]
    [InlineData(1)]
    [InlineData(2)]
    public void A_boot_continued_from_a_snapshot_at_any_instant_ends_with_the_same_hash(int vcpus)
    {
        using var whole = new Guest(Kernel.Cloud, Guest.Script("true"), vcpus, append: "quiet");
        Assert.Equal(StopCause.PowerOff, whole.Run().Cause);
        var expected = whole.Machine.StateHash();
        var total = whole.Machine.Instructions;
        var random = new Random(7);
        using var first = new Guest(Kernel.Cloud, Guest.Script("true"), vcpus, append: "quiet");
        var instants = Enumerable.Range(0, Repeats(3, 10)).Select(_ => (ulong)random.NextInt64((long)total)).Order().ToArray();
        foreach (var instant in instants)
        {
            Assert.Equal(StopCause.InstructionLimit, first.Run(instant).Cause);
            using var image = first.Machine.Freeze();
            using var fork = Guest.Fork(image);
            Assert.Equal(StopCause.PowerOff, fork.Run().Cause);
            Assert.Equal(expected, fork.Machine.StateHash());
        }

        Assert.Equal(StopCause.PowerOff, first.Run().Cause);
        Assert.Equal(expected, first.Machine.StateHash());
    }

    [SkippableFact]
    public void A_snapshot_file_continues_to_the_same_hash()
    {
        using var whole = new Guest(Kernel.Cloud, Guest.Script("true"), append: "quiet");
        whole.Run(200_000_000);
        using var file = new MemoryStream();
        SnapshotFile.Save(whole.Machine, file);
        whole.Run();
        file.Position = 0;
        using var restored = new VirtualMachine(SnapshotFile.ReadConfig(file), new ConsolePort());
        SnapshotFile.Load(restored, file);
        Assert.Equal(StopCause.PowerOff, restored.Run().Cause);
        Assert.Equal(whole.Machine.StateHash(), restored.StateHash());
    }

    [SkippableFact]
    public void A_shell_prompt_can_be_typed_at()
    {
        using var guest = new Guest(Kernel.Cloud, Guest.Script("setsid cttyhack sh"), append: "quiet");
        var script = ConsoleScript.Parse(
            "conversation",
            ["expect / #", @"send echo $((6*7))-answer\n", "expect 42-answer", @"send exit\n"],
            bytes => guest.Machine.OfferInput(bytes));
        guest.Port.Watch(script.Seen);
        Assert.Equal(StopCause.PowerOff, guest.Run().Cause);
        Assert.True(script.IsDone, $"still waiting for {script.Waiting}\n{guest.Output}");
    }
}
