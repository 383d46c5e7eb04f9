using System.IO.Pipelines;
using Google.Protobuf;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Vmm.Grpc.Wire;

namespace Vmm.Grpc.Serving;

/// <summary>One call on one stream of HTTP/2.</summary>
internal sealed class ServerCall : ServerCallContext, IDisposable
{
    /// <summary>Longest that a timer takes; a deadline beyond it never passes.</summary>
    static readonly TimeSpan LongestTimer = TimeSpan.FromDays(49);

    readonly HttpContext http;
    readonly MessageLimits limits;
    readonly MessageReader reader;
    readonly PipeWriter output;
    readonly CancellationTokenSource ending = new();
    readonly CancellationTokenRegistration abort;
    readonly bool peerTakesGzip;
    Metadata? requestHeaders;
    bool compress;
    bool announce;
    int writing;
    volatile CallCut cut;

    public ServerCall(HttpContext http, BoundMethod method, MessageLimits limits, CancellationToken draining)
    {
        this.http = http;
        this.limits = limits;
        Bound = method;
        Draining = draining;
        reader = new MessageReader(http.Request.BodyReader, limits, http.Request.Headers.GrpcEncoding);
        output = http.Response.BodyWriter;
        peerTakesGzip = Admission.Accepts(http.Request.Headers.GrpcAcceptEncoding, Gzip.Name);
        abort = http.RequestAborted.UnsafeRegister(static call => ((ServerCall)call!).Cut(CallCut.Aborted), this);
        StartClock(http.Request.Headers.GrpcTimeout);
        ReadBinaryHeaders();
        http.Response.ContentType = Admission.ContentType;
        http.Response.Headers.GrpcAcceptEncoding = Admission.Encodings;
    }

    public BoundMethod Bound { get; }

    /// <summary>Why the call was cut, if it was.</summary>
    public CallCut WhyCut => cut != CallCut.None ? cut : ending.IsCancellationRequested ? CallCut.Deadline : CallCut.None;

    /// <inheritdoc/>
    public override string Method => Bound.Path;

    /// <inheritdoc/>
    public override string Peer => http.Connection.RemoteIpAddress is { } address ? $"{address}:{http.Connection.RemotePort}" : "unix:";

    /// <inheritdoc/>
    public override DateTime Deadline => deadline;

    DateTime deadline = DateTime.MaxValue;

    /// <inheritdoc/>
    public override CancellationToken CancellationToken => ending.Token;

    /// <inheritdoc/>
    public override CancellationToken Draining { get; }

    /// <inheritdoc/>
    public override Metadata RequestHeaders => requestHeaders ??= ReadHeaders();

    /// <inheritdoc/>
    public override bool RequestWasCompressed => reader.WasCompressed;

    /// <inheritdoc/>
    public override bool CompressResponses
    {
        get => compress;
        set
        {
            compress = value;
            announce |= value;
        }
    }

    /// <summary>Ends the call from outside; the method learns it by its token. Has no effect on a call that has ended.</summary>
    public void Cut(CallCut why)
    {
        if (cut == CallCut.None)
        {
            cut = why;
        }

        try
        {
            ending.Cancel();
        }
        catch (ObjectDisposedException)
        {
        }
    }

    /// <summary>The only message of a unary request. Fails with RpcException.</summary>
    public async ValueTask<T> ReadSingleAsync<T>(MessageParser<T> parser)
        where T : class, IMessage<T>
    {
        var message = await reader.ReadAsync(parser, ending.Token).ConfigureAwait(false)
            ?? throw new RpcException(StatusCode.Internal, "the stream ends without a message");
        return await reader.ReadAsync(parser, ending.Token).ConfigureAwait(false) == null
            ? message
            : throw new RpcException(StatusCode.Internal, "more than one message for a method that takes one");
    }

    public async ValueTask<T?> ReadAsync<T>(MessageParser<T> parser, CancellationToken cancellation)
        where T : class, IMessage<T>
    {
        if (!cancellation.CanBeCanceled || cancellation == ending.Token)
        {
            return await reader.ReadAsync(parser, ending.Token).ConfigureAwait(false);
        }

        using var both = CancellationTokenSource.CreateLinkedTokenSource(cancellation, ending.Token);
        return await reader.ReadAsync(parser, both.Token).ConfigureAwait(false);
    }

    /// <summary>Writes a message that the status follows at once.</summary>
    public void WriteLast(IMessage message)
    {
        BeginBody();
        MessageWriter.Write(output, message, CompressNow, limits);
    }

    public async ValueTask WriteAsync(IMessage message, CancellationToken cancellation)
    {
        if (Interlocked.Exchange(ref writing, 1) != 0)
        {
            throw new InvalidOperationException("a write is not finished: one writer at a time");
        }

        try
        {
            ending.Token.ThrowIfCancellationRequested();
            cancellation.ThrowIfCancellationRequested();
            WriteLast(message);
            await FlushAsync().ConfigureAwait(false);
        }
        finally
        {
            Volatile.Write(ref writing, 0);
        }
    }

    /// <inheritdoc/>
    public override Task WriteResponseHeadersAsync(Metadata headers)
    {
        if (http.Response.HasStarted)
        {
            throw new InvalidOperationException("headers were sent");
        }

        foreach (var entry in headers)
        {
            http.Response.Headers.Append(entry.Key, MetadataHeaders.Send(entry));
        }

        BeginBody();
        return FlushAsync().AsTask();
    }

    /// <summary>Sends the status: as headers when nothing was sent before (Trailers-Only), else as trailers.</summary>
    public Task EndAsync(Status status, Metadata trailers)
    {
        var fields = http.Response.HasStarted || bodyBegun
            ? http.Features.GetRequiredFeature<IHttpResponseTrailersFeature>().Trailers
            : http.Response.Headers;
        StatusHeaders.Set(fields, status, ResponseTrailers.Concat(trailers));
        return http.Response.CompleteAsync();
    }

    public void Dispose()
    {
        abort.Dispose();
        ending.Dispose();
    }

    bool bodyBegun;

    bool CompressNow => compress && announced;

    bool announced;

    void BeginBody()
    {
        if (bodyBegun)
        {
            return;
        }

        bodyBegun = true;
        if (announce && peerTakesGzip)
        {
            announced = true;
            http.Response.Headers.GrpcEncoding = Gzip.Name;
        }
    }

    /// <summary>A PipeWriter does not fail when the reader is gone: its result tells. Waiting for room is bounded.</summary>
    async ValueTask FlushAsync()
    {
        var flush = output.FlushAsync(CancellationToken.None);
        var result = flush.IsCompleted ? await flush.ConfigureAwait(false) : await WaitForRoomAsync(flush).ConfigureAwait(false);
        if (result.IsCompleted || result.IsCanceled)
        {
            Cut(CallCut.Aborted);
            throw new OperationCanceledException("the caller is gone", ending.Token);
        }
    }

    /// <summary>A stream that blocks can carry no status either: it is reset when the call is cut or the time is up.</summary>
    async ValueTask<FlushResult> WaitForRoomAsync(ValueTask<FlushResult> flush)
    {
        using var clock = CancellationTokenSource.CreateLinkedTokenSource(ending.Token);
        if (limits.SendTimeout != Timeout.InfiniteTimeSpan)
        {
            clock.CancelAfter(limits.SendTimeout);
        }

        using var giveUp = clock.Token.UnsafeRegister(static http => ((HttpContext)http!).Abort(), http);
        return await flush.ConfigureAwait(false);
    }

    void StartClock(string? header)
    {
        if (GrpcTimeout.Parse(header) is not { } timeout)
        {
            return;
        }

        deadline = DateTime.UtcNow + timeout;
        if (timeout <= TimeSpan.Zero)
        {
            Cut(CallCut.Deadline);
        }
        else if (timeout < LongestTimer)
        {
            ending.CancelAfter(timeout);
        }
    }

    /// <summary>Base64 is judged before the method runs.</summary>
    void ReadBinaryHeaders()
    {
        foreach (var (name, _) in http.Request.Headers)
        {
            if (Metadata.IsBinary(name))
            {
                requestHeaders ??= ReadHeaders();
            }
        }
    }

    Metadata ReadHeaders()
    {
        var metadata = new Metadata();
        foreach (var (name, values) in http.Request.Headers)
        {
            foreach (var value in values)
            {
                MetadataHeaders.Receive(metadata, name, value);
            }
        }

        return metadata;
    }
}

/// <summary>Why a call was cut.</summary>
internal enum CallCut
{
    None,
    Aborted,
    Deadline,
    Drained,
}
