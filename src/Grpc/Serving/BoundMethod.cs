using Google.Protobuf;
using Google.Protobuf.Reflection;

namespace Vmm.Grpc.Serving;

/// <summary>A method of a service with its types forgotten; one subclass for each of the four kinds.</summary>
internal abstract class BoundMethod(MethodDescriptor descriptor)
{
    public MethodDescriptor Descriptor { get; } = descriptor;

    /// <summary>The only request target that means this method.</summary>
    public string Path { get; } = $"/{descriptor.Service.FullName}/{descriptor.Name}";

    /// <summary>Serves one call to its last message; the caller sends the status.</summary>
    public abstract Task InvokeAsync(ServerCall call);

    /// <summary>The same method under another name.</summary>
    public abstract BoundMethod Under(MethodDescriptor other);
}

internal sealed class BoundUnary<TRequest, TResponse>(MethodDescriptor descriptor, UnaryMethod<TRequest, TResponse> method) : BoundMethod(descriptor)
    where TRequest : class, IMessage<TRequest>, new()
    where TResponse : class, IMessage<TResponse>
{
    public override async Task InvokeAsync(ServerCall call)
    {
        var request = await call.ReadSingleAsync(MessageTypes<TRequest>.Parser).ConfigureAwait(false);
        call.WriteLast(await method(request, call).ConfigureAwait(false));
    }

    public override BoundMethod Under(MethodDescriptor other) => new BoundUnary<TRequest, TResponse>(other, method);
}

internal sealed class BoundServerStreaming<TRequest, TResponse>(MethodDescriptor descriptor, ServerStreamingMethod<TRequest, TResponse> method) : BoundMethod(descriptor)
    where TRequest : class, IMessage<TRequest>, new()
    where TResponse : class, IMessage<TResponse>
{
    public override async Task InvokeAsync(ServerCall call)
    {
        var request = await call.ReadSingleAsync(MessageTypes<TRequest>.Parser).ConfigureAwait(false);
        await method(request, new ResponseStream<TResponse>(call), call).ConfigureAwait(false);
    }

    public override BoundMethod Under(MethodDescriptor other) => new BoundServerStreaming<TRequest, TResponse>(other, method);
}

internal sealed class BoundClientStreaming<TRequest, TResponse>(MethodDescriptor descriptor, ClientStreamingMethod<TRequest, TResponse> method) : BoundMethod(descriptor)
    where TRequest : class, IMessage<TRequest>, new()
    where TResponse : class, IMessage<TResponse>
{
    public override async Task InvokeAsync(ServerCall call)
        => call.WriteLast(await method(new RequestStream<TRequest>(call), call).ConfigureAwait(false));

    public override BoundMethod Under(MethodDescriptor other) => new BoundClientStreaming<TRequest, TResponse>(other, method);
}

internal sealed class BoundDuplexStreaming<TRequest, TResponse>(MethodDescriptor descriptor, DuplexStreamingMethod<TRequest, TResponse> method) : BoundMethod(descriptor)
    where TRequest : class, IMessage<TRequest>, new()
    where TResponse : class, IMessage<TResponse>
{
    public override Task InvokeAsync(ServerCall call) => method(new RequestStream<TRequest>(call), new ResponseStream<TResponse>(call), call);

    public override BoundMethod Under(MethodDescriptor other) => new BoundDuplexStreaming<TRequest, TResponse>(other, method);
}

/// <summary>The parser of a message type.</summary>
internal static class MessageTypes<T>
    where T : class, IMessage<T>, new()
{
    public static readonly MessageParser<T> Parser = new(() => new T());
}
