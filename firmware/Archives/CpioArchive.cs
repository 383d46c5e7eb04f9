using System.Globalization;
using System.Text;

namespace Vmm.Firmware.Archives;

/// <summary>
/// Writes a cpio archive in the "newc" format that Linux takes as initial RAM file system
/// (Documentation/driver-api/early-userspace/buffer-format.rst). The same entries give the same bytes: sorted by path,
/// times zero, owner root.
/// </summary>
public static class CpioArchive
{
    const string Magic = "070701", Trailer = "TRAILER!!!";
    const int HeaderSize = 110, LongestPath = 4096;
    const int FileType = 0x8000, DirectoryType = 0x4000, LinkType = 0xA000, CharacterType = 0x2000, BlockType = 0x6000, FifoType = 0x1000;
    const int DirectoryMode = 0x1ED;

    /// <summary>Packs the entries; parent directories that are missing are added with mode 755.</summary>
    /// <exception cref="ImageException">A path is bad or there twice, or the archive would pass 2 GiB.</exception>
    public static byte[] Pack(IEnumerable<ArchiveEntry> entries)
    {
        var sorted = new SortedDictionary<string, ArchiveEntry>(StringComparer.Ordinal);
        foreach (var entry in entries)
        {
            CheckPath(entry.Path);
            if (!sorted.TryAdd(entry.Path, entry))
            {
                throw new ImageException("cpio path", -1, $"{entry.Path} is there twice");
            }
        }

        AddParents(sorted);
        var total = sorted.Values.Append(End).Sum(entry => (long)Size(entry));
        if (total > Array.MaxLength)
        {
            throw new ImageException("cpio archive", -1, $"{total} bytes are too many");
        }

        var archive = new byte[total];
        var (at, inode) = (0, 0);
        foreach (var entry in sorted.Values)
        {
            Write(archive, ref at, entry, ++inode);
        }

        Write(archive, ref at, End, 0);
        return archive;
    }

    static ArchiveEntry End { get; } = new() { Path = Trailer, Mode = 0 };

    static void CheckPath(string path)
    {
        var bad = path.Length == 0 || path.StartsWith('/') || path.EndsWith('/') || path.Contains('\0', StringComparison.Ordinal)
            || path == Trailer || Encoding.UTF8.GetByteCount(path) >= LongestPath || path.Split('/').Any(part => part is "" or "." or "..");
        if (bad)
        {
            throw new ImageException("cpio path", -1, $"'{path}' is not a plain relative path");
        }
    }

    static void AddParents(SortedDictionary<string, ArchiveEntry> sorted)
    {
        foreach (var path in sorted.Keys.ToArray())
        {
            for (var slash = path.LastIndexOf('/'); slash > 0; slash = path.LastIndexOf('/', slash - 1))
            {
                var parent = path[..slash];
                if (sorted.TryAdd(parent, new() { Path = parent, Kind = ArchiveEntryKind.Directory, Mode = DirectoryMode }))
                {
                    continue;
                }

                if (sorted[parent].Kind is not (ArchiveEntryKind.Directory or ArchiveEntryKind.SymbolicLink))
                {
                    throw new ImageException("cpio path", -1, $"{parent} is no directory, but {path} lies in it");
                }

                break;
            }
        }
    }

    static ReadOnlyMemory<byte> Data(ArchiveEntry entry) => entry.Kind switch
    {
        ArchiveEntryKind.File => entry.Content,
        ArchiveEntryKind.SymbolicLink => Encoding.UTF8.GetBytes(entry.LinkTarget),
        _ => default,
    };

    static int NameSize(ArchiveEntry entry) => HeaderSize + Encoding.UTF8.GetByteCount(entry.Path) + 1 + 3 & ~3;

    static long Size(ArchiveEntry entry) => NameSize(entry) + ((long)Data(entry).Length + 3 & ~3L);

    static void Write(byte[] archive, ref int at, ArchiveEntry entry, int inode)
    {
        var data = Data(entry);
        var type = entry == End ? 0 : Type(entry.Kind);
        var links = entry.Kind == ArchiveEntryKind.Directory ? 2 : 1;
        ReadOnlySpan<int> fields =
        [
            inode, type | entry.Mode & 0xFFF, 0, 0, links, 0, data.Length, 0, 0,
            entry.DeviceMajor, entry.DeviceMinor, Encoding.UTF8.GetByteCount(entry.Path) + 1, 0,
        ];
        var header = new StringBuilder(Magic, HeaderSize);
        foreach (var field in fields)
        {
            header.Append(CultureInfo.InvariantCulture, $"{field:X8}");
        }

        var target = archive.AsSpan(at);
        Encoding.ASCII.GetBytes(header.ToString(), target);
        Encoding.UTF8.GetBytes(entry.Path, target[HeaderSize..]);
        data.Span.CopyTo(target[NameSize(entry)..]);
        at += (int)Size(entry);
    }

    static int Type(ArchiveEntryKind kind) => kind switch
    {
        ArchiveEntryKind.File => FileType,
        ArchiveEntryKind.Directory => DirectoryType,
        ArchiveEntryKind.SymbolicLink => LinkType,
        ArchiveEntryKind.CharacterDevice => CharacterType,
        ArchiveEntryKind.BlockDevice => BlockType,
        ArchiveEntryKind.Fifo => FifoType,
        _ => throw new ImageException("cpio entry", -1, "hard links are not written; add the file under each name"),
    };
}
