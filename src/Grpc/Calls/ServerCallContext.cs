namespace Vmm.Grpc;

/// <summary>What a method of a service knows of its call, and can say beside its messages.</summary>
public abstract class ServerCallContext
{
    /// <summary>Full name: <c>/package.Service/Method</c>.</summary>
    public abstract string Method { get; }

    /// <summary>The caller: <c>unix:</c> or address and port.</summary>
    public abstract string Peer { get; }

    /// <summary>When the caller gives up, UTC; MaxValue without a deadline.</summary>
    public abstract DateTime Deadline { get; }

    /// <summary>Cancelled when the caller cancels or is gone, the deadline passes, or the server cuts the call. Every wait must take it.</summary>
    public abstract CancellationToken CancellationToken { get; }

    /// <summary>Cancelled when the server begins to drain: a stream without end should end now.</summary>
    public abstract CancellationToken Draining { get; }

    /// <summary>Metadata of the caller.</summary>
    public abstract Metadata RequestHeaders { get; }

    /// <summary>Metadata to send after the last message.</summary>
    public Metadata ResponseTrailers { get; } = [];

    /// <summary>The status to end with when the method returns; success unless set.</summary>
    public Status Status { get; set; } = Status.OK;

    /// <summary>Whether following messages are compressed; has no effect unless the caller accepts gzip.</summary>
    public abstract bool CompressResponses { get; set; }

    /// <summary>Whether the message received last came compressed.</summary>
    public abstract bool RequestWasCompressed { get; }

    /// <summary>Sends metadata before the first message. Fails with InvalidOperationException when headers were sent.</summary>
    public abstract Task WriteResponseHeadersAsync(Metadata headers);
}
