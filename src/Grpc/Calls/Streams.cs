using System.Runtime.CompilerServices;

namespace Vmm.Grpc;

/// <summary>Messages that come in, one after the other.</summary>
/// <typeparam name="T">Type of the messages.</typeparam>
public interface IAsyncStreamReader<out T>
{
    /// <summary>The message that the last <see cref="MoveNext"/> read.</summary>
    T Current { get; }

    /// <summary>Waits for the next message; false at the end of the stream. Fails with RpcException.</summary>
    Task<bool> MoveNext(CancellationToken cancellation);
}

/// <summary>Messages that go out. One writer at a time.</summary>
/// <typeparam name="T">Type of the messages.</typeparam>
public interface IServerStreamWriter<in T>
{
    /// <summary>Sends a message; completes when the flow control of HTTP/2 has room for the next.</summary>
    Task WriteAsync(T message, CancellationToken cancellation = default);
}

/// <summary>Reading whole streams.</summary>
public static class AsyncStreamReading
{
    /// <summary>All messages to the end of the stream.</summary>
    public static async IAsyncEnumerable<T> ReadAllAsync<T>(this IAsyncStreamReader<T> reader, [EnumeratorCancellation] CancellationToken cancellation = default)
    {
        while (await reader.MoveNext(cancellation).ConfigureAwait(false))
        {
            yield return reader.Current;
        }
    }
}
