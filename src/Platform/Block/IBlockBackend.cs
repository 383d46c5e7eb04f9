namespace Vmm.Platform.Block;

/// <summary>How an operation on a disk image ended.</summary>
public enum BlockResult
{
    /// <summary>Carried out in full.</summary>
    Ok,

    /// <summary>The host could not read all bytes.</summary>
    ReadFailed,

    /// <summary>The host could not write all bytes; some may be written.</summary>
    WriteFailed,

    /// <summary>The host has no room left; some bytes may be written.</summary>
    NoSpace,

    /// <summary>The image is read-only; nothing was written.</summary>
    ReadOnly,
}

/// <summary>
/// The bytes behind a disk. Host failures are results, never exceptions. Callers keep ranges inside <see cref="Length"/>.
/// </summary>
public interface IBlockBackend : IDisposable
{
    /// <summary>Name for reports.</summary>
    string Name { get; }

    /// <summary>Length in bytes; it does not change.</summary>
    ulong Length { get; }

    /// <summary>Writes are refused.</summary>
    bool IsReadOnly { get; }

    /// <summary>Reads <c>destination.Length</c> bytes at <paramref name="offset"/>.</summary>
    BlockResult Read(ulong offset, Span<byte> destination);

    /// <summary>Writes bytes at <paramref name="offset"/>; durable only after <see cref="Flush"/>.</summary>
    BlockResult Write(ulong offset, ReadOnlySpan<byte> source);

    /// <summary>Makes a range read as zeros.</summary>
    BlockResult Zero(ulong offset, ulong length);

    /// <summary>Says that a range is no longer needed. The bytes may stay as they are or become zeros.</summary>
    void Discard(ulong offset, ulong length);

    /// <summary>Makes everything written so far durable.</summary>
    BlockResult Flush();
}

/// <summary>A disk whose contents are the machine's own, so that forks and snapshots of the machine can have them.</summary>
public interface IForkableBackend : IBlockBackend
{
    /// <summary>A disk with the same contents; neither sees what the other writes from now on.</summary>
    IForkableBackend Fork();

    /// <summary>Number of pieces that <see cref="Piece"/> knows.</summary>
    int PieceCount { get; }

    /// <summary>A piece that differs from the disk's first contents, or nothing when it was never written.</summary>
    ReadOnlySpan<byte> Piece(int index);

    /// <summary>Replaces a piece by what <see cref="Piece"/> gave.</summary>
    void LoadPiece(int index, ReadOnlySpan<byte> bytes);
}
