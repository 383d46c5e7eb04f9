using System.Runtime.CompilerServices;
using Vmm.Platform.Memory;

namespace Vmm.Platform.Dma;

/// <summary>
/// Translations of single pages that a port's streams used, for transfers that go round many buffers. Direct-mapped and
/// of fixed size; an entry holds while its stamp is the port's, so every invalidation empties it at once. As with a
/// <see cref="DmaCursor"/>, nothing here must be saved.
/// </summary>
sealed class DmaPageCache
{
    /// <summary>As many as a remapping unit's IOTLB has by default: what is not there is not here either.</summary>
    const int Slots = 4096;

    readonly Slot[] slots = new Slot[Slots];

    struct Slot
    {
        public ulong Page;

        /// <summary>Page address, with the <see cref="DmaAccess"/> bits Read and Write that are granted.</summary>
        public ulong Target;

        /// <summary>The port's stamp when the entry was filled; 0 when empty.</summary>
        public ulong Stamp;
    }

    /// <summary>Target of a request without PASID.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool TryFind(ulong address, ulong stamp, DmaAccess access, out Gpa target)
    {
        ref readonly var slot = ref slots[(int)(address >> 12) & (Slots - 1)];
        target = new(slot.Target & ~0xFFFul | address & 0xFFF);
        return slot.Stamp == stamp && slot.Page == address >> 12 && (slot.Target & (ulong)access) != 0;
    }

    /// <summary>Keeps the page of a translation.</summary>
    public void Keep(ulong address, in DmaWindow window, ulong stamp)
    {
        if (((address ^ window.Address.Value) & 0xFFF) != 0)
        {
            return;
        }

        var granted = (window.Readable ? DmaAccess.Read : 0) | (window.Writable ? DmaAccess.Write : 0);
        slots[(int)(address >> 12) & (Slots - 1)] = new()
        {
            Page = address >> 12,
            Target = window.Address.Value & ~0xFFFul | (ulong)granted,
            Stamp = stamp,
        };
    }
}
