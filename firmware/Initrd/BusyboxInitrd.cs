using System.Text;
using Vmm.Firmware.Archives;

namespace Vmm.Firmware.Initrd;

/// <summary>
/// An initial RAM file system around Debian's busybox-static: the program with a link for each of its applets in /bin, the
/// usual directories and device nodes, an /init script, and kernel modules with a script that loads them.
/// </summary>
public sealed record BusyboxInitrd
{
    /// <summary>Sourced by an /init that wants the modules: <c>. /lib/modules/load</c>.</summary>
    public const string LoadScript = "lib/modules/load";

    const string Program = "bin/busybox", ModuleFolder = "lib/modules";
    const string LoadText = "while read m; do insmod /lib/modules/$m.ko || echo \"insmod $m failed\"; done < /lib/modules/order\n";

    // The first two names of the sorted table of applets, as it stands in the program.
    static ReadOnlySpan<byte> AppletTableStart => "[\0[[\0"u8;

    /// <summary>The busybox-static package.</summary>
    public required DebianPackage Busybox { get; init; }

    /// <summary>Text of /init, with its interpreter line.</summary>
    public required string Init { get; init; }

    /// <summary>Modules in the order to load them in; their order is in /lib/modules/order.</summary>
    public IReadOnlyList<KernelModule> Modules { get; init; } = [];

    /// <summary>Further entries; they replace ours of the same path.</summary>
    public IReadOnlyList<ArchiveEntry> Extra { get; init; } = [];

    /// <summary>Packs the archive, uncompressed: unpacking it in the guest would cost more than copying it.</summary>
    /// <exception cref="ImageException">The package has no busybox, or a path is there twice.</exception>
    public byte[] Pack()
    {
        var replaced = Extra.Select(entry => entry.Path).ToHashSet();
        return CpioArchive.Pack(Entries().Where(entry => !replaced.Contains(entry.Path)).Concat(Extra));
    }

    IEnumerable<ArchiveEntry> Entries()
    {
        var program = Busybox.Extract(Program);
        IEnumerable<ArchiveEntry> entries =
        [
            InitramfsEntries.Program(Program, program),
            InitramfsEntries.Script("init", Init),
            InitramfsEntries.CharacterDevice("dev/console", 5, 1),
            InitramfsEntries.CharacterDevice("dev/null", 1, 3),
            .. new[] { "etc", "proc", "root", "run", "sys", "tmp" }.Select(InitramfsEntries.Directory),
            .. Applets(program.Span).Where(name => name != "busybox").Select(name => InitramfsEntries.Link($"bin/{name}", "busybox")),
        ];
        return Modules.Count == 0 ? entries :
        [
            .. entries,
            .. Modules.Select(module => InitramfsEntries.File($"{ModuleFolder}/{module.Name}.ko", module.Content)),
            InitramfsEntries.Text($"{ModuleFolder}/order", string.Concat(Modules.Select(module => module.Name + "\n"))),
            InitramfsEntries.Text(LoadScript, LoadText),
        ];
    }

    /// <summary>The program's own table of applet names: NUL-terminated, sorted, ended by an empty one.</summary>
    static IEnumerable<string> Applets(ReadOnlySpan<byte> program)
    {
        var start = program.IndexOf(AppletTableStart);
        var length = start < 0 ? -1 : program[start..].IndexOf("\0\0"u8);
        return length < 0
            ? throw new ImageException(Program, Math.Max(start, -1), "its table of applets was not found")
            : Encoding.ASCII.GetString(program.Slice(start, length)).Split('\0');
    }
}
