namespace Vmm.Firmware;

/// <summary>Reads an image file that a user named, whatever it turns out to be.</summary>
public static class ImageFile
{
    const int Step = 1 << 20;

    /// <summary>Reads the whole file.</summary>
    /// <param name="path">The file.</param>
    /// <param name="field">What it is for, in error messages: "kernel", "initrd".</param>
    /// <param name="limit">Most bytes accepted.</param>
    /// <exception cref="ImageException">It is missing, not a regular file, empty, too large or cannot be read.</exception>
    public static byte[] Read(string path, string field, int limit = 1 << 30)
    {
        try
        {
            return ReadRegular(path, field, limit);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            throw new ImageException(field, -1, $"{path}: {failure.Message}");
        }
    }

    static byte[] ReadRegular(string path, string field, int limit)
    {
        var info = new FileInfo(path);
        if (info.ResolveLinkTarget(returnFinalTarget: true) is { } target)
        {
            info = new FileInfo(target.FullName);
        }

        if (Directory.Exists(info.FullName))
        {
            throw new ImageException(field, -1, $"{path} is a directory");
        }

        // Asked before opening: opening a FIFO would wait for a writer. Pipes, devices and /proc files have no length.
        if (info.Length == 0)
        {
            throw new ImageException(field, -1, $"{path} is empty or not a regular file");
        }

        if (info.Length > limit)
        {
            throw new ImageException(field, -1, $"{path} has {info.Length} bytes, more than the {limit} that are accepted");
        }

        // Plain reads, never a mapping: the file may shrink meanwhile.
        using var file = new FileStream(info.FullName, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        var bytes = new byte[info.Length];
        var count = 0;
        while (count < bytes.Length)
        {
            var part = file.Read(bytes, count, Math.Min(Step, bytes.Length - count));
            if (part == 0)
            {
                throw new ImageException(field, count, $"{path} became shorter while it was read");
            }

            count += part;
        }

        return bytes;
    }
}
