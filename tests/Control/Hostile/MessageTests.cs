using System.IO.Compression;
using Google.Protobuf;
using Grpc.Testing;
using Vmm.ControlTests.Kit.Http2;
using Vmm.Grpc;
using Xunit;

namespace Vmm.ControlTests.Hostile;

/// <summary>Messages that are wrong, too long, packed badly, or come in odd pieces.</summary>
public sealed class MessageTests : HostileTests
{
    static readonly byte[] Valid = Frame.Message(new SimpleRequest { ResponseSize = 5 }.ToByteArray());

    public static TheoryData<string, string> Invalid => new()
    {
        { "a truncated varint", "1080" },
        { "a varint of eleven bytes", "10FFFFFFFFFFFFFFFFFFFFFF01" },
        { "a group that does not end", "0B" },
        { "an end of a group that did not begin", "0C" },
        { "a field with number 0", "0000" },
        { "wire type 7", "0F" },
        { "a length of 2 GiB", "1AFFFFFFFF07" },
        { "a negative length", "1AFFFFFFFFFFFFFFFFFF01" },
        { "a length beyond the end", "1A7F00" },
        { "a truncated fixed64", "7900" },
    };

    [Theory]
    [MemberData(nameof(Invalid))]
    public async Task A_message_that_is_no_message_is_INTERNAL(string what, string bytes)
        => Assert.True((int)StatusCode.Internal == (await CallAsync(Unary, Frame.Message(Convert.FromHexString(bytes)))).GrpcStatus, what);

    [Fact]
    public async Task Groups_nested_deeper_than_100_are_INTERNAL()
        => Assert.Equal((int)StatusCode.Internal, (await CallAsync(Unary, Frame.Message([.. Enumerable.Repeat((byte)0x7B, 5000)]))).GrpcStatus);

    [Theory]
    [InlineData("0863")]
    [InlineData("3A04120280FF")]
    [InlineData("10051007")]
    [InlineData("F83F01")]
    public async Task Unknown_enum_values_fields_bad_UTF8_and_repeated_fields_are_taken(string bytes)
        => Assert.Equal((int)StatusCode.OK, (await CallAsync(Unary, Frame.Message(Convert.FromHexString(bytes)))).GrpcStatus);

    [Theory]
    [InlineData(0x00400001u)]
    [InlineData(0x80000000u)]
    [InlineData(0xFFFFFFFFu)]
    public async Task A_length_over_the_limit_is_RESOURCE_EXHAUSTED_before_a_byte_of_it_came(uint length)
    {
        var connection = await OpenAsync();
        await connection.SendAsync(Frame.Headers(1, false, RawConnection.CallHeaders(Unary)), Frame.Data(1, false, [0, .. Frame.Number((int)length)]));
        Assert.Equal((int)StatusCode.ResourceExhausted, (await connection.AnswerAsync(1)).GrpcStatus);
    }

    public static TheoryData<string, string> Crowds => new()
    {
        { "messages", "1A00" },
        { "messages that are not known", "A23E00" },
        { "groups", "A33EA43E" },
        { "numbers that are not known", "A83E01" },
        { "messages inside messages", "1A063A003A003A00" },
    };

    /// <summary>Two bytes would become an object of a hundred, four million bytes more than the server may take.</summary>
    [Theory]
    [MemberData(nameof(Crowds))]
    public async Task A_message_of_a_million_fields_is_RESOURCE_EXHAUSTED_without_its_memory(string what, string field)
    {
        var one = Convert.FromHexString(field);
        var body = new byte[(4 << 20) / one.Length * one.Length];
        for (var i = 0; i < body.Length; i += one.Length)
        {
            one.CopyTo(body, i);
        }

        var frame = Frame.Message(Pack(body), 1);
        GC.Collect();
        var before = GC.GetTotalAllocatedBytes();
        var connection = await OpenAsync();
        await connection.SendAsync(Frame.Headers(1, false, RawConnection.CallHeaders(Unary, ("grpc-encoding", "gzip"))));
        await SendAllAsync(connection, frame);
        var answer = await connection.AnswerAsync(1);
        Assert.Equal((what, (int)StatusCode.ResourceExhausted), (what, answer.GrpcStatus));
        Assert.InRange(GC.GetTotalAllocatedBytes() - before, 0, 64 << 20);
    }

    [Fact]
    public async Task A_message_of_exactly_4_MiB_is_taken()
    {
        var message = new SimpleRequest { Payload = new Payload { Body = ByteString.CopyFrom(new byte[(4 << 20) - 10]) } };
        Assert.Equal(4 << 20, message.CalculateSize());
        var connection = await OpenAsync();
        await connection.SendAsync(Frame.Headers(1, false, RawConnection.CallHeaders(Unary, ("grpc-encoding", "gzip"))));
        await SendAllAsync(connection, Frame.Message(Pack(message.ToByteArray()), 1));
        await connection.SendAsync(Frame.Data(1, true, []));
        Assert.Equal((int)StatusCode.OK, (await connection.AnswerAsync(1)).GrpcStatus);
    }

    [Fact]
    public async Task A_bomb_of_512_MiB_is_RESOURCE_EXHAUSTED_without_its_memory()
    {
        var bomb = Pack(new byte[1 << 20], 512);
        GC.Collect();
        var before = GC.GetTotalAllocatedBytes();
        var connection = await OpenAsync();
        await connection.SendAsync(Frame.Headers(1, false, RawConnection.CallHeaders(Unary, ("grpc-encoding", "gzip"))));
        await SendAllAsync(connection, Frame.Message(bomb, 1));
        Assert.Equal((int)StatusCode.ResourceExhausted, (await connection.AnswerAsync(1)).GrpcStatus);
        Assert.InRange(GC.GetTotalAllocatedBytes() - before, 0, 64 << 20);
    }

    public static TheoryData<string, byte, string?> Packings => new()
    {
        { "00", 2, null },
        { "00", 255, "gzip" },
        { "1005", 1, null },
        { "1005", 1, "identity" },
        { "DEADBEEF", 1, "gzip" },
        { "1F8B0800000000000003", 1, "gzip" },
        { Convert.ToHexString(Pack([0x10, 5])[..^1]), 1, "gzip" },
        { Convert.ToHexString(Pack([0x10, 5])[..^9]), 1, "gzip" },
    };

    [Theory]
    [MemberData(nameof(Packings))]
    public async Task A_bad_flag_or_a_bad_packing_is_INTERNAL(string bytes, byte flag, string? encoding)
        => Assert.Equal((int)StatusCode.Internal, (await CallAsync(Unary, Frame.Message(Convert.FromHexString(bytes), flag), ("grpc-encoding", encoding))).GrpcStatus);

    [Theory]
    [InlineData("deflate")]
    [InlineData("snappy")]
    [InlineData("GZIP")]
    public async Task An_unknown_encoding_is_UNIMPLEMENTED_and_learns_the_known_ones(string encoding)
    {
        var answer = await CallAsync(Unary, Valid, ("grpc-encoding", encoding));
        Assert.Equal((int)StatusCode.Unimplemented, answer.GrpcStatus);
        Assert.Equal("identity,gzip", answer.Headers["grpc-accept-encoding"]);
    }

    [Fact]
    public async Task A_message_may_come_byte_by_byte_in_empty_frames_too()
    {
        var connection = await OpenAsync();
        await connection.SendAsync(Frame.Headers(1, false, RawConnection.CallHeaders(Unary)));
        foreach (var b in Valid)
        {
            await connection.SendAsync(Frame.Data(1, false, []), Frame.Data(1, false, b));
        }

        await connection.SendAsync(Frame.Data(1, true, []));
        var answer = await connection.AnswerAsync(1);
        Assert.Equal((int)StatusCode.OK, answer.GrpcStatus);
        Assert.Equal(5, SimpleResponse.Parser.ParseFrom([.. answer.Data.Skip(5)]).Payload.Body.Length);
    }

    [Fact]
    public async Task None_two_and_half_messages_for_one_are_INTERNAL()
    {
        foreach (var body in new byte[][] { [], [.. Valid, .. Valid], [.. Valid, 0], Valid[..3], Valid[..^1] })
        {
            Assert.Equal((int)StatusCode.Internal, (await CallAsync(Unary, body)).GrpcStatus);
        }
    }

    [Fact]
    public async Task An_answer_over_the_limit_is_RESOURCE_EXHAUSTED()
        => Assert.Equal((int)StatusCode.ResourceExhausted, (await CallAsync(Unary, Frame.Message(new SimpleRequest { ResponseSize = 4 << 20 }.ToByteArray()))).GrpcStatus);

    [Fact]
    public async Task Compressed_answers_carry_flag_1_only_to_those_who_take_gzip()
    {
        var body = Frame.Message(new SimpleRequest { ResponseSize = 1000, ResponseCompressed = new BoolValue { Value = true } }.ToByteArray());
        var packed = await CallAsync(Unary, body, ("grpc-accept-encoding", "identity, gzip"));
        Assert.Equal((1, "gzip"), (packed.Data[0], packed.Headers["grpc-encoding"]));
        var plain = await CallAsync(Unary, body, ("grpc-accept-encoding", "identity,deflate"));
        Assert.Equal((0, false), (plain.Data[0], plain.Headers.ContainsKey("grpc-encoding")));
    }

    static async Task SendAllAsync(RawConnection connection, byte[] body)
    {
        for (var at = 0; at < body.Length; at += 16384)
        {
            await connection.TrySendAsync(Frame.Data(1, false, body.AsSpan(at, Math.Min(16384, body.Length - at))));
        }
    }

    static byte[] Pack(byte[] plain, int times = 1)
    {
        var packed = new MemoryStream();
        using (var gzip = new GZipStream(packed, CompressionLevel.Fastest))
        {
            for (var i = 0; i < times; i++)
            {
                gzip.Write(plain);
            }
        }

        return packed.ToArray();
    }
}
