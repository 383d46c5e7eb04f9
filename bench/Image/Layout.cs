namespace Vmm.Bench.Image;

/// <summary>Addresses of the image and of what it uses; everything lies below 640 KiB and is mapped one to one.</summary>
internal static class Layout
{
    /// <summary>Where firmware puts the first sector.</summary>
    public const int BootSector = 0x7C00;

    /// <summary>The second sector: a signature, then 64-bit code.</summary>
    public const int Rest = BootSector + SectorSize;

    /// <summary>First instruction of the 64-bit code.</summary>
    public const int LongEntry = Rest + 8;

    /// <summary>Bytes of a sector.</summary>
    public const int SectorSize = 512;

    /// <summary>Sectors that the boot sector loads after itself.</summary>
    public const int RestSectors = 8;

    /// <summary>Four levels of page tables, one page each.</summary>
    public const int PageTables = 0x10000;

    /// <summary>Stack pointer.</summary>
    public const int StackTop = 0x70000;

    /// <summary>64 KiB that the memory loop walks, and a page for its displacements.</summary>
    public const int Working = 0x20000;

    /// <summary>Page that REP MOVSB reads.</summary>
    public const int Source = 0x40000;

    /// <summary>Page that REP MOVSB writes.</summary>
    public const int Target = 0x41000;

    /// <summary>Bytes from <see cref="Working"/> that are given known content.</summary>
    public const int Filled = Target + 4096 - Working;

    /// <summary>What the disk image's length is a multiple of: a cylinder of 16 heads and 63 sectors.</summary>
    public const int Cylinder = 16 * 63 * SectorSize;
}
