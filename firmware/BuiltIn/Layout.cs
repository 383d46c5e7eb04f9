namespace Vmm.Firmware.BuiltIn;

/// <summary>Physical memory of the guest. It ends at 6 MiB, so that the guest runs on the smallest machine.</summary>
internal static class Layout
{
    /// <summary>Where application processors start: a page below 1 MiB.</summary>
    public const uint Trampoline = 0x8000;

    /// <summary>Multiboot header and 32-bit start.</summary>
    public const uint Boot = 0x10_0000;

    /// <summary>64-bit code.</summary>
    public const uint Text = 0x10_1000;

    /// <summary>Initialised data.</summary>
    public const uint Data = 0x14_0000;

    /// <summary>Data that starts as zero.</summary>
    public const uint Zeroed = 0x16_0000;

    /// <summary>2 MiB that tests may map, fill and give to devices.</summary>
    public const uint Arena = 0x40_0000;

    /// <summary>End of the guest.</summary>
    public const uint End = 0x60_0000;

    /// <summary>Length of a page in bytes.</summary>
    public const uint PageSize = 0x1000;

    /// <summary>Linear addresses that paging tests map as they like: PML4 entry 3.</summary>
    public const ulong PagingWindow = 3ul << 39;

    /// <summary>Linear address where CPL 3 sees the 64-bit code: added to the address it has for CPL 0. PML4 entry 4.</summary>
    public const ulong UserAlias = 4ul << 39;

    /// <summary>Linear address of the page that CPL 3 may write; the page above it is its stack.</summary>
    public const ulong UserData = UserAlias + 0x4000_0000;

    /// <summary>Top of the stack of CPL 3.</summary>
    public const ulong UserStackTop = UserData + 2 * PageSize;
}
