using System.Globalization;

namespace Vmm.Beds;

/// <summary>A buffer as a device was told of it.</summary>
/// <param name="ToDevice">The device reads it; false: it writes it.</param>
/// <param name="Address">IO virtual address of the first byte.</param>
/// <param name="Bytes">Length.</param>
/// <param name="Pages">Guest-physical addresses: of the first byte, then of the start of each further page.</param>
internal sealed record DmaBuffer(bool ToDevice, ulong Address, int Bytes, ulong[] Pages)
{
    /// <summary>Runs of contiguous guest-physical bytes.</summary>
    public IEnumerable<(ulong Start, int Bytes)> Runs()
    {
        var start = Pages[0];
        var end = Math.Min((start | 0xFFF) + 1, start + (ulong)Bytes);
        var left = (ulong)Bytes - (end - start);
        foreach (var page in Pages.Skip(1))
        {
            if (page != end)
            {
                yield return (start, (int)(end - start));
                start = end = page;
            }

            var part = Math.Min(left, 4096);
            end += part;
            left -= part;
        }

        yield return (start, (int)(end - start));
    }
}

/// <summary>A buffer begins or ends to be the device's.</summary>
/// <param name="Time">Cycles.</param>
/// <param name="Buffer">The buffer.</param>
/// <param name="Queue">Submission queue of the command.</param>
/// <param name="IsMap">Begins: the device was given the command. Ends: it completed it.</param>
internal readonly record struct DmaStep(ulong Time, DmaBuffer Buffer, int Queue, bool IsMap);

/// <summary>One access to the registers of an IOMMU, and what the unit did by the end of it.</summary>
internal sealed record IommuExit(ulong Time)
{
    /// <summary>Page-selective invalidations of the IOTLB (VT-d §6.5.2.3).</summary>
    public int Pages { get; set; }

    /// <summary>Pages that those cover.</summary>
    public long Covered { get; set; }

    /// <summary>Invalidations that drain reads and writes first.</summary>
    public int Drained { get; set; }

    /// <summary>Domain-selective and global ones.</summary>
    public int Domains { get; set; }

    /// <summary>PASID-based ones, of all granularities (VT-d §6.5.2.4).</summary>
    public int Pasids { get; set; }

    /// <summary>Other descriptors but waits.</summary>
    public int Others { get; set; }

    /// <summary>Wait descriptors.</summary>
    public int Waits { get; set; }

    /// <summary>MAP requests (virtio 1.2 §5.13.6.5).</summary>
    public int Maps { get; set; }

    /// <summary>UNMAP requests.</summary>
    public int Unmaps { get; set; }

    /// <summary>It made a mapping usable; false: it ended some.</summary>
    public bool IsForMap { get; set; }

    /// <summary>Its last MAP request was the last one of a buffer.</summary>
    public bool CompletesMap { get; set; }

    /// <summary>Nothing was asked of the unit.</summary>
    public bool IsIdle => Pages + Domains + Pasids + Others + Waits + Maps + Unmaps == 0;
}

/// <summary>Counts of a sequence of buffers.</summary>
/// <param name="Buffers">Mappings.</param>
/// <param name="MapExits">Exits to make mappings usable.</param>
/// <param name="UnmapExits">Exits to end them.</param>
/// <param name="MapPages">Page-selective invalidations of new mappings.</param>
/// <param name="UnmapPages">Page-selective invalidations of ended ones.</param>
/// <param name="Covered">Pages of page-selective invalidations, as their masks round them.</param>
/// <param name="Domains">Domain-selective invalidations.</param>
/// <param name="Pasids">PASID-based invalidations.</param>
/// <param name="Drained">Invalidations that drain reads and writes.</param>
/// <param name="Waits">Wait descriptors.</param>
/// <param name="Maps">MAP requests.</param>
/// <param name="Unmaps">UNMAP requests.</param>
internal readonly record struct DmaTally(
    int Buffers = 0, int MapExits = 0, int UnmapExits = 0, int MapPages = 0, int UnmapPages = 0, long Covered = 0, int Domains = 0, int Pasids = 0,
    int Drained = 0, int Waits = 0, int Maps = 0, int Unmaps = 0)
{
    /// <summary>All exits.</summary>
    public int Exits => MapExits + UnmapExits;

    /// <summary>What is not zero, with signs, in words.</summary>
    public string Parts
    {
        get
        {
            (string Name, int Count)[] parts =
            [
                ("buffers", Buffers), ("map exits", MapExits), ("unmap exits", UnmapExits), ("page-selective", MapPages + UnmapPages),
                ("domain-selective", Domains), ("PASID-based", Pasids), ("waits", Waits), ("MAP", Maps), ("UNMAP", Unmaps),
            ];
            return string.Join(", ", parts.Where(static p => p.Count != 0).Select(static p => string.Create(CultureInfo.InvariantCulture, $"{p.Count:+0;-0} {p.Name}")));
        }
    }

    /// <summary>Sum of two.</summary>
    public static DmaTally operator +(DmaTally a, DmaTally b) => Join(a, b, 1);

    /// <summary>What the first has more.</summary>
    public static DmaTally operator -(DmaTally a, DmaTally b) => Join(a, b, -1);

    static DmaTally Join(in DmaTally a, in DmaTally b, int sign) => new(
        a.Buffers + sign * b.Buffers, a.MapExits + sign * b.MapExits, a.UnmapExits + sign * b.UnmapExits, a.MapPages + sign * b.MapPages,
        a.UnmapPages + sign * b.UnmapPages, a.Covered + sign * b.Covered, a.Domains + sign * b.Domains,
        a.Pasids + sign * b.Pasids, a.Drained + sign * b.Drained, a.Waits + sign * b.Waits, a.Maps + sign * b.Maps, a.Unmaps + sign * b.Unmaps);
}
