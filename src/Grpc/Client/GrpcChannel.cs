using System.Net;
using System.Net.Sockets;
using Google.Protobuf;
using Google.Protobuf.Reflection;
using Vmm.Grpc.Wire;

namespace Vmm.Grpc.Client;

/// <summary>A connection to a server over HTTP/2 in cleartext, made when first needed and again when lost.</summary>
public sealed class GrpcChannel : IDisposable
{
    const string UnixPrefix = "unix:";

    readonly HttpMessageInvoker http;
    readonly Uri root;
    readonly string? token;

    /// <summary>A channel to <c>unix:/path</c> or <c>http://address:port</c>. Fails with ArgumentException for anything else.</summary>
    /// <param name="address">Where the server listens.</param>
    /// <param name="token">Sent with every call as <c>authorization: Bearer</c>, or null.</param>
    /// <param name="maxReceiveMessage">Largest message taken, in bytes.</param>
    public GrpcChannel(string address, string? token = null, int maxReceiveMessage = GrpcLimits.DefaultMaxMessage)
    {
        this.token = token;
        Limits = new MessageLimits { MaxReceive = maxReceiveMessage, MaxSend = int.MaxValue };
        var handler = new SocketsHttpHandler { UseProxy = false, EnableMultipleHttp2Connections = true, KeepAlivePingDelay = TimeSpan.FromSeconds(30) };
        if (address.StartsWith(UnixPrefix, StringComparison.Ordinal))
        {
            var path = address[UnixPrefix.Length..];
            handler.ConnectCallback = (_, cancellation) => ConnectAsync(path, cancellation);
            root = new Uri("http://localhost");
        }
        else
        {
            root = Uri.TryCreate(address, UriKind.Absolute, out var uri) && uri.Scheme == Uri.UriSchemeHttp
                ? uri : throw new ArgumentException($"'{address}' is neither unix:PATH nor http://ADDRESS:PORT", nameof(address));
        }

        http = new HttpMessageInvoker(handler);
    }

    internal MessageLimits Limits { get; }

    /// <summary>One message each way. Fails with RpcException.</summary>
    public async Task<TResponse> UnaryAsync<TRequest, TResponse>(MethodDescriptor method, TRequest request, CallOptions? options = null, CancellationToken cancellation = default)
        where TRequest : class, IMessage<TRequest>
        where TResponse : class, IMessage<TResponse>, new()
    {
        await using var call = OpenWith<TRequest, TResponse>(method, request, options, cancellation);
        return await call.ResponseAsync().ConfigureAwait(false);
    }

    /// <summary>One message out, a stream in.</summary>
    public GrpcCall<TRequest, TResponse> ServerStreaming<TRequest, TResponse>(MethodDescriptor method, TRequest request, CallOptions? options = null, CancellationToken cancellation = default)
        where TRequest : class, IMessage<TRequest>
        where TResponse : class, IMessage<TResponse>, new()
        => OpenWith<TRequest, TResponse>(method, request, options, cancellation);

    /// <summary>A stream out, a message or a stream in.</summary>
    public GrpcCall<TRequest, TResponse> Open<TRequest, TResponse>(MethodDescriptor method, CallOptions? options = null, CancellationToken cancellation = default)
        where TRequest : class, IMessage<TRequest>
        where TResponse : class, IMessage<TResponse>, new()
    {
        var content = new RequestContent(options?.Compress ?? false);
        return new GrpcCall<TRequest, TResponse>(this, Request(method, options, content), content, options, cancellation);
    }

    /// <inheritdoc/>
    public void Dispose() => http.Dispose();

    internal Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellation) => http.SendAsync(request, cancellation);

    GrpcCall<TRequest, TResponse> OpenWith<TRequest, TResponse>(MethodDescriptor method, TRequest request, CallOptions? options, CancellationToken cancellation)
        where TRequest : class, IMessage<TRequest>
        where TResponse : class, IMessage<TResponse>, new()
    {
        var frame = RequestContent.Frame(request, options?.Compress ?? false);
        return new GrpcCall<TRequest, TResponse>(this, Request(method, options, new ByteArrayContent(frame)), null, options, cancellation);
    }

    HttpRequestMessage Request(MethodDescriptor method, CallOptions? options, HttpContent content)
    {
        var request = new HttpRequestMessage(HttpMethod.Post, new Uri(root, $"/{method.Service.FullName}/{method.Name}"))
        {
            Version = HttpVersion.Version20,
            VersionPolicy = HttpVersionPolicy.RequestVersionExact,
            Content = content,
        };
        content.Headers.TryAddWithoutValidation("content-type", "application/grpc");
        request.Headers.TryAddWithoutValidation("te", "trailers");
        request.Headers.TryAddWithoutValidation("grpc-accept-encoding", "identity,gzip");
        Add("authorization", token != null ? "Bearer " + token : null);
        Add("grpc-timeout", options?.Timeout is { } timeout ? GrpcTimeout.Format(timeout) : null);
        Add("grpc-encoding", options is { Compress: true } ? Gzip.Name : null);
        foreach (var entry in options?.Headers ?? [])
        {
            Add(entry.Key, MetadataHeaders.Send(entry));
        }

        return request;

        void Add(string name, string? value)
        {
            if (value != null)
            {
                request.Headers.TryAddWithoutValidation(name, value);
            }
        }
    }

    static async ValueTask<Stream> ConnectAsync(string path, CancellationToken cancellation)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), cancellation).ConfigureAwait(false);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }
}
