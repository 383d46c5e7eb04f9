using System.CommandLine;
using Vmm.Firmware.Boot;
using Vmm.Firmware.BuiltIn;
using Vmm.Machine;
using Vmm.Platform.Memory;

namespace Vmm.Cli;

/// <summary><c>vmm run</c>: its options and their defaults.</summary>
internal static class RunCommand
{
    /// <summary>Value of --iommu that makes a run with each kind.</summary>
    const string EachUnit = "both";

    /// <summary>Builds the command.</summary>
    public static Command Create()
    {
        var config = new Argument<string?>("config") { Description = "the machine as a file: vmm.v1.MachineSpec in JSON", Arity = ArgumentArity.ZeroOrOne };
        var kernel = new Option<string?>("--kernel", "-kernel") { Description = "bzImage, vmlinux, PVH or multiboot ELF, or flat image; without it a built-in guest runs" };
        var guest = new Option<string>("--guest") { Description = "built-in guest: test (processors, timers, devices) or dma (maps, NVMe transfers, unmaps, and counts its exits)", DefaultValueFactory = _ => BuiltInGuest.Test };
        var initrd = new Option<string[]>("--initrd", "--initramfs", "-initrd") { Description = "initial RAM disk, or multiboot module: \"FILE arguments\"; may be given several times" };
        var append = new Option<string?>("--append", "--cmdline", "-append") { Description = "kernel command line" };
        var smp = new Option<string>("--smp", "--cpus", "-smp") { Description = "vCPUs, 1 to 8", DefaultValueFactory = _ => "1" };
        var memory = new Option<string>("--memory", "-m") { Description = "RAM: 512M, size=2G", DefaultValueFactory = _ => "512M" };
        var timeout = new Option<string?>("--timeout") { Description = "host time limit: 60s, 500ms" };
        var virtualTimeout = new Option<string?>("--virtual-timeout") { Description = "virtual time limit" };
        var exitOn = new Option<string>("--exit-on") { Description = "what ends the run: pass,panic,reset,poweroff", DefaultValueFactory = _ => "pass,panic,reset,poweroff" };
        var marker = new Option<string?>("--pass-marker") { Description = "console text that means success" };
        var serial = new Option<string>("--serial", "-serial") { Description = "COM1: stdio, none, file:PATH, unix:PATH", DefaultValueFactory = _ => "stdio" };
        var script = new Option<string?>("--script") { Description = "console conversation: lines 'expect TEXT' and 'send TEXT'" };
        var json = new Option<string?>("--json") { Description = "write the report as JSON" };
        var seed = new Option<string>("--seed") { Description = "seed of everything drawn at random", DefaultValueFactory = _ => "1" };
        var protocol = new Option<string>("--protocol") { Description = "auto, linux, linux64, linux32, pvh, multiboot, flat", DefaultValueFactory = _ => "auto" };
        var flat = new Option<string?>("--flat") { Description = "flat image: address=0x100000,mode=16|32|64,entry=0" };
        var quantum = new Option<string>("--quantum") { Description = "virtual cycles of a vCPU's turn", DefaultValueFactory = _ => "20000" };
        var cost = new Option<string?>("--cost") { Description = CostOption.Description };
        var ledger = new Option<string>("--ledger") { Description = "count costs by reason, vCPU and device: on, off", DefaultValueFactory = _ => "on" };
        var rtc = new Option<string?>("--rtc") { Description = "clock at power-on: base=UNIXSECONDS" };
        var save = new Option<string?>("--save") { Description = "snapshot: path=FILE,at=VIRTUALTIME" };
        var restore = new Option<string?>("--restore") { Description = "start from a snapshot file" };
        var disk = new Option<string[]>("--disk") { Description = "NVMe disk: path=FILE,readonly=on,block-size=512,iommu=on, or size=64M in memory; may be given several times" };
        var iommu = new Option<string?>("--iommu") { Description = "vtd,profile=legacy|scalable|strict,caching-mode=,intremap=,eim=,aw-bits=,pt=,device-iotlb=,...; or virtio,bypass=on|off,aw-bits=,page-size-mask=,backend=none|vfio,...; or both: two runs of --guest dma" };
        var edu = new Option<string?>("--edu") { Description = "edu test device: edu,dma-mask=0xfffffff,rogue=on" };
        var mca = new Option<string?>("--mca") { Description = "machine-check architecture: banks=10,cmci=on,ser=on,lmce=on, or off" };
        var mce = new Option<string[]>("--mce") { Description = "machine check: corrected|ucna|srao|writeback|srar|fetch|fatal or status=,bank=; cpu=,addr=,misc=,mcgstatus=,signal=auto|broadcast|target|local|silent; when: instruction=|time=|page=|exit=; or file=PATH as mce-inject reads it; may be given several times" };
        var trace = new Option<string?>("--trace") { Description = "exits and IOMMU events as text: FILE, or path=FILE,limit=256M" };
        var compare = new Option<string?>("--compare-dma") { Description = CompareOption.Help };
        var vmx = new Option<string?>("--vmx") { Description = VmxOption.Help };
        var qemuExit = new Option<bool>("--qemu-exit") { Description = "exit code of a debug-exit write as QEMU gives it" };
        var quiet = new Option<bool>("--quiet", "-q") { Description = "no report on standard error" };
        var command = new Command("run", "Boot a guest and run it to its end")
        {
            config, kernel, guest, initrd, append, smp, memory, timeout, virtualTimeout, exitOn, marker, serial, script, json, seed, protocol, flat, quantum, cost, ledger, rtc, save,
            restore, disk, iommu, edu, mca, mce, trace, compare, vmx, qemuExit, quiet,
        };
        int Run(ParseResult result, string? unit)
        {
            // A built-in guest drives every device there is, so that nothing needs to be named to see them work.
            var builtIn = result.GetValue(kernel) == null && result.GetValue(restore) == null;
            var savePairs = result.GetValue(save) is { } text ? OptionText.Pairs("--save", text, "path", "at") : null;
            var options = new RunOptions
            {
                Machine = new MachineConfig
                {
                    Vcpus = (int)OptionText.Integer("--smp", OptionText.Pairs("--smp", result.GetValue(smp)!, "cpus")["cpus"], 1, 8),
                    MemoryBytes = OptionText.Size("--memory", OptionText.Pairs("--memory", result.GetValue(memory)!, "size")["size"]),
                    Quantum = (ulong)OptionText.Integer("--quantum", result.GetValue(quantum)!, 100, 100_000_000),
                    Cost = CostOption.Parse(result.GetValue(cost)),
                    Ledger = OptionText.Flag("--ledger", result.GetValue(ledger)!),
                    Seed = (ulong)OptionText.Integer("--seed", result.GetValue(seed)!, 0, long.MaxValue),
                    StartTime = result.GetValue(rtc) is { } b
                        ? OptionText.Integer("--rtc", OptionText.Pairs("--rtc", b, "base")["base"], 0, 4_102_444_800)
                        : new MachineConfig().StartTime,
                    Disks = [.. Given(result.GetValue(disk), builtIn ? ["size=16M"] : []).Select(DeviceOptions.Disk)],
                    Edu = (result.GetValue(edu) ?? (builtIn ? "edu" : null)) is { } e ? DeviceOptions.Edu(e) : null,
                    Vmx = VmxOption.Parse(result.GetValue(vmx)),
                    MachineCheck = MachineCheckOption.Architecture(result.GetValue(mca)),
                }.WithIommu(unit ?? (builtIn ? "vtd" : null)),
                Boot = new()
                {
                    Kernel = result.GetValue(kernel),
                    Guest = Guest(result.GetValue(guest)!, builtIn || result.GetResult(guest) is null or { Implicit: true }),
                    Initrds = [.. (result.GetValue(initrd) ?? []).Select(ModuleFile.Parse)],
                    CommandLine = result.GetValue(append),
                    Protocol = RunOptions.ParseProtocol(result.GetValue(protocol)!),
                    Flat = result.GetValue(flat) is { } f ? Flat(f) : null,
                },
                Timeout = result.GetValue(timeout) is { } t ? OptionText.Duration("--timeout", t) : null,
                VirtualTimeout = result.GetValue(virtualTimeout) is { } v ? OptionText.Duration("--virtual-timeout", v) : null,
                ExitOn = RunOptions.ParseExitOn(result.GetValue(exitOn)!),
                PassMarker = result.GetValue(marker),
                Serial = result.GetValue(serial)!,
                Script = result.GetValue(script),
                MachineChecks = result.GetValue(mce) ?? [],
                Json = result.GetValue(json),
                Save = savePairs?["path"],
                SaveAt = savePairs == null ? null
                    : savePairs.TryGetValue("at", out var at) ? OptionText.Duration("--save", at) : throw new UsageException("--save: 'at' is needed"),
                Restore = result.GetValue(restore),
                Trace = result.GetValue(trace) is { } traced ? Trace(traced) : null,
                Compare = result.GetValue(compare) is { } compared ? CompareOption.Parse(compared) : null,
                QemuExit = result.GetValue(qemuExit),
                Quiet = result.GetValue(quiet),
            };
            if (result.GetValue(config) is { } file)
            {
                Option[] replaced = [kernel, guest, initrd, append, smp, memory, seed, protocol, flat, quantum, cost, ledger, rtc, restore, disk, iommu, edu, mca];
                var given = replaced.Where(o => result.GetResult(o) is { Implicit: false }).Select(o => o.Name).ToList();
                var (machine, boot) = given.Count == 0 ? SpecFile.Read(file) : throw new UsageException($"{file} describes the machine: {string.Join(", ", given)} cannot be given too");
                options = options with { Machine = machine, Boot = boot };
            }

            using var session = new RunSession(options);
            return session.Run();
        }

        command.SetAction(result =>
        {
            if (result.GetValue(iommu) != EachUnit)
            {
                return Run(result, result.GetValue(iommu));
            }

            Option[] written = [json, save, trace, compare];
            return result.GetValue(guest) == BuiltInGuest.Dma && result.GetValue(config) == null && !written.Any(o => result.GetResult(o) is { Implicit: false })
                ? Math.Max(Run(result, "vtd"), Run(result, "virtio"))
                : throw new UsageException($"--iommu {EachUnit}: two runs, for --guest {BuiltInGuest.Dma} only and without --json, --save, --trace and --compare-dma");
        });
        return command;
    }

    static (string, long) Trace(string text)
    {
        var pairs = OptionText.Pairs("--trace", text, "path", "limit");
        return pairs.TryGetValue("path", out var path)
            ? (path, (long)Math.Min(OptionText.Size("--trace", pairs.GetValueOrDefault("limit", "256M")), long.MaxValue))
            : throw new UsageException("--trace: 'path' is needed");
    }

    static string[] Given(string[]? values, string[] otherwise) => values is { Length: > 0 } ? values : otherwise;

    static string Guest(string name, bool canRun)
    {
        var known = BuiltInGuest.Names.Contains(name, StringComparer.Ordinal);
        return canRun && known ? name : throw new UsageException(
            known ? "--guest: a kernel or a snapshot is given too" : $"--guest: '{name}' is not {string.Join(" or ", BuiltInGuest.Names)}");
    }

    static FlatStart Flat(string text)
    {
        var pairs = OptionText.Pairs("--flat", text, "address", "mode", "entry");
        var mode = pairs.GetValueOrDefault("mode", "16") switch
        {
            "16" => CpuMode.Real16,
            "32" => CpuMode.Protected32,
            "64" => CpuMode.Long64,
            var other => throw new UsageException($"--flat: mode '{other}' is not 16, 32 or 64"),
        };
        return new(new Gpa(Address(pairs["address"])), mode, Address(pairs.GetValueOrDefault("entry", "0")));
    }

    static ulong Address(string text)
    {
        var hex = text.StartsWith("0x", StringComparison.OrdinalIgnoreCase);
        return ulong.TryParse(hex ? text[2..] : text, hex ? System.Globalization.NumberStyles.AllowHexSpecifier : System.Globalization.NumberStyles.None, null, out var value)
            ? value
            : throw new UsageException($"--flat: '{text}' is not an address");
    }
}
