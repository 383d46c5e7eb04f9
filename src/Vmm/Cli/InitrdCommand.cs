using System.CommandLine;
using Vmm.Firmware;
using Vmm.Firmware.Archives;
using Vmm.Firmware.Initrd;

namespace Vmm.Cli;

/// <summary><c>vmm initrd</c>: packs an initial RAM file system, so that nobody needs cpio.</summary>
internal static class InitrdCommand
{
    const string ShellInit = """
        #!/bin/sh
        export PATH=/bin:/sbin:/usr/bin:/usr/sbin
        mount -t proc proc /proc
        mount -t sysfs sys /sys
        mount -t devtmpfs dev /dev
        [ -f /lib/modules/load ] && . /lib/modules/load
        setsid cttyhack sh
        poweroff -f
        """;

    /// <summary>Builds the command.</summary>
    public static Command Create()
    {
        var output = new Option<string>("--out") { Description = "archive to write", Required = true };
        var busybox = new Option<string?>("--busybox") { Description = "Debian's busybox-static package: /bin with its applets, and an init that gives a shell" };
        var init = new Option<string?>("--init") { Description = "script that becomes /init" };
        var folder = new Option<string[]>("--folder") { Description = "folder whose contents become the root; may be given several times" };
        var kernel = new Option<string?>("--kernel-package") { Description = "Debian kernel package to take modules from" };
        var modules = new Option<string?>("--modules") { Description = "modules to load, in order: a,b,c" };
        var command = new Command("initrd", "Pack an initramfs from a folder or from Debian's busybox-static") { output, busybox, init, folder, kernel, modules };
        command.SetAction(result =>
        {
            var extra = (result.GetValue(folder) ?? []).SelectMany(Folder).ToList();
            var script = result.GetValue(init) is { } path ? System.Text.Encoding.UTF8.GetString(ImageFile.Read(path, "init", 1 << 20)) : ShellInit.ReplaceLineEndings("\n") + "\n";
            byte[] archive;
            if (result.GetValue(busybox) is { } package)
            {
                archive = new BusyboxInitrd
                {
                    Busybox = DebianPackage.Open(package), Init = script, Extra = extra, Modules = Modules(result.GetValue(kernel), result.GetValue(modules)),
                }.Pack();
            }
            else if (extra.Count != 0)
            {
                archive = CpioArchive.Pack(result.GetValue(init) == null ? extra : extra.Append(InitramfsEntries.Script("init", script)));
            }
            else
            {
                throw new UsageException("initrd: --busybox or --folder is needed");
            }

            try
            {
                File.WriteAllBytes(result.GetValue(output)!, archive);
            }
            catch (Exception bad) when (bad is IOException or UnauthorizedAccessException)
            {
                throw new UsageException($"--out: {bad.Message}");
            }

            Console.Error.WriteLine($"vmm: {result.GetValue(output)}: {archive.Length:N0} bytes");
            return ExitCode.Pass;
        });
        return command;
    }

    static IReadOnlyList<ArchiveEntry> Folder(string folder) =>
        Directory.Exists(folder) ? InitramfsEntries.Folder(folder) : throw new UsageException($"--folder: {folder} is not a folder");

    static IReadOnlyList<KernelModule> Modules(string? package, string? names)
    {
        if (names == null)
        {
            return [];
        }

        return package == null
            ? throw new UsageException("--modules: --kernel-package is needed to take them from")
            : KernelModules.Extract(DebianPackage.Open(package), names.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries));
    }
}
