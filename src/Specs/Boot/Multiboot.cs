namespace Vmm.Specs.Boot;

/// <summary>Multiboot specification 0.6.96: header (§3.1) and boot information (§3.3).</summary>
public static class Multiboot
{
    /// <summary>Header magic.</summary>
    public const uint HeaderMagic = 0x1BADB002;

    /// <summary>EAX at entry.</summary>
    public const uint LoaderMagic = 0x2BADB002;

    /// <summary>The header lies wholly in this many bytes, 4-byte aligned.</summary>
    public const int SearchLength = 8192;

    /// <summary>Header flag: modules are page aligned.</summary>
    public const uint AlignModules = 1 << 0;

    /// <summary>Header flag: mem_* and the memory map are wanted.</summary>
    public const uint WantMemory = 1 << 1;

    /// <summary>Header flag: a video mode is preferred.</summary>
    public const uint WantVideo = 1 << 2;

    /// <summary>Header flags that a loader must understand.</summary>
    public const uint MandatoryFlags = 0xFFFF;

    /// <summary>Header flag: the address fields replace those of the executable header.</summary>
    public const uint HasAddresses = 1 << 16;

    /// <summary>Header field header_addr; load_addr, load_end_addr, bss_end_addr and entry_addr follow.</summary>
    public const int HeaderAddr = 12;

    /// <summary>Header size with the address fields.</summary>
    public const int HeaderSizeWithAddresses = 32;

    /// <summary>Information flags: mem_lower and mem_upper; cmdline; modules; memory map; boot_loader_name.</summary>
    public const uint InfoMemory = 1 << 0, InfoCmdline = 1 << 2, InfoModules = 1 << 3, InfoMemoryMap = 1 << 6, InfoLoaderName = 1 << 9;

    /// <summary>Information: flags.</summary>
    public const int Flags = 0;

    /// <summary>Information: mem_lower, KiB from address 0, at most 640.</summary>
    public const int MemLower = 4;

    /// <summary>Information: mem_upper, KiB from 1 MiB to the first hole.</summary>
    public const int MemUpper = 8;

    /// <summary>Information: cmdline.</summary>
    public const int Cmdline = 16;

    /// <summary>Information: mods_count.</summary>
    public const int ModsCount = 20;

    /// <summary>Information: mods_addr.</summary>
    public const int ModsAddr = 24;

    /// <summary>Information: mmap_length in bytes.</summary>
    public const int MmapLength = 44;

    /// <summary>Information: mmap_addr.</summary>
    public const int MmapAddr = 48;

    /// <summary>Information: boot_loader_name.</summary>
    public const int BootLoaderName = 64;

    /// <summary>Size of the information structure.</summary>
    public const int InfoSize = 120;

    /// <summary>Module: mod_start, mod_end, string, reserved.</summary>
    public const int ModuleSize = 16;

    /// <summary>Memory map entry: 32-bit size of the rest, 64-bit base, 64-bit length, 32-bit type.</summary>
    public const int MmapEntrySize = 24;
}
