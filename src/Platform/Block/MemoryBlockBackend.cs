namespace Vmm.Platform.Block;

/// <summary>
/// A disk in host memory, allocated in pieces as they are written: empty at first, or over an image that is only read.
/// Copies share pieces until somebody writes. Its contents end with the object.
/// </summary>
public sealed class MemoryBlockBackend : IForkableBackend
{
    /// <summary>Bytes of a piece.</summary>
    public const int PieceLength = 64 * 1024;

    static readonly byte[] ZeroPiece = new byte[PieceLength];

    readonly byte[]?[] pieces;
    readonly bool[] shared;
    readonly ReadOnlyImage? below;

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
        shared = new bool[pieces.Length];
    }

    /// <summary>A disk whose writes stay in memory over an image that is never written. Owns the image with its copies.</summary>
    public MemoryBlockBackend(IBlockBackend image)
        : this(image.Name, image.Length) => below = new(image);

    MemoryBlockBackend(MemoryBlockBackend other)
        : this(other.Name, other.Length, other.IsReadOnly)
    {
        other.pieces.CopyTo(pieces, 0);
        Array.Fill(shared, true);
        Array.Fill(other.shared, true);
        below = other.below?.Share();
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
                if (below != null)
                {
                    var result = below.Image.Read(offset, destination[..length]);
                    if (result != BlockResult.Ok)
                    {
                        return result;
                    }
                }
                else
                {
                    destination[..length].Clear();
                }
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

        return Store(offset, source);
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
            var index = (int)(offset / PieceLength);
            if (part == PieceLength)
            {
                pieces[index] = below == null ? null : ZeroPiece;
                shared[index] = true;
            }
            else if (below != null || pieces[index] != null)
            {
                if (Own(index) is not { } piece)
                {
                    return BlockResult.ReadFailed;
                }

                piece.AsSpan((int)at, (int)part).Clear();
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
    public IForkableBackend Fork() => new MemoryBlockBackend(this);

    /// <inheritdoc/>
    public int PieceCount => pieces.Length;

    /// <inheritdoc/>
    public ReadOnlySpan<byte> Piece(int index) => pieces[index];

    /// <inheritdoc/>
    public void LoadPiece(int index, ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length != PieceLength)
        {
            throw new ArgumentException($"a piece is {PieceLength} bytes", nameof(bytes));
        }

        pieces[index] = bytes.ToArray();
        shared[index] = false;
    }

    /// <inheritdoc/>
    public void Dispose() => below?.Dispose();

    BlockResult Store(ulong offset, ReadOnlySpan<byte> source)
    {
        while (source.Length > 0)
        {
            var at = (int)(offset % PieceLength);
            var length = Math.Min(source.Length, PieceLength - at);
            if (Own((int)(offset / PieceLength), length == PieceLength) is not { } piece)
            {
                return BlockResult.ReadFailed;
            }

            source[..length].CopyTo(piece.AsSpan(at));
            offset += (ulong)length;
            source = source[length..];
        }

        return BlockResult.Ok;
    }

    /// <summary>The piece as this disk's own, with its present contents unless all of them are replaced. Null: the image cannot be read.</summary>
    byte[]? Own(int index, bool isReplaced = false)
    {
        var piece = pieces[index];
        if (piece != null && !shared[index])
        {
            return piece;
        }

        var own = new byte[PieceLength];
        if (!isReplaced && piece != null)
        {
            piece.CopyTo(own, 0);
        }
        else if (!isReplaced && below != null)
        {
            var start = (ulong)index * PieceLength;
            if (below.Image.Read(start, own.AsSpan(0, (int)Math.Min(PieceLength, Length - start))) != BlockResult.Ok)
            {
                return null;
            }
        }

        pieces[index] = own;
        shared[index] = false;
        return own;
    }

    /// <summary>An image that several disks read; the last one closes it.</summary>
    sealed class ReadOnlyImage(IBlockBackend image) : IDisposable
    {
        int users = 1;

        public IBlockBackend Image { get; } = image;

        public ReadOnlyImage Share()
        {
            Interlocked.Increment(ref users);
            return this;
        }

        public void Dispose()
        {
            if (Interlocked.Decrement(ref users) == 0)
            {
                Image.Dispose();
            }
        }
    }
}
