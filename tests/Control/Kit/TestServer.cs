using Vmm.Grpc;
using Vmm.Grpc.Client;
using Vmm.Grpc.Hosting;

namespace Vmm.ControlTests.Kit;

/// <summary>A server on a Unix socket in a folder of its own, with the interoperability service.</summary>
public sealed class TestServer : IAsyncDisposable
{
    readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("vmm-");
    ControlHost? host;

    public string SocketPath => Path.Combine(folder.FullName, "s");

    public ControlHost Host => host!;

    public static async Task<TestServer> StartAsync(Func<string, ControlHostOptions>? options = null)
    {
        var server = new TestServer();
        server.host = await ControlHost.StartAsync(options?.Invoke(server.SocketPath) ?? new ControlHostOptions { SocketPath = server.SocketPath, Interop = true });
        return server;
    }

    public GrpcChannel Channel() => new("unix:" + SocketPath);

    public async ValueTask DisposeAsync()
    {
        await Host.DisposeAsync();
        folder.Delete(recursive: true);
    }
}
