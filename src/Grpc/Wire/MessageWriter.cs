using System.Buffers;
using System.Buffers.Binary;
using Google.Protobuf;

namespace Vmm.Grpc.Wire;

/// <summary>Writes length-prefixed messages.</summary>
internal static class MessageWriter
{
    /// <summary>Writes without flushing. Fails with RpcException for a message over the limit.</summary>
    public static void Write(IBufferWriter<byte> output, IMessage message, bool compress, MessageLimits limits)
    {
        var size = message.CalculateSize();
        if (size > limits.MaxSend)
        {
            throw new RpcException(StatusCode.ResourceExhausted, $"an answer of {size} bytes is longer than {limits.MaxSend} bytes");
        }

        if (compress)
        {
            using var packed = Gzip.Compress(message, size);
            WritePrefix(output, 1, packed.Length);
            output.Write(packed.Written.Span);
        }
        else
        {
            WritePrefix(output, 0, size);
            message.WriteTo(output);
        }
    }

    static void WritePrefix(IBufferWriter<byte> output, byte flag, int length)
    {
        var prefix = output.GetSpan(5);
        prefix[0] = flag;
        BinaryPrimitives.WriteUInt32BigEndian(prefix[1..], (uint)length);
        output.Advance(5);
    }
}
