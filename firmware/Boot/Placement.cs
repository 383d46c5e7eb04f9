using System.Text;
using Vmm.Platform.Memory;

namespace Vmm.Firmware.Boot;

/// <summary>
/// Decides where things go in guest RAM: fixed ranges are claimed first, the rest is fitted around them, so that nothing
/// that a plan writes overlaps. Only RAM below 4 GiB is used.
/// </summary>
internal sealed class Placement
{
    const ulong LowStart = 0x1000;
    const ulong HighLimit = 1UL << 32;

    readonly List<MemoryRange> ram;
    readonly SortedList<ulong, (ulong End, string Name)> used = [];
    readonly List<BootWrite> writes = [];

    /// <summary>Starts with nothing used but page 0.</summary>
    public Placement(IReadOnlyList<MemoryRange> map)
    {
        Map = map;
        ram = [.. map.Where(range => range.Kind == MemoryKind.Ram && range.End <= HighLimit)];
    }

    /// <summary>The memory map.</summary>
    public IReadOnlyList<MemoryRange> Map { get; }

    /// <summary>What to write, in order.</summary>
    public IReadOnlyList<BootWrite> Writes => writes;

    /// <summary>Claims a fixed range, which must be free RAM. Zero bytes claim nothing.</summary>
    /// <param name="name">What goes there.</param>
    /// <param name="start">First address.</param>
    /// <param name="length">Length in bytes.</param>
    /// <param name="offset">Where the image states the address, for the error; -1 when it does not.</param>
    /// <exception cref="ImageException">The range is not all RAM, or part of it is taken.</exception>
    public void Claim(string name, ulong start, ulong length, long offset)
    {
        if (length == 0)
        {
            return;
        }

        if (!ram.Exists(range => range.Start.Value <= start && start < range.End && length <= range.End - start))
        {
            throw new ImageException(name, offset, $"0x{length:x} bytes at 0x{start:x} are not all free RAM below 4 GiB");
        }

        if (Overlap(start, start + length) is { } other)
        {
            throw new ImageException(name, offset, $"0x{length:x} bytes at 0x{start:x} overlap {other}");
        }

        used.Add(start, (start + length, name));
    }

    /// <summary>Writes bytes to a claimed range, followed by zeros.</summary>
    public void Write(string name, Gpa address, ReadOnlyMemory<byte> bytes, ulong zeros = 0) => writes.Add(new(name, address, bytes, zeros));

    /// <summary>Takes the lowest free range from page 1 on.</summary>
    /// <exception cref="ImageException">There is none.</exception>
    public Gpa AllocateLow(string name, ulong length, ulong alignment) => AllocateFrom(LowStart, name, length, alignment);

    /// <summary>Takes the lowest free range at or above <paramref name="from"/>.</summary>
    /// <exception cref="ImageException">There is none.</exception>
    public Gpa AllocateFrom(ulong from, string name, ulong length, ulong alignment)
    {
        foreach (var range in ram)
        {
            var start = AlignUp(Math.Max(from, range.Start.Value), alignment);
            while (start < range.End && length <= range.End - start)
            {
                if (NextUse(start, start + length) is not { } taken)
                {
                    used.Add(start, (start + length, name));
                    return new(start);
                }

                start = AlignUp(taken.End, alignment);
            }
        }

        throw new ImageException(name, -1, $"no room for 0x{length:x} bytes of it in RAM");
    }

    /// <summary>Takes the highest free range that ends at or below <paramref name="limit"/>.</summary>
    /// <exception cref="ImageException">There is none.</exception>
    public Gpa AllocateBelow(ulong limit, string name, ulong length, ulong alignment)
    {
        for (var i = ram.Count - 1; i >= 0; i--)
        {
            var end = Math.Min(limit, ram[i].End);
            while (end >= length && (end - length) / alignment * alignment is var start && start >= ram[i].Start.Value)
            {
                if (LastUse(start, start + length) is not { } taken)
                {
                    used.Add(start, (start + length, name));
                    return new(start);
                }

                end = taken;
            }
        }

        throw new ImageException(name, -1, $"no room for 0x{length:x} bytes of it in RAM below 0x{limit:x}");
    }

    /// <summary>Takes low memory for the bytes and writes them.</summary>
    public Gpa PutLow(string name, ReadOnlyMemory<byte> bytes, ulong alignment)
    {
        var address = AllocateLow(name, (ulong)bytes.Length, alignment);
        Write(name, address, bytes);
        return address;
    }

    /// <summary>Takes low memory for a NUL-terminated string and writes it.</summary>
    public Gpa PutText(string name, string text) => PutLow(name, Encoding.UTF8.GetBytes(text + '\0'), 16);

    string? Overlap(ulong start, ulong end) => NextUse(start, end)?.Name;

    /// <summary>The lowest use that overlaps [start, end).</summary>
    (ulong End, string Name)? NextUse(ulong start, ulong end)
    {
        // The last use that starts below `end` decides whether there is any; the first one may lie before it.
        var i = LowerBound(start);
        if (i > 0 && used.Values[i - 1].End > start)
        {
            return used.Values[i - 1];
        }

        return i < used.Count && used.Keys[i] < end ? used.Values[i] : null;
    }

    /// <summary>The start of the highest use that overlaps [start, end).</summary>
    ulong? LastUse(ulong start, ulong end)
    {
        var i = LowerBound(end) - 1;
        return i >= 0 && used.Values[i].End > start ? used.Keys[i] : null;
    }

    /// <summary>Index of the first use that starts at or after <paramref name="address"/>.</summary>
    int LowerBound(ulong address)
    {
        var (low, high) = (0, used.Count);
        while (low < high)
        {
            var middle = low + high >> 1;
            (low, high) = used.Keys[middle] < address ? (middle + 1, high) : (low, middle);
        }

        return low;
    }

    static ulong AlignUp(ulong value, ulong alignment) => (value + alignment - 1) / alignment * alignment;
}
