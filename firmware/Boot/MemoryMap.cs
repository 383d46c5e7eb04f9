using Vmm.Platform.Memory;

namespace Vmm.Firmware.Boot;

/// <summary>What a range of physical addresses is, by the numbers of ACPI §15 (INT 15h E820), which all boot protocols share.</summary>
public enum MemoryKind
{
    /// <summary>AddressRangeMemory.</summary>
    Ram = 1,

    /// <summary>AddressRangeReserved.</summary>
    Reserved = 2,

    /// <summary>AddressRangeACPI: free once the tables were read.</summary>
    AcpiReclaim = 3,

    /// <summary>AddressRangeNVS: kept by the operating system.</summary>
    AcpiNvs = 4,
}

/// <summary>A range of physical addresses.</summary>
/// <param name="Start">First address.</param>
/// <param name="Length">Length in bytes.</param>
/// <param name="Kind">What it is.</param>
public readonly record struct MemoryRange(Gpa Start, ulong Length, MemoryKind Kind)
{
    /// <summary>First address after it.</summary>
    public ulong End => Start.Value + Length;
}

/// <summary>Builds the memory map that a guest is given: RAM as <see cref="GuestMemory"/> lays it out, less what is reserved.</summary>
public static class MemoryMap
{
    /// <summary>Start of the extended BIOS data area, and so end of conventional memory.</summary>
    public const ulong ConventionalEnd = 0x9FC00;

    /// <summary>Start of the video and ROM area.</summary>
    public const ulong VideoStart = 0xA0000;

    /// <summary>Start of the BIOS area, where bare-metal guests look for the RSDP.</summary>
    public const ulong BiosStart = 0xE0000;

    /// <summary>1 MiB.</summary>
    public const ulong ExtendedStart = 0x100000;

    /// <summary>The sorted map, without overlaps; neighbours of one kind are joined.</summary>
    /// <param name="ramBytes">RAM of the machine in bytes.</param>
    /// <param name="reserved">Ranges that are not plain RAM; they win over RAM, and later ones over earlier ones.</param>
    /// <exception cref="ImageException">A range wraps around.</exception>
    public static IReadOnlyList<MemoryRange> Build(ulong ramBytes, IEnumerable<MemoryRange> reserved)
    {
        var low = Math.Min(ramBytes, GuestMemory.LowRamLimit);
        List<MemoryRange> layers =
        [
            new(new(0), ConventionalEnd, MemoryKind.Ram),
            new(new(ConventionalEnd), VideoStart - ConventionalEnd, MemoryKind.Reserved),
            new(new(BiosStart), ExtendedStart - BiosStart, MemoryKind.Reserved),
            new(new(ExtendedStart), low - Math.Min(low, ExtendedStart), MemoryKind.Ram),
            new(new(GuestMemory.HighRamStart), ramBytes - low, MemoryKind.Ram),
            .. reserved,
        ];
        var wrapped = layers.FindIndex(range => range.End < range.Start.Value);
        if (wrapped >= 0)
        {
            throw new ImageException("memory map", -1, $"the range at {layers[wrapped].Start} wraps around");
        }

        return Flatten(layers);
    }

    static List<MemoryRange> Flatten(List<MemoryRange> layers)
    {
        ulong[] edges = [.. layers.SelectMany(range => new[] { range.Start.Value, range.End }).Distinct().Order()];
        var map = new List<MemoryRange>();
        for (var i = 0; i + 1 < edges.Length; i++)
        {
            var (start, end) = (edges[i], edges[i + 1]);
            var top = layers.FindLastIndex(range => range.Start.Value <= start && end <= range.End);
            if (top < 0)
            {
                continue;
            }

            var kind = layers[top].Kind;
            if (map.Count > 0 && map[^1].End == start && map[^1].Kind == kind)
            {
                map[^1] = map[^1] with { Length = end - map[^1].Start.Value };
            }
            else
            {
                map.Add(new(new(start), end - start, kind));
            }
        }

        return map;
    }
}
