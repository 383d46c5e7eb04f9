using System.Net;
using Microsoft.Extensions.Logging;
using Vmm.Grpc.Serving;

namespace Vmm.Grpc.Hosting;

/// <summary>What a <see cref="ControlHost"/> listens on and serves.</summary>
public sealed class ControlHostOptions
{
    /// <summary>Path of the Unix socket for gRPC, or null for none. Only its owner may connect.</summary>
    public string? SocketPath { get; init; }

    /// <summary>Loopback address for gRPC over TCP, or null for none. Needs <see cref="Token"/>.</summary>
    public IPEndPoint? Tcp { get; init; }

    /// <summary>What callers over TCP must send as metadata <c>authorization: Bearer ...</c>.</summary>
    public string? Token { get; init; }

    /// <summary>Loopback address of the HTTP/1.1 listener for <see cref="Pages"/> and <c>/healthz</c>, or null for none.</summary>
    public IPEndPoint? Http { get; init; }

    /// <summary>The services.</summary>
    public IReadOnlyList<MethodTable> Services { get; init; } = [];

    /// <summary>Pages of the HTTP/1.1 listener by path.</summary>
    public IReadOnlyDictionary<string, PageWriter> Pages { get; init; } = new Dictionary<string, PageWriter>();

    /// <summary>Whether grpc.testing.TestService is served.</summary>
    public bool Interop { get; init; }

    /// <summary>Limits of gRPC.</summary>
    public GrpcLimits Limits { get; init; } = new();

    /// <summary>Told of every call, or null.</summary>
    public ICallObserver? Observer { get; init; }

    /// <summary>Sets where log lines go; without it they go nowhere.</summary>
    public Action<ILoggingBuilder>? Logging { get; init; }
}

/// <summary>Makes the content of a page, from the thread of its request.</summary>
public delegate ValueTask<Page> PageWriter(CancellationToken cancellation);

/// <summary>A page.</summary>
/// <param name="ContentType">Its media type.</param>
/// <param name="Body">UTF-8, mostly.</param>
/// <param name="StatusCode">HTTP status.</param>
public readonly record struct Page(string ContentType, ReadOnlyMemory<byte> Body, int StatusCode = 200);
