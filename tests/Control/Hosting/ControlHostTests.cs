using System.Net;
using System.Net.Sockets;
using Google.Protobuf.Reflection;
using Google.Rpc;
using Grpc.Health.V1;
using Grpc.Testing;
using Vmm.ControlTests.Kit;
using Vmm.ControlTests.Kit.Http2;
using Vmm.Grpc;
using Vmm.Grpc.Client;
using Vmm.Grpc.Hosting;
using Xunit;
using ServingStatus = Grpc.Health.V1.HealthCheckResponse.Types.ServingStatus;

namespace Vmm.ControlTests.Hosting;

/// <summary>Listeners, tokens, health, pages and stopping.</summary>
public sealed class ControlHostTests
{
    static readonly ServiceDescriptor Health = HealthReflection.Descriptor.Services[0];
    static readonly ServiceDescriptor Test = TestReflection.Descriptor.FindTypeByName<ServiceDescriptor>("TestService");

    static Task<HealthCheckResponse> CheckAsync(GrpcChannel channel, string service = "")
        => channel.UnaryAsync<HealthCheckRequest, HealthCheckResponse>(Health.FindMethodByName("Check"), new HealthCheckRequest { Service = service });

    static async Task<StatusCode> CodeAsync(Func<Task> call) => (await Assert.ThrowsAsync<RpcException>(call)).StatusCode;

    [Fact]
    public async Task Over_TCP_every_service_wants_the_token()
    {
        await using var host = await ControlHost.StartAsync(new ControlHostOptions { Tcp = new IPEndPoint(IPAddress.Loopback, 0), Token = "secret" });
        var address = $"http://127.0.0.1:{host.TcpPort}";
        foreach (var wrong in new[] { null, "", "Secret", "secret ", "secretsecret" })
        {
            using var stranger = new GrpcChannel(address, wrong);
            Assert.Equal(StatusCode.Unauthenticated, await CodeAsync(() => CheckAsync(stranger)));
        }

        using var friend = new GrpcChannel(address, "secret");
        Assert.Equal(ServingStatus.Serving, (await CheckAsync(friend)).Status);
    }

    [Fact]
    public async Task TCP_is_for_loopback_and_with_a_token_only()
    {
        await Assert.ThrowsAsync<ArgumentException>(() => ControlHost.StartAsync(new ControlHostOptions { Tcp = new IPEndPoint(IPAddress.Loopback, 0) }));
        await Assert.ThrowsAsync<ArgumentException>(() => ControlHost.StartAsync(new ControlHostOptions { Tcp = new IPEndPoint(IPAddress.Any, 0), Token = "t" }));
        await Assert.ThrowsAsync<ArgumentException>(() => ControlHost.StartAsync(new ControlHostOptions()));
    }

    [Fact]
    public async Task A_port_in_use_is_an_IOException()
    {
        using var taken = new TcpListener(IPAddress.Loopback, 0);
        taken.Start();
        await Assert.ThrowsAsync<IOException>(() => ControlHost.StartAsync(new ControlHostOptions { Tcp = (IPEndPoint)taken.LocalEndpoint, Token = "t" }));
    }

    [Fact]
    public async Task Health_knows_the_server_its_services_and_nothing_else()
    {
        await using var server = await TestServer.StartAsync();
        using var channel = server.Channel();
        Assert.Equal(ServingStatus.Serving, (await CheckAsync(channel)).Status);
        Assert.Equal(ServingStatus.Serving, (await CheckAsync(channel, "grpc.testing.TestService")).Status);
        Assert.Equal(StatusCode.NotFound, await CodeAsync(() => CheckAsync(channel, "nobody")));
        var all = await channel.UnaryAsync<HealthListRequest, HealthListResponse>(Health.FindMethodByName("List"), new HealthListRequest());
        Assert.Equal(["", "grpc.health.v1.Health", "grpc.testing.TestService"], all.Statuses.Keys.Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task A_watcher_sees_each_change_and_may_wait_for_a_service_to_come()
    {
        await using var server = await TestServer.StartAsync();
        using var channel = server.Channel();
        await using var watch = Watch(channel, "later");
        Assert.Equal(ServingStatus.ServiceUnknown, await NextAsync(watch));
        server.Host.Health.Set("later", false);
        Assert.Equal(ServingStatus.NotServing, await NextAsync(watch));
        server.Host.Health.Set("later", true);
        Assert.Equal(ServingStatus.Serving, await NextAsync(watch));
    }

    [Fact]
    public async Task Stopping_flips_health_lets_calls_end_refuses_new_ones_and_cuts_what_is_left()
    {
        await using var server = await TestServer.StartAsync(path => new ControlHostOptions { SocketPath = path, Interop = true, Limits = new GrpcLimits { DrainGrace = TimeSpan.FromSeconds(2) } });
        using var channel = server.Channel();
        await using var watch = Watch(channel, "");
        Assert.Equal(ServingStatus.Serving, await NextAsync(watch));
        await using var endless = channel.Open<StreamingOutputCallRequest, StreamingOutputCallResponse>(Test.FindMethodByName("FullDuplexCall"));
        await endless.WriteAsync(new StreamingOutputCallRequest { ResponseParameters = { new ResponseParameters { Size = 1 } } });
        Assert.True(await endless.MoveNext(default));
        var slow = channel.ServerStreaming<StreamingOutputCallRequest, StreamingOutputCallResponse>(
            Test.FindMethodByName("StreamingOutputCall"), new StreamingOutputCallRequest { ResponseParameters = { new ResponseParameters { Size = 7, IntervalUs = 700_000 } } });
        await Task.Delay(100);

        var stopping = server.Host.StopAsync();
        Assert.Equal(ServingStatus.NotServing, await NextAsync(watch));
        Assert.Equal(StatusCode.Unavailable, await CodeAsync(() => watch.MoveNext(default)));
        Assert.Equal(ServingStatus.NotServing, (await CheckAsync(channel)).Status);
        var refused = await Assert.ThrowsAsync<RpcException>(() => channel.UnaryAsync<Empty, Empty>(Test.FindMethodByName("EmptyCall"), new Empty()));
        Assert.Equal(StatusCode.Unavailable, refused.StatusCode);
        Assert.True(RichStatus.Of(refused)!.Details.Single().Is(RetryInfo.Descriptor));
        Assert.True(await slow.MoveNext(default));
        Assert.False(await slow.MoveNext(default));
        await slow.DisposeAsync();
        Assert.Equal(StatusCode.Unavailable, await CodeAsync(() => endless.MoveNext(default)));
        await stopping.WaitAsync(TimeSpan.FromSeconds(20));
        Assert.False(File.Exists(server.SocketPath));
        Assert.Equal(StatusCode.Unavailable, await CodeAsync(() => CheckAsync(channel)));
    }

    [Fact]
    public async Task A_connection_without_calls_gets_GOAWAY_when_the_server_stops()
    {
        await using var server = await TestServer.StartAsync();
        using var connection = await RawConnection.OpenAsync(server.SocketPath);
        await connection.SendAsync(Frame.Headers(1, true, RawConnection.CallHeaders("/grpc.testing.TestService/EmptyCall")));
        await connection.AnswerAsync(1);
        await server.Host.StopAsync();
        Assert.Equal(0, await connection.EndAsync());
    }

    [Fact]
    public async Task Pages_have_a_listener_of_their_own()
    {
        using var folder = new TemporaryFolder();
        await using var host = await ControlHost.StartAsync(new ControlHostOptions
        {
            SocketPath = folder.At("s"), Http = new IPEndPoint(IPAddress.Loopback, 0),
            Pages = new Dictionary<string, PageWriter> { ["/metrics"] = _ => ValueTask.FromResult(new Page("application/openmetrics-text; version=1.0.0; charset=utf-8", "# EOF\n"u8.ToArray())) },
        });
        using var http = new HttpClient { BaseAddress = new Uri($"http://127.0.0.1:{host.HttpPort}") };
        Assert.Equal("# EOF\n", await http.GetStringAsync("/metrics"));
        Assert.Equal("SERVING\n", await http.GetStringAsync("/healthz?verbose"));
        Assert.Equal(HttpStatusCode.NotFound, (await http.GetAsync("/Metrics")).StatusCode);
        Assert.Equal(HttpStatusCode.MethodNotAllowed, (await http.PostAsync("/metrics", null)).StatusCode);
        using var head = await http.SendAsync(new HttpRequestMessage(HttpMethod.Head, "/metrics"));
        Assert.Equal(6, head.Content.Headers.ContentLength);
        host.Health.Set("", false);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await http.GetAsync("/healthz")).StatusCode);
    }

    static GrpcCall<HealthCheckRequest, HealthCheckResponse> Watch(GrpcChannel channel, string service)
        => channel.ServerStreaming<HealthCheckRequest, HealthCheckResponse>(Health.FindMethodByName("Watch"), new HealthCheckRequest { Service = service });

    static async Task<ServingStatus> NextAsync(GrpcCall<HealthCheckRequest, HealthCheckResponse> watch)
    {
        Assert.True(await watch.MoveNext(default));
        return watch.Current.Status;
    }
}
