using System.Diagnostics;
using Google.Protobuf.Reflection;
using Grpc.Testing;
using Vmm.ControlTests.Kit;
using Vmm.ControlTests.Kit.Http2;
using Vmm.Grpc;
using Vmm.Grpc.Client;
using Vmm.Grpc.Hosting;
using Xunit;

namespace Vmm.ControlTests.Hostile;

/// <summary>
/// A server and an honest client that was connected before. After every test the honest client and a new one are
/// answered at once, and no call of the hostile one is left.
/// </summary>
public abstract class HostileTests : IAsyncLifetime
{
    protected const string Empty = "/grpc.testing.TestService/EmptyCall";
    protected const string Unary = "/grpc.testing.TestService/UnaryCall";
    protected const string Output = "/grpc.testing.TestService/StreamingOutputCall";
    protected const string Input = "/grpc.testing.TestService/StreamingInputCall";
    protected const string Duplex = "/grpc.testing.TestService/FullDuplexCall";

    static readonly MethodDescriptor EmptyMethod = TestReflection.Descriptor.FindTypeByName<ServiceDescriptor>("TestService").FindMethodByName("EmptyCall");
    readonly List<RawConnection> connections = [];
    TestServer server = null!;
    GrpcChannel honest = null!;

    protected ControlHost Host => server.Host;

    /// <summary>Limits of the server.</summary>
    protected virtual GrpcLimits Limits => new();

    public async Task InitializeAsync()
    {
        server = await TestServer.StartAsync(path => new ControlHostOptions { SocketPath = path, Interop = true, Limits = Limits });
        honest = server.Channel();
        await CallAsync(honest);
    }

    public async Task DisposeAsync()
    {
        await CallAsync(honest);
        using (var other = server.Channel())
        {
            await CallAsync(other);
        }

        connections.ForEach(c => c.Dispose());
        for (var i = 0; i < 500 && Host.ActiveCalls > 0; i++)
        {
            await Task.Delay(20);
        }

        Assert.Equal(0, Host.ActiveCalls);
        await CallAsync(honest);
        honest.Dispose();
        await server.DisposeAsync();
    }

    private protected async Task<RawConnection> OpenAsync(uint window = 65535, bool givesRoom = true) => Keep(await RawConnection.OpenAsync(server.SocketPath, window, givesRoom));

    private protected async Task<RawConnection> DumbAsync() => Keep(await RawConnection.DumbAsync(server.SocketPath));

    /// <summary>A whole call with one DATA frame.</summary>
    private protected async Task<Answer> CallAsync(string path, byte[] body, params IEnumerable<(string, string?)> headers)
    {
        var connection = await OpenAsync();
        await connection.SendAsync(Frame.Headers(1, false, RawConnection.CallHeaders(path, headers)), Frame.Data(1, true, body));
        return await connection.AnswerAsync(1);
    }

    /// <summary>An honest call that must be answered within seconds, even on a machine with much to do.</summary>
    protected static async Task CallAsync(GrpcChannel channel)
        => await channel.UnaryAsync<Empty, Empty>(EmptyMethod, new Empty(), new CallOptions { Timeout = TimeSpan.FromSeconds(10) });

    protected Task HonestCallAsync() => CallAsync(honest);

    protected static async Task UntilAsync(Func<bool> condition)
    {
        var clock = Stopwatch.StartNew();
        while (!condition())
        {
            Assert.True(clock.Elapsed < TimeSpan.FromSeconds(30), "thirty seconds passed");
            await Task.Delay(10);
        }
    }

    RawConnection Keep(RawConnection connection)
    {
        lock (connections)
        {
            connections.Add(connection);
        }

        return connection;
    }
}
