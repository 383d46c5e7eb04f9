using Vmm.GuestDma.Domains;
using Vmm.GuestDma.Guest;
using Vmm.Platform.Memory;
using Vmm.Specs.VtD;

namespace Vmm.GuestDma.Drivers.VtD;

/// <summary>
/// Second-stage tables of one domain (VT-d §3.7), changed by compare-and-swap so that processors need no lock. Leaves are
/// as large as the unit and the alignment allow. A table that became empty stays until <see cref="Trim"/>, which reuses its
/// memory only after the invalidation.
/// </summary>
public sealed class VtdDomain : IIommuDomain
{
    const int EntriesPerTable = 512, MostRanges = 16;

    readonly VtdDriver driver;
    readonly List<Gpa> freed = [];

    VtdDomain(VtdDriver driver, ushort id)
    {
        this.driver = driver;
        LargestLeaf = driver.LargestLeaf;
        Id = id;
        Limit = (1ul << Math.Min(12 + 9 * driver.Levels, driver.Cap.MGAW + 1)) - 1;
    }

    /// <summary>Makes an empty domain. False: no memory for the top table.</summary>
    public static bool TryCreate(VtdDriver driver, ushort id, out VtdDomain domain)
    {
        domain = new(driver, id);
        var made = domain.TryNewTable(out var top);
        domain.Root = top;
        return made;
    }

    /// <summary>Domain id.</summary>
    public ushort Id { get; }

    /// <summary>Top table.</summary>
    public Gpa Root { get; private set; }

    /// <summary>Skips the invalidation of every n-th unmap; to show that a missing one is found. 0 for never.</summary>
    public int LeaveOut { get; set; }

    /// <inheritdoc/>
    public ulong Limit { get; }

    /// <inheritdoc/>
    public ulong MappedBytes { get; private set; }

    /// <summary>Pages of tables.</summary>
    public int TablePages { get; private set; }

    /// <summary>Largest leaf level that may be used: 1 for 4 KiB to 3 for 1 GiB.</summary>
    public int LargestLeaf { get; set; }

    int syncs;

    /// <inheritdoc/>
    public bool TryMap(ulong address, Gpa target, ulong bytes, DmaProtection protection)
    {
        var done = 0ul;
        while (done < bytes)
        {
            var level = LeafLevel(address + done, target.Value + done, bytes - done);
            if (!TryFindTable(address + done, ref level, out var table))
            {
                Undo(address, done);
                return false;
            }

            var shift = 12 + 9 * (level - 1);
            var index = (int)(address + done >> shift & EntriesPerTable - 1);
            var count = (int)Math.Min(EntriesPerTable - index, (long)(bytes - done >> shift));
            Fill(table + (ulong)index * 8, count, target + done, level, protection);
            done += (ulong)count << shift;
        }

        MappedBytes += bytes;
        return true;
    }

    void Undo(ulong address, ulong bytes)
    {
        if (bytes != 0)
        {
            MappedBytes += bytes;
            var gather = new InvalidationGather();
            Unmap(address, bytes, ref gather, null);
            Sync(ref gather);
        }
    }

    int LeafLevel(ulong address, ulong target, ulong bytes)
    {
        var level = Math.Min(LargestLeaf, (driver.Cap.SSLPS & 2) != 0 ? 3 : (driver.Cap.SSLPS & 1) != 0 ? 2 : 1);
        while (level > 1 && (((address | target) & (1ul << 12 + 9 * (level - 1)) - 1) != 0 || bytes >> 12 + 9 * (level - 1) == 0))
        {
            level--;
        }

        return level;
    }

    /// <summary>Finds the table of a level; a table that already stands where a large leaf would fit makes the leaf smaller.</summary>
    bool TryFindTable(ulong address, ref int level, out Gpa table)
    {
        table = Root;
        var walked = 1;
        for (var at = driver.Levels; at > 1; at--)
        {
            var slot = Slot(table, address, at);
            var entry = new SecondStageEntry(driver.View.Load(slot));
            if (at == level)
            {
                if (entry.Raw == 0 || entry.PS)
                {
                    break;
                }

                level--;
            }

            if (entry.Raw == 0)
            {
                if (!TryNewTable(out var below))
                {
                    return false;
                }

                entry = new() { R = true, W = true, ADDR = below.Value };
                if (driver.View.CompareExchange(slot, 0, entry.Raw) != 0)
                {
                    throw new InvalidOperationException("vt-d: a table entry changed under the walk");
                }

                driver.FlushLines(slot, 8);
            }

            table = new(entry.ADDR);
            walked++;
        }

        driver.Meter.Tables(walked, 0);
        return true;
    }

    void Fill(Gpa slot, int count, Gpa target, int level, DmaProtection protection)
    {
        var step = 1ul << 12 + 9 * (level - 1);
        var entry = new SecondStageEntry
        {
            R = (protection & DmaProtection.Read) != 0, W = (protection & DmaProtection.Write) != 0, PS = level > 1, ADDR = target.Value,
        }.Raw;
        for (var i = 0; i < count; i++)
        {
            if (driver.View.CompareExchange(slot + (ulong)i * 8, 0, entry + (ulong)i * step) != 0)
            {
                throw new InvalidOperationException("vt-d: the range is mapped already");
            }
        }

        driver.Meter.Tables(0, count);
        driver.FlushLines(slot, count * 8);
    }

    /// <inheritdoc/>
    public bool TrySyncMap(ulong address, ulong bytes)
    {
        if (driver.Cap.CM)
        {
            Invalidate(address, bytes, leavesOnly: false);
        }
        else if (driver.Cap.RWBF)
        {
            driver.View.WriteRegister(driver.Registers + VtdRegister.GCMD, 4, new Gcmd { TE = true, QIE = true, WBF = true }.Raw);
        }

        return true;
    }

    /// <inheritdoc/>
    public void Unmap(ulong address, ulong bytes, ref InvalidationGather gather, PageRuns? runs)
    {
        for (var done = 0ul; done < bytes;)
        {
            var table = Root;
            var level = driver.Levels;
            var walked = 1;
            for (; level > 1; level--, walked++)
            {
                var entry = new SecondStageEntry(driver.View.Load(Slot(table, address + done, level)));
                if (entry.PS)
                {
                    break;
                }

                if (entry.Raw == 0)
                {
                    throw new InvalidOperationException($"vt-d: 0x{address + done:x} is not mapped");
                }

                table = new(entry.ADDR);
            }

            var shift = 12 + 9 * (level - 1);
            var index = (int)(address + done >> shift & EntriesPerTable - 1);
            var count = (int)Math.Min(EntriesPerTable - index, (long)(bytes - done >> shift));
            Clear(table + (ulong)index * 8, count, walked, shift, runs);
            done += (ulong)count << shift;
        }

        MappedBytes -= bytes;
        gather.Add(address, bytes);
    }

    void Clear(Gpa slot, int count, int walked, int shift, PageRuns? runs)
    {
        if (count == 0)
        {
            throw new InvalidOperationException("vt-d: part of a large page cannot be unmapped");
        }

        for (var i = 0; i < count; i++)
        {
            var entry = new SecondStageEntry(driver.View.Load(slot + (ulong)i * 8));
            if (entry.Raw == 0)
            {
                throw new InvalidOperationException("vt-d: unmap of a page that is not mapped");
            }

            runs?.Add(entry.ADDR, 1ul << shift);
            driver.View.Store(slot + (ulong)i * 8, 0);
        }

        driver.Meter.Tables(walked, count);
        driver.FlushLines(slot, count * 8);
    }

    /// <inheritdoc/>
    public void Sync(ref InvalidationGather gather)
    {
        if (!gather.IsEmpty && (LeaveOut == 0 || ++syncs % LeaveOut != 0))
        {
            Invalidate(gather.Start, gather.End - gather.Start, leavesOnly: true);
        }

        gather = default;
    }

    /// <inheritdoc/>
    public void FlushAll() => driver.Ring.Submit([WholeDomain]);

    /// <inheritdoc/>
    public void Invalidate(ReadOnlySpan<InvalidationGather> ranges)
    {
        Span<InvalidationDescriptor> descriptors = stackalloc InvalidationDescriptor[MostRanges];
        var count = 0;
        foreach (ref readonly var range in ranges)
        {
            descriptors[count++] = Descriptor(range.Start, range.End - range.Start, leavesOnly: true);
            if (count == MostRanges)
            {
                driver.Ring.Submit(descriptors);
                count = 0;
            }
        }

        if (count > 0)
        {
            driver.Ring.Submit(descriptors[..count]);
        }
    }

    void Invalidate(ulong address, ulong bytes, bool leavesOnly) => driver.Ring.Submit([Descriptor(address, bytes, leavesOnly)]);

    /// <summary>A range under one aligned mask, or the domain when the mask is too large for the unit (VT-d §6.5.2.3).</summary>
    InvalidationDescriptor Descriptor(ulong address, ulong bytes, bool leavesOnly)
    {
        ulong first = address >> 12, last = address + bytes - 1 >> 12;
        var mask = 64 - System.Numerics.BitOperations.LeadingZeroCount(first ^ last);
        return !driver.Cap.PSI || mask > driver.Cap.MAMV ? WholeDomain : new()
        {
            Type = InvalidationType.Iotlb, G = (int)InvalidationGranularity.Selective, DID = Id, DW = driver.Cap.DWD, DR = driver.Cap.DRD,
            Target = new Iva { ADDR = first >> mask << mask << 12, AM = mask, IH = leavesOnly },
        };
    }

    InvalidationDescriptor WholeDomain =>
        new() { Type = InvalidationType.Iotlb, G = (int)InvalidationGranularity.Domain, DID = Id, DW = driver.Cap.DWD, DR = driver.Cap.DRD };

    /// <inheritdoc/>
    public void Trim()
    {
        TrimTable(Root, driver.Levels);
        if (freed.Count == 0)
        {
            return;
        }

        FlushAll();
        foreach (var table in freed)
        {
            driver.Pages.Free(table, 0);
        }

        TablePages -= freed.Count;
        freed.Clear();
    }

    /// <summary>Unlinks empty tables below one; true when it is empty itself.</summary>
    bool TrimTable(Gpa table, int level)
    {
        var empty = true;
        for (var i = 0ul; i < EntriesPerTable; i++)
        {
            var slot = table + i * 8;
            var entry = new SecondStageEntry(driver.View.Load(slot));
            if (entry.Raw == 0)
            {
                continue;
            }

            if (entry.IsLeaf(level) || !TrimTable(new(entry.ADDR), level - 1))
            {
                empty = false;
                continue;
            }

            driver.View.Store(slot, 0);
            driver.FlushLines(slot, 8);
            freed.Add(new(entry.ADDR));
        }

        return empty;
    }

    bool TryNewTable(out Gpa table)
    {
        if (!driver.Pages.TryAllocate(0, AllocationSite.Table, out table))
        {
            return false;
        }

        driver.View.Memory(table, 4096).Clear();
        driver.Meter.PageAllocation();
        driver.FlushLines(table, 4096);
        TablePages++;
        return true;
    }

    static Gpa Slot(Gpa table, ulong address, int level) => table + (address >> 12 + 9 * (level - 1) & EntriesPerTable - 1) * 8;
}
