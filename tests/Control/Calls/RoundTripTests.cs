using Google.Protobuf;
using Google.Protobuf.Reflection;
using Grpc.Testing;
using Vmm.Grpc;
using Vmm.Grpc.Client;
using Vmm.ControlTests.Kit;
using Xunit;

namespace Vmm.ControlTests.Calls;

/// <summary>Our own client against our own server, over a Unix socket.</summary>
public sealed class RoundTripTests : IAsyncLifetime
{
    static readonly ServiceDescriptor Service = TestReflection.Descriptor.FindTypeByName<ServiceDescriptor>("TestService");
    TestServer server = null!;
    GrpcChannel channel = null!;

    public async Task InitializeAsync()
    {
        server = await TestServer.StartAsync();
        channel = server.Channel();
    }

    public async Task DisposeAsync()
    {
        channel.Dispose();
        await server.DisposeAsync();
    }

    static MethodDescriptor Method(string name) => Service.FindMethodByName(name);

    [Fact]
    public async Task A_unary_call_returns_what_was_asked_for()
    {
        var request = new SimpleRequest { ResponseSize = 314159, Payload = new Payload { Body = ByteString.CopyFrom(new byte[271828]) } };
        var response = await channel.UnaryAsync<SimpleRequest, SimpleResponse>(Method("UnaryCall"), request);
        Assert.Equal(314159, response.Payload.Body.Length);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Messages_come_back_one_by_one(bool compressed)
    {
        await using var call = channel.Open<StreamingOutputCallRequest, StreamingOutputCallResponse>(Method("FullDuplexCall"), new CallOptions { Compress = compressed });
        foreach (var size in new[] { 31415, 9, 2653, 58979 })
        {
            await call.WriteAsync(new StreamingOutputCallRequest { ResponseParameters = { new ResponseParameters { Size = size, Compressed = new BoolValue { Value = compressed } } } });
            Assert.True(await call.MoveNext(default));
            Assert.Equal(size, call.Current.Payload.Body.Length);
        }

        call.Complete();
        Assert.False(await call.MoveNext(default));
    }

    [Fact]
    public async Task A_status_comes_with_its_words_and_metadata()
    {
        var options = new CallOptions { Headers = new Metadata { { "x-grpc-test-echo-initial", "hello" }, { "x-grpc-test-echo-trailing-bin", new byte[] { 0xAB, 0, 0xFF } } } };
        await using var call = channel.ServerStreaming<StreamingOutputCallRequest, StreamingOutputCallResponse>(
            Method("StreamingOutputCall"), new StreamingOutputCallRequest { ResponseStatus = new EchoStatus { Code = 2, Message = "no VM \"é/%\n\"" } }, options);
        var error = await Assert.ThrowsAsync<RpcException>(() => call.MoveNext(default));
        Assert.Equal(new Status(StatusCode.Unknown, "no VM \"é/%\n\""), error.Status);
        Assert.Equal("hello", call.Headers.GetValue("x-grpc-test-echo-initial"));
        Assert.Equal([0xAB, 0, 0xFF], error.Trailers.GetValueBytes("x-grpc-test-echo-trailing-bin"));
    }

    [Fact]
    public async Task A_deadline_ends_a_call_that_waits()
    {
        await using var call = channel.Open<StreamingOutputCallRequest, StreamingOutputCallResponse>(Method("FullDuplexCall"), new CallOptions { Timeout = TimeSpan.FromMilliseconds(50) });
        var error = await Assert.ThrowsAsync<RpcException>(() => call.MoveNext(default));
        Assert.Equal(StatusCode.DeadlineExceeded, error.StatusCode);
    }

    [Fact]
    public async Task A_method_that_nothing_answers_is_UNIMPLEMENTED()
    {
        var error = await Assert.ThrowsAsync<RpcException>(() => channel.UnaryAsync<Empty, Empty>(Method("UnimplementedCall"), new Empty()));
        Assert.Equal(StatusCode.Unimplemented, error.StatusCode);
    }
}
