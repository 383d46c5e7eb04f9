using Vmm.GuestDma.Cost;
using Vmm.Platform.Memory;

namespace Vmm.GuestDma.Swiotlb;

/// <summary>
/// Contiguous memory cut into slots, in areas that are searched each under a lock of its own. For each slot it is known how
/// many are free from there on within its set, so that a search looks at one number for each place where a buffer can begin.
/// </summary>
sealed class SlotPool
{
    const int Set = SwiotlbOptions.SetSlots, Stride = 4096 / SwiotlbOptions.SlotBytes;

    readonly byte[] free;
    readonly ulong[] original;
    readonly int[] next, used;
    readonly Gate[] gates;
    readonly int areaSlots;

    /// <param name="start">First byte, page-aligned.</param>
    /// <param name="bytes">Length, whole sets.</param>
    /// <param name="areas">Areas at most, a power of two; each has a set at least.</param>
    public SlotPool(Gpa start, ulong bytes, int areas)
    {
        Start = start;
        Bytes = bytes;
        var slots = (int)(bytes / SwiotlbOptions.SlotBytes);
        while (areas > 1 && slots / areas < Set)
        {
            areas /= 2;
        }

        areaSlots = slots / areas / Set * Set;
        free = new byte[slots];
        original = new ulong[slots];
        (next, used) = (new int[areas], new int[areas]);
        gates = [.. next.Select(static _ => new Gate())];
        for (var i = 0; i < slots; i++)
        {
            free[i] = (byte)(Set - i % Set);
        }
    }

    public Gpa Start { get; }

    public ulong Bytes { get; }

    public int Areas => next.Length;

    public Gate Gate(int area) => gates[area];

    public int AreaOf(ulong address) => (int)((address - Start.Value) / SwiotlbOptions.SlotBytes) / areaSlots;

    /// <summary>Slots in use.</summary>
    public int Used => used.Sum();

    /// <summary>Nobody used it since the last look.</summary>
    public bool IsOld { get; set; }

    public bool Contains(ulong address) => address - Start.Value < Bytes;

    /// <summary>Where the CPU has what lies at an address of the pool.</summary>
    public Gpa Original(ulong address) =>
        new(original[(address - Start.Value) / SwiotlbOptions.SlotBytes] + (address & SwiotlbOptions.SlotBytes - 1));

    /// <summary>Takes slots of one area that lie behind each other, from a page boundary on. <paramref name="visited"/> grows by what was looked at.</summary>
    public bool TryTake(int area, int count, ulong cpuAddress, ref int visited, out Gpa address)
    {
        address = default;
        if (areaSlots - used[area] < count)
        {
            visited++;
            return false;
        }

        for (var looked = 0; looked < areaSlots; looked += Stride)
        {
            var at = next[area] + looked;
            at = area * areaSlots + (at >= areaSlots ? at - areaSlots : at);
            visited++;
            if (free[at] >= count)
            {
                Take(at, count, cpuAddress, ref visited);
                next[area] = (at - area * areaSlots + (count + Stride - 1) / Stride * Stride) % areaSlots;
                used[area] += count;
                IsOld = false;
                address = Start + (ulong)at * SwiotlbOptions.SlotBytes;
                return true;
            }
        }

        return false;
    }

    void Take(int at, int count, ulong cpuAddress, ref int visited)
    {
        for (var i = 0; i < count; i++)
        {
            free[at + i] = 0;
            original[at + i] = cpuAddress + (ulong)i * SwiotlbOptions.SlotBytes;
        }

        visited += count;
        Recount(at - 1, 0, ref visited);
    }

    /// <summary>Gives slots back.</summary>
    public void Give(ulong address, int count, ref int visited)
    {
        var at = (int)((address - Start.Value) / SwiotlbOptions.SlotBytes);
        used[at / areaSlots] -= count;
        var end = at + count;
        var behind = end % Set == 0 ? 0 : free[end];
        for (var i = end - 1; i >= at; i--)
        {
            free[i] = (byte)++behind;
        }

        visited += count;
        Recount(at - 1, behind, ref visited);
    }

    /// <summary>Counts anew for the free slots of the same set that lie before a change.</summary>
    void Recount(int at, int behind, ref int visited)
    {
        for (; at >= 0 && (at + 1) % Set != 0 && free[at] != 0; at--)
        {
            free[at] = (byte)++behind;
            visited++;
        }
    }
}
