using System.Numerics;
using Vmm.Platform.Memory;

namespace Vmm.GuestDma.Guest;

/// <summary>Coherent memory that the device reaches by its guest-physical address.</summary>
/// <param name="view">The machine.</param>
/// <param name="pages">Memory.</param>
/// <param name="mask">Highest address that the device can issue.</param>
sealed class CoherentPages(IGuestView view, GuestPages pages, ulong mask)
{
    /// <summary>Blocks that exist.</summary>
    public int Count { get; private set; }

    /// <summary>Takes whole pages for <paramref name="bytes"/>, cleared. False: there is no such block within reach.</summary>
    public bool TryAllocate(int bytes, out CoherentMemory memory)
    {
        memory = default;
        var order = BitOperations.Log2((uint)(bytes + 4095 >> 12) * 2 - 1);
        if (bytes <= 0 || order > GuestPages.MaxOrder || !pages.TryAllocate(order, AllocationSite.Coherent, out var block))
        {
            return false;
        }

        if (block.Value + (4096ul << order) - 1 > mask)
        {
            pages.Free(block, order);
            return false;
        }

        view.Memory(block, 4096 << order).Clear();
        memory = new(block, new(block.Value), 4096 << order);
        Count++;
        return true;
    }

    /// <summary>Gives a block back.</summary>
    public void Free(in CoherentMemory memory)
    {
        Count--;
        pages.Free(memory.Address, BitOperations.Log2((uint)(memory.Bytes >> 12)));
    }
}
