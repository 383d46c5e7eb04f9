using System.Buffers;
using System.Buffers.Binary;
using System.IO.Pipelines;
using Google.Protobuf;
using Google.Protobuf.Reflection;

namespace Vmm.Grpc.Wire;

/// <summary>
/// Length-prefixed messages (PROTOCOL-HTTP2, Length-Prefixed-Message): one flag byte, four bytes of length, the message.
/// They do not align with DATA frames. The length is judged before anything is kept, and only bytes that came take memory.
/// </summary>
internal sealed class MessageReader(PipeReader input, MessageLimits limits, string? encoding)
{
    const int Prefix = 5;
    const int FreeBytes = 64 << 10;

    /// <summary>Whether the last message came compressed.</summary>
    public bool WasCompressed { get; private set; }

    /// <summary>The next message, or null at the end of the stream. Fails with RpcException.</summary>
    public async ValueTask<T?> ReadAsync<T>(MessageParser<T> parser, CancellationToken cancellation)
        where T : class, IMessage<T>
    {
        var read = input.TryRead(out var ready) ? ready : await input.ReadAsync(cancellation).ConfigureAwait(false);
        if (TryTake(read, parser, out var message))
        {
            return message;
        }

        if (!read.IsCompleted)
        {
            return await ReadRestAsync(read, parser, cancellation).ConfigureAwait(false);
        }

        return End<T>(read);
    }

    /// <summary>Waits for the rest of a message, or for its first byte.</summary>
    async ValueTask<T?> ReadRestAsync<T>(ReadResult read, MessageParser<T> parser, CancellationToken cancellation)
        where T : class, IMessage<T>
    {
        long taken = 0;
        CancellationTokenSource? clock = null;
        try
        {
            while (true)
            {
                var length = read.Buffer.Length;
                if (length > 0 && clock == null && limits.MessageTimeout != Timeout.InfiniteTimeSpan)
                {
                    clock = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
                    clock.CancelAfter(limits.MessageTimeout);
                }

                Account(length, ref taken);
                input.AdvanceTo(read.Buffer.Start, read.Buffer.End);
                read = await input.ReadAsync(clock?.Token ?? cancellation).ConfigureAwait(false);
                if (TryTake(read, parser, out var message))
                {
                    return message;
                }

                if (read.IsCompleted)
                {
                    return End<T>(read);
                }
            }
        }
        catch (OperationCanceledException) when (clock is { IsCancellationRequested: true } && !cancellation.IsCancellationRequested)
        {
            throw new RpcException(StatusCode.DeadlineExceeded, $"a message took longer than {limits.MessageTimeout.TotalSeconds:0.###} s");
        }
        finally
        {
            limits.Budget.Give(taken);
            clock?.Dispose();
        }
    }

    T? End<T>(ReadResult read)
        where T : class
    {
        var whole = read.Buffer.IsEmpty;
        input.AdvanceTo(read.Buffer.End);
        return whole ? null : throw Broken("the stream ends within a message");
    }

    void Account(long length, ref long taken)
    {
        var more = length - FreeBytes - taken;
        if (more <= 0)
        {
            return;
        }

        if (!limits.Budget.TryTake(more))
        {
            throw new RpcException(StatusCode.ResourceExhausted, "too many bytes of unfinished messages");
        }

        taken += more;
    }

    bool TryTake<T>(ReadResult read, MessageParser<T> parser, out T? message)
        where T : class, IMessage<T>
    {
        message = null;
        var buffer = read.Buffer;
        if (buffer.Length < Prefix)
        {
            return false;
        }

        Span<byte> prefix = stackalloc byte[Prefix];
        buffer.Slice(0, Prefix).CopyTo(prefix);
        var length = Length(prefix);
        if (buffer.Length < Prefix + length)
        {
            return false;
        }

        var body = buffer.Slice(Prefix, length);
        WasCompressed = prefix[0] == 1;
        message = WasCompressed ? Inflate(body, parser) : Parse(body, parser);
        input.AdvanceTo(body.End);
        return true;
    }

    long Length(ReadOnlySpan<byte> prefix)
    {
        if (prefix[0] > 1)
        {
            throw Broken($"flag {prefix[0]} of a message is not 0 or 1");
        }

        if (prefix[0] == 1 && encoding != Gzip.Name)
        {
            throw Broken("a message is compressed, but no grpc-encoding names how");
        }

        var length = BinaryPrimitives.ReadUInt32BigEndian(prefix[1..]);
        return length <= (uint)limits.MaxReceive ? length : throw Gzip.TooLong(limits.MaxReceive);
    }

    T Inflate<T>(ReadOnlySequence<byte> body, MessageParser<T> parser)
        where T : IMessage<T>
    {
        using var plain = Gzip.Decompress(body, limits.MaxReceive);
        return Parse(new ReadOnlySequence<byte>(plain.Written), parser);
    }

    T Parse<T>(ReadOnlySequence<byte> body, MessageParser<T> parser)
        where T : IMessage<T>
    {
        if (limits.MaxFields != int.MaxValue && FieldCount.IsOver(body, MessageType<T>.Descriptor, limits.MaxFields))
        {
            throw new RpcException(StatusCode.ResourceExhausted, $"a message has more than {limits.MaxFields} fields");
        }

        try
        {
            return parser.ParseFrom(body);
        }
        catch (InvalidProtocolBufferException error)
        {
            throw new RpcException(new Status(StatusCode.Internal, "a message is not valid: " + error.Message), inner: error);
        }
    }

    /// <summary>Descriptor of a message type.</summary>
    static class MessageType<T>
        where T : IMessage<T>
    {
        public static readonly MessageDescriptor Descriptor = Activator.CreateInstance<T>().Descriptor;
    }

    static RpcException Broken(string what) => new(StatusCode.Internal, what);
}
