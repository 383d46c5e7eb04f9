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

namespace Vmm.Control;

/// <summary>
/// Turns the API's description of a machine into a configuration, and names everything that is wrong with it at once.
/// The command line's <c>vmm run vm.json</c> reads the same message.
/// </summary>
/// <param name="paths">Which files may be named; null: any.</param>
internal sealed class SpecReader(PathPolicy? paths)
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
            Vtd = spec.Iommu is { Model: "" or "vtd" or "intel" } vtd ? Iommu(vtd, $"{at}.iommu") : null,
            Edu = spec.Edu is { } edu ? Edu(edu) : null,
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
        config = VirtioIommu(config, spec.Iommu, $"{at}.iommu");
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
            Initrds = [.. spec.Initrds.Take(16).Select((path, i) => File(path, $"{at}.initrds[{i}]"))],
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

    DiskConfig Disk(DiskSpec spec, int index, string at)
    {
        var blockSize = spec.BlockSize == 0 ? 512 : (int)Math.Min(spec.BlockSize, 1 << 20);
        violations.Require(blockSize is 512 or 4096, $"{at}.block_size", "512 or 4096");
        violations.Require(spec.Serial.Length <= 20 && spec.Serial.All(char.IsAscii), $"{at}.serial", "up to 20 ASCII characters");
        Known(spec.Mode, $"{at}.mode");
        Func<IBlockBackend> open;
        if (spec.Path.Length == 0)
        {
            violations.Require(spec.SizeBytes is >= 4096 and <= 1 << 30, $"{at}.size_bytes", "4096 bytes to 1 GiB, or a path");
            var readOnly = spec.Mode == DiskMode.ReadOnly;
            open = () => new MemoryBlockBackend("memory", spec.SizeBytes, readOnly);
        }
        else
        {
            violations.Require(spec.SizeBytes == 0, $"{at}.size_bytes", "not together with a path");
            var path = File(spec.Path, $"{at}.path");
            open = spec.Mode switch
            {
                DiskMode.Direct => () => DeviceOptions.OpenFile(path, false),
                DiskMode.ReadOnly => () => DeviceOptions.OpenFile(path, true),
                _ => () => new MemoryBlockBackend(DeviceOptions.OpenFile(path, true)),
            };
        }

        VirtioOptions? virtio = null;
        var features = spec.VirtioFeatures.ToDictionary(f => f.Key, f => f.Value ? "on" : "off");
        violations.Require(features.Keys.All(DeviceOptions.VirtioKeys.Contains), $"{at}.virtio_features", $"one of {string.Join(", ", DeviceOptions.VirtioKeys)}");
        features["driver"] = spec.Driver.Length == 0 ? "nvme" : spec.Driver;
        Attempt($"{at}.driver", () => virtio = DeviceOptions.Virtio("disk", features));
        return new(open, blockSize, spec.Serial.Length == 0 ? $"vmm{index}" : spec.Serial, !spec.BypassIommu, virtio);
    }

    VtdOptions Iommu(IommuSpec spec, string at)
    {
        var profile = VtdProfile.Legacy;
        violations.Require(
            spec.Profile.Length == 0 || Enum.TryParse(spec.Profile, true, out profile) && Enum.IsDefined(profile) && char.IsAsciiLetter(spec.Profile[0]),
            $"{at}.profile", "legacy, scalable or strict");
        var options = new VtdOptions
        {
            Profile = profile,
            CachingMode = spec.HasCachingMode ? spec.CachingMode : null,
            InterruptRemapping = spec.HasInterruptRemapping ? spec.InterruptRemapping : null,
            ExtendedInterruptMode = spec.HasExtendedInterruptMode ? spec.ExtendedInterruptMode : null,
            AddressWidth = spec.HasAddressWidth ? (int)Math.Min(spec.AddressWidth, 1000) : null,
            PassThrough = spec.HasPassThrough ? spec.PassThrough : null,
            DeviceTlb = spec.HasDeviceTlb ? spec.DeviceTlb : null,
            SnoopControl = spec.HasSnoopControl ? spec.SnoopControl : null,
            PostedInterrupts = spec.HasPostedInterrupts ? spec.PostedInterrupts : null,
            CoherentWalks = spec.HasCoherentWalks ? spec.CoherentWalks : null,
            FaultRecords = spec.HasFaultRecords ? (int)Math.Min(spec.FaultRecords, 1000) : null,
            DetectMissingInvalidations = spec.HasDetectMissingInvalidations ? spec.DetectMissingInvalidations : null,
            IotlbEntries = spec.HasIotlbEntries ? (int)Math.Min(spec.IotlbEntries, 1 << 20) : new VtdOptions().IotlbEntries,
        };
        violations.Require(options.AddressWidth is null or 39 or 48 or 57, $"{at}.address_width", "39, 48 or 57");
        violations.Require(options.FaultRecords is null or (>= 1 and <= 128), $"{at}.fault_records", "1 to 128");
        violations.Require(int.IsPow2(options.IotlbEntries) && options.IotlbEntries is >= 64 and <= 65536, $"{at}.iotlb_entries", "a power of two from 64 to 65536");
        return options;
    }

    MachineCheckOptions? MachineCheck(MachineCheckSpec? spec, string at)
    {
        var options = new MachineCheckOptions();
        if (spec == null || spec.Off)
        {
            return spec == null ? options : null;
        }

        var recovery = spec.HasRecovery ? spec.Recovery : options.Recovery;
        options = new()
        {
            Banks = spec.HasBanks ? (int)Math.Min(spec.Banks, 1000) : options.Banks,
            Cmci = spec.HasCmci ? spec.Cmci : options.Cmci,
            Recovery = recovery,
            Local = spec.HasLocal ? spec.Local : recovery,
        };
        violations.Require(options.Problem == null, at, options.Problem ?? "");
        return options;
    }

    static EduOptions Edu(EduSpec spec)
    {
        var options = new EduOptions { Rogue = spec.Rogue };
        return spec.HasDmaMask ? options with { DmaMask = spec.DmaMask } : options;
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

    MachineConfig VirtioIommu(MachineConfig config, IommuSpec? spec, string at)
    {
        if (spec is null or { Model: "" or "vtd" or "intel" })
        {
            return config;
        }

        violations.Require(spec.Model == "virtio", $"{at}.model", "vtd or virtio");
        violations.Require(spec.VirtioOptions.All(o => !o.Key.Contains(',') && !o.Value.Contains(',')), $"{at}.virtio_options", "no commas");
        Attempt($"{at}.virtio_options", () => config = config.WithIommu(string.Join(',', spec.VirtioOptions.Select(o => $"{o.Key}={o.Value}").Prepend("virtio"))));
        return config;
    }

    MachineConfig Options(MachineConfig config, MachineSpec spec, string at)
    {
        for (var i = 0; i < spec.DeviceOptions.Count; i++)
        {
            var option = spec.DeviceOptions[i];
            var field = $"{at}.device_options[{i}]";
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
