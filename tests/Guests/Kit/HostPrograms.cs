using System.Diagnostics;
using Vmm.Firmware.Archives;
using Vmm.Firmware.Initrd;

namespace Vmm.Guests.Kit;

/// <summary>Programs of this host with the libraries they need, for a guest's initramfs.</summary>
internal static class HostPrograms
{
    /// <summary>The programs; the test is skipped where one is not installed.</summary>
    public static IReadOnlyList<ArchiveEntry> Get(params string[] programs)
    {
        var entries = new List<ArchiveEntry>();
        foreach (var path in programs.Concat(programs.SelectMany(Libraries)).Distinct())
        {
            if (!File.Exists(path))
            {
                DebianArchive.Give($"{path} is not installed on this host");
            }

            entries.Add(InitramfsEntries.Program(path.TrimStart('/'), File.ReadAllBytes(path)));
        }

        return entries;
    }

    static IEnumerable<string> Libraries(string program)
    {
        if (!File.Exists(program) || !File.Exists("/usr/bin/ldd"))
        {
            DebianArchive.Give($"{program} is not installed on this host");
        }

        using var process = Process.Start(new ProcessStartInfo("/usr/bin/ldd", [program]) { RedirectStandardOutput = true })!;
        var text = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return text.Split('\n').SelectMany(l => l.Split(' ', '\t')).Where(w => w.StartsWith('/'));
    }
}
