using System.IO.Pipelines;
using System.Net;
using Google.Protobuf;
using Vmm.Grpc.Serving;
using Vmm.Grpc.Wire;

namespace Vmm.Grpc.Client;

/// <summary>A call that was made. Reading and writing may go on at the same time, each by one task.</summary>
/// <typeparam name="TRequest">Messages out.</typeparam>
/// <typeparam name="TResponse">Messages in.</typeparam>
public sealed class GrpcCall<TRequest, TResponse> : IAsyncStreamReader<TResponse>, IAsyncDisposable
    where TRequest : class, IMessage<TRequest>
    where TResponse : class, IMessage<TResponse>, new()
{
    readonly RequestContent? content;
    readonly CallOptions? options;
    readonly MessageLimits limits;
    readonly CancellationToken caller;
    readonly CancellationTokenSource ending;
    readonly Task<HttpResponseMessage> sent;
    MessageReader? reader;
    TResponse? current;

    internal GrpcCall(GrpcChannel channel, HttpRequestMessage request, RequestContent? content, CallOptions? options, CancellationToken caller)
    {
        this.content = content;
        this.options = options;
        this.caller = caller;
        limits = channel.Limits;
        ending = CancellationTokenSource.CreateLinkedTokenSource(caller);
        if (options?.Timeout is { } timeout)
        {
            ending.CancelAfter(timeout);
        }

        sent = SendAsync(channel, request);
    }

    /// <inheritdoc/>
    public TResponse Current => current ?? throw new InvalidOperationException("no message was read");

    /// <summary>Metadata that came before the first message.</summary>
    public Metadata Headers { get; private set; } = [];

    /// <summary>Metadata that came after the last message.</summary>
    public Metadata Trailers { get; private set; } = [];

    /// <summary>Sends a message. Fails with RpcException.</summary>
    public async Task WriteAsync(TRequest message)
    {
        try
        {
            await (content ?? throw new InvalidOperationException("the request is not a stream")).WriteAsync(message, ending.Token).ConfigureAwait(false);
        }
        catch (Exception error) when (error is IOException or HttpRequestException or OperationCanceledException)
        {
            throw Explain(error);
        }
    }

    /// <summary>No more messages out.</summary>
    public void Complete() => content?.Complete();

    /// <summary>Waits for the headers of the answer.</summary>
    public Task HeadersAsync() => OpenAsync();

    /// <inheritdoc/>
    public async Task<bool> MoveNext(CancellationToken cancellation)
    {
        try
        {
            var response = await OpenAsync().ConfigureAwait(false);
            current = reader == null ? null : await reader.ReadAsync(MessageTypes<TResponse>.Parser, ending.Token).WaitOn(cancellation).ConfigureAwait(false);
            if (current == null)
            {
                ResponseStatus.Check(response, Trailers = ResponseStatus.TrailersOf(response));
            }

            return current != null;
        }
        catch (Exception error) when (error is IOException or HttpRequestException or OperationCanceledException)
        {
            throw Explain(error);
        }
    }

    /// <summary>The only message of the answer. Fails with RpcException.</summary>
    public async Task<TResponse> ResponseAsync()
    {
        Complete();
        var only = await MoveNext(default).ConfigureAwait(false) ? Current : throw new RpcException(StatusCode.Internal, "the answer has no message");
        return await MoveNext(default).ConfigureAwait(false) ? throw new RpcException(StatusCode.Internal, "the answer has more than one message") : only;
    }

    /// <summary>Cancels the call unless it has ended.</summary>
    public async ValueTask DisposeAsync()
    {
        await ending.CancelAsync().ConfigureAwait(false);
        content?.Fail();
        await sent.ContinueWith(static t => { if (t.IsCompletedSuccessfully) { t.Result.Dispose(); } else { _ = t.Exception; } }, TaskScheduler.Default).ConfigureAwait(false);
        ending.Dispose();
    }

    async Task<HttpResponseMessage> SendAsync(GrpcChannel channel, HttpRequestMessage request)
    {
        try
        {
            return await channel.SendAsync(request, ending.Token).ConfigureAwait(false);
        }
        catch
        {
            content?.Fail();
            throw;
        }
    }

    async Task<HttpResponseMessage> OpenAsync()
    {
        HttpResponseMessage response;
        try
        {
            response = await sent.ConfigureAwait(false);
        }
        catch (Exception error) when (error is IOException or HttpRequestException or OperationCanceledException)
        {
            throw Explain(error);
        }

        if (reader == null && ResponseStatus.HasBody(response))
        {
            Headers = ResponseStatus.MetadataOf(response.Headers);
            var encoding = response.Headers.TryGetValues("grpc-encoding", out var values) ? values.First() : null;
            var body = await response.Content.ReadAsStreamAsync(ending.Token).ConfigureAwait(false);
            reader = new MessageReader(PipeReader.Create(body), limits, encoding);
        }

        return response;
    }

    RpcException Explain(Exception error) => error switch
    {
        OperationCanceledException when caller.IsCancellationRequested => new RpcException(new Status(StatusCode.Cancelled, "cancelled"), inner: error),
        OperationCanceledException when options?.Timeout != null && ending.IsCancellationRequested => new RpcException(new Status(StatusCode.DeadlineExceeded, "the deadline passed"), inner: error),
        OperationCanceledException => new RpcException(new Status(StatusCode.Cancelled, "cancelled"), inner: error),
        _ => ResponseStatus.Explain(error),
    };
}

internal static class CancellableReading
{
    /// <summary>Waits for a read with one more token.</summary>
    public static ValueTask<T> WaitOn<T>(this ValueTask<T> read, CancellationToken cancellation)
        => cancellation.CanBeCanceled && !read.IsCompleted ? new ValueTask<T>(read.AsTask().WaitAsync(cancellation)) : read;
}
