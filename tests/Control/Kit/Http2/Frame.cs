using System.Buffers.Binary;

namespace Vmm.ControlTests.Kit.Http2;

/// <summary>Types of frames (RFC 9113 §6).</summary>
internal enum FrameType : byte
{
    Data, Headers, Priority, RstStream, Settings, PushPromise, Ping, GoAway, WindowUpdate, Continuation,
}

/// <summary>Writes frames, right or wrong.</summary>
internal static class Frame
{
    public const byte EndStream = 1;
    public const byte Ack = 1;
    public const byte EndHeaders = 4;

    public static byte[] Raw(FrameType type, byte flags, int stream, params ReadOnlySpan<byte> payload)
    {
        var frame = new byte[9 + payload.Length];
        frame[0] = (byte)(payload.Length >> 16);
        BinaryPrimitives.WriteUInt16BigEndian(frame.AsSpan(1), (ushort)payload.Length);
        frame[3] = (byte)type;
        frame[4] = flags;
        BinaryPrimitives.WriteInt32BigEndian(frame.AsSpan(5), stream);
        payload.CopyTo(frame.AsSpan(9));
        return frame;
    }

    public static byte[] Headers(int stream, bool end, params IEnumerable<(string, string)> fields)
        => Raw(FrameType.Headers, (byte)(EndHeaders | (end ? EndStream : 0)), stream, Hpack.Encode(fields));

    public static byte[] Data(int stream, bool end, params ReadOnlySpan<byte> bytes) => Raw(FrameType.Data, end ? EndStream : (byte)0, stream, bytes);

    public static byte[] Reset(int stream, int code = 8) => Raw(FrameType.RstStream, 0, stream, Number(code));

    public static byte[] WindowUpdate(int stream, int bytes) => Raw(FrameType.WindowUpdate, 0, stream, Number(bytes));

    public static byte[] Ping(bool ack = false) => Raw(FrameType.Ping, ack ? Ack : (byte)0, 0, new byte[8]);

    public static byte[] Settings(params IEnumerable<(int Id, uint Value)> settings)
        => Raw(FrameType.Settings, 0, 0, [.. settings.SelectMany(s => (byte[])[(byte)(s.Id >> 8), (byte)s.Id, .. Number((int)s.Value)])]);

    public static byte[] Number(int value)
    {
        var bytes = new byte[4];
        BinaryPrimitives.WriteInt32BigEndian(bytes, value);
        return bytes;
    }

    /// <summary>A message of gRPC with its prefix.</summary>
    public static byte[] Message(ReadOnlySpan<byte> body, byte flag = 0) => [flag, .. Number(body.Length), .. body];
}
