using System.Net;
using Google.Protobuf.Reflection;
using Grpc.Health.V1;
using Grpc.Testing;
using Vmm.Grpc.Client;
using Vmm.Grpc.Hosting;

namespace Vmm.Bench.Control;

/// <summary>A server and channels to it in one process: both sides' work is measured, and both share the processors.</summary>
internal sealed class ControlBed : IAsyncDisposable
{
    const string Token = "bench";

    static readonly MethodDescriptor Check = HealthReflection.Descriptor.Services[0].FindMethodByName("Check");
    static readonly MethodDescriptor Stream = TestReflection.Descriptor.FindTypeByName<ServiceDescriptor>("TestService").FindMethodByName("StreamingOutputCall");
    static readonly HealthCheckRequest Request = new();

    readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("vmm-");
    ControlHost? host;

    /// <summary>Over the Unix socket.</summary>
    public GrpcChannel Unix { get; private set; } = null!;

    /// <summary>Over loopback TCP, with a token.</summary>
    public GrpcChannel Tcp { get; private set; } = null!;

    public static async Task<ControlBed> StartAsync()
    {
        var bed = new ControlBed();
        var path = Path.Combine(bed.folder.FullName, "s");
        bed.host = await ControlHost.StartAsync(new ControlHostOptions { SocketPath = path, Tcp = new IPEndPoint(IPAddress.Loopback, 0), Token = Token, Interop = true }).ConfigureAwait(false);
        bed.Unix = new GrpcChannel("unix:" + path);
        bed.Tcp = new GrpcChannel($"http://127.0.0.1:{bed.host.TcpPort}", Token);
        return bed;
    }

    /// <summary>One unary call.</summary>
    public static Task CallAsync(GrpcChannel channel) => channel.UnaryAsync<HealthCheckRequest, HealthCheckResponse>(Check, Request);

    /// <summary>Reads a stream of messages of some bytes, each flushed by the server on its own. Returns how many came.</summary>
    public static async Task<int> StreamAsync(GrpcChannel channel, int messages, int bytes)
    {
        var request = new StreamingOutputCallRequest { ResponseParameters = { Enumerable.Repeat(new ResponseParameters { Size = bytes }, messages) } };
        await using var call = channel.ServerStreaming<StreamingOutputCallRequest, StreamingOutputCallResponse>(Stream, request);
        var count = 0;
        while (await call.MoveNext(default).ConfigureAwait(false))
        {
            count++;
        }

        return count;
    }

    public async ValueTask DisposeAsync()
    {
        Unix.Dispose();
        Tcp.Dispose();
        await host!.DisposeAsync().ConfigureAwait(false);
        folder.Delete(recursive: true);
    }
}
