namespace Vmm.Grpc;

/// <summary>A call that ended with an error: thrown by a method of a service, and to the caller of a client.</summary>
public sealed class RpcException : Exception
{
    /// <summary>An error with the trailers to send along, for instance those of <see cref="RichStatus"/>.</summary>
    public RpcException(Status status, Metadata? trailers = null, Exception? inner = null)
        : base($"{status.Code}: {status.Detail}", inner)
    {
        Status = status;
        Trailers = trailers ?? [];
    }

    /// <summary>An error without details.</summary>
    public RpcException(StatusCode code, string detail)
        : this(new Status(code, detail))
    {
    }

    /// <summary>Code and words.</summary>
    public Status Status { get; }

    /// <summary>The code.</summary>
    public StatusCode StatusCode => Status.Code;

    /// <summary>Trailing metadata of the call.</summary>
    public Metadata Trailers { get; }
}
