using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Vmm.Platform.Interrupts;
using Vmm.Platform.Memory;

namespace Vmm.Platform.Dma;

/// <content>Pieces of transfers within one page: copied, or handed out in place.</content>
public sealed partial class DmaPort
{
    static int PieceLength(Iova address, int length) => Math.Min(length, 4096 - address.PageOffset);

    /// <summary>
    /// A window on RAM for a bulk copy in place: at least one byte and at most <paramref name="length"/>, never past the
    /// 4 KiB page. Counts the bytes as transferred. False when blocked; also when the address is not RAM, and then
    /// <see cref="TryRead(Iova, Span{byte})"/> or <see cref="TryWrite(Iova, ReadOnlySpan{byte})"/> decides.
    /// The window is valid until the device returns to the machine loop.
    /// </summary>
    public bool TryGetWindow(ref DmaCursor cursor, Iova address, int length, DmaAccess access, out Span<byte> window) =>
        TryGetWindow(ref cursor, address, length, access, out window, out _);

    /// <summary>The same; <paramref name="blocked"/> tells that the request was made and refused, and must not be made again.</summary>
    public bool TryGetWindow(ref DmaCursor cursor, Iova address, int length, DmaAccess access, out Span<byte> window, out bool blocked)
    {
        window = default;
        blocked = false;
        length = PieceLength(address, length);
        var forWrite = access == DmaAccess.Write;
        if (length <= 0 || (forWrite ? IsWriteWatched(cursor, address, length) : IsReadWatched(cursor, address, length)) || IsInterrupt(cursor, address))
        {
            return false;
        }

        blocked = !TryResolve(ref cursor, address, forWrite ? DmaAccess.Write : DmaAccess.Read, out var target)
            || IsPoisoned(target, forWrite ? PoisonAccess.DmaWrite : PoisonAccess.DmaRead);
        if (blocked || !fabric.Memory.TryGetSpan(target, length, forWrite, out window))
        {
            return false;
        }

        if (forWrite)
        {
            CountWrite(length);
        }
        else
        {
            CountRead(length);
        }

        return true;
    }

    /// <summary>Reads within one page, asking no rule about the transfer.</summary>
    internal bool ReadPiece(ref DmaCursor cursor, Iova address, Span<byte> destination)
    {
        if (IsInterrupt(cursor, address))
        {
            return RefuseInterrupt(address, DmaAccess.Read);
        }

        if (!TryResolve(ref cursor, address, DmaAccess.Read, out var target) || IsPoisoned(target, PoisonAccess.DmaRead) ||
            !fabric.Memory.TryRead(target, destination) && !RefusePeerRead(target, destination.Length))
        {
            return false;
        }

        CountRead(destination.Length);
        return true;
    }

    /// <summary>Writes within one page, asking no rule about the transfer.</summary>
    internal bool WritePiece(ref DmaCursor cursor, Iova address, ReadOnlySpan<byte> source)
    {
        if (IsInterrupt(cursor, address))
        {
            // Only an aligned doubleword is a message; any other request to the range is unsupported (VT-d §3.14).
            return source.Length == 4 && (address.Value & 3) == 0
                ? Raise(new(address.Value, MemoryMarshal.Read<uint>(source)))
                : RefuseInterrupt(address, DmaAccess.Write);
        }

        if (!TryResolve(ref cursor, address, DmaAccess.Write, out var target) || IsPoisoned(target, PoisonAccess.DmaWrite) ||
            !fabric.Memory.TryWrite(target, source) && !TryWritePeer(target, source))
        {
            return false;
        }

        CountWrite(source.Length);
        return true;
    }

    /// <summary>A read of poisoned memory ends in a poisoned completion (PCIe §2.7.2): nothing is transferred. A write goes through.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    bool IsPoisoned(Gpa target, PoisonAccess access) => fabric.Memory.PoisonedPages != 0 && TouchesPoison(target, access);

    bool TouchesPoison(Gpa target, PoisonAccess access)
    {
        if (!fabric.Memory.IsPoisoned(target))
        {
            return false;
        }

        fabric.Memory.PoisonObserver?.Touched(access, Requester.Value, target);
        if (access != PoisonAccess.DmaRead)
        {
            return false;
        }

        counters.BlockedByPoison++;
        return !Refuse();
    }
}
