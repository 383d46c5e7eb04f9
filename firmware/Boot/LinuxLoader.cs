using System.Buffers.Binary;
using System.Text;
using Vmm.Specs.Boot;

namespace Vmm.Firmware.Boot;

/// <summary>Starts Linux by its boot protocol (Documentation/arch/x86/boot.rst): 64-bit, 32-bit, or past the decompressor.</summary>
internal static class LinuxLoader
{
    const int PageSize = 4096;
    const ulong ExtendedStart = 0x100000;
    const ulong FourGigabytes = 1UL << 32;
    const uint VmlinuxAlignment = 0x200000;
    const ulong VmlinuxInitrdMax = 0x7FFFFFFF, VmlinuxCmdlineSize = 2047;
    const ushort NormalVideoMode = 0xFFFF;

    /// <summary>Loads the unpacked kernel and enters startup_64, which takes the same registers as the 64-bit entry of a bzImage.</summary>
    public static CpuEntryState LoadUnpacked(BootRequest request, Placement memory)
    {
        var packed = LinuxImage.IsLinux(request.Image.Span) ? new LinuxImage(request.Image) : null;
        var elf = new ElfImage(packed?.Unpack() ?? request.Image);
        if (!elf.Is64Bit)
        {
            throw new ImageException("ELF class", Elf.Class, "the kernel is 32-bit; only its bzImage can be started, by the 32-bit entry");
        }

        elf.Load(memory);
        var parameters = packed == null ? VmlinuxParameters() : Parameters(packed);
        var address = PutParameters(request, memory, parameters, packed?.InitrdMax ?? VmlinuxInitrdMax, packed?.CmdlineSize ?? VmlinuxCmdlineSize);
        return EntryStates.Long64(memory, elf.PhysicalEntry(elf.StatedEntry)) with { Rsi = address };
    }

    /// <summary>Loads the protected-mode code and enters it 0x200 bytes in, in 64-bit mode.</summary>
    public static CpuEntryState Load64(BootRequest request, Placement memory)
    {
        var image = new LinuxImage(request.Image);
        if (!image.Has64BitEntry)
        {
            throw new ImageException("bzImage xloadflags", LinuxBoot.XLoadFlags, "the kernel has no 64-bit entry point");
        }

        var (start, parameters) = Load(request, memory, image);
        return EntryStates.Long64(memory, start + LinuxBoot.Entry64) with { Rsi = parameters };
    }

    /// <summary>Loads the protected-mode code and enters its first byte in protected mode.</summary>
    public static CpuEntryState Load32(BootRequest request, Placement memory)
    {
        var (start, parameters) = Load(request, memory, new LinuxImage(request.Image));
        return EntryStates.Protected32(memory, start) with { Rsi = parameters };
    }

    static (ulong Start, ulong Parameters) Load(BootRequest request, Placement memory, LinuxImage image)
    {
        var start = PlaceCode(memory, image);
        memory.Write("kernel", new(start), image.Code);
        var parameters = Parameters(image);
        BinaryPrimitives.WriteUInt32LittleEndian(parameters.AsSpan(LinuxBoot.Code32Start), (uint)start);
        return (start, PutParameters(request, memory, parameters, image.InitrdMax, image.CmdlineSize));
    }

    /// <summary>The preferred address when it is free; a relocatable kernel else goes to the lowest place above 1 MiB.</summary>
    static ulong PlaceCode(Placement memory, LinuxImage image)
    {
        var preferred = image.PreferredAddress;
        try
        {
            memory.Claim("bzImage init_size", preferred, image.InitSize, LinuxBoot.InitSize);
            return preferred;
        }
        catch (ImageException) when (image.Relocatable)
        {
            return memory.AllocateFrom(ExtendedStart, "bzImage init_size", image.InitSize, image.Alignment).Value;
        }
    }

    /// <summary>A zero page with the kernel's own header in it.</summary>
    static byte[] Parameters(LinuxImage image)
    {
        var parameters = new byte[LinuxBoot.BootParamsSize];
        image.Header.CopyTo(parameters.AsMemory(LinuxBoot.SetupSects));
        parameters[LinuxBoot.TypeOfLoader] = LinuxBoot.UndefinedLoader;
        BinaryPrimitives.WriteUInt16LittleEndian(parameters.AsSpan(LinuxBoot.VidMode), NormalVideoMode);
        // A pointer that only a loader may set.
        BinaryPrimitives.WriteUInt64LittleEndian(parameters.AsSpan(LinuxBoot.SetupData), 0);
        return parameters;
    }

    /// <summary>A vmlinux has no header: the kernel looks at these few fields of it.</summary>
    static byte[] VmlinuxParameters()
    {
        var parameters = new byte[LinuxBoot.BootParamsSize];
        var span = parameters.AsSpan();
        BinaryPrimitives.WriteUInt16LittleEndian(span[LinuxBoot.BootFlag..], LinuxBoot.BootFlagValue);
        BinaryPrimitives.WriteUInt32LittleEndian(span[LinuxBoot.Header..], LinuxBoot.HeaderMagic);
        BinaryPrimitives.WriteUInt16LittleEndian(span[LinuxBoot.Version..], 0x20F);
        span[LinuxBoot.TypeOfLoader] = LinuxBoot.UndefinedLoader;
        span[LinuxBoot.LoadFlags] = LinuxBoot.LoadedHigh;
        BinaryPrimitives.WriteUInt32LittleEndian(span[LinuxBoot.KernelAlignment..], VmlinuxAlignment);
        BinaryPrimitives.WriteUInt16LittleEndian(span[LinuxBoot.XLoadFlags..], LinuxBoot.XlfKernel64);
        return parameters;
    }

    static ulong PutParameters(BootRequest request, Placement memory, byte[] parameters, ulong initrdMax, ulong cmdlineSize)
    {
        var size = Encoding.UTF8.GetByteCount(request.CommandLine);
        if ((ulong)size > cmdlineSize)
        {
            throw new ImageException("command line", -1, $"{size} bytes are more than the {cmdlineSize} that the kernel takes");
        }

        var span = parameters.AsSpan();
        var cmdline = memory.PutText("command line", request.CommandLine);
        BinaryPrimitives.WriteUInt32LittleEndian(span[LinuxBoot.CmdLinePtr..], (uint)cmdline.Value);
        PutInitrd(request.Modules, memory, parameters, initrdMax);
        WriteMemoryMap(memory.Map, parameters);
        BinaryPrimitives.WriteUInt64LittleEndian(span[LinuxBoot.AcpiRsdpAddr..], request.Acpi?.Rsdp.Value ?? 0);
        return memory.PutLow("boot_params", parameters, PageSize).Value;
    }

    /// <summary>Linux takes several archives one after the other; each starts on a multiple of four bytes.</summary>
    static void PutInitrd(IReadOnlyList<BootModule> modules, Placement memory, byte[] parameters, ulong initrdMax)
    {
        ulong size = 0;
        foreach (var module in modules)
        {
            size = (size + 3 & ~3UL) + (ulong)module.Bytes.Length;
        }

        if (size == 0)
        {
            return;
        }

        var limit = Math.Min(initrdMax, FourGigabytes - 1) + 1;
        var start = memory.AllocateBelow(limit, "initrd", size, PageSize);
        var at = start;
        foreach (var module in modules)
        {
            memory.Write("initrd", at, module.Bytes, (ulong)-module.Bytes.Length & 3);
            at += (ulong)module.Bytes.Length + 3 & ~3UL;
        }

        BinaryPrimitives.WriteUInt32LittleEndian(parameters.AsSpan(LinuxBoot.RamdiskImage), (uint)start.Value);
        BinaryPrimitives.WriteUInt32LittleEndian(parameters.AsSpan(LinuxBoot.RamdiskSize), (uint)size);
    }

    static void WriteMemoryMap(IReadOnlyList<MemoryRange> map, byte[] parameters)
    {
        if (map.Count > LinuxBoot.E820MaxEntries)
        {
            throw new ImageException("memory map", -1, $"{map.Count} ranges are more than the {LinuxBoot.E820MaxEntries} that boot_params holds");
        }

        parameters[LinuxBoot.E820Entries] = (byte)map.Count;
        for (var i = 0; i < map.Count; i++)
        {
            var entry = parameters.AsSpan(LinuxBoot.E820Table + i * LinuxBoot.E820EntrySize);
            BinaryPrimitives.WriteUInt64LittleEndian(entry, map[i].Start.Value);
            BinaryPrimitives.WriteUInt64LittleEndian(entry[8..], map[i].Length);
            BinaryPrimitives.WriteUInt32LittleEndian(entry[16..], (uint)map[i].Kind);
            if (map[i].Kind == MemoryKind.Ram && map[i].Start.Value == ExtendedStart)
            {
                BinaryPrimitives.WriteUInt32LittleEndian(parameters.AsSpan(LinuxBoot.AltMemK), (uint)Math.Min(map[i].Length >> 10, uint.MaxValue));
            }
        }
    }
}
