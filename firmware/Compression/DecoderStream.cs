namespace Vmm.Firmware.Compression;

/// <summary>A forward-only stream of decompressed bytes that a format produces block by block.</summary>
internal abstract class DecoderStream : Stream
{
    ReadOnlyMemory<byte> ready;

    /// <inheritdoc/>
    public sealed override bool CanRead => true;

    /// <inheritdoc/>
    public sealed override bool CanSeek => false;

    /// <inheritdoc/>
    public sealed override bool CanWrite => false;

    /// <inheritdoc/>
    public sealed override long Length => throw new NotSupportedException();

    /// <inheritdoc/>
    public sealed override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    /// <summary>
    /// Decodes the next block. The bytes stay valid until the next call; an empty block is not the end.
    /// Returns false at the end of the data.
    /// </summary>
    protected abstract bool TryDecode(out ReadOnlyMemory<byte> block);

    /// <inheritdoc/>
    public sealed override int Read(Span<byte> buffer)
    {
        while (ready.IsEmpty)
        {
            if (buffer.IsEmpty || !TryDecode(out ready))
            {
                return 0;
            }
        }

        var count = Math.Min(buffer.Length, ready.Length);
        ready.Span[..count].CopyTo(buffer);
        ready = ready[count..];
        return count;
    }

    /// <inheritdoc/>
    public sealed override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    /// <inheritdoc/>
    public sealed override void Flush()
    {
    }

    /// <inheritdoc/>
    public sealed override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    /// <inheritdoc/>
    public sealed override void SetLength(long value) => throw new NotSupportedException();

    /// <inheritdoc/>
    public sealed override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
}
