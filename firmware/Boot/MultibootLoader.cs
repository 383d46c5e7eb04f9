using System.Buffers.Binary;
using Vmm.Specs.Boot;

namespace Vmm.Firmware.Boot;

/// <summary>
/// Starts an image by Multiboot 1: protected mode, EAX holds the magic, EBX points to the boot information. The image is
/// ELF of either class, or anything that states its addresses in the header.
/// </summary>
internal static class MultibootLoader
{
    const int PageSize = 4096;
    const ulong FourGigabytes = 1UL << 32;
    const ulong ExtendedStart = 0x100000;
    const uint SupportedFlags = Multiboot.AlignModules | Multiboot.WantMemory | Multiboot.WantVideo;
    const uint ConventionalKib = 639;
    const string LoaderName = "vmm";

    /// <summary>Offset of the header, or -1: 4-byte aligned in the first 8192 bytes, with its checksum right.</summary>
    public static int FindHeader(ReadOnlySpan<byte> image)
    {
        for (var at = 0; at + 12 <= Math.Min(image.Length, Multiboot.SearchLength); at += 4)
        {
            if (Word(image, at) == Multiboot.HeaderMagic && Word(image, at) + Word(image, at + 4) + Word(image, at + 8) == 0)
            {
                return at;
            }
        }

        return -1;
    }

    /// <summary>Loads the image.</summary>
    public static CpuEntryState Load(BootRequest request, Placement memory)
    {
        var header = FindHeader(request.Image.Span);
        if (header < 0)
        {
            throw new ImageException("multiboot header", -1, "there is none in the first 8192 bytes, 4-byte aligned and with a right checksum");
        }

        var flags = Word(request.Image.Span, header + 4);
        if ((flags & Multiboot.MandatoryFlags & ~SupportedFlags) is var unknown and not 0)
        {
            throw new ImageException("multiboot flags", header + 4, $"0x{unknown:x} asks for something that is not supported");
        }

        var (entry, end) = (flags & Multiboot.HasAddresses) != 0
            ? LoadByAddresses(request.Image, header, memory)
            : LoadElf(request.Image, header, memory);
        return EntryStates.Protected32(memory, entry) with
        {
            Rax = Multiboot.LoaderMagic,
            Rbx = PutInformation(request, memory, end),
            Rsp = 0,
        };
    }

    static (ulong Entry, ulong End) LoadElf(ReadOnlyMemory<byte> image, int header, Placement memory)
    {
        if (!ElfImage.IsElf(image.Span))
        {
            throw new ImageException("multiboot flags", header + 4, "the image is not ELF and states no addresses");
        }

        var elf = new ElfImage(image);
        elf.Load(memory);
        return (elf.PhysicalEntry(elf.StatedEntry), elf.End);
    }

    /// <summary>The address fields (§3.1.3): they replace whatever executable format the image has.</summary>
    static (ulong Entry, ulong End) LoadByAddresses(ReadOnlyMemory<byte> image, int header, Placement memory)
    {
        var reader = new ImageReader(image);
        var at = header + Multiboot.HeaderAddr;
        var headerAddress = reader.Read("multiboot header_addr", at, 4);
        var loadAddress = reader.Read("multiboot load_addr", at + 4, 4);
        var loadEnd = reader.Read("multiboot load_end_addr", at + 8, 4);
        var bssEnd = reader.Read("multiboot bss_end_addr", at + 12, 4);
        var entry = reader.Read("multiboot entry_addr", at + 16, 4);
        if (headerAddress < loadAddress || headerAddress - loadAddress > (ulong)header)
        {
            throw new ImageException("multiboot load_addr", at + 4, $"0x{loadAddress:x} lies before the start of the image or after the header");
        }

        var offset = (ulong)header - (headerAddress - loadAddress);
        loadEnd = loadEnd == 0 ? loadAddress + (ulong)image.Length - offset : loadEnd;
        if (loadEnd < loadAddress)
        {
            throw new ImageException("multiboot load_end_addr", at + 8, $"0x{loadEnd:x} lies before load_addr");
        }

        var bytes = reader.Slice("multiboot load_end_addr", offset, loadEnd - loadAddress, at + 8);
        bssEnd = bssEnd == 0 ? loadEnd : bssEnd;
        if (bssEnd < loadEnd)
        {
            throw new ImageException("multiboot bss_end_addr", at + 12, $"0x{bssEnd:x} lies before load_end_addr");
        }

        if (entry < loadAddress || entry >= bssEnd)
        {
            throw new ImageException("multiboot entry_addr", at + 16, $"0x{entry:x} lies outside the image");
        }

        memory.Claim("multiboot image", loadAddress, bssEnd - loadAddress, at + 4);
        memory.Write("multiboot image", new(loadAddress), bytes, bssEnd - loadEnd);
        return (entry, bssEnd);
    }

    static ulong PutInformation(BootRequest request, Placement memory, ulong end)
    {
        var info = new byte[Multiboot.InfoSize];
        void Set(int field, ulong value) => BinaryPrimitives.WriteUInt32LittleEndian(info.AsSpan(field), (uint)value);

        var upper = memory.Map.FirstOrDefault(range => range.Start.Value == ExtendedStart && range.Kind == MemoryKind.Ram).Length;
        Set(Multiboot.MemLower, ConventionalKib);
        Set(Multiboot.MemUpper, upper >> 10);
        // As from GRUB and QEMU the command line starts with the image's own name.
        Set(Multiboot.Cmdline, memory.PutText("command line", Join(request.ImageName, request.CommandLine)).Value);
        Set(Multiboot.ModsCount, (ulong)request.Modules.Count);
        Set(Multiboot.ModsAddr, PutModules(request.Modules, memory, Math.Max(end, ExtendedStart)));
        var map = MapBytes(memory.Map);
        Set(Multiboot.MmapLength, (ulong)map.Length);
        Set(Multiboot.MmapAddr, memory.PutLow("memory map", map, 16).Value);
        Set(Multiboot.BootLoaderName, memory.PutText("boot loader name", LoaderName).Value);
        Set(Multiboot.Flags, Multiboot.InfoMemory | Multiboot.InfoCmdline | Multiboot.InfoModules | Multiboot.InfoMemoryMap | Multiboot.InfoLoaderName);
        return memory.PutLow("multiboot information", info, 16).Value;
    }

    /// <summary>Modules go behind the image, page aligned, as kernels of this kind expect.</summary>
    static ulong PutModules(IReadOnlyList<BootModule> modules, Placement memory, ulong end)
    {
        if (modules.Count == 0)
        {
            return 0;
        }

        var list = new byte[modules.Count * Multiboot.ModuleSize];
        for (var i = 0; i < modules.Count; i++)
        {
            var (text, bytes) = modules[i];
            var start = memory.AllocateFrom(end, "module", (ulong)Math.Max(1, bytes.Length), PageSize);
            memory.Write("module", start, bytes);
            var entry = list.AsSpan(i * Multiboot.ModuleSize);
            BinaryPrimitives.WriteUInt32LittleEndian(entry, (uint)start.Value);
            BinaryPrimitives.WriteUInt32LittleEndian(entry[4..], (uint)start.Value + (uint)bytes.Length);
            BinaryPrimitives.WriteUInt32LittleEndian(entry[8..], (uint)memory.PutText("module command line", text).Value);
        }

        return memory.PutLow("module list", list, 16).Value;
    }

    static byte[] MapBytes(IReadOnlyList<MemoryRange> map)
    {
        var table = new byte[map.Count * Multiboot.MmapEntrySize];
        for (var i = 0; i < map.Count; i++)
        {
            var entry = table.AsSpan(i * Multiboot.MmapEntrySize);
            BinaryPrimitives.WriteUInt32LittleEndian(entry, Multiboot.MmapEntrySize - 4);
            BinaryPrimitives.WriteUInt64LittleEndian(entry[4..], map[i].Start.Value);
            BinaryPrimitives.WriteUInt64LittleEndian(entry[12..], map[i].Length);
            BinaryPrimitives.WriteUInt32LittleEndian(entry[20..], (uint)map[i].Kind);
        }

        return table;
    }

    static string Join(string name, string arguments) => arguments.Length == 0 ? name : $"{name} {arguments}";

    static uint Word(ReadOnlySpan<byte> image, int at) => BinaryPrimitives.ReadUInt32LittleEndian(image[at..]);
}
