using System.Buffers;
using System.Buffers.Binary;
using System.IO.Compression;
using Google.Protobuf;

namespace Vmm.Grpc.Wire;

/// <summary>The one compression spoken; every message is a gzip file of its own (RFC 1952).</summary>
internal static class Gzip
{
    public const string Name = "gzip";

    const int Step = 16 << 10;

    /// <summary>Message that is longer than allowed, before or after decompression.</summary>
    public static RpcException TooLong(int limit) => new(StatusCode.ResourceExhausted, $"a message is longer than {limit} bytes");

    /// <summary>At most <paramref name="limit"/> bytes come out. Fails with RpcException. The caller disposes.</summary>
    public static PooledBytes Decompress(ReadOnlySequence<byte> body, int limit)
    {
        var plain = new PooledBytes(Step);
        try
        {
            if (body.IsEmpty)
            {
                return plain;
            }

            using var source = new MemoryStream(body.ToArray(), writable: false);
            using var gzip = new GZipStream(source, CompressionMode.Decompress);
            int got;
            while ((got = gzip.Read(plain.GetSpan(Step))) > 0)
            {
                plain.Advance(got);
                if (plain.Length > limit)
                {
                    throw TooLong(limit);
                }
            }

            if (Size(body) != (uint)plain.Length)
            {
                throw new InvalidDataException("wrong length");
            }

            return plain;
        }
        catch (InvalidDataException error)
        {
            plain.Dispose();
            throw new RpcException(new Status(StatusCode.Internal, "a message is not valid gzip"), inner: error);
        }
        catch
        {
            plain.Dispose();
            throw;
        }
    }

    /// <summary>A message as a gzip file. The caller disposes.</summary>
    public static PooledBytes Compress(IMessage message, int size)
    {
        var packed = new PooledBytes(Math.Max(size / 2, 256));
        using var stream = new GZipStream(new BufferStream(packed), CompressionLevel.Fastest);
        using var plain = new PooledBytes(size);
        message.WriteTo(plain);
        stream.Write(plain.Written.Span);
        return packed;
    }

    /// <summary>ISIZE: a truncated file ends without an error of the stream, so the length is compared (RFC 1952 §2.3.1).</summary>
    static uint Size(ReadOnlySequence<byte> body)
    {
        if (body.Length < 18)
        {
            throw new InvalidDataException("too short");
        }

        Span<byte> size = stackalloc byte[4];
        body.Slice(body.Length - 4).CopyTo(size);
        return BinaryPrimitives.ReadUInt32LittleEndian(size);
    }

    /// <summary>What a compressor writes goes into a buffer.</summary>
    sealed class BufferStream(PooledBytes bytes) : Stream
    {
        public override bool CanRead => false;

        public override bool CanSeek => false;

        public override bool CanWrite => true;

        public override long Length => bytes.Length;

        public override long Position { get => bytes.Length; set => throw new NotSupportedException(); }

        public override void Write(byte[] buffer, int offset, int count) => bytes.Write(buffer.AsSpan(offset, count));

        public override void Write(ReadOnlySpan<byte> buffer) => bytes.Write(buffer);

        public override void Flush()
        {
        }

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();
    }
}
