using Vmm.GuestDma.Cost;
using Vmm.GuestDma.Guest;

namespace Vmm.GuestDma.Addresses;

/// <summary>
/// The addresses cut into arenas, each a tree with a lock of its own. A processor asks its own arena first and the others when
/// that is full; a range goes back to the arena that its address tells. Ranges do not cross from one arena to the next.
/// </summary>
public sealed class IovaArenas : IIovaAllocator
{
    const ulong Below4G = 1ul << 20;

    readonly IovaTree[] arenas;
    readonly Func<int> cpu;
    readonly ulong low, high;

    /// <param name="count">Arenas, a power of two.</param>
    /// <param name="limit">Last page of all.</param>
    /// <param name="cpu">Number of the processor that runs.</param>
    /// <param name="meter">Charged for nodes and locks.</param>
    /// <param name="faults">Which allocations fail on purpose.</param>
    public IovaArenas(int count, ulong limit, Func<int> cpu, CostMeter meter, AllocationFaults faults)
    {
        this.cpu = cpu;
        arenas = [.. Enumerable.Range(0, count).Select(_ => new IovaTree(1, meter, faults))];
        // Each arena has a part below 4 GiB and, where there is more, one above.
        low = Math.Min(limit + 1, Below4G) / (ulong)count;
        high = limit < Below4G ? 0 : (limit + 1 - Below4G) / (ulong)count;
        for (var i = 0ul; i < (ulong)count; i++)
        {
            Exclude(arenas[i], 1, i * low);
            Exclude(arenas[i], (i + 1) * low, Below4G + i * high);
        }
    }

    /// <inheritdoc/>
    public ulong AllocatedPages => arenas.Aggregate(0ul, static (sum, a) => sum + a.AllocatedPages);

    /// <summary>Takes a fixed range out of use, which nothing holds yet.</summary>
    public void Reserve(ulong first, ulong last)
    {
        for (var i = 0ul; i < (ulong)arenas.Length; i++)
        {
            Reserve(arenas[i], first, last, i * low, (i + 1) * low);
            Reserve(arenas[i], first, last, Below4G + i * high, Below4G + (i + 1) * high);
        }
    }

    /// <inheritdoc/>
    public bool TryAllocate(int pages, ulong limit, out ulong first)
    {
        for (var i = 0; i < arenas.Length; i++)
        {
            var at = (cpu() + i) & arenas.Length - 1;
            var end = limit < Below4G || high == 0 ? ((ulong)at + 1) * low : Below4G + ((ulong)at + 1) * high;
            if (arenas[at].TryAllocate(pages, Math.Min(limit, end - 1), out first))
            {
                return true;
            }
        }

        first = 0;
        return false;
    }

    /// <inheritdoc/>
    public void Free(ulong first, int pages) =>
        arenas[(int)(first < Below4G ? Math.Min(first / low, (ulong)arenas.Length - 1) : (first - Below4G) / high)].Free(first, pages);

    static void Exclude(IovaTree arena, ulong first, ulong end)
    {
        if (end > first)
        {
            arena.Reserve(first, end - 1);
        }
    }

    static void Reserve(IovaTree arena, ulong first, ulong last, ulong start, ulong end) =>
        Exclude(arena, Math.Max(first, start), Math.Min(last + 1, end));
}
