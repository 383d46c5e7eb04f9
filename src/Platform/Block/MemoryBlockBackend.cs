namespace Vmm.Platform.Block;

/// <summary>A disk in host memory, allocated in pieces as they are written. Its contents end with the object.</summary>
public sealed class MemoryBlockBackend : IBlockBackend
{
    const int PieceLength = 64 * 1024;

    readonly byte[]?[] pieces;

    /// <param name="name">Name for reports.</param>
    /// <param name="length">Length in bytes: 1 to 2^46.</param>
    /// <param name="isReadOnly">Writes are refused.</param>
    public MemoryBlockBackend(string name, ulong length, bool isReadOnly = false)
    {
        if (length is 0 or > 1ul << 46)
        {
            throw new ArgumentOutOfRangeException(nameof(length), length, $"{name}: length");
        }

        Name = name;
        Length = length;
        IsReadOnly = isReadOnly;
        pieces = new byte[]?[(length + PieceLength - 1) / PieceLength];
    }

    /// <summary>A disk that starts with the given bytes.</summary>
    public MemoryBlockBackend(string name, ReadOnlySpan<byte> contents, bool isReadOnly = false)
        : this(name, (ulong)contents.Length, isReadOnly)
    {
        Store(0, contents);
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <inheritdoc/>
    public ulong Length { get; }

    /// <inheritdoc/>
    public bool IsReadOnly { get; }

    /// <inheritdoc/>
    public BlockResult Read(ulong offset, Span<byte> destination)
    {
        while (destination.Length > 0)
        {
            var at = (int)(offset % PieceLength);
            var length = Math.Min(destination.Length, PieceLength - at);
            var piece = pieces[offset / PieceLength];
            if (piece == null)
            {
                destination[..length].Clear();
            }
            else
            {
                piece.AsSpan(at, length).CopyTo(destination);
            }

            offset += (ulong)length;
            destination = destination[length..];
        }

        return BlockResult.Ok;
    }

    /// <inheritdoc/>
    public BlockResult Write(ulong offset, ReadOnlySpan<byte> source)
    {
        if (IsReadOnly)
        {
            return BlockResult.ReadOnly;
        }

        Store(offset, source);
        return BlockResult.Ok;
    }

    /// <inheritdoc/>
    public BlockResult Zero(ulong offset, ulong length)
    {
        if (IsReadOnly)
        {
            return BlockResult.ReadOnly;
        }

        while (length > 0)
        {
            var at = offset % PieceLength;
            var part = Math.Min(length, PieceLength - at);
            ref var piece = ref pieces[offset / PieceLength];
            if (part == PieceLength)
            {
                piece = null;
            }
            else
            {
                piece?.AsSpan((int)at, (int)part).Clear();
            }

            offset += part;
            length -= part;
        }

        return BlockResult.Ok;
    }

    /// <inheritdoc/>
    public void Discard(ulong offset, ulong length) => _ = Zero(offset, length);

    /// <inheritdoc/>
    public BlockResult Flush() => BlockResult.Ok;

    /// <inheritdoc/>
    public void Dispose()
    {
    }

    void Store(ulong offset, ReadOnlySpan<byte> source)
    {
        while (source.Length > 0)
        {
            var at = (int)(offset % PieceLength);
            var length = Math.Min(source.Length, PieceLength - at);
            var piece = pieces[offset / PieceLength] ??= new byte[PieceLength];
            source[..length].CopyTo(piece.AsSpan(at));
            offset += (ulong)length;
            source = source[length..];
        }
    }
}
