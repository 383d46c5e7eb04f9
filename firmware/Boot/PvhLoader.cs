using System.Buffers.Binary;
using Vmm.Specs.Boot;

namespace Vmm.Firmware.Boot;

/// <summary>Starts an ELF image by the x86/HVM direct boot ABI: protected mode, EBX points to hvm_start_info.</summary>
internal static class PvhLoader
{
    const int PageSize = 4096;
    const ulong FourGigabytes = 1UL << 32;

    /// <summary>The entry point that the image's note gives, or null without such a note.</summary>
    public static ulong? EntryPoint(ElfImage elf) => elf.FindNote("Xen"u8, HvmStartInfo.Phys32EntryNote) switch
    {
        null => null,
        { Length: 4 } note => BinaryPrimitives.ReadUInt32LittleEndian(note.Span),
        { Length: 8 } note => BinaryPrimitives.ReadUInt64LittleEndian(note.Span),
        { } note => throw new ImageException("PVH entry note", -1, $"{note.Length} bytes are neither 4 nor 8"),
    };

    /// <summary>Loads the image.</summary>
    public static CpuEntryState Load(BootRequest request, Placement memory)
    {
        var elf = new ElfImage(request.Image);
        var entry = EntryPoint(elf) ?? throw new ImageException("PVH entry note", -1, "the image has no ELF note of owner Xen and type 18");
        if (elf.PhysicalEntry(entry) != entry || entry >= FourGigabytes)
        {
            throw new ImageException("PVH entry note", -1, $"0x{entry:x} is not a physical address of the image");
        }

        elf.Load(memory);
        var info = new byte[HvmStartInfo.Size];
        var span = info.AsSpan();
        BinaryPrimitives.WriteUInt32LittleEndian(span[HvmStartInfo.Magic..], HvmStartInfo.MagicValue);
        BinaryPrimitives.WriteUInt32LittleEndian(span[HvmStartInfo.Version..], 1);
        BinaryPrimitives.WriteUInt32LittleEndian(span[HvmStartInfo.NrModules..], (uint)request.Modules.Count);
        BinaryPrimitives.WriteUInt64LittleEndian(span[HvmStartInfo.ModlistPaddr..], PutModules(request.Modules, memory));
        BinaryPrimitives.WriteUInt64LittleEndian(span[HvmStartInfo.CmdlinePaddr..], memory.PutText("command line", request.CommandLine).Value);
        BinaryPrimitives.WriteUInt64LittleEndian(span[HvmStartInfo.RsdpPaddr..], request.Acpi?.Rsdp.Value ?? 0);
        BinaryPrimitives.WriteUInt64LittleEndian(span[HvmStartInfo.MemmapPaddr..], PutMemoryMap(memory));
        BinaryPrimitives.WriteUInt32LittleEndian(span[HvmStartInfo.MemmapEntries..], (uint)memory.Map.Count);
        return EntryStates.Protected32(memory, entry) with { Rbx = memory.PutLow("hvm_start_info", info, 16).Value };
    }

    static ulong PutModules(IReadOnlyList<BootModule> modules, Placement memory)
    {
        if (modules.Count == 0)
        {
            return 0;
        }

        var list = new byte[modules.Count * HvmStartInfo.ModuleSize];
        for (var i = 0; i < modules.Count; i++)
        {
            var (text, bytes) = modules[i];
            var address = memory.AllocateBelow(FourGigabytes, "module", (ulong)Math.Max(1, bytes.Length), PageSize);
            memory.Write("module", address, bytes);
            var entry = list.AsSpan(i * HvmStartInfo.ModuleSize);
            BinaryPrimitives.WriteUInt64LittleEndian(entry, address.Value);
            BinaryPrimitives.WriteUInt64LittleEndian(entry[8..], (ulong)bytes.Length);
            BinaryPrimitives.WriteUInt64LittleEndian(entry[16..], memory.PutText("module command line", text).Value);
        }

        return memory.PutLow("module list", list, 16).Value;
    }

    static ulong PutMemoryMap(Placement memory)
    {
        var table = new byte[memory.Map.Count * HvmStartInfo.MemmapEntrySize];
        for (var i = 0; i < memory.Map.Count; i++)
        {
            var entry = table.AsSpan(i * HvmStartInfo.MemmapEntrySize);
            BinaryPrimitives.WriteUInt64LittleEndian(entry, memory.Map[i].Start.Value);
            BinaryPrimitives.WriteUInt64LittleEndian(entry[8..], memory.Map[i].Length);
            BinaryPrimitives.WriteUInt32LittleEndian(entry[16..], (uint)memory.Map[i].Kind);
        }

        return memory.PutLow("memory map", table, 16).Value;
    }
}
