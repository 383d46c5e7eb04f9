using System.Globalization;
using System.Text;
using Vmm.Bench.Engines;
using Vmm.Firmware;
using Vmm.Firmware.Boot;
using Vmm.Machine;
using Vmm.Platform.Bus;

namespace Vmm.Bench.Reporting;

/// <summary>Time from power-on to a console text, or to power-off, with the same kernel, initial RAM disk and command line.</summary>
internal static class BootComparison
{
    /// <summary>Runs it on every engine asked for and prints a table. 1 when one did not get there.</summary>
    public static int Run(Options options)
    {
        var kernel = options.Text("--kernel") ?? throw new FormatException("--kernel is needed");
        var request = new Request(
            kernel, options.Text("--initrd"), options.Text("--append") ?? "console=ttyS0 panic=-1", options.Text("--until"), options.Number("--memory", 256, 16, 65536));
        Console.WriteLine(Calibration.Line() + "\n");
        Console.WriteLine("| engine | wall s | CPU s | ended by |\n| --- | ---: | ---: | --- |");
        Moment? own = null;
        var good = true;
        foreach (var engine in options.Words("--engines", ["vmm", "qemu", "icount"]))
        {
            var (time, end) = engine == "vmm" ? Own(request) : Qemu(request, engine == "icount");
            own ??= engine == "vmm" ? time : null;
            var ratio = engine != "vmm" && own is { } o && time.Wall != default ? string.Create(CultureInfo.InvariantCulture, $"; vmm takes {o.Wall / time.Wall:F2}× the wall and {o.Cpu / time.Cpu:F2}× the CPU time") : "";
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"| {engine} | {time.Wall.TotalSeconds:F2} | {time.Cpu.TotalSeconds:F2} | {end}{ratio} |"));
            good &= end is not ("not installed" or "nothing of the sort");
        }

        return good ? 0 : 1;
    }

    sealed record Request(string Kernel, string? Initrd, string CommandLine, string? Until, int MemoryMiB);

    static (Moment Time, string End) Own(Request request)
    {
        var time = new ProcessorTime(Environment.ProcessId);
        var before = time.Now();
        var config = new MachineConfig { MemoryBytes = (ulong)request.MemoryMiB << 20 };
        var sink = new Sink(new(request.Until));
        using var machine = new VirtualMachine(config, sink);
        sink.Found = machine.RequestStop;
        machine.Boot(BootLoader.Plan(new()
        {
            RamBytes = config.MemoryBytes,
            Image = ImageFile.Read(request.Kernel, "kernel"),
            CommandLine = request.CommandLine,
            Modules = request.Initrd == null ? [] : [new BootModule("", ImageFile.Read(request.Initrd, "initrd"))],
            Acpi = machine.BuildAcpi(),
        }));
        var outcome = machine.Run();
        var took = time.Now() - before;
        var mips = machine.Instructions / took.Cpu.TotalMicroseconds;
        return (took, string.Create(CultureInfo.InvariantCulture, $"{(sink.Text.IsFound ? $"'{request.Until}'" : outcome.Detail)}; {machine.Instructions:N0} instructions, {mips:F0} MIPS, {machine.Code.Decoded:N0} blocks decoded"));
    }

    static (Moment Time, string End) Qemu(Request request, bool counted)
    {
        if (Child.FirstLine(QemuEngine.Program, "--version", _ => true) == null)
        {
            return (default, "not installed");
        }

        List<string> arguments =
        [
            "-accel", "tcg", "-m", $"{request.MemoryMiB}", "-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio", "-kernel", request.Kernel, "-append", request.CommandLine,
        ];
        arguments.AddRange(request.Initrd == null ? [] : ["-initrd", request.Initrd]);
        arguments.AddRange(counted ? ["-icount", "shift=0,sleep=off"] : []);
        using var process = Child.Start(QemuEngine.Program, arguments, true);
        var time = new ProcessorTime(process.Id);
        var last = time.Now();
        var text = new TextWatch(request.Until);
        var buffer = new byte[4096];
        int got;
        // The clock of a process goes away with it: the last reading is that of its last output.
        while (!text.IsFound && (got = process.StandardOutput.BaseStream.Read(buffer)) > 0)
        {
            text.Feed(buffer.AsSpan(0, got));
            last = time.Now();
        }

        Child.Kill(process);
        return (last, text.IsFound ? $"'{request.Until}'" : request.Until == null ? "its end" : "nothing of the sort");
    }

    sealed class Sink(TextWatch text) : IConsoleOutput
    {
        public TextWatch Text => text;

        public Action? Found { get; set; }

        public void Write(ReadOnlySpan<byte> data)
        {
            text.Feed(data);
            if (text.IsFound)
            {
                Found?.Invoke();
            }
        }
    }

    /// <summary>Waits for a text in a stream of bytes.</summary>
    sealed class TextWatch(string? wanted)
    {
        readonly StringBuilder line = new();

        public bool IsFound { get; private set; }

        public void Feed(ReadOnlySpan<byte> data)
        {
            foreach (var value in data)
            {
                line.Append((char)value);
                IsFound |= wanted != null && value == wanted[^1] && line.ToString().EndsWith(wanted, StringComparison.Ordinal);
                if (value == '\n')
                {
                    line.Clear();
                }
            }
        }
    }
}
