using Google.Protobuf;
using Google.Protobuf.Reflection;
using Grpc.Testing;

namespace Vmm.Grpc.Services;

/// <summary>grpc.testing.TestService, what the interoperability tests of gRPC call. Only for tests.</summary>
public static class InteropService
{
    const string EchoInitial = "x-grpc-test-echo-initial";
    const string EchoTrailing = "x-grpc-test-echo-trailing-bin";
    const int MaxPayload = 64 << 20;

    /// <summary>Its methods, without UnimplementedCall.</summary>
    public static MethodTable Methods => new MethodTable(TestReflection.Descriptor.FindTypeByName<ServiceDescriptor>("TestService"))
        .Unary<Empty, Empty>("EmptyCall", EmptyAsync)
        .Unary<SimpleRequest, SimpleResponse>("UnaryCall", UnaryAsync)
        .Unary<SimpleRequest, SimpleResponse>("CacheableUnaryCall", UnaryAsync)
        .ServerStreaming<StreamingOutputCallRequest, StreamingOutputCallResponse>("StreamingOutputCall", StreamingOutputAsync)
        .ClientStreaming<StreamingInputCallRequest, StreamingInputCallResponse>("StreamingInputCall", StreamingInputAsync)
        .DuplexStreaming<StreamingOutputCallRequest, StreamingOutputCallResponse>("FullDuplexCall", FullDuplexAsync)
        .DuplexStreaming<StreamingOutputCallRequest, StreamingOutputCallResponse>("HalfDuplexCall", HalfDuplexAsync);

    static async Task<Empty> EmptyAsync(Empty request, ServerCallContext context)
    {
        await EchoAsync(context).ConfigureAwait(false);
        return request;
    }

    static async Task<SimpleResponse> UnaryAsync(SimpleRequest request, ServerCallContext context)
    {
        context.CompressResponses = request.ResponseCompressed is { Value: true };
        await EchoAsync(context).ConfigureAwait(false);
        Expect(request.ExpectCompressed, context);
        Raise(request.ResponseStatus);
        return new SimpleResponse { Payload = Zeros(request.ResponseSize) };
    }

    static async Task StreamingOutputAsync(StreamingOutputCallRequest request, IServerStreamWriter<StreamingOutputCallResponse> responses, ServerCallContext context)
    {
        context.CompressResponses = request.ResponseParameters.Any(p => p.Compressed is { Value: true });
        await EchoAsync(context).ConfigureAwait(false);
        await SendAsync(request, responses, context).ConfigureAwait(false);
        Raise(request.ResponseStatus);
    }

    static async Task<StreamingInputCallResponse> StreamingInputAsync(IAsyncStreamReader<StreamingInputCallRequest> requests, ServerCallContext context)
    {
        await EchoAsync(context).ConfigureAwait(false);
        var bytes = 0;
        while (await requests.MoveNext(context.CancellationToken).ConfigureAwait(false))
        {
            Expect(requests.Current.ExpectCompressed, context);
            bytes = unchecked(bytes + (requests.Current.Payload?.Body.Length ?? 0));
        }

        return new StreamingInputCallResponse { AggregatedPayloadSize = bytes };
    }

    static async Task FullDuplexAsync(IAsyncStreamReader<StreamingOutputCallRequest> requests, IServerStreamWriter<StreamingOutputCallResponse> responses, ServerCallContext context)
    {
        await EchoAsync(context).ConfigureAwait(false);
        while (await requests.MoveNext(context.CancellationToken).ConfigureAwait(false))
        {
            Raise(requests.Current.ResponseStatus);
            await SendAsync(requests.Current, responses, context).ConfigureAwait(false);
        }
    }

    static async Task HalfDuplexAsync(IAsyncStreamReader<StreamingOutputCallRequest> requests, IServerStreamWriter<StreamingOutputCallResponse> responses, ServerCallContext context)
    {
        await EchoAsync(context).ConfigureAwait(false);
        var kept = new List<StreamingOutputCallRequest>();
        while (await requests.MoveNext(context.CancellationToken).ConfigureAwait(false))
        {
            kept.Add(requests.Current);
            if (kept.Count > 1000)
            {
                throw new RpcException(StatusCode.ResourceExhausted, "more than 1000 requests to keep");
            }
        }

        foreach (var request in kept)
        {
            await SendAsync(request, responses, context).ConfigureAwait(false);
        }
    }

    static async Task SendAsync(StreamingOutputCallRequest request, IServerStreamWriter<StreamingOutputCallResponse> responses, ServerCallContext context)
    {
        foreach (var wanted in request.ResponseParameters)
        {
            if (wanted.IntervalUs > 0)
            {
                await Task.Delay(TimeSpan.FromMicroseconds(wanted.IntervalUs), context.CancellationToken).ConfigureAwait(false);
            }

            context.CompressResponses = wanted.Compressed is { Value: true };
            await responses.WriteAsync(new StreamingOutputCallResponse { Payload = Zeros(wanted.Size) }, context.CancellationToken).ConfigureAwait(false);
        }
    }

    static async Task EchoAsync(ServerCallContext context)
    {
        if (context.RequestHeaders.GetValueBytes(EchoTrailing) is { } trailing)
        {
            context.ResponseTrailers.Add(EchoTrailing, trailing);
        }

        if (context.RequestHeaders.GetValue(EchoInitial) is { } initial)
        {
            await context.WriteResponseHeadersAsync(new Metadata { { EchoInitial, initial } }).ConfigureAwait(false);
        }
    }

    static void Expect(BoolValue? compressed, ServerCallContext context)
    {
        if (compressed is { Value: true } && !context.RequestWasCompressed)
        {
            throw new RpcException(StatusCode.InvalidArgument, "a message came plain that should be compressed");
        }
    }

    static void Raise(EchoStatus? status)
    {
        if (status is { Code: not 0 })
        {
            var code = status.Code is > 0 and <= 16 ? (StatusCode)status.Code : StatusCode.Unknown;
            throw new RpcException(code, status.Message);
        }
    }

    static Payload Zeros(int size)
        => size is >= 0 and <= MaxPayload
            ? new Payload { Body = UnsafeByteOperations.UnsafeWrap(new byte[size]) }
            : throw new RpcException(StatusCode.InvalidArgument, $"a payload of {size} bytes");
}
