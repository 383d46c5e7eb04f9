using Vmm.Bench.Engines;
using Vmm.Firmware.Boot;
using Vmm.Machine;
using Vmm.Platform.Block;
using Vmm.Platform.Bus;

namespace Vmm.Bench.Fio;

/// <summary>Runs the guest here and in QEMU.</summary>
internal static class FioEngines
{
    const int MemoryMiB = 512;

    /// <summary>This project's machine.</summary>
    public static FioLog Own(FioGuest guest, string append, string iommu, string disk)
    {
        var log = new FioLog(new(Environment.ProcessId));
        var config = new MachineConfig
        {
            MemoryBytes = (ulong)MemoryMiB << 20,
            Vtd = iommu == "vtd" ? new() : null,
            VirtioIommu = iommu == "virtio" ? new() : null,
            Disks = [new(() => new FileBlockBackend(disk, false))],
        };
        using var machine = new VirtualMachine(config, log);
        machine.Boot(BootLoader.Plan(new()
        {
            RamBytes = config.MemoryBytes, Image = guest.Kernel, CommandLine = append, Modules = [new BootModule("", guest.Initrd)], Acpi = machine.BuildAcpi(),
        }));
        machine.Run();
        return log;
    }

    /// <summary>QEMU with its code generator, on its q35 machine.</summary>
    public static FioLog Qemu(FioGuest guest, string append, string iommu, string disk)
    {
        using var kernel = new TemporaryFile(".vmlinuz", guest.Kernel);
        using var initrd = new TemporaryFile(".initrd", guest.Initrd);
        string[] unit = iommu switch
        {
            "virtio" => ["-device", "virtio-iommu-pci"],
            "vtd" => ["-device", "intel-iommu,intremap=on"],
            _ => [],
        };
        using var process = Child.Start(
            QemuEngine.Program,
            [
                "-machine", "q35", "-accel", "tcg", "-m", $"{MemoryMiB}", "-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio",
                "-kernel", kernel.Path, "-initrd", initrd.Path, "-append", append, .. unit,
                "-drive", $"if=none,id=disk,format=raw,file={disk}", "-device", "nvme,drive=disk,serial=vmm0",
            ],
            true);
        var log = new FioLog(new(process.Id));
        using var deadline = new Timer(_ => Child.Kill(process), null, TimeSpan.FromMinutes(10), Timeout.InfiniteTimeSpan);
        var buffer = new byte[4096];
        int got;
        while ((got = process.StandardOutput.BaseStream.Read(buffer)) > 0)
        {
            log.Write(buffer.AsSpan(0, got));
        }

        Child.Kill(process);
        return log;
    }
}

/// <summary>What one job took.</summary>
/// <param name="Time">From the line before it to the line after it.</param>
/// <param name="Error">fio's error number.</param>
/// <param name="KiloBytes">KiB a second as the guest's clock has it.</param>
internal sealed record FioResult(Moment Time, int Error, double KiloBytes);

/// <summary>Reads the guest's console and the clocks at its markers.</summary>
internal sealed class FioLog(ProcessorTime time) : IConsoleOutput
{
    readonly Dictionary<int, FioResult> results = [];
    readonly System.Text.StringBuilder line = new();
    Moment begun;

    /// <summary>Last line of the console.</summary>
    public string Last { get; private set; } = "";

    /// <summary>A job's result, or null when it did not come to its end.</summary>
    public FioResult? Find(string job) => results.GetValueOrDefault(FioGuest.Jobs.ToList().FindIndex(j => j.Name == job));

    /// <inheritdoc/>
    public void Write(ReadOnlySpan<byte> data)
    {
        foreach (var value in data)
        {
            if (value != '\n')
            {
                line.Append((char)value);
                continue;
            }

            Take(line.ToString().Trim());
            line.Clear();
        }
    }

    void Take(string text)
    {
        Last = text.Length == 0 ? Last : text;
        var words = text.Split(' ', ';');
        if (words is ["JOB-BEGIN", _])
        {
            begun = time.Now();
        }
        else if (words is ["JOB-END", var index, var error, var read, var write] && int.TryParse(error, out var code))
        {
            results[int.Parse(index)] = new(time.Now() - begun, code, Math.Max(double.Parse(read), double.Parse(write)));
        }
    }
}
