namespace Vmm.Firmware.Archives;

/// <summary>What an entry of an archive is.</summary>
public enum ArchiveEntryKind
{
    /// <summary>A regular file.</summary>
    File,

    /// <summary>A directory.</summary>
    Directory,

    /// <summary>A symbolic link.</summary>
    SymbolicLink,

    /// <summary>Another name of a file earlier in the archive.</summary>
    HardLink,

    /// <summary>A character device node.</summary>
    CharacterDevice,

    /// <summary>A block device node.</summary>
    BlockDevice,

    /// <summary>A named pipe.</summary>
    Fifo,
}

/// <summary>One entry of an archive.</summary>
public sealed record ArchiveEntry
{
    /// <summary>Path from the root, with neither a leading slash nor "./".</summary>
    public required string Path { get; init; }

    /// <summary>What it is.</summary>
    public ArchiveEntryKind Kind { get; init; }

    /// <summary>Permission bits.</summary>
    public int Mode { get; init; } = 0x1A4;

    /// <summary>Size of a file in bytes.</summary>
    public long Size { get; init; }

    /// <summary>Where a link points.</summary>
    public string LinkTarget { get; init; } = "";

    /// <summary>Major number of a device node.</summary>
    public int DeviceMajor { get; init; }

    /// <summary>Minor number of a device node.</summary>
    public int DeviceMinor { get; init; }

    /// <summary>The bytes of a file; empty when the content was not asked for.</summary>
    public ReadOnlyMemory<byte> Content { get; init; }
}
