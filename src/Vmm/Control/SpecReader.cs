using System.Globalization;
using Google.Protobuf.Reflection;
using Vmm.Api.V1;
using Vmm.Chipset;
using Vmm.Cli;
using Vmm.Control.Hosting;
using Vmm.Cpu.MachineCheck;
using Vmm.Firmware.Boot;
using Vmm.Iommu;
using Vmm.Machine;
using Vmm.Platform.Block;
using Vmm.Platform.Time;
using Vmm.Virtio;
using Vmm.VirtioIommu;

namespace Vmm.Control;

/// <summary>
/// Turns the API's description of a machine into a configuration, and names everything that is wrong with it at once.
/// The command line's <c>vmm run vm.json</c> reads the same message.
/// </summary>
/// <param name="paths">Which files may be named; null: any.</param>
internal sealed partial class SpecReader(PathPolicy? paths)
{
    readonly Violations violations = new();

    /// <summary>What is wrong so far.</summary>
    public Violations Violations => violations;

    /// <summary>The configuration.</summary>
    /// <param name="spec">The description.</param>
    /// <param name="at">Dotted path of the description in its request.</param>
    /// <exception cref="Grpc.RpcException">INVALID_ARGUMENT with all violations, or PERMISSION_DENIED.</exception>
    public (MachineConfig Config, BootSource Boot) Read(MachineSpec spec, string at)
    {
        var config = new MachineConfig
        {
            MemoryBytes = spec.MemoryBytes == 0 ? 512ul << 20 : spec.MemoryBytes,
            Vcpus = spec.Vcpus == 0 ? 1 : (int)Math.Min(spec.Vcpus, 1000),
            Quantum = spec.QuantumCycles == 0 ? new MachineConfig().Quantum : spec.QuantumCycles,
            Seed = spec.HasSeed ? spec.Seed : 1,
            StartTime = spec.HasStartTime ? spec.StartTime : new MachineConfig().StartTime,
            Disks = [.. spec.Disks.Take(16).Select((disk, i) => Disk(disk, i, $"{at}.disks[{i}]"))],
            Edu = spec.Edu is { } edu ? Fields(new EduOptions(), DeviceSettings.Edu, edu, $"{at}.edu") : null,
            MachineCheck = MachineCheck(spec.MachineCheck, $"{at}.machine_check"),
        };
        violations.Require(config.MemoryBytes is >= 16ul << 20 and <= 64ul << 30 && config.MemoryBytes % (1 << 20) == 0, $"{at}.memory_bytes", "a multiple of 1 MiB from 16 MiB to 64 GiB");
        violations.Require(config.Vcpus is >= 1 and <= 8, $"{at}.vcpus", "1 to 8");
        violations.Require(config.Quantum is >= 100 and <= 100_000_000, $"{at}.quantum_cycles", "100 to 100000000");
        violations.Require(config.StartTime is >= 0 and <= 4_102_444_800, $"{at}.start_time", "0 to 4102444800");
        violations.Require(spec.Disks.Count <= 16, $"{at}.disks", "more than 16");
        Known(spec.IdleMode, $"{at}.idle_mode");
        Known(spec.ResetAction, $"{at}.reset_action");
        config = Cost(config, spec.Cost, $"{at}.cost");
        config = Iommu(config, spec.Iommu, $"{at}.iommu");
        config = Options(config, spec, at);
        var boot = Boot(spec.Boot ?? new(), $"{at}.boot");
        if (violations.IsEmpty)
        {
            Attempt(at, () => config.Validate());
        }

        violations.Throw();
        return (config, boot);
    }

    void Known<T>(T value, string field)
        where T : struct, Enum => violations.Require(Enum.IsDefined(value), field, "not a known value");

    BootSource Boot(BootSpec spec, string at)
    {
        violations.Text(spec.CommandLine, $"{at}.command_line", 64 * 1024);
        violations.Require(spec.Initrds.Count <= 16, $"{at}.initrds", "more than 16");
        var protocol = BootProtocol.Auto;
        if (spec.Protocol.Length != 0)
        {
            Attempt($"{at}.protocol", () => protocol = RunOptions.ParseProtocol(spec.Protocol));
            violations.Require(protocol != BootProtocol.Flat, $"{at}.protocol", "flat images have no load address here");
        }

        return new()
        {
            Kernel = spec.Kernel.Length == 0 ? null : File(spec.Kernel, $"{at}.kernel"),
            Initrds = [.. spec.Initrds.Take(16).Select((path, i) => new ModuleFile(File(path, $"{at}.initrds[{i}]")))],
            CommandLine = spec.HasCommandLine ? spec.CommandLine : null,
            Protocol = protocol,
        };
    }

    string File(string path, string field)
    {
        if (paths == null)
        {
            return path;
        }

        var file = paths.Resolve(path, field);
        given[file] = path;
        return file;
    }

    readonly Dictionary<string, string> given = [];

    /// <summary>Builds what was read; what building finds wrong becomes a status that names files as the caller did.</summary>
    public async Task<T> BuildingAsync<T>(string at, Func<Task<T>> build)
    {
        try
        {
            return await build().ConfigureAwait(false);
        }
        catch (Exception bad) when (bad is UsageException or ConfigException or Firmware.ImageException or ArgumentException or IOException)
        {
            throw Errors.Invalid(at, given.Aggregate(bad.Message, (text, file) => text.Replace(file.Key, Errors.Plain(file.Value), StringComparison.Ordinal)));
        }
        catch (Platform.Snapshots.SnapshotException bad)
        {
            throw Errors.Damaged("SNAPSHOT_DAMAGED", bad.Message);
        }
        catch (InsufficientMemoryException)
        {
            throw Errors.Exhausted("memory", "the host has no memory left for this machine");
        }
    }

    MachineConfig Cost(MachineConfig config, CostSpec? spec, string at)
    {
        if (spec == null)
        {
            return config;
        }

        var model = CostModel.Default;
        if (spec.Profile.Length != 0)
        {
            Attempt($"{at}.profile", () => model = CostProfiles.Get(spec.Profile));
        }

        foreach (var (key, cycles) in spec.Cycles)
        {
            var known = CostKinds.TryParse(key, out var kind);
            violations.Require(known, $"{at}.cycles[{Errors.Plain(key)}]", "not a cost");
            violations.Require(cycles <= CostModel.Limit, $"{at}.cycles[{Errors.Plain(key)}]", $"at most {CostModel.Limit}");
            if (known && cycles <= CostModel.Limit)
            {
                Attempt($"{at}.cycles[{key}]", () => model = model.With(kind, cycles));
            }
        }

        return config with { Cost = model };
    }

    MachineConfig Options(MachineConfig config, MachineSpec spec, string at)
    {
        violations.Require(spec.DeviceOptions.Count <= 64, $"{at}.device_options", "more than 64");
        for (var i = 0; i < Math.Min(spec.DeviceOptions.Count, 64); i++)
        {
            var option = spec.DeviceOptions[i];
            var field = $"{at}.device_options[{i}]";
            violations.Text(option.Value, field, 4096);
            Attempt(field, () => config = DeviceOptions.Apply(config, option.Name, option.Value, path => File(path, field)));
        }

        return config;
    }

    void Attempt(string field, Action action)
    {
        try
        {
            action();
        }
        catch (Exception bad) when (bad is UsageException or ConfigException or CostException or ArgumentException)
        {
            violations.Add(field, bad.Message);
        }
    }
}
