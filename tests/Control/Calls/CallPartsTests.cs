using Google.Protobuf.Reflection;
using Google.Protobuf.WellKnownTypes;
using Google.Rpc;
using Grpc.Testing;
using Vmm.Grpc;
using Vmm.Grpc.Wire;
using Xunit;
using Empty = Grpc.Testing.Empty;

namespace Vmm.ControlTests.Calls;

/// <summary>The parts that need no connection.</summary>
public sealed class CallPartsTests
{
    static readonly ServiceDescriptor Service = TestReflection.Descriptor.FindTypeByName<ServiceDescriptor>("TestService");

    [Theory]
    [InlineData("plain words", "plain words")]
    [InlineData("100%", "100%25")]
    [InlineData("\r\n\t\0~\u007f", "%0D%0A%09%00~%7F")]
    [InlineData("é☺😈", "%C3%A9%E2%98%BA%F0%9F%98%88")]
    public void Words_are_percent_encoded(string text, string encoded)
    {
        Assert.Equal(encoded, PercentEncoding.Encode(text));
        Assert.Equal(text, PercentEncoding.Decode(encoded));
    }

    [Theory]
    [InlineData("%")]
    [InlineData("%4")]
    [InlineData("%zz")]
    public void A_bad_escape_stays_as_it_is(string text) => Assert.Equal(text, PercentEncoding.Decode(text));

    [Theory]
    [InlineData("1H", 3_600_000)]
    [InlineData("2M", 120_000)]
    [InlineData("3S", 3000)]
    [InlineData("4m", 4)]
    [InlineData("5000u", 5)]
    [InlineData("6000000n", 6)]
    [InlineData("00000007m", 7)]
    [InlineData("99999999H", 99_999_999_000)]
    public void A_timeout_is_digits_and_a_unit(string header, long milliseconds) => Assert.Equal(TimeSpan.FromMilliseconds(milliseconds), GrpcTimeout.Parse(header));

    [Theory]
    [InlineData(0, "0n")]
    [InlineData(1, "1000u")]
    [InlineData(99_999, "99999000u")]
    [InlineData(100_000, "100000m")]
    [InlineData(200_000_000, "200000S")]
    public void A_timeout_is_sent_in_the_finest_unit_that_fits(long milliseconds, string header) => Assert.Equal(header, GrpcTimeout.Format(TimeSpan.FromMilliseconds(milliseconds)));

    [Fact]
    public void Metadata_that_cannot_be_sent_is_refused()
    {
        var metadata = new Metadata { { "Key", "value ~" }, { "key-bin", new byte[] { 0, 255 } } };
        Assert.Equal("value ~", metadata.GetValue("key"));
        Assert.Throws<ArgumentException>(() => metadata.Add("key", "a\nb"));
        Assert.Throws<ArgumentException>(() => metadata.Add("key", "é"));
        Assert.Throws<ArgumentException>(() => metadata.Add("key-bin", "text"));
        Assert.Throws<ArgumentException>(() => metadata.Add("key", new byte[1]));
        Assert.Throws<ArgumentException>(() => metadata.Add("grpc-status", "0"));
        Assert.Throws<ArgumentException>(() => metadata.Add("a b", "c"));
        Assert.Throws<ArgumentException>(() => metadata.Add("", "c"));
    }

    [Fact]
    public void Details_that_do_not_fit_are_cut_and_say_so()
    {
        var bad = new BadRequest { FieldViolations = { Enumerable.Range(0, 1000).Select(i => new BadRequest.Types.FieldViolation { Field = $"spec.disks[{i}].path", Description = "outside the allowed roots" }) } };
        var error = RichStatus.Error(StatusCode.InvalidArgument, new string('x', 5000), bad, new ErrorInfo { Reason = "BAD_SPEC", Domain = "vmm" });
        var status = RichStatus.Of(error)!;
        Assert.InRange(status.CalculateSize(), 1000, RichStatus.MaxBytes);
        Assert.Equal(RichStatus.MaxMessage, status.Message.Length);
        var kept = status.Details[0].Unpack<BadRequest>().FieldViolations;
        Assert.Equal("spec.disks[0].path", kept[0].Field);
        Assert.Equal("more violations than fit into an error", kept[^1].Description);
        Assert.True(status.Details[1].Is(ErrorInfo.Descriptor));
    }

    [Theory]
    [InlineData("x", 1024)]
    [InlineData("%", 682)]
    [InlineData("é", 341)]
    [InlineData("☺", 227)]
    [InlineData("😈", 170)]
    public void Words_are_cut_where_a_header_would_be_too_long(string letter, int most)
    {
        string Words(int count) => string.Concat(Enumerable.Repeat(letter, count));
        Assert.Equal(Words(most), RichStatus.Short(Words(most)));
        var cut = RichStatus.Short(Words(most + 1));
        Assert.StartsWith(Words(most - 3), cut);
        Assert.EndsWith(letter + "...", cut);
        Assert.InRange(cut.Length, 1, RichStatus.MaxMessage);
        Assert.InRange(PercentEncoding.Encode(cut).Length, 1, RichStatus.MaxMessageBytes);
        Assert.Equal(cut, RichStatus.Short(cut));
    }

    [Fact]
    public void A_few_details_stay_whole()
    {
        var error = RichStatus.Error(StatusCode.NotFound, "no machine 'a'", new ResourceInfo { ResourceType = "machine", ResourceName = "a" }, new RetryInfo { RetryDelay = Duration.FromTimeSpan(TimeSpan.FromSeconds(1)) });
        Assert.Equal(2, RichStatus.Of(error)!.Details.Count);
        Assert.Equal((int)StatusCode.NotFound, RichStatus.Of(error)!.Code);
    }

    [Fact]
    public void A_table_that_does_not_agree_with_its_service_is_refused()
    {
        static Task<Empty> Nothing(Empty request, ServerCallContext context) => Task.FromResult(request);
        Assert.Throws<ArgumentException>(() => new MethodTable(Service).Unary<Empty, Empty>("NoSuchCall", Nothing));
        Assert.Throws<ArgumentException>(() => new MethodTable(Service).Unary<Empty, Empty>("UnaryCall", Nothing));
        Assert.Throws<ArgumentException>(() => new MethodTable(Service).Unary<StreamingOutputCallRequest, StreamingOutputCallResponse>("FullDuplexCall", (_, _) => throw new InvalidOperationException()));
        Assert.Throws<ArgumentException>(() => new MethodTable(Service).Unary<Empty, Empty>("EmptyCall", Nothing).Unary<Empty, Empty>("EmptyCall", Nothing));
        Assert.DoesNotContain("EmptyCall", new MethodTable(Service).Unary<Empty, Empty>("EmptyCall", Nothing).Unbound);
    }
}
