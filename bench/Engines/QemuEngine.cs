using Vmm.Bench.Image;

namespace Vmm.Bench.Engines;

/// <summary>QEMU with its code generator (TCG), optionally with deterministic time (-icount).</summary>
internal sealed class QemuEngine(bool counted) : IEngine
{
    /// <summary>The program.</summary>
    public const string Program = "qemu-system-x86_64";

    /// <inheritdoc/>
    public string Name => counted ? "QEMU -icount" : "QEMU TCG";

    /// <inheritdoc/>
    public string? Version { get; } = Child.FirstLine(Program, "--version", l => l.Contains("version", StringComparison.Ordinal));

    /// <inheritdoc/>
    public IReadOnlyList<Measurement> Run(byte[] image, IReadOnlyList<Loop> loops)
    {
        using var disk = new TemporaryFile(".img", image);
        List<string> arguments =
        [
            "-accel", "tcg", "-m", "64", "-nodefaults", "-display", "none", "-no-reboot", "-drive", $"format=raw,file={disk.Path}", "-debugcon", "stdio",
            "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04",
        ];
        if (counted)
        {
            arguments.AddRange(["-icount", "shift=0,sleep=off"]);
        }

        using var process = Child.Start(Program, arguments, true);
        return Child.Measure(process, () => process.Id, loops);
    }
}
