namespace Vmm.Platform.Bus;

/// <summary>What a device says of one access.</summary>
public enum IoResult
{
    /// <summary>The access was carried out.</summary>
    Ok,

    /// <summary>Nothing answers at this offset or width: the bus returns all ones and drops writes.</summary>
    Unclaimed,
}

/// <summary>A device's window on MMIO, port or config space. Offsets start at the window's base; widths are 1, 2, 4 or 8 bytes.</summary>
public interface IBusTarget
{
    /// <summary>Reads <c>data.Length</c> bytes at <paramref name="offset"/>. All of <paramref name="data"/> is set on Ok.</summary>
    IoResult Read(ulong offset, Span<byte> data);

    /// <summary>Writes <c>data.Length</c> bytes at <paramref name="offset"/>.</summary>
    IoResult Write(ulong offset, ReadOnlySpan<byte> data);
}

/// <summary>One claimed range of an address space, with its access counters.</summary>
public sealed class BusRegion
{
    internal BusRegion(string name, ulong start, ulong length, IBusTarget target)
    {
        Name = name;
        Start = start;
        Length = length;
        Target = target;
    }

    /// <summary>Device name as reports show it.</summary>
    public string Name { get; }

    /// <summary>First address.</summary>
    public ulong Start { get; }

    /// <summary>Length in bytes.</summary>
    public ulong Length { get; }

    /// <summary>Who answers.</summary>
    public IBusTarget Target { get; }

    /// <summary>The device's account, once something was charged to it.</summary>
    public Time.LedgerAccount? Account { get; set; }

    /// <summary>Offsets whose writes only wake the device's thread (an eventfd); empty by default.</summary>
    public Range Doorbells { get; internal set; }

    /// <summary>Reads carried out since the machine was built.</summary>
    public ulong Reads { get; internal set; }

    /// <summary>Writes carried out since the machine was built.</summary>
    public ulong Writes { get; internal set; }
}

/// <summary>
/// One address space (MMIO or ports): sorted, non-overlapping regions. An access that no region claims reads all ones
/// and writes nothing, as a PC does; only this class decides that.
/// </summary>
public sealed class AddressSpace(string name, ulong limit)
{
    BusRegion[] regions = [];
    int last;

    /// <summary>Space name ("mmio" or "pio").</summary>
    public string Name { get; } = name;

    /// <summary>Regions in address order.</summary>
    public IReadOnlyList<BusRegion> Regions => regions;

    /// <summary>Accesses that no region claimed.</summary>
    public ulong UnclaimedAccesses { get; private set; }

    /// <summary>Claims a range.</summary>
    /// <exception cref="ArgumentException">The range is empty, past the space's limit, or overlaps another; the message names both.</exception>
    public BusRegion Map(string device, ulong start, ulong length, IBusTarget target)
    {
        if (length == 0 || start > limit || length - 1 > limit - start)
        {
            throw new ArgumentException($"{device}: 0x{start:x}+0x{length:x} is outside {Name} space", nameof(start));
        }

        foreach (var other in regions)
        {
            if (start < other.Start + other.Length && other.Start < start + length)
            {
                throw new ArgumentException($"{device}: 0x{start:x}+0x{length:x} overlaps {other.Name} at 0x{other.Start:x}", nameof(start));
            }
        }

        var region = new BusRegion(device, start, length, target);
        regions = [.. regions.Append(region).OrderBy(static r => r.Start)];
        last = 0;
        return region;
    }

    /// <summary>True when no region overlaps the range.</summary>
    public bool IsFree(ulong start, ulong length)
    {
        foreach (var other in regions)
        {
            if (start < other.Start + other.Length && other.Start < start + length)
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>Gives a range back; unknown regions are ignored.</summary>
    public void Unmap(BusRegion region)
    {
        regions = [.. regions.Where(r => r != region)];
        last = 0;
    }

    /// <summary>The region that holds <paramref name="address"/>, or null.</summary>
    public BusRegion? Find(ulong address)
    {
        var table = regions;
        if (last < table.Length && address - table[last].Start < table[last].Length)
        {
            return table[last];
        }

        int low = 0, high = table.Length - 1;
        while (low <= high)
        {
            var middle = (low + high) / 2;
            var region = table[middle];
            if (address < region.Start)
            {
                high = middle - 1;
            }
            else if (address - region.Start >= region.Length)
            {
                low = middle + 1;
            }
            else
            {
                last = middle;
                return region;
            }
        }

        return null;
    }

    /// <summary>Reads 1 to 8 bytes. Bytes nobody answers for are 0xFF. An access that leaves its region is not split: the rest is 0xFF.</summary>
    public void Read(ulong address, Span<byte> data)
    {
        var region = Find(address);
        if (region == null || address - region.Start + (ulong)data.Length > region.Length)
        {
            UnclaimedAccesses++;
            data.Fill(0xFF);
            return;
        }

        region.Reads++;
        if (region.Target.Read(address - region.Start, data) != IoResult.Ok)
        {
            UnclaimedAccesses++;
            data.Fill(0xFF);
        }
    }

    /// <summary>Writes 1 to 8 bytes; nothing happens where nobody answers.</summary>
    public void Write(ulong address, ReadOnlySpan<byte> data)
    {
        var region = Find(address);
        if (region == null || address - region.Start + (ulong)data.Length > region.Length)
        {
            UnclaimedAccesses++;
            return;
        }

        region.Writes++;
        if (region.Target.Write(address - region.Start, data) != IoResult.Ok)
        {
            UnclaimedAccesses++;
        }
    }
}

/// <summary>What an address means to the CPU: MMIO and port space. RAM is <see cref="Memory.GuestMemory"/>.</summary>
public sealed class SystemBus
{
    /// <summary>Guest-physical MMIO, 52 bits.</summary>
    public AddressSpace Mmio { get; } = new("mmio", (1ul << 52) - 1);

    /// <summary>I/O ports, 16 bits.</summary>
    public AddressSpace Pio { get; } = new("pio", 0xFFFF);
}
