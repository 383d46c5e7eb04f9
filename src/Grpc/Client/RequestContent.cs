using System.Net;
using Google.Protobuf;
using Vmm.Grpc.Wire;

namespace Vmm.Grpc.Client;

/// <summary>The messages of a caller's stream, sent as they come.</summary>
internal sealed class RequestContent(bool compress) : HttpContent
{
    readonly TaskCompletionSource<Stream> opened = new(TaskCreationOptions.RunContinuationsAsynchronously);
    readonly TaskCompletionSource completed = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>A message with its prefix.</summary>
    public static byte[] Frame(IMessage message, bool compress)
    {
        using var bytes = new PooledBytes(message.CalculateSize() + 5);
        MessageWriter.Write(bytes, message, compress, new MessageLimits { MaxSend = int.MaxValue });
        return bytes.Written.ToArray();
    }

    public async Task WriteAsync(IMessage message, CancellationToken cancellation)
    {
        var stream = await opened.Task.WaitAsync(cancellation).ConfigureAwait(false);
        await stream.WriteAsync(Frame(message, compress), cancellation).ConfigureAwait(false);
        await stream.FlushAsync(cancellation).ConfigureAwait(false);
    }

    public void Complete() => completed.TrySetResult();

    /// <summary>The call failed: who waits to write learns it.</summary>
    public void Fail()
    {
        opened.TrySetException(new IOException("the call ended"));
        _ = opened.Task.Exception;
        completed.TrySetResult();
    }

    protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context) => SerializeToStreamAsync(stream, context, default);

    /// <summary>The flush sends the headers: the server may answer before the first message.</summary>
    protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context, CancellationToken cancellationToken)
    {
        await stream.FlushAsync(cancellationToken).ConfigureAwait(false);
        opened.TrySetResult(stream);
        await completed.Task.WaitAsync(cancellationToken).ConfigureAwait(false);
    }

    protected override bool TryComputeLength(out long length)
    {
        length = 0;
        return false;
    }
}
