using System.Globalization;
using System.Reflection;
using Google.LongRunning;
using Google.Protobuf;
using Google.Protobuf.Reflection;
using Google.Protobuf.WellKnownTypes;
using Google.Rpc;
using Vmm.Api.V1;
using Vmm.Cli;
using Vmm.ControlTests.Kit;
using Vmm.Grpc;
using Vmm.Grpc.Client;
using Xunit;
using Xunit.Abstractions;
using StatusCode = Vmm.Grpc.StatusCode;

namespace Vmm.ControlTests.Machines;

/// <summary>Every method of the API with messages that mean something and messages that do not: documented statuses, with their details, and never a defect.</summary>
public sealed class EveryMethodTests(ControlFixture control, ITestOutputHelper log) : ControlCaller(control)
{
    static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(150);

    static int Rounds => int.TryParse(Environment.GetEnvironmentVariable("VMM_STEPS"), CultureInfo.InvariantCulture, out var steps) ? Math.Clamp(steps / 100_000, 32, 10_000) : 32;

    public static TheoryData<string> Methods => [.. CtlCommand.Files.SelectMany(f => f.Services).SelectMany(s => s.Methods).Select(m => m.FullName)];

    static MethodDescriptor Find(string name) => CtlCommand.Files.SelectMany(f => f.Services).SelectMany(s => s.Methods).Single(m => m.FullName == name);

    [Theory]
    [MemberData(nameof(Methods))]
    public async Task Any_message_has_an_answer_or_a_documented_status(string name)
    {
        var method = Find(name);
        var messages = new RandomMessages(new Random(name.Aggregate(7, static (hash, c) => unchecked(31 * hash + c))), "fuzzed");
        var seen = new SortedDictionary<StatusCode, int>();
        for (var i = 0; i < Rounds; i++)
        {
            await EnsureAsync();
            var request = i % 4 == 0 ? messages.Of(method.InputType) : messages.Changed(Named(Plausible(method, i), "fuzzed"), i % 4 - 1);
            var error = await (Task<RpcException?>)GetType().GetMethod(nameof(TryAsync), BindingFlags.NonPublic | BindingFlags.Instance)!
                .MakeGenericMethod(method.InputType.ClrType, method.OutputType.ClrType).Invoke(this, [method, request])!;
            var code = error?.StatusCode ?? StatusCode.OK;
            seen[code] = seen.GetValueOrDefault(code) + 1;
            if (error != null && code is not (StatusCode.DeadlineExceeded or StatusCode.Cancelled))
            {
                var text = $"{error.Message}\n{method.InputType.Name} {Convert.ToHexString(request.ToByteArray().AsSpan()[..Math.Min(2000, request.CalculateSize())])}";
                Assert.True(Details.TryGetValue(code, out var detail), text);
                Assert.True(RichStatus.Of(error)?.Details.Any(d => d.Is(detail)) == true, text);
            }

            await QuietAsync();
        }

        // Where only what a call before it left could be found, or a call has no end.
        string[] unfruitful = ["GetOperation", "CancelOperation", "DeleteOperation", "WaitOperation", "ListDmaRows", "DeleteFaultRule", "DisarmMachineCheck", "ResumeMachine", "PauseMachine", "RestoreSnapshot", "AttachConsole", "WatchEvents"];
        Assert.True(unfruitful.Contains(method.Name) || seen.ContainsKey(StatusCode.OK));
        log.WriteLine(string.Join(", ", seen.Select(s => $"{s.Key} {s.Value}")));
    }

    /// <summary>The table of docs/control-plane.md.</summary>
    static readonly Dictionary<StatusCode, MessageDescriptor> Details = new()
    {
        [StatusCode.NotFound] = ResourceInfo.Descriptor, [StatusCode.AlreadyExists] = ResourceInfo.Descriptor, [StatusCode.InvalidArgument] = BadRequest.Descriptor,
        [StatusCode.FailedPrecondition] = PreconditionFailure.Descriptor, [StatusCode.OutOfRange] = ErrorInfo.Descriptor, [StatusCode.Aborted] = ErrorInfo.Descriptor,
        [StatusCode.ResourceExhausted] = QuotaFailure.Descriptor, [StatusCode.PermissionDenied] = ErrorInfo.Descriptor, [StatusCode.DataLoss] = ErrorInfo.Descriptor,
    };

    [Fact]
    public async Task A_machine_that_is_not_there_is_NOT_FOUND_to_every_method_that_names_one()
    {
        var asked = 0;
        foreach (var method in CtlCommand.Files.Where(f => f.Package == "vmm.v1").SelectMany(f => f.Services).SelectMany(s => s.Methods))
        {
            if (NameOf(method.InputType) == null)
            {
                continue;
            }

            var request = Named(Plausible(method, 0), "nobody");
            var error = await (Task<RpcException?>)GetType().GetMethod(nameof(TryAsync), BindingFlags.NonPublic | BindingFlags.Instance)!
                .MakeGenericMethod(method.InputType.ClrType, method.OutputType.ClrType).Invoke(this, [method, request])!;
            Assert.True(error?.StatusCode == StatusCode.NotFound, $"{method.FullName}: {error?.Message}");
            Assert.Equal(("machine", "nobody"), (Detail<ResourceInfo>(error!).ResourceType, Detail<ResourceInfo>(error!).ResourceName));
            asked++;
        }

        Assert.InRange(asked, 35, 100);
    }

    /// <summary>What a method needs before it looks for its machine.</summary>
    static IMessage Plausible(MethodDescriptor method, int round) => method.Name switch
    {
        "RunMachine" => new RunMachineRequest { Instructions = 1 },
        "ExpectConsole" => new ExpectConsoleRequest { Text = "x", Run = true, VirtualTimeNs = 1000 },
        "Translate" => new TranslateRequest { Bdf = "00:03.0" },
        "DumpTables" => new DumpTablesRequest { Bdf = "00:03.0" },
        "InjectMachineCheckText" => new InjectMachineCheckTextRequest { Text = "CPU 0 BANK 1\nSTATUS FATAL\n" },
        "ForkMachine" => new ForkMachineRequest { Names = { "x" } },
        "ReadMemory" => new ReadMemoryRequest { Length = 1 },
        "SaveSnapshot" => new SaveSnapshotRequest { Path = "x" },
        "WriteMemory" => new WriteMemoryRequest { Address = 0x1000, Data = ByteString.CopyFrom(1, 2, 3) },
        "HashMemory" => new HashMemoryRequest { Address = 0x1000, Length = 4096 },
        "SendConsole" => new SendConsoleRequest { Input = ByteString.CopyFromUtf8("x") },
        "CreateMachine" => new CreateMachineRequest { Spec = new() { MemoryBytes = 16 << 20, Iommu = new() { Model = round % 2 == 0 ? "vtd" : "virtio" }, Disks = { new DiskSpec { SizeBytes = 1 << 20 } }, Edu = new(), Cost = new(), MachineCheck = new() } },
        "CreateFaultRule" => new CreateFaultRuleRequest { Rule = new() { Match = new() { Device = "00:03.0", Count = 1 }, Action = Action(round) } },
        "InjectMachineCheck" => new InjectMachineCheckRequest { Check = new() { Bank = 1, Status = 0x9C00_0000_0000_0135 } },
        "WatchEvents" => new WatchEventsRequest { Machines = { "fuzzed" } },
        "MeasureDma" => new MeasureDmaRequest { Loads = { "request" }, Policies = { "strict" }, Iommus = { "vtd" }, Profiles = { "comet-lake" } },
        "DeleteFaultRule" => new DeleteFaultRuleRequest { Rule = "x" },
        "StepMachine" => new StepMachineRequest { Instructions = 1000 },
        _ => (IMessage)Activator.CreateInstance(method.InputType.ClrType)!,
    };

    /// <summary>Each action in turn, as its first kind.</summary>
    static FaultAction Action(int round)
    {
        var action = new FaultAction();
        var fields = FaultAction.Descriptor.Fields.InFieldNumberOrder();
        var field = fields[round % fields.Count];
        var inner = (IMessage)Activator.CreateInstance(field.MessageType.ClrType)!;
        if (inner.Descriptor.FindFieldByName("kind") is { } kind)
        {
            kind.Accessor.SetValue(inner, System.Enum.ToObject(kind.EnumType.ClrType, 1));
        }

        field.Accessor.SetValue(action, inner);
        return action;
    }

    static FieldDescriptor? NameOf(MessageDescriptor request) => request.FindFieldByName("machine") ??
        (request.File == MachineReflection.Descriptor && request != CreateMachineRequest.Descriptor ? request.FindFieldByName("name") : null);

    static IMessage Named(IMessage request, string name)
    {
        NameOf(request.Descriptor)?.Accessor.SetValue(request, name);
        return request;
    }

    async Task<RpcException?> TryAsync<TRequest, TResponse>(MethodDescriptor method, TRequest request)
        where TRequest : class, IMessage<TRequest>
        where TResponse : class, IMessage<TResponse>, new()
    {
        try
        {
            var options = new CallOptions { Timeout = Patience };
            await using var call = method.IsClientStreaming ? Channel.Open<TRequest, TResponse>(method, options) : Channel.ServerStreaming<TRequest, TResponse>(method, request, options);
            if (method.IsClientStreaming)
            {
                await call.WriteAsync(request);
                call.Complete();
            }

            while (await call.MoveNext(CancellationToken.None))
            {
            }

            return null;
        }
        catch (RpcException error)
        {
            return error;
        }
    }

    async Task EnsureAsync()
    {
        try
        {
            await Create("fuzzed");
        }
        catch (RpcException there) when (there.StatusCode == StatusCode.AlreadyExists)
        {
        }
    }

    /// <summary>Nothing that a call began goes on: machines of other names, runs, measurements.</summary>
    async Task QuietAsync()
    {
        var machines = await Call<ListMachinesRequest, ListMachinesResponse>(MachineReflection.Descriptor, "ListMachines", new());
        foreach (var machine in machines.Machines.Where(m => m.Name != "fuzzed" || m.State == MachineState.Running || m.State == MachineState.Stopped))
        {
            await Delete(machine.Name);
        }

        var operations = await Call<ListOperationsRequest, ListOperationsResponse>(OperationsReflection.Descriptor, "ListOperations", new() { Filter = "done=false" });
        foreach (var operation in operations.Operations)
        {
            await Call<CancelOperationRequest, Empty>(OperationsReflection.Descriptor, "CancelOperation", new() { Name = operation.Name });
            await Call<WaitOperationRequest, Operation>(OperationsReflection.Descriptor, "WaitOperation", new() { Name = operation.Name });
        }
    }
}
