using Google.Protobuf;

namespace Vmm.Grpc.Serving;

/// <summary>The messages of a caller.</summary>
internal sealed class RequestStream<T>(ServerCall call) : IAsyncStreamReader<T>
    where T : class, IMessage<T>, new()
{
    T? current;

    public T Current => current ?? throw new InvalidOperationException("no message was read");

    public async Task<bool> MoveNext(CancellationToken cancellation)
    {
        current = await call.ReadAsync(MessageTypes<T>.Parser, cancellation).ConfigureAwait(false);
        return current != null;
    }
}

/// <summary>The messages to a caller.</summary>
internal sealed class ResponseStream<T>(ServerCall call) : IServerStreamWriter<T>
    where T : class, IMessage<T>
{
    public Task WriteAsync(T message, CancellationToken cancellation) => call.WriteAsync(message, cancellation).AsTask();
}
