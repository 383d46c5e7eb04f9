namespace Vmm.Specs.Boot;

/// <summary>struct hvm_start_info version 1 of the x86/HVM direct boot ABI (PVH).</summary>
public static class HvmStartInfo
{
    /// <summary>Value of magic.</summary>
    public const uint MagicValue = 0x336EC578;

    /// <summary>magic.</summary>
    public const int Magic = 0;

    /// <summary>version.</summary>
    public const int Version = 4;

    /// <summary>nr_modules.</summary>
    public const int NrModules = 12;

    /// <summary>modlist_paddr: 64 bits.</summary>
    public const int ModlistPaddr = 16;

    /// <summary>cmdline_paddr: 64 bits.</summary>
    public const int CmdlinePaddr = 24;

    /// <summary>rsdp_paddr: 64 bits.</summary>
    public const int RsdpPaddr = 32;

    /// <summary>memmap_paddr: 64 bits.</summary>
    public const int MemmapPaddr = 40;

    /// <summary>memmap_entries.</summary>
    public const int MemmapEntries = 48;

    /// <summary>Size of the structure.</summary>
    public const int Size = 56;

    /// <summary>Module: paddr, size, cmdline_paddr, reserved; 64 bits each.</summary>
    public const int ModuleSize = 32;

    /// <summary>Memory map entry: 64-bit address and size, 32-bit type, 32 bits reserved.</summary>
    public const int MemmapEntrySize = 24;

    /// <summary>Type of the ELF note XEN_ELFNOTE_PHYS32_ENTRY, owner "Xen": the 32-bit entry point.</summary>
    public const uint Phys32EntryNote = 18;
}
