using Vmm.GuestDma.Cost;

namespace Vmm.GuestDma.Addresses;

/// <summary>
/// Magazines of freed ranges before a slower allocator: for each processor and each size of 1 to 32 pages two magazines of
/// 127 ranges, and a depot of full ones that all processors share. Sizes are rounded up to powers of two.
/// </summary>
public sealed class IovaMagazines : IIovaAllocator
{
    /// <summary>Ranges in a magazine.</summary>
    public const int MagazineSize = 127;

    /// <summary>Sizes that are kept: 2^0 to 2^5 pages.</summary>
    public const int Sizes = 6;

    readonly IIovaAllocator under;
    readonly Func<int> cpu;
    readonly CostMeter meter;
    readonly Magazine[] loaded, previous;
    readonly Stack<Magazine>[] depots = new Stack<Magazine>[Sizes];
    readonly Gate[] depotGates = [.. Enumerable.Range(0, Sizes).Select(static _ => new Gate())];
    readonly Stack<Magazine> empties = new();

    sealed class Magazine
    {
        public readonly ulong[] Ranges = new ulong[MagazineSize];

        public int Count;
    }

    /// <param name="under">Asked when the magazines are empty or of no use.</param>
    /// <param name="cpus">Processors.</param>
    /// <param name="cpu">Number of the one that runs.</param>
    /// <param name="meter">Charged for magazines and locks.</param>
    public IovaMagazines(IIovaAllocator under, int cpus, Func<int> cpu, CostMeter meter)
    {
        this.under = under;
        this.cpu = cpu;
        this.meter = meter;
        loaded = new Magazine[cpus * Sizes];
        previous = new Magazine[cpus * Sizes];
        for (var i = 0; i < loaded.Length; i++)
        {
            (loaded[i], previous[i]) = (new(), new());
        }

        for (var i = 0; i < Sizes; i++)
        {
            depots[i] = new();
        }
    }

    /// <inheritdoc/>
    public ulong AllocatedPages { get; private set; }

    /// <summary>Ranges that lie in magazines and depots.</summary>
    public int CachedRanges => loaded.Sum(static m => m.Count) + previous.Sum(static m => m.Count) + depots.Sum(static d => d.Sum(static m => m.Count));

    /// <inheritdoc/>
    public bool TryAllocate(int pages, ulong limit, out ulong first)
    {
        var order = Order(pages);
        var found = order < Sizes ? TryTake(order, limit, out first) || under.TryAllocate(1 << order, limit, out first) : under.TryAllocate(pages, limit, out first);
        if (!found && CachedRanges > 0)
        {
            // What lies in the magazines may be what is missing.
            Drain();
            found = under.TryAllocate(order < Sizes ? 1 << order : pages, limit, out first);
        }

        AllocatedPages += found ? (ulong)pages : 0;
        return found;
    }

    /// <inheritdoc/>
    public void Free(ulong first, int pages)
    {
        AllocatedPages -= (ulong)pages;
        var order = Order(pages);
        if (order >= Sizes)
        {
            under.Free(first, pages);
            return;
        }

        meter.Magazine();
        ref var full = ref Loaded(order);
        if (full.Count == MagazineSize)
        {
            ref var other = ref previous[cpu() * Sizes + order];
            if (other.Count == MagazineSize)
            {
                meter.Lock(depotGates[order]);
                depots[order].Push(other);
                meter.Unlock(depotGates[order]);
                other = empties.Count > 0 ? empties.Pop() : new();
            }

            (full, other) = (other, full);
        }

        full.Ranges[full.Count++] = first;
    }

    /// <summary>Gives everything that is kept back to the slower allocator.</summary>
    public void Drain()
    {
        for (var i = 0; i < loaded.Length; i++)
        {
            Empty(loaded[i], i % Sizes);
            Empty(previous[i], i % Sizes);
        }

        for (var order = 0; order < Sizes; order++)
        {
            while (depots[order].TryPop(out var magazine))
            {
                Empty(magazine, order);
                empties.Push(magazine);
            }
        }
    }

    void Empty(Magazine magazine, int order)
    {
        while (magazine.Count > 0)
        {
            under.Free(magazine.Ranges[--magazine.Count], 1 << order);
        }
    }

    ref Magazine Loaded(int order) => ref loaded[cpu() * Sizes + order];

    bool TryTake(int order, ulong limit, out ulong first)
    {
        meter.Magazine();
        ref var magazine = ref Loaded(order);
        if (magazine.Count == 0)
        {
            ref var other = ref previous[cpu() * Sizes + order];
            if (other.Count > 0)
            {
                (magazine, other) = (other, magazine);
            }
            else if (depots[order].TryPop(out var stored))
            {
                meter.Lock(depotGates[order]);
                meter.Unlock(depotGates[order]);
                empties.Push(magazine);
                magazine = stored;
            }
        }

        for (var i = magazine.Count - 1; i >= 0; i--)
        {
            first = magazine.Ranges[i];
            if (first + (1ul << order) - 1 <= limit)
            {
                magazine.Ranges[i] = magazine.Ranges[--magazine.Count];
                return true;
            }
        }

        first = 0;
        return false;
    }

    static int Order(int pages) => System.Numerics.BitOperations.Log2((uint)pages * 2 - 1);
}
