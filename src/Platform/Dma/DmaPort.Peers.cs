using Vmm.Platform.Bus;
using Vmm.Platform.Memory;

namespace Vmm.Platform.Dma;

/// <content>DMA that ends in MMIO: of another device or of this one.</content>
public sealed partial class DmaPort
{
    readonly BusRegion?[] own = new BusRegion?[6];

    /// <summary>Names a mapped window of the device itself; DMA that resolves to it is refused.</summary>
    internal void SetOwnRegion(int bar, BusRegion? region) => own[bar] = region;

    /// <summary>A read of MMIO would enter the other device from within this one, so it ends as an unsupported request.</summary>
    bool RefusePeerRead(Gpa target, int length)
    {
        if (IsOwn(target, length))
        {
            counters.BlockedOwnBar++;
        }

        return Refuse();
    }

    bool TryWritePeer(Gpa target, ReadOnlySpan<byte> source)
    {
        if (IsOwn(target, source.Length))
        {
            counters.BlockedOwnBar++;
            return Refuse();
        }

        // A translation that ends in the interrupt range is never a message (VT-d §3.14).
        if (IsInterruptAddress(target.Value) || fabric.Mmio.Find(target.Value) == null || !fabric.TryQueue(target.Value, source))
        {
            return Refuse();
        }

        counters.PeerWrites++;
        return true;
    }

    bool IsOwn(Gpa target, int length)
    {
        foreach (var region in own)
        {
            if (region != null && target.Value < region.Start + region.Length && region.Start < target.Value + (ulong)length)
            {
                return true;
            }
        }

        return false;
    }
}
