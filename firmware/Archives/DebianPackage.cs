using System.Text;
using Vmm.Firmware.Compression;

namespace Vmm.Firmware.Archives;

/// <summary>
/// A Debian binary package (deb(5)): an ar archive of <c>debian-binary</c>, <c>control.tar</c> and <c>data.tar</c>, the
/// latter two compressed in any way that <see cref="Decompressor"/> knows. Nothing is executed and nothing is installed.
/// </summary>
public sealed class DebianPackage
{
    const int HeaderSize = 60;
    const int LargestFile = 1 << 30;

    readonly ReadOnlyMemory<byte> control, data;

    /// <summary>Opens a package that is in memory.</summary>
    /// <exception cref="ImageException">It is not a package.</exception>
    public DebianPackage(ReadOnlyMemory<byte> package)
    {
        var bytes = package.Span;
        if (!bytes.StartsWith("!<arch>\n"u8))
        {
            throw new ImageException("deb magic", 0, "the bytes are not those of an ar archive");
        }

        for (var at = 8; at < bytes.Length;)
        {
            var (name, size) = ReadHeader(bytes, at);
            at += HeaderSize;
            if (size > bytes.Length - at)
            {
                throw new ImageException($"deb member {name}", at, $"{size} bytes are stated, {bytes.Length - at} remain");
            }

            var member = package.Slice(at, (int)size);
            CheckVersion(name, member.Span, at);
            control = name.StartsWith("control.tar", StringComparison.Ordinal) ? member : control;
            data = name.StartsWith("data.tar", StringComparison.Ordinal) ? member : data;
            at += (int)size + ((int)size & 1);
        }

        if (data.IsEmpty)
        {
            throw new ImageException("deb member data.tar", bytes.Length, "it is missing");
        }
    }

    /// <summary>Opens a package file.</summary>
    /// <exception cref="ImageException">It cannot be read or is not a package.</exception>
    public static DebianPackage Open(string path) => new(ImageFile.Read(path, "package"));

    /// <summary>Enumerates what the package would install, in archive order; content is kept where <paramref name="wanted"/> says so.</summary>
    /// <exception cref="ImageException">The archive is damaged (thrown while enumerating).</exception>
    public IEnumerable<ArchiveEntry> Entries(Func<ArchiveEntry, bool> wanted) => Entries(data, wanted);

    /// <summary>The installed files that <paramref name="wanted"/> picks by path, with their content.</summary>
    /// <exception cref="ImageException">The archive is damaged.</exception>
    public IReadOnlyList<ArchiveEntry> Extract(Func<string, bool> wanted) =>
        [.. Entries(entry => wanted(entry.Path)).Where(entry => entry.Kind == ArchiveEntryKind.File && wanted(entry.Path))];

    /// <summary>One installed file. Unpacks no further than to that file.</summary>
    /// <exception cref="ImageException">It is not there, or the archive is damaged.</exception>
    public ReadOnlyMemory<byte> Extract(string path)
    {
        var name = path.TrimStart('.').TrimStart('/');
        return ExtractFirst(candidate => candidate == name)?.Content
            ?? throw new ImageException($"deb file {name}", -1, "the package does not contain it");
    }

    /// <summary>
    /// The first installed file that <paramref name="wanted"/> picks by path, or null. Unpacks no further than to it; kernel
    /// packages have boot/vmlinuz-VERSION near the start.
    /// </summary>
    /// <exception cref="ImageException">The archive is damaged before that file.</exception>
    public ArchiveEntry? ExtractFirst(Func<string, bool> wanted) =>
        Entries(entry => wanted(entry.Path)).FirstOrDefault(entry => entry.Kind == ArchiveEntryKind.File && wanted(entry.Path));

    /// <summary>A field of the control file, such as "Package" or "Version"; null when absent.</summary>
    public string? ControlField(string name)
    {
        if (control.IsEmpty)
        {
            return null;
        }

        var file = Entries(control, entry => entry.Path == "control").FirstOrDefault(entry => entry.Path == "control");
        var lines = Encoding.UTF8.GetString((file?.Content ?? default).Span).Split('\n');
        var line = Array.Find(lines, text => text.StartsWith(name + ":", StringComparison.OrdinalIgnoreCase));
        return line?[(name.Length + 1)..].Trim();
    }

    static IEnumerable<ArchiveEntry> Entries(ReadOnlyMemory<byte> member, Func<ArchiveEntry, bool> wanted)
    {
        using Stream stream = Decompressor.Detect(member.Span) == CompressionFormat.None
            ? new MemoryStream(member.ToArray(), writable: false)
            : Decompressor.Open(member);
        foreach (var entry in TarFile.Read(stream, wanted, LargestFile))
        {
            yield return entry;
        }
    }

    static (string Name, long Size) ReadHeader(ReadOnlySpan<byte> bytes, int at)
    {
        if (bytes.Length - at < HeaderSize || !bytes.Slice(at + 58, 2).SequenceEqual("`\n"u8))
        {
            throw new ImageException("deb member header", at, "it is cut off or has no end mark");
        }

        var name = Encoding.ASCII.GetString(bytes.Slice(at, 16)).TrimEnd(' ').TrimEnd('/');
        return long.TryParse(bytes.Slice(at + 48, 10).TrimEnd((byte)' '), System.Globalization.NumberStyles.None, null, out var size)
            ? (name, size)
            : throw new ImageException("deb member size", at + 48, "not a decimal number");
    }

    static void CheckVersion(string name, ReadOnlySpan<byte> member, long at)
    {
        if (name == "debian-binary" && !member.StartsWith("2."u8))
        {
            throw new ImageException("debian-binary", at, "only format 2 is known");
        }
    }
}
