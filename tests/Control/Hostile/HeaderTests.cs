using Vmm.ControlTests.Kit.Http2;
using Vmm.Grpc;
using Xunit;

namespace Vmm.ControlTests.Hostile;

/// <summary>Paths, methods, types, metadata and deadlines that an honest client does not send.</summary>
public sealed class HeaderTests : HostileTests
{
    static readonly byte[] Nothing = Frame.Message([]);

    [Theory]
    [InlineData("/grpc.testing.TestService/%45mptyCall")]
    [InlineData("/grpc.testing.TestService/../grpc.testing.TestService/EmptyCall")]
    [InlineData("/./grpc.testing.TestService/EmptyCall")]
    [InlineData("//grpc.testing.TestService/EmptyCall")]
    [InlineData("/grpc.testing.TestService//EmptyCall")]
    [InlineData("/grpc.testing.TestService/EmptyCall/")]
    [InlineData("/grpc.testing.TestService/EmptyCall?x=1")]
    [InlineData("/grpc.testing.TestService/emptycall")]
    [InlineData("/Grpc.testing.TestService/EmptyCall")]
    [InlineData("/grpc.testing.TestService%2FEmptyCall")]
    [InlineData("/../../etc/passwd")]
    [InlineData("/")]
    public async Task A_path_that_only_looks_like_a_method_is_UNIMPLEMENTED(string path)
    {
        var answer = await CallAsync(path, Nothing);
        Assert.Equal(("200", (int)StatusCode.Unimplemented), (answer.HttpStatus, answer.GrpcStatus));
    }

    [Theory]
    [InlineData("*")]
    [InlineData("grpc.testing.TestService/EmptyCall")]
    [InlineData("")]
    [InlineData("/grpc.testing.TestService/EmptyCall%00")]
    [InlineData("http://localhost/grpc.testing.TestService/EmptyCall")]
    public async Task A_path_that_is_none_is_refused_by_HTTP_or_UNIMPLEMENTED(string path)
    {
        var answer = await CallAsync(path, Nothing);
        Assert.True(answer.GrpcStatus == (int)StatusCode.Unimplemented || answer.Reset != null || answer.HttpStatus == "400", $"{answer.HttpStatus} {answer.GrpcStatus}");
    }

    [Fact]
    public async Task A_path_of_16_KiB_is_answered_with_few_words()
    {
        var connection = await OpenAsync();
        await connection.SendAsync(Frame.Headers(1, false, RawConnection.CallHeaders("/" + new string('a', 15000))), Frame.Data(1, true, Nothing));
        var answer = await connection.AnswerAsync(1);
        Assert.True(answer.Reset != null || answer.HttpStatus == "414" || answer.Headers["grpc-message"].Length < 1100, answer.HttpStatus);
    }

    [Theory]
    [InlineData("GET")]
    [InlineData("PUT")]
    [InlineData("OPTIONS")]
    [InlineData("BREW")]
    public async Task A_method_other_than_POST_is_405(string method) => Assert.Equal("405", (await CallAsync(Empty, Nothing, (":method", method))).HttpStatus);

    [Theory]
    [InlineData(null, "415")]
    [InlineData("", "415")]
    [InlineData("text/html", "415")]
    [InlineData("application/json", "415")]
    [InlineData("application/grpcx", "415")]
    [InlineData("application/grpc-web", "415")]
    [InlineData("application/grpc-web+proto", "415")]
    [InlineData("application/grpc", "200")]
    [InlineData("application/grpc+proto", "200")]
    [InlineData("application/grpc;charset=utf-8", "200")]
    [InlineData("Application/GRPC+Proto ; x=y", "200")]
    public async Task A_content_type_that_is_not_gRPC_is_415(string? type, string status)
    {
        var answer = await CallAsync(Empty, Nothing, ("content-type", type));
        Assert.Equal((status, status == "200" ? 0 : -1), (answer.HttpStatus, answer.GrpcStatus));
    }

    [Fact]
    public async Task Messages_as_JSON_are_UNIMPLEMENTED()
        => Assert.Equal((int)StatusCode.Unimplemented, (await CallAsync(Empty, Nothing, ("content-type", "application/grpc+json"))).GrpcStatus);

    [Fact]
    public async Task The_header_te_is_not_required() => Assert.Equal(0, (await CallAsync(Empty, Nothing, ("te", null))).GrpcStatus);

    [Theory]
    [InlineData("")]
    [InlineData("S")]
    [InlineData("1")]
    [InlineData("-1S")]
    [InlineData("+1S")]
    [InlineData(" 1S")]
    [InlineData("1s")]
    [InlineData("1.5S")]
    [InlineData("123456789S")]
    [InlineData("1S, 2S")]
    [InlineData("99999999H")]
    [InlineData("99999999S")]
    [InlineData("10S")]
    public async Task A_malformed_or_a_long_deadline_does_no_harm(string timeout) => Assert.Equal(0, (await CallAsync(Empty, Nothing, ("grpc-timeout", timeout))).GrpcStatus);

    [Theory]
    [InlineData("0S")]
    [InlineData("0n")]
    [InlineData("1n")]
    public async Task A_deadline_of_nothing_is_DEADLINE_EXCEEDED(string timeout)
        => Assert.Equal((int)StatusCode.DeadlineExceeded, (await CallAsync(Empty, Nothing, ("grpc-timeout", timeout))).GrpcStatus);

    [Fact]
    public async Task A_deadline_ends_a_call_whose_request_never_does()
    {
        var connection = await OpenAsync();
        await connection.SendAsync(Frame.Headers(1, false, RawConnection.CallHeaders(Unary, ("grpc-timeout", "100m"))), Frame.Data(1, false, Nothing));
        Assert.Equal((int)StatusCode.DeadlineExceeded, (await connection.AnswerAsync(1)).GrpcStatus);
    }

    [Fact]
    public async Task Two_deadlines_are_no_deadline()
    {
        var connection = await OpenAsync();
        List<(string, string)> headers = [.. RawConnection.CallHeaders(Empty), ("grpc-timeout", "1n"), ("grpc-timeout", "1n")];
        await connection.SendAsync(Frame.Headers(1, false, headers), Frame.Data(1, true, Nothing));
        Assert.Equal(0, (await connection.AnswerAsync(1)).GrpcStatus);
    }

    [Theory]
    [InlineData("!", StatusCode.InvalidArgument)]
    [InlineData("A", StatusCode.InvalidArgument)]
    [InlineData("AAA=A", StatusCode.InvalidArgument)]
    [InlineData("q6ur", StatusCode.OK)]
    [InlineData("q6s", StatusCode.OK)]
    [InlineData("q6s=", StatusCode.OK)]
    [InlineData("q6ur,q6s=, q6s", StatusCode.OK)]
    public async Task Binary_metadata_is_base64_with_or_without_padding(string value, StatusCode status)
    {
        var answer = await CallAsync(Empty, Nothing, ("x-grpc-test-echo-trailing-bin", value));
        Assert.Equal((int)status, answer.GrpcStatus);
        if (status == StatusCode.OK)
        {
            Assert.Equal(value.Split(',')[^1].Trim(' ', '='), answer.Trailers["x-grpc-test-echo-trailing-bin"]);
        }
    }

    [Theory]
    [InlineData("x-evil", "a\r\nb: c")]
    [InlineData("x-evil", "a\0b")]
    [InlineData("x-evil\r\nb", "c")]
    [InlineData("X-Evil", "upper")]
    [InlineData("", "no name")]
    [InlineData("connection", "close")]
    [InlineData("transfer-encoding", "chunked")]
    [InlineData(":path", "/twice")]
    [InlineData(":status", "200")]
    [InlineData(":unknown", "x")]
    [InlineData("content-length", "-1")]
    [InlineData("content-length", "3")]
    public async Task A_field_that_HTTP_forbids_harms_nobody_else(string name, string value)
    {
        var connection = await OpenAsync();
        List<(string, string)> headers = [.. RawConnection.CallHeaders(Empty), (name, value)];
        await connection.SendAsync(Frame.Headers(1, false, headers), Frame.Data(1, true, Nothing));
        var answer = await connection.AnswerAsync(1);
        Assert.True(answer.Ended || connection.Closed);
        await HonestCallAsync();
    }

    [Theory]
    [InlineData("a\tb", "200")]
    [InlineData("caf\u00c3\u00a9", "200")]
    public async Task An_echo_that_no_header_may_carry_is_an_error_of_that_call(string value, string status)
    {
        var answer = await CallAsync(Empty, Nothing, ("x-grpc-test-echo-initial", value));
        Assert.Equal((status, (int)StatusCode.Internal), (answer.HttpStatus, answer.GrpcStatus));
    }
}
