using Vmm.Firmware.Acpi;
using Vmm.Platform.Memory;

namespace Vmm.Firmware.Boot;

/// <summary>How an image is started.</summary>
public enum BootProtocol
{
    /// <summary>By content: see <see cref="BootLoader.Detect"/>.</summary>
    Auto,

    /// <summary>Linux, 64-bit entry of the unpacked kernel: the payload of a bzImage, or a vmlinux. The fastest start.</summary>
    LinuxUnpacked,

    /// <summary>Linux boot protocol, 64-bit entry of a bzImage, which unpacks itself.</summary>
    Linux64,

    /// <summary>Linux boot protocol, 32-bit entry of a bzImage.</summary>
    Linux32,

    /// <summary>x86/HVM direct boot: 32-bit entry from an ELF note.</summary>
    Pvh,

    /// <summary>Multiboot 1.</summary>
    Multiboot,

    /// <summary>The bytes as they are at a given address.</summary>
    Flat,
}

/// <summary>Where and how a flat image starts.</summary>
/// <param name="Address">Where its first byte goes.</param>
/// <param name="Mode">Mode of the processor.</param>
/// <param name="EntryOffset">Offset of the first instruction in the image.</param>
public sealed record FlatStart(Gpa Address, CpuMode Mode, ulong EntryOffset = 0)
{
    /// <summary>A boot sector: real mode at 0000:7C00.</summary>
    public static FlatStart BootSector { get; } = new(new(0x7C00), CpuMode.Real16);
}

/// <summary>What to start, on which machine.</summary>
public sealed record BootRequest
{
    /// <summary>RAM of the machine in bytes.</summary>
    public required ulong RamBytes { get; init; }

    /// <summary>The image: bzImage, ELF, multiboot or flat.</summary>
    public required ReadOnlyMemory<byte> Image { get; init; }

    /// <summary>Name of the image: the first word of a multiboot command line.</summary>
    public string ImageName { get; init; } = "kernel";

    /// <summary>The protocol.</summary>
    public BootProtocol Protocol { get; init; }

    /// <summary>The command line.</summary>
    public string CommandLine { get; init; } = "";

    /// <summary>Modules. Linux gets them as one initial RAM disk, one after the other.</summary>
    public IReadOnlyList<BootModule> Modules { get; init; } = [];

    /// <summary>Where a flat image goes; needed unless the image is a boot sector.</summary>
    public FlatStart? Flat { get; init; }

    /// <summary>ACPI tables of the machine, or null for none.</summary>
    public AcpiTables? Acpi { get; init; }

    /// <summary>Further ranges that the guest is to leave alone.</summary>
    public IReadOnlyList<MemoryRange> Reserved { get; init; } = [];
}
