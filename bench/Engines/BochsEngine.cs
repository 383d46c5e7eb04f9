using System.Text;
using Vmm.Bench.Image;

namespace Vmm.Bench.Engines;

/// <summary>
/// Bochs. The packaged one is built with its debugger, which starts at a prompt, and draws on a terminal, which <c>script</c> provides.
/// </summary>
internal sealed class BochsEngine : IEngine
{
    /// <inheritdoc/>
    public string Name => "Bochs";

    /// <inheritdoc/>
    public string? Version { get; } = Child.FirstLine("bochs", "--help", l => l.Contains("Bochs x86 Emulator", StringComparison.Ordinal));

    /// <inheritdoc/>
    public IReadOnlyList<Measurement> Run(byte[] image, IReadOnlyList<Loop> loops)
    {
        using var disk = new TemporaryFile(".img", image);
        using var configuration = new TemporaryFile(".bochsrc", Encoding.ASCII.GetBytes(Configuration(disk.Path)));
        using var commands = new TemporaryFile(".rc", "c\n"u8);
        using var process = Child.Start(
            "script", ["-qec", $"exec bochs -q -f {configuration.Path} -rc {commands.Path} -dbglog /dev/null", "/dev/null"], true);
        return Child.Measure(process, () => Child.ChildOf(process.Id), loops);
    }

    static string Configuration(string disk) => $"""
        display_library: term
        megs: 64
        cpu: count=1, ips=50000000, reset_on_triple_fault=0
        romimage: file=/usr/share/bochs/BIOS-bochs-legacy
        vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
        ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
        ata0-master: type=disk, path="{disk}", mode=flat, cylinders=2, heads=16, spt=63
        boot: disk
        clock: sync=none
        port_e9_hack: enabled=1
        log: /dev/null
        panic: action=report
        error: action=ignore
        info: action=ignore
        debug: action=ignore

        """;
}
