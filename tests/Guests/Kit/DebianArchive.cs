using System.Diagnostics;
using Vmm.Firmware.Archives;
using Xunit;

namespace Vmm.Guests.Kit;

/// <summary>
/// Debian packages by name, kept in a cache folder (VMM_TEST_CACHE, or .cache/debian beside the solution).
/// Where a package cannot be had the test is skipped with the reason; when CI=true that is a failure.
/// </summary>
internal static class DebianArchive
{
    static readonly Lock Gate = new();
    static readonly Dictionary<string, DebianPackage> Opened = [];
    static bool updated;

    static bool IsCi => Environment.GetEnvironmentVariable("CI") == "true";

    static string Folder { get; } = CreateFolder();

    static string CreateFolder()
    {
        var folder = Environment.GetEnvironmentVariable("VMM_TEST_CACHE");
        if (folder == null)
        {
            var at = new DirectoryInfo(AppContext.BaseDirectory);
            while (at is { Parent: not null } && !File.Exists(Path.Combine(at.FullName, "Vmm.sln")))
            {
                at = at.Parent;
            }

            folder = Path.Combine(at!.FullName, ".cache", "debian");
        }

        Directory.CreateDirectory(folder);
        return folder;
    }

    /// <summary>A package; a meta package stands for the kernel image it depends on.</summary>
    public static DebianPackage Get(string name)
    {
        lock (Gate)
        {
            if (Opened.TryGetValue(name, out var known))
            {
                return known;
            }

            var path = Find(name) ?? Fetch(name);
            return Opened[name] = DebianPackage.Open(path);
        }
    }

    static string? Find(string name) => Directory.EnumerateFiles(Folder, name + "_*.deb").Order(StringComparer.Ordinal).LastOrDefault();

    static string Fetch(string name)
    {
        if (!OperatingSystem.IsLinux() || !File.Exists("/usr/bin/apt-get"))
        {
            return Give($"Debian package {name} is not in {Folder} and this host has no apt-get");
        }

        if (!updated && Run("apt-cache", ["show", name]).Code != 0)
        {
            updated = true;
            Run("apt-get", ["update"]);
        }

        var (code, _, error) = Run("apt-get", ["download", name]);
        return code == 0 && Find(name) is { } path ? path : Give($"Debian package {name} cannot be had: {error.Trim()}");
    }

    /// <summary>The package with this beginning of its name that a meta package depends on: a kernel's image.</summary>
    public static string Resolve(string meta, string start = "linux-image-")
    {
        var marker = Path.Combine(Folder, meta + ".name");
        if (File.Exists(marker))
        {
            return File.ReadAllText(marker).Trim();
        }

        lock (Gate)
        {
            var (code, output, _) = Run("apt-cache", ["depends", "--important", meta]);
            if (code != 0 && !updated)
            {
                updated = true;
                Run("apt-get", ["update"]);
                (code, output, _) = Run("apt-cache", ["depends", "--important", meta]);
            }

            var image = output.Split('\n').Select(l => l.Trim()).FirstOrDefault(l => l.StartsWith("Depends: " + start, StringComparison.Ordinal));
            if (image == null)
            {
                return Give($"{meta}: apt-cache knows no {start} package for it");
            }

            var name = image["Depends: ".Length..];
            File.WriteAllText(marker, name);
            return name;
        }
    }

    /// <summary>The newest backported cloud kernel of the 6.12 series.</summary>
    public static string ResolveBackport()
    {
        var marker = Path.Combine(Folder, "backport.name");
        if (File.Exists(marker))
        {
            return File.ReadAllText(marker).Trim();
        }

        lock (Gate)
        {
            var names = Search();
            if (names.Length == 0 && !updated)
            {
                updated = true;
                Run("apt-get", ["update"]);
                names = Search();
            }

            if (names.Length == 0)
            {
                return Give("no 6.12 cloud kernel among the backports that apt knows");
            }

            File.WriteAllText(marker, names[^1]);
            return names[^1];
        }
    }

    static string[] Search() => Run("apt-cache", ["search", "--names-only", "^linux-image-6\\.12\\.[0-9]+\\+deb12-cloud-amd64$"]).Output
        .Split('\n', StringSplitOptions.RemoveEmptyEntries)
        .Select(l => l.Split(' ')[0])
        .OrderBy(n => int.Parse(n.Split('.', '+')[2]))
        .ToArray();

    /// <summary>Skips the running test, or fails it when CI=true.</summary>
    public static string Give(string reason)
    {
        Assert.False(IsCi, reason);
        throw new SkipException(reason);
    }

    static (int Code, string Output, string Error) Run(string program, string[] arguments)
    {
        try
        {
            var start = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = Folder };
            start.Environment["LC_ALL"] = "C";
            using var process = Process.Start(start)!;
            var error = process.StandardError.ReadToEndAsync();
            var output = process.StandardOutput.ReadToEnd();
            process.WaitForExit();
            return (process.ExitCode, output, error.Result);
        }
        catch (System.ComponentModel.Win32Exception absent)
        {
            return (127, "", absent.Message);
        }
    }
}
