using System.Runtime.InteropServices;
using Vmm.Platform.Memory;
using Vmm.Platform.Time;

namespace Vmm.Platform.Dma;

/// <summary>
/// What an address means to one device: its only way to memory and to interrupts. Transfers are split at 4 KiB edges and
/// each piece goes through the IOMMU, if there is one; a failing transfer leaves the pieces before the failure done, as on
/// the wire. Nothing here allocates or throws.
/// </summary>
public sealed partial class DmaPort
{
    readonly DmaFabric fabric;
    DmaCursor common;

    /// <param name="fabric">The machine's fabric.</param>
    /// <param name="requester">The device's requester id.</param>
    public DmaPort(DmaFabric fabric, Bdf requester)
    {
        this.fabric = fabric;
        Requester = requester;
        fabric.Attach(this);
        FaultsChanged();
    }

    /// <summary>Source id of every transaction.</summary>
    public Bdf Requester { get; }

    /// <summary>The machine's fabric.</summary>
    public DmaFabric Fabric => fabric;

    /// <summary>Bus Master Enable (PCI §6.2.2): while false, everything is refused. Devices that are not PCI leave it true.</summary>
    public bool BusMaster { get; set; } = true;

    /// <summary>The account that transfers are charged to, or null.</summary>
    public LedgerAccount? Account { get; init; }

    /// <summary>What the device did so far.</summary>
    public ref readonly DmaCounters Counters => ref counters;

    /// <summary>Reads bytes. False: blocked; <paramref name="destination"/> is then undefined.</summary>
    public bool TryRead(Iova address, Span<byte> destination) => TryRead(ref common, address, destination);

    /// <summary>Writes bytes. False: blocked; pages before the failing one are written.</summary>
    public bool TryWrite(Iova address, ReadOnlySpan<byte> source) => TryWrite(ref common, address, source);

    /// <summary>Reads a little-endian value.</summary>
    public bool TryRead<T>(Iova address, out T value)
        where T : unmanaged => TryRead(ref common, address, out value);

    /// <summary>Writes a little-endian value.</summary>
    public bool TryWrite<T>(Iova address, T value)
        where T : unmanaged => TryWrite(ref common, address, value);

    /// <summary>Reads a little-endian value on a stream.</summary>
    public bool TryRead<T>(ref DmaCursor cursor, Iova address, out T value)
        where T : unmanaged
    {
        value = default;
        return TryRead(ref cursor, address, MemoryMarshal.AsBytes(new Span<T>(ref value)));
    }

    /// <summary>Writes a little-endian value on a stream.</summary>
    public bool TryWrite<T>(ref DmaCursor cursor, Iova address, T value)
        where T : unmanaged => TryWrite(ref cursor, address, MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in value)));

    /// <summary>Reads bytes on a stream. False: blocked.</summary>
    public bool TryRead(ref DmaCursor cursor, Iova address, Span<byte> destination)
    {
        while (destination.Length > 0)
        {
            var length = PieceLength(address, destination.Length);
            var piece = destination[..length];
            if (!(IsReadWatched(cursor, address, length) ? fabric.Faults!.Read(this, ref cursor, address, piece) : ReadPiece(ref cursor, address, piece)))
            {
                return false;
            }

            address += (ulong)length;
            destination = destination[length..];
        }

        return true;
    }

    /// <summary>Writes bytes on a stream. False: blocked.</summary>
    public bool TryWrite(ref DmaCursor cursor, Iova address, ReadOnlySpan<byte> source)
    {
        while (source.Length > 0)
        {
            var length = PieceLength(address, source.Length);
            var piece = source[..length];
            if (!(IsWriteWatched(cursor, address, length) && !IsInterrupt(cursor, address) ? fabric.Faults!.Write(this, ref cursor, address, piece) : WritePiece(ref cursor, address, piece)))
            {
                return false;
            }

            address += (ulong)length;
            source = source[length..];
        }

        return true;
    }
}
