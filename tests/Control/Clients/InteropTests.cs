using Grpc.Testing;
using Vmm.ControlTests.Kit;
using Xunit;

namespace Vmm.ControlTests.Clients;

/// <summary>The interoperability cases of gRPC (interop-test-descriptions), all but those of authentication, with two clients.</summary>
public sealed class InteropTests(InteropTests.Runs runs) : IClassFixture<InteropTests.Runs>
{
    static readonly string[] Cases =
    [
        "empty_unary", "cacheable_unary", "large_unary", "client_compressed_unary", "server_compressed_unary", "client_streaming",
        "client_compressed_streaming", "server_streaming", "server_compressed_streaming", "ping_pong", "empty_stream", "custom_metadata",
        "status_code_and_message", "special_status_message", "unimplemented_method", "unimplemented_service", "cancel_after_begin",
        "cancel_after_first_response", "timeout_on_sleeping_server", "concurrent_large_unary",
    ];

    public static TheoryData<string> Names => [.. Cases];

    [SkippableTheory]
    [MemberData(nameof(Names))]
    public async Task A_case_passes_with_grpc_js(string name) => Assert.Equal("ok " + name, Line(await runs.GrpcJs(), name));

    [SkippableTheory]
    [MemberData(nameof(Names))]
    public async Task A_case_passes_with_grpcio(string name) => Assert.Equal("ok " + name, Line(await runs.Grpcio(), name));

    static string? Line(string output, string name)
        => output.Split('\n').FirstOrDefault(l => l == "ok " + name || l.StartsWith($"not ok {name}:", StringComparison.Ordinal));

    /// <summary>One run of each client for all cases.</summary>
    public sealed class Runs : IAsyncLifetime
    {
        TestServer server = null!;
        Task<string>? js;
        Task<string>? python;

        public async Task InitializeAsync() => server = await TestServer.StartAsync();

        public Task DisposeAsync() => server.DisposeAsync().AsTask();

        public Task<string> GrpcJs() => js ??= Task.Run(() => ClientPrograms.Node("interop.cjs", "unix:" + server.SocketPath, ClientPrograms.Protos));

        public Task<string> Grpcio() => python ??= Task.Run(() =>
        {
            var set = server.SocketPath + ".protos";
            ClientPrograms.WriteDescriptorSet(set, TestReflection.Descriptor);
            return ClientPrograms.Python("interop.py", "unix:" + server.SocketPath, set);
        });
    }
}
