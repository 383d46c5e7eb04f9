using Vmm.GuestDma.Cost;
using Vmm.GuestDma.Guest;

namespace Vmm.GuestDma.Addresses;

/// <summary>
/// One ordered tree under one lock, searched from the top of the address space downwards. Two cached nodes, one below
/// 4 GiB, tell where the last search ended; past them the search is linear, as in the allocator that Linux had from the start.
/// Nodes are array indices: a tree with parents and rotations by a fixed hash (a treap), threaded in address order.
/// </summary>
/// <param name="firstPage">Lowest page that may be handed out.</param>
/// <param name="meter">Charged for nodes and locks.</param>
/// <param name="faults">Which allocations fail on purpose.</param>
public sealed class IovaTree(ulong firstPage, CostMeter meter, AllocationFaults faults) : IIovaAllocator
{
    const ulong Below4G = 1ul << 20;
    const int Anchor = 0;

    /// <summary>The lock.</summary>
    public Gate Gate { get; } = new();

    readonly IovaNodes nodes = new();
    int cached, cached32;

    /// <inheritdoc/>
    public ulong AllocatedPages { get; private set; }

    /// <summary>Ranges in the tree.</summary>
    public int Count => nodes.Count;

    /// <inheritdoc/>
    public bool TryAllocate(int pages, ulong limit, out ulong first)
    {
        first = 0;
        if (faults.Fails(AllocationSite.Iova))
        {
            return false;
        }

        meter.Lock(Gate);
        var start = limit < Below4G ? cached32 : cached;
        var visited = 0;
        var found = Search(start, pages, limit, firstPage, ref visited, out first, out var above);
        if (!found && start != Anchor)
        {
            // Holes may have opened above the cached node.
            found = Search(Anchor, pages, limit, firstPage, ref visited, out first, out above);
        }

        meter.IovaNodes(visited);
        meter.Unlock(Gate);
        if (!found)
        {
            return false;
        }

        var at = nodes.Insert(first, first + (ulong)pages - 1, above, ref visited);
        (first + (ulong)pages <= Below4G ? ref cached32 : ref cached) = at;
        AllocatedPages += (ulong)pages;
        return true;
    }

    /// <inheritdoc/>
    public void Free(ulong first, int pages)
    {
        meter.Lock(Gate);
        var visited = 0;
        var at = nodes.Find(first, ref visited);
        meter.IovaNodes(visited);
        meter.Unlock(Gate);
        if (at < 0 || nodes.High(at) != first + (ulong)pages - 1)
        {
            throw new InvalidOperationException($"iova: page 0x{first:x} with {pages} pages is not allocated");
        }

        if (first >= nodes.Low(cached))
        {
            cached = nodes.Above(at);
        }

        if (at == cached32 || nodes.High(at) < Below4G && first >= nodes.Low(cached32))
        {
            cached32 = nodes.Above(at);
        }

        nodes.Remove(at);
        AllocatedPages -= (ulong)pages;
    }

    /// <summary>Takes a fixed range out of use, which nothing holds yet.</summary>
    public void Reserve(ulong first, ulong last)
    {
        var above = Anchor;
        while (nodes.Below(above) != Anchor && nodes.Low(nodes.Below(above)) > last)
        {
            above = nodes.Below(above);
        }

        var visited = 0;
        nodes.Insert(first, last, above, ref visited);
    }

    /// <summary>Looks for a gap below a node.</summary>
    bool Search(int from, int pages, ulong limit, ulong lowest, ref int visited, out ulong first, out int above)
    {
        var mask = ~((ulong)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)pages) - 1);
        var at = from;
        while (true)
        {
            visited++;
            var below = nodes.Below(at);
            var end = Math.Min(nodes.Low(at), limit + 1);
            var floor = below == Anchor ? lowest : Math.Max(lowest, nodes.High(below) + 1);
            if (end >= (ulong)pages)
            {
                first = end - (ulong)pages & mask;
                if (first >= floor)
                {
                    above = at;
                    return true;
                }
            }

            if (below == Anchor)
            {
                (first, above) = (0, at);
                return false;
            }

            at = below;
        }
    }
}
