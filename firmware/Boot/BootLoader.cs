using System.Buffers.Binary;
using System.Text;
using Vmm.Firmware.Compression;
using Vmm.Platform.Memory;

namespace Vmm.Firmware.Boot;

/// <summary>Turns an image and a machine into a plan: what to write to memory and how to enter. Nothing here touches a machine.</summary>
public static class BootLoader
{
    const int BiosDataArea = 0x400, SerialPorts = 0, ExtendedBiosSegment = 0x0E, ConventionalKib = 0x13;
    const ushort Com1 = 0x3F8;
    const int LargestImage = 256 << 20;

    /// <summary>A file that boot loaders unpack on the way, as GRUB does: the image in it; any other file as it is.</summary>
    /// <exception cref="ImageException">The packed data is damaged or unpacks to more than 256 MiB.</exception>
    public static ReadOnlyMemory<byte> Unpack(ReadOnlyMemory<byte> file) =>
        Decompressor.Detect(file.Span) == CompressionFormat.None ? file : Decompressor.Unpack(file, LargestImage, 4L * file.Length);

    /// <summary>
    /// The protocol for an image by its content: a bzImage is unpacked when it holds a kernel that we can unpack, else
    /// started by its 64-bit or 32-bit entry; then multiboot; an ELF file of Linux itself; PVH; a boot sector.
    /// </summary>
    /// <exception cref="ImageException">None fits, or a header is damaged.</exception>
    public static BootProtocol Detect(ReadOnlyMemory<byte> image)
    {
        if (LinuxImage.IsLinux(image.Span))
        {
            var linux = new LinuxImage(image);
            return !linux.Has64BitEntry ? BootProtocol.Linux32 : linux.HasPayload ? BootProtocol.LinuxUnpacked : BootProtocol.Linux64;
        }

        if (MultibootLoader.FindHeader(image.Span) >= 0)
        {
            return BootProtocol.Multiboot;
        }

        if (ElfImage.IsElf(image.Span))
        {
            return DetectElf(new ElfImage(image));
        }

        return FlatLoader.IsBootSector(image.Span) ? BootProtocol.Flat
            : throw new ImageException("image", 0, "neither bzImage, multiboot, ELF nor a boot sector; a flat image needs its load address");
    }

    static BootProtocol DetectElf(ElfImage elf)
    {
        if (elf.Is64Bit && elf.FindNote("Linux"u8, null) != null)
        {
            return BootProtocol.LinuxUnpacked;
        }

        return PvhLoader.EntryPoint(elf) != null ? BootProtocol.Pvh
            : elf.Is64Bit ? BootProtocol.LinuxUnpacked
            : throw new ImageException("ELF file", 0, "a 32-bit one needs a multiboot header or a PVH note");
    }

    /// <summary>Makes the plan.</summary>
    /// <exception cref="ImageException">The image, the command line or a module cannot be used.</exception>
    public static BootPlan Plan(BootRequest request)
    {
        if (request.CommandLine.Contains('\0', StringComparison.Ordinal) || Encoding.UTF8.GetByteCount(request.CommandLine) > ushort.MaxValue)
        {
            throw new ImageException("command line", -1, "it contains a NUL character or is longer than 65535 bytes");
        }

        if (request.RamBytes is < 1 << 20 or > 1UL << 40)
        {
            throw new ImageException("memory", -1, $"{request.RamBytes} bytes are not between 1 MiB and 1 TiB");
        }

        var map = MemoryMap.Build(request.RamBytes, [.. request.Reserved, .. request.Acpi?.Regions ?? []]);
        var memory = new Placement(map);
        RealModeVectors.Write(memory);
        WriteBiosDataArea(memory);
        foreach (var write in request.Acpi?.Writes ?? [])
        {
            memory.Write(write.Name, write.Address, write.Bytes, write.Zeros);
        }

        var protocol = request.Protocol != BootProtocol.Auto ? request.Protocol : request.Flat != null ? BootProtocol.Flat : Detect(request.Image);
        var entry = protocol switch
        {
            BootProtocol.LinuxUnpacked => LinuxLoader.LoadUnpacked(request, memory),
            BootProtocol.Linux64 => LinuxLoader.Load64(request, memory),
            BootProtocol.Linux32 => LinuxLoader.Load32(request, memory),
            BootProtocol.Pvh => PvhLoader.Load(request, memory),
            BootProtocol.Multiboot => MultibootLoader.Load(request, memory),
            _ => FlatLoader.Load(request, memory),
        };
        return new() { Protocol = protocol, RamBytes = request.RamBytes, Entry = entry, MemoryMap = map, Writes = memory.Writes };
    }

    /// <summary>The few words of the BIOS data area that guests look at, and the extended area's size in KiB.</summary>
    static void WriteBiosDataArea(Placement memory)
    {
        var area = new byte[0x100];
        BinaryPrimitives.WriteUInt16LittleEndian(area.AsSpan(SerialPorts), Com1);
        BinaryPrimitives.WriteUInt16LittleEndian(area.AsSpan(ExtendedBiosSegment), (ushort)(MemoryMap.ConventionalEnd >> 4));
        BinaryPrimitives.WriteUInt16LittleEndian(area.AsSpan(ConventionalKib), (ushort)(MemoryMap.ConventionalEnd >> 10));
        memory.Write("BIOS data area", new(BiosDataArea), area);
        memory.Write("extended BIOS data area", new(MemoryMap.ConventionalEnd), new byte[] { 1 }, MemoryMap.VideoStart - MemoryMap.ConventionalEnd - 1);
    }
}
