using Google.Protobuf;
using Google.Protobuf.Reflection;
using Google.Rpc;
using Vmm.Api.V1;
using Vmm.Grpc;
using Vmm.Grpc.Client;
using Xunit;

namespace Vmm.ControlTests.Machines;

/// <summary>Services through a client, with the built-in guest.</summary>
public sealed class ControlPlaneTests(ControlFixture control) : ControlCaller(control)
{
    [Fact]
    public async Task All_that_is_wrong_with_a_machine_is_named_at_once()
    {
        var spec = new MachineSpec { MemoryBytes = 5, Vcpus = 99, QuantumCycles = 1, Disks = { new DiskSpec { BlockSize = 7 } }, Iommu = new() { AddressWidth = 3 }, Cost = new() { Cycles = { { "nonsense", 1 } } } };
        var bad = Detail<BadRequest>(await Fails(Grpc.StatusCode.InvalidArgument, Call<CreateMachineRequest, CreateMachineResponse>(MachineReflection.Descriptor, "CreateMachine", new() { Name = "Bad", Spec = spec })));
        Assert.Equal(
            ["name", "spec.cost.cycles[nonsense]", "spec.disks[0].block_size", "spec.disks[0].size_bytes", "spec.iommu.address_width", "spec.memory_bytes", "spec.quantum_cycles", "spec.vcpus"],
            bad.FieldViolations.Select(v => v.Field).Order(StringComparer.Ordinal));
    }

    [Theory]
    [InlineData("/etc/passwd")]
    [InlineData("../../etc/passwd")]
    [InlineData("a/../../b")]
    [InlineData("/proc/self/root/etc/passwd")]
    [InlineData("x\0y")]
    [InlineData("link")]
    public async Task A_path_outside_the_roots_is_denied_without_telling_of_files(string path)
    {
        var link = Path.Combine(Control.Images.Folder, "link");
        if (!File.Exists(link))
        {
            File.CreateSymbolicLink(link, "/etc/passwd");
        }

        var error = await Fails(Grpc.StatusCode.PermissionDenied, Create("path", new() { Boot = new() { Kernel = path } }));
        Assert.Equal("spec.boot.kernel: the path is not inside an allowed root", error.Status.Detail);
        Assert.Equal("PATH_OUTSIDE_ROOTS", Detail<ErrorInfo>(error).Reason);
        foreach (var (field, spec) in new (string, MachineSpec)[]
        {
            ("spec.boot.initrds[0]", new() { Boot = new() { Initrds = { path } } }),
            ("spec.disks[0].path", new() { Disks = { new DiskSpec { Path = path } } }),
            ("spec.device_options[0]", new() { DeviceOptions = { new DeviceOption { Name = "disk", Value = path } } }),
            ("spec.device_options[1]", new() { DeviceOptions = { new DeviceOption { Name = "edu", Value = "edu" }, new DeviceOption { Name = "disk", Value = $"readonly=on,path={path}" } } }),
        })
        {
            error = await Fails(Grpc.StatusCode.PermissionDenied, Create("path", spec));
            Assert.Equal(field + ": the path is not inside an allowed root", error.Status.Detail);
        }
    }

    [Fact]
    public async Task A_device_option_names_a_file_inside_a_root()
    {
        await File.WriteAllBytesAsync(Path.Combine(Control.Images.Folder, "option.img"), new byte[1 << 20]);
        await Create("option", new() { MemoryBytes = 16 << 20, DeviceOptions = { new DeviceOption { Name = "disk", Value = "option.img,readonly=on" } } });
        Assert.Contains((await Call<ListDevicesRequest, ListDevicesResponse>(DeviceReflection.Descriptor, "ListDevices", new() { Machine = "option" })).Functions, f => f.Bdf == "00:03.0");
        await Delete("option");
        var error = await Fails(Grpc.StatusCode.InvalidArgument, Create("option", new() { DeviceOptions = { new DeviceOption { Name = "disk", Value = "absent.img" } } }));
        Assert.DoesNotContain(Control.Images.Folder, error.Status.Detail);
    }

    [Fact]
    public async Task Each_situation_has_its_status()
    {
        await Create("status");
        Assert.Equal("status", Detail<ResourceInfo>(await Fails(Grpc.StatusCode.AlreadyExists, Create("status"))).ResourceName);
        Detail<ResourceInfo>(await Fails(Grpc.StatusCode.NotFound, Hash("nobody")));
        Detail<PreconditionFailure>(await Fails(Grpc.StatusCode.FailedPrecondition, Call<PauseMachineRequest, PauseMachineResponse>(MachineReflection.Descriptor, "PauseMachine", new() { Name = "status" })));
        Assert.Equal("GENERATION_CHANGED", Detail<ErrorInfo>(await Fails(Grpc.StatusCode.Aborted, Call<StartMachineRequest, StartMachineResponse>(MachineReflection.Descriptor, "StartMachine", new() { Name = "status", Generation = 77 }))).Reason);
        Assert.Equal("ADDRESS_NOT_RAM", Detail<ErrorInfo>(await Fails(Grpc.StatusCode.OutOfRange, Call<HashMemoryRequest, HashMemoryResponse>(MemoryReflection.Descriptor, "HashMemory", new() { Machine = "status", Address = ulong.MaxValue - 5, Length = 100 }))).Reason);
        Detail<QuotaFailure>(await Fails(Grpc.StatusCode.ResourceExhausted, Create("huge", new() { MemoryBytes = 8ul << 30 })));
        var damaged = Path.Combine(Control.Images.Folder, "damaged");
        await File.WriteAllBytesAsync(damaged, "VMMSNAP\nxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"u8.ToArray());
        await Fails(Grpc.StatusCode.DataLoss, Call<RestoreSnapshotRequest, RestoreSnapshotResponse>(SnapshotReflection.Descriptor, "RestoreSnapshot", new() { Path = damaged }));
        Assert.Equal(["rule.action", "rule.match.device"], Detail<BadRequest>(await Fails(Grpc.StatusCode.InvalidArgument, Call<CreateFaultRuleRequest, CreateFaultRuleResponse>(
            FaultReflection.Descriptor, "CreateFaultRule", new() { Machine = "status", Rule = new() { Match = new() { Device = "nonsense" } } }))).FieldViolations.Select(v => v.Field).Order(StringComparer.Ordinal));
        await Delete("status");
    }

    [Fact]
    public async Task Machines_beyond_the_limit_are_refused_and_their_place_comes_back()
    {
        var names = Enumerable.Range(0, 16).Select(i => $"many-{i}").ToList();
        var made = new List<string>();
        RpcException? refused = null;
        foreach (var name in names)
        {
            try
            {
                await Create(name, new() { MemoryBytes = 16 << 20 });
                made.Add(name);
            }
            catch (RpcException full)
            {
                refused ??= full;
            }
        }

        Assert.Equal(Grpc.StatusCode.ResourceExhausted, refused!.StatusCode);
        Assert.InRange(made.Count, 1, 8);
        foreach (var name in made)
        {
            await Delete(name);
        }

        await Create("again");
        await Delete("again");
    }

    MachineSpec Linux => new()
    {
        MemoryBytes = 128 << 20, Disks = { new DiskSpec { SizeBytes = 1 << 20 } }, Iommu = new(), Boot = new() { Kernel = Control.Images.Kernel, Initrds = { Control.Images.Initrd } },
    };

    [SkippableFact]
    public async Task A_watched_and_polled_machine_ends_in_the_same_state_as_one_left_alone()
    {
        const ulong Instructions = 300_000_000;
        await Create("alone", Linux);
        await Run("alone", Instructions);
        var alone = await Hash("alone");
        await Delete("alone");
        await Create("watched", Linux);
        using var ending = new CancellationTokenSource();
        await using var watch = Channel.ServerStreaming<WatchEventsRequest, WatchEventsResponse>(
            EventReflection.Descriptor.Services[0].FindMethodByName("WatchEvents"), new() { Machines = { "watched" } }, cancellation: ending.Token);
        await watch.HeadersAsync();
        var polls = 0;
        var running = Run("watched", Instructions);
        while (!running.IsCompleted)
        {
            await Call<GetMachineRequest, GetMachineResponse>(MachineReflection.Descriptor, "GetMachine", new() { Name = "watched" });
            await Call<GetLedgerRequest, GetLedgerResponse>(LedgerReflection.Descriptor, "GetLedger", new() { Machine = "watched" });
            await Call<GetIommuCountersRequest, GetIommuCountersResponse>(IommuReflection.Descriptor, "GetIommuCounters", new() { Machine = "watched" });
            await Call<TranslateRequest, TranslateResponse>(IommuReflection.Descriptor, "Translate", new() { Machine = "watched", Bdf = "00:03.0", Iova = 0x1000 });
            await Call<HashMemoryRequest, HashMemoryResponse>(MemoryReflection.Descriptor, "HashMemory", new() { Machine = "watched" });
            await Call<ListDevicesRequest, ListDevicesResponse>(DeviceReflection.Descriptor, "ListDevices", new() { Machine = "watched" });
            polls++;
        }

        await running;
        Assert.Equal(alone, await Hash("watched"));
        Assert.True(polls > 3);
        Assert.True(await watch.MoveNext(CancellationToken.None));
        await Delete("watched");
    }

    [Fact]
    public async Task A_snapshot_and_a_fork_go_on_as_the_machine_does()
    {
        await Create("origin");
        await Run("origin", 3_000_000);
        var path = Path.Combine(Control.Images.Folder, "origin.snap");
        Assert.True((await Call<SaveSnapshotRequest, SaveSnapshotResponse>(SnapshotReflection.Descriptor, "SaveSnapshot", new() { Machine = "origin", Path = path })).Bytes > 0);
        await Call<ForkMachineRequest, ForkMachineResponse>(SnapshotReflection.Descriptor, "ForkMachine", new() { Machine = "origin", Names = { "forked" } });
        await Call<RestoreSnapshotRequest, RestoreSnapshotResponse>(
            SnapshotReflection.Descriptor, "RestoreSnapshot", new() { Name = "restored", Path = path, Devices = new() { Disks = { new DiskSpec { SizeBytes = 1 << 20 } }, Iommu = new() } });
        var hashes = new HashSet<string>();
        foreach (var name in new[] { "origin", "forked", "restored" })
        {
            await Run(name, 3_000_000);
            hashes.Add(await Hash(name));
            await Delete(name);
        }

        Assert.Single(hashes);
    }

    [Fact]
    public async Task A_snapshot_replaces_a_snapshot_and_nothing_else()
    {
        await Create("saver", new() { MemoryBytes = 16 << 20 });
        Task<SaveSnapshotResponse> Save(string name) =>
            Call<SaveSnapshotRequest, SaveSnapshotResponse>(SnapshotReflection.Descriptor, "SaveSnapshot", new() { Machine = "saver", Path = Path.Combine(Control.Images.Folder, name) });
        await Save("twice.snap");
        await Save("twice.snap");
        var disk = Path.Combine(Control.Images.Folder, "disk.img");
        await File.WriteAllTextAsync(disk, "somebody's disk");
        using (var fifo = System.Diagnostics.Process.Start("mkfifo", Path.Combine(Control.Images.Folder, "fifo")))
        {
            await fifo.WaitForExitAsync();
        }

        Directory.CreateDirectory(Path.Combine(Control.Images.Folder, "folder"));
        foreach (var name in new[] { "disk.img", "fifo", "folder" })
        {
            Assert.Equal("FILE", Detail<PreconditionFailure>(await Fails(Grpc.StatusCode.FailedPrecondition, Save(name))).Violations[0].Type);
        }

        Assert.Equal("somebody's disk", await File.ReadAllTextAsync(disk));
        Assert.Empty(Directory.EnumerateFiles(Control.Images.Folder, "*.partial"));
        await Fails(Grpc.StatusCode.FailedPrecondition, Save("absent/x.snap"));
        await Delete("saver");
    }

    [Fact]
    public async Task Memory_that_is_written_is_read_back_in_chunks()
    {
        await Create("memory");
        var data = new byte[(2 << 20) + 5];
        new Random(3).NextBytes(data);
        await using var write = Channel.Open<WriteMemoryRequest, WriteMemoryResponse>(MemoryReflection.Descriptor.Services[0].FindMethodByName("WriteMemory"));
        await write.WriteAsync(new() { Machine = "memory", Address = 0x200_0003, Data = ByteString.CopyFrom(data, 0, 1 << 20) });
        await write.WriteAsync(new() { Data = ByteString.CopyFrom(data, 1 << 20, data.Length - (1 << 20)) }).ContinueWith(_ => { }, TaskScheduler.Default);
        await Fails(Grpc.StatusCode.InvalidArgument, write.ResponseAsync());
        await using var again = Channel.Open<WriteMemoryRequest, WriteMemoryResponse>(MemoryReflection.Descriptor.Services[0].FindMethodByName("WriteMemory"));
        for (var at = 0; at < data.Length; at += 1 << 20)
        {
            await again.WriteAsync(new() { Machine = at == 0 ? "memory" : "", Data = ByteString.CopyFrom(data, at, Math.Min(1 << 20, data.Length - at)), Address = (ulong)(0x200_0003 + at) });
        }

        Assert.Equal((ulong)data.Length, (await again.ResponseAsync()).Written);
        var found = new List<byte>();
        await using var read = Channel.ServerStreaming<ReadMemoryRequest, ReadMemoryResponse>(
            MemoryReflection.Descriptor.Services[0].FindMethodByName("ReadMemory"), new() { Machine = "memory", Address = 0x200_0003, Length = (ulong)data.Length });
        while (await read.MoveNext(CancellationToken.None))
        {
            Assert.InRange(read.Current.Data.Length, 1, 1 << 20);
            found.AddRange(read.Current.Data);
        }

        Assert.Equal(data, found);
        await Delete("memory");
    }

    [Fact]
    public async Task Events_are_in_order_and_a_token_goes_on_where_it_was_given()
    {
        var method = EventReflection.Descriptor.Services[0].FindMethodByName("WatchEvents");
        string token;
        await using (var watch = Channel.ServerStreaming<WatchEventsRequest, WatchEventsResponse>(method, new() { Machines = { "events" } }))
        {
            await watch.HeadersAsync();
            await Create("events");
            Assert.True(await watch.MoveNext(CancellationToken.None));
            Assert.Equal(WatchEventsResponse.EventOneofCase.Created, watch.Current.EventCase);
            token = watch.Current.ResumeToken;
        }

        await Run("events", 1000);
        await Delete("events");
        await using var resumed = Channel.ServerStreaming<WatchEventsRequest, WatchEventsResponse>(method, new() { Machines = { "events" }, ResumeToken = token });
        var kinds = new List<WatchEventsResponse.EventOneofCase>();
        while (!kinds.Contains(WatchEventsResponse.EventOneofCase.Deleted) && await resumed.MoveNext(CancellationToken.None))
        {
            kinds.Add(resumed.Current.EventCase);
        }

        Assert.Equal([WatchEventsResponse.EventOneofCase.State, WatchEventsResponse.EventOneofCase.State, WatchEventsResponse.EventOneofCase.Deleted], kinds);
        var refused = Channel.ServerStreaming<WatchEventsRequest, WatchEventsResponse>(method, new() { ResumeToken = "nonsense" });
        await Fails(Grpc.StatusCode.InvalidArgument, refused.MoveNext(CancellationToken.None));
        await refused.DisposeAsync();
    }

    /// <summary>Boots, has a DMA fault on the disk's next read and a machine check at a moment and one at an instruction, and tells of every event but those of calls.</summary>
    async Task<List<WatchEventsResponse>> Happenings(string name, bool isPolled)
    {
        using var ending = new CancellationTokenSource();
        await using var watch = Channel.ServerStreaming<WatchEventsRequest, WatchEventsResponse>(
            EventReflection.Descriptor.Services[0].FindMethodByName("WatchEvents"), new() { Machines = { name } }, cancellation: ending.Token);
        await watch.HeadersAsync();
        await Create(name, Linux);
        await Expect(name, "READY");
        await Call<CreateFaultRuleRequest, CreateFaultRuleResponse>(FaultReflection.Descriptor, "CreateFaultRule", new()
        {
            Machine = name, Rule = new() { Match = new() { Device = "00:03.0", Opcode = 2, Count = 2 }, Action = new() { Translation = new() { Reason = 5 } } },
        });
        var machine = (await Call<GetMachineRequest, GetMachineResponse>(MachineReflection.Descriptor, "GetMachine", new() { Name = name })).Machine;
        var moment = machine.VirtualTimeNs / 1_000_000 * 1_000_000 + 7_000_000;
        const ulong Corrected = 0x9C00_0000_0000_0135;
        foreach (var check in new[] { new MachineCheck { Bank = 3, Status = Corrected, AtVirtualTimeNs = moment }, new MachineCheck { Bank = 2, Status = Corrected, AtInstruction = machine.Instructions + 100_000 } })
        {
            await Call<InjectMachineCheckRequest, InjectMachineCheckResponse>(MachineCheckReflection.Descriptor, "InjectMachineCheck", new() { Machine = name, Check = check });
        }

        var work = Expect(name, "DONE", "dd if=/dev/nvme0n1 of=/dev/null bs=4k count=2 iflag=direct; sleep 1; echo DO''NE\n");
        while (isPolled && !work.IsCompleted)
        {
            await Call<GetIommuCountersRequest, GetIommuCountersResponse>(IommuReflection.Descriptor, "GetIommuCounters", new() { Machine = name });
        }

        await work;
        await Delete(name);
        var found = new List<WatchEventsResponse>();
        while (await watch.MoveNext(CancellationToken.None) && watch.Current.EventCase != WatchEventsResponse.EventOneofCase.Deleted)
        {
            found.Add(watch.Current);
        }

        Assert.Contains(found, e => e.EventCase == WatchEventsResponse.EventOneofCase.MachineCheck && e.VirtualTimeNs == moment && e.MachineCheck.VirtualTimeNs == moment);
        foreach (var happening in found)
        {
            (happening.Machine, happening.Sequence, happening.ResumeToken, happening.WallTime) = ("", 0, "", null);
        }

        return found;
    }

    [SkippableFact]
    public async Task Events_carry_the_time_at_which_they_happened_whoever_looks()
    {
        var alone = await Happenings("quiet", false);
        Assert.Equal(alone, await Happenings("polled", true));
        Assert.Equal(alone.Where(e => e.EventCase != WatchEventsResponse.EventOneofCase.State).OrderBy(e => e.VirtualTimeNs), alone.Where(e => e.EventCase != WatchEventsResponse.EventOneofCase.State));
        var faults = alone.Where(e => e.IommuFaults != null).ToList();
        var firings = alone.Where(e => e.FaultFired != null).ToList();
        Assert.Equal(2, alone.Count(e => e.MachineCheck != null));
        Assert.Equal((2, 2), (faults.Count, firings.Count));
        foreach (var (fault, firing) in faults.Zip(firings))
        {
            Assert.Equal(firing.FaultFired.VirtualTimeNs, firing.VirtualTimeNs);
            Assert.Equal(firing.VirtualTimeNs, fault.VirtualTimeNs);
            Assert.Equal((1ul, 1ul, "00:03.0", 5u, "NoWritePermission", true), (fault.IommuFaults.Faults, fault.IommuFaults.Recorded, fault.IommuFaults.Fault.Bdf, fault.IommuFaults.Fault.Reason, fault.IommuFaults.Fault.Name, fault.IommuFaults.Fault.Recorded));
            Assert.Equal(firing.FaultFired.Address, fault.IommuFaults.Fault.Address);
        }

        // The kernel's line about the fault comes after it, and within a second of it.
        var line = alone.First(e => e.ConsoleLine?.Text.Contains("DMAR: [DMA Write NO_PASID] Request device [00:03.0]", StringComparison.Ordinal) == true);
        Assert.InRange(line.VirtualTimeNs, faults[0].VirtualTimeNs + 1, faults[0].VirtualTimeNs + 1_000_000_000);
    }

    [Fact]
    public async Task The_metrics_page_is_OpenMetrics()
    {
        await Create("metrics");
        using var http = new HttpClient();
        using var response = await http.GetAsync(new Uri($"http://127.0.0.1:{Control.HttpPort}/metrics"));
        var text = await response.Content.ReadAsStringAsync();
        Assert.Equal("application/openmetrics-text; version=1.0.0; charset=utf-8", response.Content.Headers.ContentType!.ToString());
        Assert.EndsWith("# EOF\n", text);
        Assert.Contains("vmm_instructions_total{machine=\"metrics\"} 0\n", text);
        Assert.All(text.Split('\n', StringSplitOptions.RemoveEmptyEntries), line => Assert.Matches(@"^(# (TYPE|UNIT|HELP|EOF).*|[a-z_]+(\{[^}]*\})? [0-9.eE+-]+)$", line));
        await Delete("metrics");
    }
}
