namespace Vmm.Specs.Boot;

/// <summary>Linux/x86 boot protocol: offsets in the image's first sectors and in struct boot_params, which agree where both exist.</summary>
public static class LinuxBoot
{
    /// <summary>acpi_rsdp_addr (boot_params): 64-bit physical address of the RSDP.</summary>
    public const int AcpiRsdpAddr = 0x070;

    /// <summary>ext_ramdisk_image (boot_params): upper 32 bits of ramdisk_image.</summary>
    public const int ExtRamdiskImage = 0x0C0;

    /// <summary>ext_ramdisk_size (boot_params).</summary>
    public const int ExtRamdiskSize = 0x0C4;

    /// <summary>ext_cmd_line_ptr (boot_params).</summary>
    public const int ExtCmdLinePtr = 0x0C8;

    /// <summary>alt_mem_k (boot_params): KiB of RAM from 1 MiB on.</summary>
    public const int AltMemK = 0x1E0;

    /// <summary>e820_entries (boot_params): bytes.</summary>
    public const int E820Entries = 0x1E8;

    /// <summary>setup_sects: 512-byte sectors of real-mode code after the first; 0 means 4.</summary>
    public const int SetupSects = 0x1F1;

    /// <summary>vid_mode.</summary>
    public const int VidMode = 0x1FA;

    /// <summary>boot_flag: 0xAA55.</summary>
    public const int BootFlag = 0x1FE;

    /// <summary>Second byte of the jump: the header ends at 0x202 plus it.</summary>
    public const int HeaderLength = 0x201;

    /// <summary>header: "HdrS".</summary>
    public const int Header = 0x202;

    /// <summary>version: 16 bits, 0x020F is 2.15.</summary>
    public const int Version = 0x206;

    /// <summary>type_of_loader.</summary>
    public const int TypeOfLoader = 0x210;

    /// <summary>loadflags.</summary>
    public const int LoadFlags = 0x211;

    /// <summary>code32_start.</summary>
    public const int Code32Start = 0x214;

    /// <summary>ramdisk_image.</summary>
    public const int RamdiskImage = 0x218;

    /// <summary>ramdisk_size.</summary>
    public const int RamdiskSize = 0x21C;

    /// <summary>cmd_line_ptr.</summary>
    public const int CmdLinePtr = 0x228;

    /// <summary>initrd_addr_max (2.03): highest address that the RAM disk may occupy.</summary>
    public const int InitrdAddrMax = 0x22C;

    /// <summary>kernel_alignment (2.05).</summary>
    public const int KernelAlignment = 0x230;

    /// <summary>relocatable_kernel (2.05): byte.</summary>
    public const int RelocatableKernel = 0x234;

    /// <summary>xloadflags (2.12): 16 bits.</summary>
    public const int XLoadFlags = 0x236;

    /// <summary>cmdline_size (2.06): most bytes of the command line without its terminator.</summary>
    public const int CmdlineSize = 0x238;

    /// <summary>payload_offset (2.08): from the start of the protected-mode code.</summary>
    public const int PayloadOffset = 0x248;

    /// <summary>payload_length (2.08).</summary>
    public const int PayloadLength = 0x24C;

    /// <summary>setup_data (2.09): 64-bit physical address of a list.</summary>
    public const int SetupData = 0x250;

    /// <summary>pref_address (2.10): 64 bits.</summary>
    public const int PrefAddress = 0x258;

    /// <summary>init_size (2.10): memory that the kernel needs from its load address on before it knows the memory map.</summary>
    public const int InitSize = 0x260;

    /// <summary>First byte after the largest header that boot_params has room for.</summary>
    public const int HeaderEnd = 0x290;

    /// <summary>e820_table (boot_params): entries of 20 bytes, 64-bit start, 64-bit length, 32-bit type.</summary>
    public const int E820Table = 0x2D0;

    /// <summary>Size of an entry of e820_table.</summary>
    public const int E820EntrySize = 20;

    /// <summary>Entries that e820_table has room for.</summary>
    public const int E820MaxEntries = 128;

    /// <summary>Size of struct boot_params.</summary>
    public const int BootParamsSize = 4096;

    /// <summary>"HdrS".</summary>
    public const uint HeaderMagic = 0x53726448;

    /// <summary>Value of boot_flag.</summary>
    public const ushort BootFlagValue = 0xAA55;

    /// <summary>loadflags: the protected-mode code is loaded at 1 MiB or above.</summary>
    public const byte LoadedHigh = 0x01;

    /// <summary>xloadflags: the kernel has the 64-bit entry point.</summary>
    public const ushort XlfKernel64 = 0x01;

    /// <summary>type_of_loader of a loader without an assigned number.</summary>
    public const byte UndefinedLoader = 0xFF;

    /// <summary>Offset of the 64-bit entry point from the load address.</summary>
    public const int Entry64 = 0x200;
}
