using Vmm.Firmware.Boot;
using Vmm.Machine;

namespace Vmm.Cli;

/// <summary>What ends a run before a time limit.</summary>
[Flags]
internal enum ExitOn
{
    /// <summary>A debug-exit write, or the pass marker on the console.</summary>
    Pass = 1,

    /// <summary>A kernel panic on the console.</summary>
    Panic = 2,

    /// <summary>A platform reset.</summary>
    Reset = 4,

    /// <summary>ACPI power-off; always ends a run.</summary>
    PowerOff = 8,
}

/// <summary>Options of <c>vmm run</c>, checked and parsed.</summary>
internal sealed record RunOptions
{
    /// <summary>The machine.</summary>
    public required MachineConfig Machine { get; init; }

    /// <summary>What is booted.</summary>
    public BootSource Boot { get; init; } = new();

    /// <summary>Host time limit.</summary>
    public TimeSpan? Timeout { get; init; }

    /// <summary>Virtual time limit.</summary>
    public TimeSpan? VirtualTimeout { get; init; }

    /// <summary>What ends the run.</summary>
    public ExitOn ExitOn { get; init; } = ExitOn.Pass | ExitOn.Panic | ExitOn.Reset | ExitOn.PowerOff;

    /// <summary>Console text that means success, with <see cref="ExitOn.Pass"/>.</summary>
    public string? PassMarker { get; init; }

    /// <summary>Where COM1 goes: stdio, none, file:PATH or unix:PATH.</summary>
    public string Serial { get; init; } = "stdio";

    /// <summary>Console script file.</summary>
    public string? Script { get; init; }

    /// <summary>Machine checks to inject.</summary>
    public IReadOnlyList<string> MachineChecks { get; init; } = [];

    /// <summary>JSON report file.</summary>
    public string? Json { get; init; }

    /// <summary>Snapshot to start from instead of booting.</summary>
    public string? Restore { get; init; }

    /// <summary>Snapshot file to write.</summary>
    public string? Save { get; init; }

    /// <summary>Virtual time at which to write it and stop.</summary>
    public TimeSpan? SaveAt { get; init; }

    /// <summary>File for exits and IOMMU events, and the bytes it may have.</summary>
    public (string Path, long Limit)? Trace { get; init; }

    /// <summary>The guest's DMA beside the layer's; not together with <see cref="Trace"/>.</summary>
    public CompareOption? Compare { get; init; }

    /// <summary>Report debug-exit as QEMU does: (value &lt;&lt; 1) | 1.</summary>
    public bool QemuExit { get; init; }

    /// <summary>No report on standard error.</summary>
    public bool Quiet { get; init; }

    /// <summary>Parses a comma-separated list of what ends a run.</summary>
    public static ExitOn ParseExitOn(string text)
    {
        var result = ExitOn.PowerOff;
        foreach (var word in text.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
        {
            result |= word switch
            {
                "pass" => ExitOn.Pass,
                "panic" => ExitOn.Panic,
                "reset" => ExitOn.Reset,
                "poweroff" => ExitOn.PowerOff,
                _ => throw new UsageException($"--exit-on: '{word}' is not pass, panic, reset or poweroff"),
            };
        }

        return result;
    }

    /// <summary>Parses a boot protocol name.</summary>
    public static BootProtocol ParseProtocol(string text) => text switch
    {
        "auto" => BootProtocol.Auto,
        "linux" => BootProtocol.LinuxUnpacked,
        "linux64" => BootProtocol.Linux64,
        "linux32" => BootProtocol.Linux32,
        "pvh" => BootProtocol.Pvh,
        "multiboot" => BootProtocol.Multiboot,
        "flat" => BootProtocol.Flat,
        _ => throw new UsageException($"--protocol: '{text}' is not auto, linux, linux64, linux32, pvh, multiboot or flat"),
    };
}
