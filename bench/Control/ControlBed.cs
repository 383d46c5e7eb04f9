using System.Net;
using Google.Protobuf.Reflection;
using Grpc.Health.V1;
using Vmm.Api.V1;
using Vmm.Control.Hosting;
using Vmm.Control.Services;
using Vmm.Grpc.Client;
using Vmm.Grpc.Hosting;

namespace Vmm.Bench.Control;

/// <summary>A server and channels to it in one process: both sides' work is measured, and both share the processors.</summary>
internal sealed class ControlBed : IAsyncDisposable
{
    const string Token = "bench";
    const int KeptEvents = 1 << 17;

    static readonly MethodDescriptor Check = HealthReflection.Descriptor.Services[0].FindMethodByName("Check");
    static readonly MethodDescriptor Watch = EventReflection.Descriptor.Services[0].FindMethodByName("WatchEvents");
    static readonly HealthCheckRequest Request = new();

    readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("vmm-");
    readonly EventLog events = new(KeptEvents, "bench");
    ControlHost? host;

    /// <summary>Over the Unix socket.</summary>
    public GrpcChannel Unix { get; private set; } = null!;

    /// <summary>Over loopback TCP, with a token.</summary>
    public GrpcChannel Tcp { get; private set; } = null!;

    public static async Task<ControlBed> StartAsync()
    {
        var bed = new ControlBed();
        var path = Path.Combine(bed.folder.FullName, "s");
        var service = new EventService(new MachineRegistry(new ServerLimits(), bed.events), new WatcherSlots(16));
        bed.host = await ControlHost.StartAsync(new ControlHostOptions { SocketPath = path, Tcp = new IPEndPoint(IPAddress.Loopback, 0), Token = Token, Services = [service.Methods] }).ConfigureAwait(false);
        bed.Unix = new GrpcChannel("unix:" + path);
        bed.Tcp = new GrpcChannel($"http://127.0.0.1:{bed.host.TcpPort}", Token);
        return bed;
    }

    /// <summary>One unary call.</summary>
    public static Task CallAsync(GrpcChannel channel) => channel.UnaryAsync<HealthCheckRequest, HealthCheckResponse>(Check, Request);

    /// <summary>A machine's console wrote lines; returns the token from which a watcher sees them all.</summary>
    public string AddLines(int count)
    {
        events.Add("bench", 0, new WatchEventsResponse { ConsoleLine = new ConsoleLineEvent { Text = "the mark" } });
        var position = events.Last - 1;
        var token = events.Read(ref position)!.ResumeToken;
        for (var i = 0; i < count; i++)
        {
            events.Add("bench", (ulong)i * 1000, new WatchEventsResponse { ConsoleLine = new ConsoleLineEvent { Text = "[    1.234567] a line of the kernel, as long as lines are" } });
        }

        return token;
    }

    /// <summary>Watches until so many events came, none of them a loss.</summary>
    public static async Task WatchAsync(GrpcChannel channel, string token, int count)
    {
        await using var call = channel.ServerStreaming<WatchEventsRequest, WatchEventsResponse>(Watch, new WatchEventsRequest { ResumeToken = token });
        for (var i = 0; i < count; i++)
        {
            if (!await call.MoveNext(default).ConfigureAwait(false) || call.Current.EventCase != WatchEventsResponse.EventOneofCase.ConsoleLine)
            {
                throw new InvalidOperationException($"event {i} did not come");
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        Unix.Dispose();
        Tcp.Dispose();
        await host!.DisposeAsync().ConfigureAwait(false);
        folder.Delete(recursive: true);
    }
}
