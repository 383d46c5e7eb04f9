using Vmm.Control;
using Vmm.Grpc.Client;
using Xunit;

namespace Vmm.ControlTests.Machines;

/// <summary>The whole control plane on a Unix socket, with Debian's images inside its root.</summary>
public sealed class ControlFixture : IAsyncLifetime
{
    readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("vmm-control-");
    ControlServer server = null!;

    public DebianImages Images { get; } = new();

    public string SocketPath => Path.Combine(folder.FullName, "s");

    public string Address => "unix:" + SocketPath;

    internal int HttpPort => server.Host.HttpPort;

    public GrpcChannel Channel() => new(Address);

    public async Task InitializeAsync() => server = await ControlServer.StartAsync(new()
    {
        Socket = SocketPath, Roots = [Images.Folder, folder.FullName], Http = new(System.Net.IPAddress.Loopback, 0), Limits = new() { Machines = 8, MemoryBytes = 4ul << 30, Watchers = 8 },
    });

    public async Task DisposeAsync()
    {
        await server.DisposeAsync();
        Images.Dispose();
        folder.Delete(recursive: true);
    }
}
