using Microsoft.Win32.SafeHandles;

namespace Vmm.Platform.Block;

/// <summary>A raw disk image in a host file. Opened for writing it is locked against a second writer.</summary>
public sealed class FileBlockBackend : IBlockBackend
{
    // ENOSPC on Unix, ERROR_DISK_FULL on Windows.
    const int UnixNoSpace = 28, WindowsNoSpace = unchecked((int)0x8007_0070);

    static readonly byte[] Zeros = new byte[64 * 1024];

    readonly SafeFileHandle handle;

    /// <param name="path">The image: a regular file that is not empty. Its format is always raw and never guessed.</param>
    /// <param name="isReadOnly">Opens the file for reading only.</param>
    /// <exception cref="IOException">The file cannot be opened, or somebody else has it open for writing.</exception>
    /// <exception cref="UnauthorizedAccessException">The file is a directory, or its permissions forbid this.</exception>
    /// <exception cref="ArgumentException">The file is empty, or no regular file.</exception>
    public FileBlockBackend(string path, bool isReadOnly)
    {
        // Asked before opening: a pipe without a writer would block the open. Pipes and devices have length 0.
        if (new FileInfo(path) is { Exists: true, Length: 0 })
        {
            throw new ArgumentException($"disk image {path}: empty, or not a regular file", nameof(path));
        }

        Name = Path.GetFileName(path);
        IsReadOnly = isReadOnly;
        handle = File.OpenHandle(
            path, FileMode.Open, isReadOnly ? FileAccess.Read : FileAccess.ReadWrite, isReadOnly ? FileShare.ReadWrite : FileShare.None);
        Length = (ulong)RandomAccess.GetLength(handle);
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
        try
        {
            while (destination.Length > 0)
            {
                var got = RandomAccess.Read(handle, destination, (long)offset);
                if (got == 0)
                {
                    // Somebody cut the file short after it was opened.
                    return BlockResult.ReadFailed;
                }

                offset += (ulong)got;
                destination = destination[got..];
            }

            return BlockResult.Ok;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return BlockResult.ReadFailed;
        }
    }

    /// <inheritdoc/>
    public BlockResult Write(ulong offset, ReadOnlySpan<byte> source)
    {
        if (IsReadOnly)
        {
            return BlockResult.ReadOnly;
        }

        try
        {
            RandomAccess.Write(handle, source, (long)offset);
            return BlockResult.Ok;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return Failure(e);
        }
    }

    /// <inheritdoc/>
    public BlockResult Zero(ulong offset, ulong length)
    {
        if (IsReadOnly)
        {
            return BlockResult.ReadOnly;
        }

        try
        {
            if (offset == 0 && length == Length)
            {
                // Cutting the file to nothing and back leaves a hole instead of written zeros.
                RandomAccess.SetLength(handle, 0);
                RandomAccess.SetLength(handle, (long)Length);
                return BlockResult.Ok;
            }

            while (length > 0)
            {
                var part = (int)Math.Min(length, (ulong)Zeros.Length);
                RandomAccess.Write(handle, Zeros.AsSpan(0, part), (long)offset);
                offset += (ulong)part;
                length -= (ulong)part;
            }

            return BlockResult.Ok;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return Failure(e);
        }
    }

    /// <inheritdoc/>
    public void Discard(ulong offset, ulong length)
    {
        // Plain files offer no portable way to punch holes; keeping the bytes is allowed.
    }

    /// <inheritdoc/>
    public BlockResult Flush()
    {
        if (IsReadOnly)
        {
            return BlockResult.Ok;
        }

        try
        {
            RandomAccess.FlushToDisk(handle);
            return BlockResult.Ok;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return Failure(e);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => handle.Dispose();

    static BlockResult Failure(Exception e) =>
        e.HResult is UnixNoSpace or WindowsNoSpace ? BlockResult.NoSpace : BlockResult.WriteFailed;
}
