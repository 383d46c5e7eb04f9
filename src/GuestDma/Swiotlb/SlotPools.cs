using Vmm.GuestDma.Cost;
using Vmm.GuestDma.Guest;
using Vmm.Platform.Memory;
using Vmm.Platform.Time;

namespace Vmm.GuestDma.Swiotlb;

/// <summary>
/// The memory of a software IO TLB. The static form is one pool that was reserved at boot. The dynamic form starts small; a
/// mapping that finds no room gets a buffer of its own at once, and a worker adds a pool for those that follow. What was added
/// goes back when nobody used it for a while.
/// </summary>
sealed class SlotPools : ITimerTarget
{
    readonly IGuestView view;
    readonly CostMeter meter;
    readonly GuestPages pages;
    readonly SwiotlbOptions options;
    readonly bool isDynamic;
    readonly int areas;
    readonly List<SlotPool> pools = [];
    readonly Dictionary<ulong, Transient> transients = [];
    readonly ClockTimer worker, idle;

    /// <summary>A buffer for one mapping.</summary>
    readonly record struct Transient(ulong Bytes, ulong Original);

    public SlotPools(IGuestView view, CostMeter meter, GuestPages pages, SwiotlbOptions options, bool isDynamic, int cpus)
    {
        this.view = view;
        this.meter = meter;
        this.pages = pages;
        this.options = options;
        this.isDynamic = isDynamic;
        areas = (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)cpus);
        worker = view.Clock.CreateTimer("swiotlb-worker", this);
        idle = view.Clock.CreateTimer("swiotlb-idle", this);
    }

    /// <summary>Memory of all pools and single buffers, in bytes.</summary>
    public ulong Bytes { get; private set; }

    public ulong Peak { get; private set; }

    public int Pools => pools.Count;

    /// <summary>Buffers for one mapping that were made.</summary>
    public ulong Transients { get; private set; }

    /// <summary>Pools that were added.</summary>
    public ulong Growths { get; private set; }

    /// <summary>Mappings that found no memory.</summary>
    public ulong Failures { get; private set; }

    /// <summary>Reserves what there is from the start. False: memory is missing.</summary>
    public bool TryStart() => TryAdd(isDynamic ? options.StartBytes : options.Bytes);

    /// <summary>Finds memory for a buffer; its place in a page is kept.</summary>
    public bool TryTake(Gpa original, int length, bool maySleep, out Gpa address)
    {
        var offset = (ulong)original.PageOffset;
        var count = (int)((offset + (ulong)length + SwiotlbOptions.SlotBytes - 1) / SwiotlbOptions.SlotBytes);
        if (!TryTakeSlots(count, original.Value - offset, out address) && !(isDynamic && TryMakeRoom(count, original.Value - offset, maySleep, out address)))
        {
            Failures++;
            return false;
        }

        address += offset;
        return true;
    }

    bool TryTakeSlots(int count, ulong cpuAddress, out Gpa address)
    {
        address = default;
        if (count > SwiotlbOptions.SetSlots)
        {
            return false;
        }

        foreach (var pool in pools)
        {
            for (var i = 0; i < pool.Areas; i++)
            {
                var visited = 0;
                var area = (view.Cpu + i) & pool.Areas - 1;
                meter.Lock(pool.Gate(area));
                var found = pool.TryTake(area, count, cpuAddress, ref visited, out address);
                meter.PoolNodes(visited);
                meter.Unlock(pool.Gate(area));
                if (found)
                {
                    return true;
                }
            }
        }

        return false;
    }

    /// <summary>A caller that may sleep waits for a new pool, or for as much contiguous memory as it needs; others get a block of pages.</summary>
    bool TryMakeRoom(int count, ulong cpuAddress, bool maySleep, out Gpa address)
    {
        if (count <= SwiotlbOptions.SetSlots)
        {
            if (maySleep && TryGrow() && TryTakeSlots(count, cpuAddress, out address))
            {
                return true;
            }

            if (!maySleep && !worker.IsArmed)
            {
                worker.Arm(view.Clock.Now + view.Clock.ToCycles(options.WorkerNanoseconds, 1_000_000_000));
            }
        }

        var bytes = (ulong)count * SwiotlbOptions.SlotBytes + 4095 & ~4095ul;
        if (!TryAllocate(bytes, maySleep, out address))
        {
            return false;
        }

        transients.Add(address.Value >> 12, new(bytes, cpuAddress));
        Transients++;
        Note((long)Size(bytes));
        return true;
    }

    /// <summary>True when the address lies in memory of this TLB.</summary>
    public bool Owns(ulong address) => TryFind(address, out _, out _);

    /// <summary>Where the CPU has what lies at an address.</summary>
    public Gpa Original(ulong address) => TryFind(address, out var pool, out var start)
        ? pool?.Original(address) ?? new(transients[start >> 12].Original + address - start)
        : throw new InvalidOperationException($"swiotlb: 0x{address:x} is not mapped");

    /// <summary>Gives the memory of a buffer back.</summary>
    public void Give(ulong address, int length)
    {
        TryFind(address, out var pool, out var start);
        if (pool == null)
        {
            var transient = transients[start >> 12];
            transients.Remove(start >> 12);
            Free(new(start), transient.Bytes);
            Note(-(long)Size(transient.Bytes));
            return;
        }

        var offset = address & 4095;
        var visited = 0;
        var gate = pool.Gate(pool.AreaOf(address));
        meter.Lock(gate);
        pool.Give(address - offset, (int)((offset + (ulong)length + SwiotlbOptions.SlotBytes - 1) / SwiotlbOptions.SlotBytes), ref visited);
        meter.PoolNodes(visited);
        meter.Unlock(gate);
    }

    bool TryFind(ulong address, out SlotPool? pool, out ulong start)
    {
        (pool, start) = (null, 0);
        for (var i = 0; i < pools.Count; i++)
        {
            if (pools[i].Contains(address))
            {
                meter.PoolNodes(i);
                pool = pools[i];
                return true;
            }
        }

        foreach (var (page, transient) in transients)
        {
            if (address - (page << 12) < transient.Bytes)
            {
                start = page << 12;
                return true;
            }
        }

        return false;
    }

    /// <summary>Gives all pools back that nobody uses, but the first.</summary>
    public void Shrink(bool all)
    {
        for (var i = pools.Count - 1; i >= 1; i--)
        {
            var pool = pools[i];
            if (pool.Used == 0 && (all || pool.IsOld))
            {
                pools.RemoveAt(i);
                Free(pool.Start, pool.Bytes);
                Note(-(long)pool.Bytes);
            }

            pool.IsOld = pool.Used == 0;
        }
    }

    /// <summary>Gives everything back; nothing may be in use.</summary>
    public void Close()
    {
        worker.Disarm();
        idle.Disarm();
        Shrink(all: true);
        foreach (var pool in pools)
        {
            Free(pool.Start, pool.Bytes);
            Note(-(long)pool.Bytes);
        }

        pools.Clear();
    }

    bool TryGrow()
    {
        for (var bytes = options.Growth; bytes >= options.LeastGrowth; bytes /= 2)
        {
            if (TryAdd(bytes))
            {
                Growths++;
                idle.Arm(view.Clock.Now + view.Clock.ToCycles(options.IdleNanoseconds, 1_000_000_000));
                return true;
            }
        }

        return false;
    }

    bool TryAdd(ulong bytes)
    {
        if (!TryAllocate(bytes, run: true, out var start))
        {
            return false;
        }

        // What somebody else had there is not for the device.
        view.Memory(start, (int)bytes).Clear();
        meter.Clear((long)bytes);
        pools.Add(new(start, bytes, areas));
        Note((long)bytes);
        return true;
    }

    bool TryAllocate(ulong bytes, bool run, out Gpa start)
    {
        meter.PageAllocation();
        var order = Order(bytes);
        if (order <= GuestPages.MaxOrder)
        {
            return pages.TryAllocate(order, AllocationSite.Bounce, out start);
        }

        start = default;
        return run && pages.TryAllocateRun(Blocks(bytes), AllocationSite.Bounce, out start);
    }

    void Free(Gpa start, ulong bytes)
    {
        meter.PageAllocation();
        if (Order(bytes) <= GuestPages.MaxOrder)
        {
            pages.Free(start, Order(bytes));
            return;
        }

        for (var i = 0; i < Blocks(bytes); i++)
        {
            pages.Free(start + (ulong)i * (4096 << GuestPages.MaxOrder), GuestPages.MaxOrder);
        }
    }

    static int Order(ulong bytes) => System.Numerics.BitOperations.Log2((bytes >> 12) * 2 - 1);

    static int Blocks(ulong bytes) => (int)((bytes + (4096 << GuestPages.MaxOrder) - 1) / (4096 << GuestPages.MaxOrder));

    /// <summary>What an allocation takes: a power of two of pages, or whole blocks of the largest kind.</summary>
    static ulong Size(ulong bytes) => Order(bytes) <= GuestPages.MaxOrder ? 4096ul << Order(bytes) : (ulong)Blocks(bytes) * (4096 << GuestPages.MaxOrder);

    void Note(long bytes)
    {
        Bytes += (ulong)bytes;
        Peak = Math.Max(Peak, Bytes);
    }

    /// <inheritdoc/>
    void ITimerTarget.Expired(ClockTimer timer, ulong due)
    {
        var outer = meter.Ledger.Enter(DmaOperation.Background);
        if (timer == worker)
        {
            TryGrow();
        }
        else
        {
            Shrink(all: false);
            if (pools.Count > 1)
            {
                idle.Arm(due + view.Clock.ToCycles(options.IdleNanoseconds, 1_000_000_000));
            }
        }

        meter.Ledger.Leave(outer);
    }
}
