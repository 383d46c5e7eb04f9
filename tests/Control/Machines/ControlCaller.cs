using Google.Protobuf;
using Google.Protobuf.Reflection;
using Vmm.Api.V1;
using Vmm.Grpc;
using Vmm.Grpc.Client;
using Xunit;

namespace Vmm.ControlTests.Machines;

/// <summary>Calls of the control plane that tests have in common.</summary>
public abstract class ControlCaller(ControlFixture control) : IClassFixture<ControlFixture>, IDisposable
{
    protected ControlFixture Control { get; } = control;

    private protected GrpcChannel Channel { get; } = control.Channel();

    public void Dispose()
    {
        Channel.Dispose();
        GC.SuppressFinalize(this);
    }

    private protected Task<TResponse> Call<TRequest, TResponse>(FileDescriptor file, string method, TRequest request)
        where TRequest : class, IMessage<TRequest>
        where TResponse : class, IMessage<TResponse>, new() =>
        Channel.UnaryAsync<TRequest, TResponse>(file.Services[0].FindMethodByName(method), request);

    private protected async Task<Api.V1.Machine> Create(string name, MachineSpec? spec = null) => (await Call<CreateMachineRequest, CreateMachineResponse>(
        MachineReflection.Descriptor, "CreateMachine", new() { Name = name, Spec = spec ?? new() { MemoryBytes = 64 << 20, Disks = { new DiskSpec { SizeBytes = 1 << 20 } }, Iommu = new() } })).Machine;

    private protected async Task<Api.V1.Machine> Run(string name, ulong instructions) => (await Call<RunMachineRequest, RunMachineResponse>(
        MachineReflection.Descriptor, "RunMachine", new() { Name = name, Instructions = instructions })).Machine;

    private protected async Task<string> Hash(string name) => (await Call<HashMachineRequest, HashMachineResponse>(MachineReflection.Descriptor, "HashMachine", new() { Name = name })).Sha256;

    private protected Task Delete(string name) => Call<DeleteMachineRequest, DeleteMachineResponse>(MachineReflection.Descriptor, "DeleteMachine", new() { Name = name });

    /// <summary>Runs until the console shows a text, at most a minute of virtual time.</summary>
    private protected async Task Expect(string name, string text, string send = "") => Assert.True((await Call<ExpectConsoleRequest, ExpectConsoleResponse>(
        ConsoleReflection.Descriptor, "ExpectConsole",
        new() { Machine = name, Text = text, Run = true, Send = ByteString.CopyFromUtf8(send), VirtualTimeNs = 60_000_000_000 })).Matched, text);

    private protected static async Task<RpcException> Fails(Grpc.StatusCode code, Task call)
    {
        var error = await Assert.ThrowsAsync<RpcException>(() => call);
        Assert.True(code == error.StatusCode, error.Message);
        return error;
    }

    private protected static T Detail<T>(RpcException error)
        where T : IMessage, new() => RichStatus.Of(error)!.Details.Single(d => d.Is(new T().Descriptor)) is var any ? (T)new T().Descriptor.Parser.ParseFrom(any.Value) : default!;
}
