using System.Text;
using Vmm.ControlTests.Kit.Http2;
using Xunit;

namespace Vmm.ControlTests.Hostile;

/// <summary>Bytes and frames that break HTTP/2 (RFC 9113): the connection or the stream ends, everybody else goes on.</summary>
public sealed class FrameTests : HostileTests
{
    static readonly byte[] Nothing = Frame.Message([]);
    static readonly List<(string, string)> Call = RawConnection.CallHeaders(Empty);

    public static TheoryData<string, byte[]> Broken => new()
    {
        { "DATA on stream 0", Frame.Data(0, false, 1) },
        { "HEADERS on stream 0", Frame.Headers(0, true, Call) },
        { "HEADERS on an even stream", Frame.Headers(2, true, Call) },
        { "a stream number that goes back", [.. Frame.Headers(5, false, Call), .. Frame.Headers(3, false, Call)] },
        { "DATA on an idle stream", Frame.Data(7, false, 1) },
        { "RST_STREAM on an idle stream", Frame.Reset(7) },
        { "RST_STREAM of three bytes", Frame.Raw(FrameType.RstStream, 0, 1, 0, 0, 0) },
        { "WINDOW_UPDATE of nothing", Frame.WindowUpdate(0, 0) },
        { "WINDOW_UPDATE over 2^31", [.. Frame.WindowUpdate(0, int.MaxValue), .. Frame.WindowUpdate(0, int.MaxValue)] },
        { "WINDOW_UPDATE on an idle stream", Frame.WindowUpdate(9, 1) },
        { "SETTINGS on a stream", Frame.Raw(FrameType.Settings, 0, 1) },
        { "SETTINGS of five bytes", Frame.Raw(FrameType.Settings, 0, 0, 0, 1, 0, 0, 0) },
        { "SETTINGS acknowledgement with content", Frame.Raw(FrameType.Settings, Frame.Ack, 0, 0, 0, 0, 0, 0, 0) },
        { "a window over 2^31", Frame.Settings((4, 0x80000000u)) },
        { "a frame size of 1", Frame.Settings((5, 1u)) },
        { "PING of seven bytes", Frame.Raw(FrameType.Ping, 0, 0, new byte[7]) },
        { "PING on a stream", Frame.Raw(FrameType.Ping, 0, 1, new byte[8]) },
        { "PUSH_PROMISE from a client", Frame.Raw(FrameType.PushPromise, Frame.EndHeaders, 1, 0, 0, 0, 2) },
        { "CONTINUATION of nothing", Frame.Raw(FrameType.Continuation, Frame.EndHeaders, 1) },
        { "a frame between HEADERS and CONTINUATION", [.. Frame.Raw(FrameType.Headers, 0, 1, Hpack.Encode(Call)), .. Frame.Ping()] },
        { "padding longer than the frame", Frame.Raw(FrameType.Data, 8, 1, 200, 0) },
        { "a frame over the size that was agreed", Frame.Raw(FrameType.Data, 0, 1, new byte[70000]) },
        { "HPACK index 0", Frame.Raw(FrameType.Headers, 5, 1, 0x80) },
        { "HPACK index out of the tables", Frame.Raw(FrameType.Headers, 5, 1, 0xFF, 0xFF, 0xFF, 0xFF, 0x07) },
        { "HPACK number without end", Frame.Raw(FrameType.Headers, 5, 1, [0xFF, .. Enumerable.Repeat((byte)0xFF, 20)]) },
        { "HPACK text beyond the frame", Frame.Raw(FrameType.Headers, 5, 1, 0x00, 0x7F, 0xFF, 0x7F) },
        { "HPACK bad Huffman code", Frame.Raw(FrameType.Headers, 5, 1, 0x00, 0x84, 0xFF, 0xFF, 0xFF, 0xFF, 0x00) },
        { "HPACK table larger than agreed", Frame.Raw(FrameType.Headers, 5, 1, 0x3F, 0xFF, 0xFF, 0xFF, 0x07) },
        { "random bytes", Random(4096, 1) },
        { "more random bytes", Random(65536, 2) },
    };

    [Theory]
    [MemberData(nameof(Broken))]
    public async Task A_broken_connection_is_closed_alone(string what, byte[] bytes)
    {
        var connection = await OpenAsync();
        await connection.TrySendAsync(bytes);
        await HonestCallAsync();
        await connection.TrySendAsync(Frame.Raw(FrameType.GoAway, 0, 0, new byte[8]));
        Assert.True(await connection.EndAsync() is null or > 0 || connection.Closed, what);
    }

    [Fact]
    public async Task An_unknown_frame_is_ignored()
    {
        var connection = await OpenAsync();
        await connection.SendAsync(Frame.Raw((FrameType)0x77, 0xFF, 0, new byte[100]), Frame.Headers(1, false, Call), Frame.Raw((FrameType)0xEE, 1, 1, 1, 2, 3), Frame.Data(1, true, Nothing));
        Assert.Equal(0, (await connection.AnswerAsync(1)).GrpcStatus);
    }

    [Fact]
    public async Task DATA_after_the_end_harms_nobody_else()
    {
        var connection = await OpenAsync();
        await connection.SendAsync(Frame.Headers(1, false, RawConnection.CallHeaders(Duplex)), Frame.Data(1, true, []), Frame.Data(1, true, Nothing));
        await HonestCallAsync();
    }

    [Fact]
    public async Task Trailers_in_a_request_are_taken()
    {
        var connection = await OpenAsync();
        await connection.SendAsync(Frame.Headers(1, false, Call), Frame.Data(1, false, Nothing), Frame.Headers(1, true, ("x-trailer", "1")));
        Assert.Equal(0, (await connection.AnswerAsync(1)).GrpcStatus);
    }

    [Theory]
    [InlineData("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")]
    [InlineData("POST /grpc.testing.TestService/EmptyCall HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk\r\n\r\n")]
    [InlineData("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n")]
    [InlineData("\u0016\u0003\u0001\u0002\u0000\u0001\u0000\u0001\u00fc\u0003\u0003 a ClientHello of TLS, or what begins like one")]
    [InlineData("SSH-2.0-OpenSSH_9.2\r\n")]
    public async Task Another_protocol_is_turned_away(string text)
    {
        var connection = await DumbAsync();
        await connection.SendAsync([.. Encoding.Latin1.GetBytes(text), .. new byte[64]]);
        var rest = Encoding.Latin1.GetString(await connection.RestAsync());
        Assert.True(rest.Length == 0 || (char.IsAsciiLetterUpper(text[0]) && rest.StartsWith("HTTP/1.1 400 ", StringComparison.Ordinal)), rest);
    }

    static byte[] Random(int count, int seed)
    {
        var bytes = new byte[count];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }
}
