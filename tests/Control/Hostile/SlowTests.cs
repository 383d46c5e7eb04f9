using Google.Protobuf;
using Grpc.Testing;
using Vmm.ControlTests.Kit.Http2;
using Vmm.Grpc;
using Xunit;

namespace Vmm.ControlTests.Hostile;

/// <summary>Clients that take their time, with a server of little patience.</summary>
public sealed class SlowTests : HostileTests
{
    protected override GrpcLimits Limits => new()
    {
        MessageTimeout = TimeSpan.FromSeconds(1), SendTimeout = TimeSpan.FromSeconds(1), MaxUnfinished = 1 << 20, MaxCalls = 50,
        PingDelay = TimeSpan.FromSeconds(1), PingTimeout = TimeSpan.FromSeconds(1),
    };

    [Fact]
    public async Task A_message_that_trickles_is_DEADLINE_EXCEEDED()
    {
        var connection = await OpenAsync();
        await connection.SendAsync(Frame.Headers(1, false, RawConnection.CallHeaders(Unary)), Frame.Data(1, false, 0, 0, 0, 1, 0));
        var answer = connection.AnswerAsync(1);
        while (!answer.IsCompleted)
        {
            await connection.TrySendAsync(Frame.Data(1, false, 0x12));
            await Task.Delay(100);
        }

        Assert.Equal((int)StatusCode.DeadlineExceeded, (await answer).GrpcStatus);
    }

    [Fact]
    public async Task A_silent_stream_lives_on()
    {
        var connection = await OpenAsync();
        await connection.SendAsync(Frame.Headers(1, false, RawConnection.CallHeaders(Duplex)));
        await Task.Delay(6500);
        await connection.SendAsync(Frame.Data(1, true, Frame.Message(new StreamingOutputCallRequest { ResponseParameters = { new ResponseParameters { Size = 3 } } }.ToByteArray())));
        Assert.Equal(0, (await connection.AnswerAsync(1)).GrpcStatus);
    }

    [Fact]
    public async Task Who_never_makes_room_is_reset()
    {
        var connection = await OpenAsync(window: 0, givesRoom: false);
        await connection.SendAsync(
            Frame.Headers(1, false, RawConnection.CallHeaders(Output)),
            Frame.Data(1, true, Frame.Message(new StreamingOutputCallRequest { ResponseParameters = { new ResponseParameters { Size = 1 << 20 } } }.ToByteArray())));
        Assert.NotNull((await connection.AnswerAsync(1)).Reset);
    }

    [Fact]
    public async Task Unfinished_messages_share_one_budget()
    {
        var connection = await OpenAsync();
        var part = new byte[16000];
        var answers = new List<Task<Answer>>();
        for (var id = 1; id < 20 && answers.TrueForAll(a => !a.IsCompleted); id += 2)
        {
            // In one piece, and then a look: bytes for a stream that the server has answered may end the connection unread.
            await connection.TrySendAsync(
            [
                .. Frame.Headers(id, false, RawConnection.CallHeaders(Unary)), .. Frame.Data(id, false, [0, .. Frame.Number(4 << 20)]),
                .. Enumerable.Repeat(Frame.Data(id, false, part), 16).SelectMany(f => f),
            ]);
            answers.Add(connection.AnswerAsync(id));
            await Task.WhenAny([.. answers, Task.Delay(50)]);
        }

        Assert.Equal((int)StatusCode.ResourceExhausted, (await await Task.WhenAny(answers)).GrpcStatus);
    }

    [Fact]
    public async Task Calls_over_the_limit_of_the_server_are_RESOURCE_EXHAUSTED()
    {
        var connection = await OpenAsync();
        await connection.SendAsync([.. Enumerable.Range(0, 50).SelectMany(i => Frame.Headers((2 * i) + 1, false, RawConnection.CallHeaders(Duplex)))]);
        await UntilAsync(() => Host.ActiveCalls == 50);
        await connection.SendAsync(Frame.Headers(101, false, RawConnection.CallHeaders(Duplex)));
        Assert.Equal((int)StatusCode.ResourceExhausted, (await connection.AnswerAsync(101)).GrpcStatus);
        await connection.SendAsync([.. Enumerable.Range(0, 50).SelectMany(i => Frame.Reset((2 * i) + 1))]);
        await UntilAsync(() => Host.ActiveCalls == 0);
    }

    [Fact]
    public async Task A_peer_that_does_not_answer_PING_is_closed()
    {
        var connection = await DumbAsync();
        await connection.SendAsync([.. "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"u8, .. Frame.Settings(), .. Frame.Raw(FrameType.Settings, Frame.Ack, 0), .. Frame.Headers(1, false, RawConnection.CallHeaders(Duplex))]);
        Assert.NotEmpty(await connection.RestAsync());
    }
}
