using System.Text;
using Vmm.Firmware.Archives;

namespace Vmm.Firmware.Initrd;

/// <summary>Makes entries of an initial RAM file system.</summary>
public static class InitramfsEntries
{
    const int FileMode = 0x1A4, ProgramMode = 0x1ED, DirectoryMode = 0x1ED, LinkMode = 0x1FF, DeviceMode = 0x180;

    /// <summary>A regular file, mode 644.</summary>
    public static ArchiveEntry File(string path, ReadOnlyMemory<byte> content) => new() { Path = path, Mode = FileMode, Content = content, Size = content.Length };

    /// <summary>A file of text, mode 644.</summary>
    public static ArchiveEntry Text(string path, string text) => File(path, Encoding.UTF8.GetBytes(text));

    /// <summary>A program, mode 755.</summary>
    public static ArchiveEntry Program(string path, ReadOnlyMemory<byte> content) => File(path, content) with { Mode = ProgramMode };

    /// <summary>A script, mode 755.</summary>
    public static ArchiveEntry Script(string path, string text) => Text(path, text) with { Mode = ProgramMode };

    /// <summary>A directory, mode 755.</summary>
    public static ArchiveEntry Directory(string path) => new() { Path = path, Kind = ArchiveEntryKind.Directory, Mode = DirectoryMode };

    /// <summary>A symbolic link.</summary>
    public static ArchiveEntry Link(string path, string target) => new() { Path = path, Kind = ArchiveEntryKind.SymbolicLink, Mode = LinkMode, LinkTarget = target };

    /// <summary>A character device node, mode 600.</summary>
    public static ArchiveEntry CharacterDevice(string path, int major, int minor) =>
        new() { Path = path, Kind = ArchiveEntryKind.CharacterDevice, Mode = DeviceMode, DeviceMajor = major, DeviceMinor = minor };

    /// <summary>A block device node, mode 600.</summary>
    public static ArchiveEntry BlockDevice(string path, int major, int minor) =>
        CharacterDevice(path, major, minor) with { Kind = ArchiveEntryKind.BlockDevice };

    /// <summary>Everything in a folder of the host: files and directories with their modes, symbolic links as links.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="prefix">Path to put it under, or empty for the root.</param>
    /// <exception cref="ImageException">Something in it cannot be read.</exception>
    public static IReadOnlyList<ArchiveEntry> Folder(string folder, string prefix = "")
    {
        var entries = new List<ArchiveEntry>();
        try
        {
            AddFolder(new(folder), prefix, entries);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw new ImageException("initrd folder", -1, $"{folder}: {failure.Message}");
        }

        return entries;
    }

    static void AddFolder(DirectoryInfo folder, string prefix, List<ArchiveEntry> entries)
    {
        foreach (var item in folder.EnumerateFileSystemInfos().OrderBy(item => item.Name, StringComparer.Ordinal))
        {
            var path = prefix.Length == 0 ? item.Name : $"{prefix}/{item.Name}";
            if (item.LinkTarget is { } target)
            {
                entries.Add(Link(path, target));
            }
            else if (item is DirectoryInfo inner)
            {
                entries.Add(Directory(path) with { Mode = Mode(item, DirectoryMode) });
                AddFolder(inner, path, entries);
            }
            else
            {
                // What has no length is not opened: it may be a pipe.
                var content = ((FileInfo)item).Length == 0 ? default : (ReadOnlyMemory<byte>)ImageFile.Read(item.FullName, "initrd");
                entries.Add(File(path, content) with { Mode = Mode(item, FileMode) });
            }
        }
    }

    static int Mode(FileSystemInfo item, int otherwise) => OperatingSystem.IsWindows() ? otherwise : (int)item.UnixFileMode;
}
