using Vmm.Firmware.Archives;
using Vmm.Firmware.Initrd;
using Vmm.Guests.Kit;
using Vmm.Machine;
using Vmm.Machine.MachineChecks;
using Vmm.Specs.X86;
using Xunit;
using Xunit.Abstractions;

namespace Vmm.Guests;

/// <summary>Debian's rasdaemon in the guest records what is injected.</summary>
public sealed class RasdaemonTests(ITestOutputHelper log)
{
    static IReadOnlyList<ArchiveEntry> Programs(params string[] packages)
    {
        static bool IsWanted(ArchiveEntry entry) => entry.Kind != ArchiveEntryKind.Directory
            && (entry.Path is "usr/sbin/rasdaemon" or "usr/bin/sqlite3" || entry.Path.Contains("lib/x86_64-linux-gnu/lib", StringComparison.Ordinal)
                || entry.Path.StartsWith("lib64/", StringComparison.Ordinal) || entry.Path.Contains("/ld-linux", StringComparison.Ordinal));
        return [.. packages.Select(DebianArchive.Get).SelectMany(p => p.Entries(IsWanted).Where(IsWanted)).GroupBy(e => e.Path).Select(g => g.First())];
    }

    [SkippableFact]
    public void Rasdaemon_records_corrected_and_uncorrected_errors_and_the_page_that_was_lost()
    {
        var extra = Programs("rasdaemon", "libsqlite3-0", "libc6", "zlib1g", "sqlite3", "libreadline8", "libtinfo6");
        var guest = new Guest(
            Kernel.Generic, new MachineConfig { MemoryBytes = 384 << 20 }, GuestShell.Init, "panic=-1",
            [.. extra, InitramfsEntries.Program("bin/eat", EatProgram.Build())]);
        using var shell = new GuestShell(guest);
        shell.Expect(GuestShell.Ready);
        // Kernels from 6.1 on wake a reader only when half of a ring is full, unless told otherwise; this rasdaemon does not say so.
        shell.Type("mount -t debugfs d /sys/kernel/debug; mkdir -p /var/lib/rasdaemon; rasdaemon -f -r > /ras.log 2>&1 & sleep 1; echo 0 > /sys/kernel/debug/tracing/instances/rasdaemon/buffer_percent; echo STARTED");
        shell.Expect("STARTED");
        var injector = shell.Machine.MachineChecks;
        injector.Inject(new() { Bank = 3, Status = MachineCheckCode.CorrectedDataRead, Addr = 0x29da000 });
        shell.Type("sleep 1; eat d");
        shell.Expect(EatProgram.Ready);
        var page = MachineCheckTests.Physical(shell.Machine, 0, EatProgram.Page)!.Value;
        injector.Inject(new() { When = new(InjectionTrigger.Page, page) });
        shell.Expect("recovery action for dirty LRU page: Recovered");
        injector.Inject(new() { Bank = 7, Status = MachineCheckCode.MemoryReadUcna, Addr = 0x123_4000 });
        shell.Type("sleep 3; cat /ras.log; sqlite3 /var/lib/rasdaemon/ras-mc_event.db 'select \"ROW\", bank, status, addr, error_msg from mce_record'; echo LISTED");
        shell.Expect("LISTED");
        log.WriteLine(shell.Output);
        Assert.Contains("bank=3, status= 9c00004000000135, Data CACHE Level-1 Data-Read Error, mci=Corrected_error Error_enabled", shell.Output);
        Assert.Contains("bank=1, status= bd80000000100134, Data CACHE Level-0 Data-Read Error, mci=Uncorrected_error Error_enabled SRAR", shell.Output);
        Assert.Contains("bank=7, status= bc0000000000009f, MEMORY CONTROLLER RD_CHANNELunspecified_ERR Transaction: Memory read error", shell.Output);
        Assert.Equal(injector.Injected, (ulong)shell.Output.Split('\n').Count(l => l.StartsWith("ROW|", StringComparison.Ordinal)));
    }
}
