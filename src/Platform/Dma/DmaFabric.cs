using Vmm.Platform.Bus;
using Vmm.Platform.Faults;
using Vmm.Platform.Interrupts;
using Vmm.Platform.Memory;
using Vmm.Platform.Snapshots;
using Vmm.Platform.Time;

namespace Vmm.Platform.Dma;

/// <summary>
/// What all DMA ports of a machine share: RAM, the interrupt sink, and the queue of writes that hit the MMIO of another
/// device. Those never run inside the DMA that made them: the machine runs them between quanta, so no device is entered
/// from within another one.
/// </summary>
/// <param name="memory">RAM.</param>
/// <param name="mmio">The MMIO space, to tell peer devices from nothing.</param>
/// <param name="interrupts">Takes interrupt messages after remapping.</param>
/// <param name="clock">Time, and the ledger that is charged for what moves; null where transfers cost nothing.</param>
public sealed class DmaFabric(GuestMemory memory, AddressSpace mmio, IInterruptSink interrupts, VirtualClock? clock = null) : ISnapshotPart
{
    /// <summary>Writes to peers that may wait at once; further ones are refused.</summary>
    public const int PeerWriteLimit = 1024;

    readonly DelayedMessages? delayed = clock == null ? null : new(clock, interrupts);
    readonly PeerWrite[] ring = new PeerWrite[PeerWriteLimit];
    readonly List<DmaPort> ports = [];
    int head;

    readonly record struct PeerWrite(ulong Address, ulong Data, byte Length);

    /// <summary>RAM.</summary>
    public GuestMemory Memory { get; } = memory;

    /// <summary>The MMIO space.</summary>
    public AddressSpace Mmio { get; } = mmio;

    /// <summary>Is charged for what moves, or null.</summary>
    public ExitLedger? Ledger { get; } = clock?.Ledger;

    /// <summary>Fault rules, which every port asks; null in a machine without any.</summary>
    public FaultPlan? Faults { get; internal set; }

    /// <summary>Writes to peers that wait.</summary>
    public int PendingPeerWrites { get; private set; }

    /// <summary>Writes to peers that found the queue full.</summary>
    public ulong RefusedPeerWrites { get; private set; }

    /// <inheritdoc/>
    public string SectionName => "dma";

    /// <inheritdoc/>
    public ushort SectionVersion => 2;

    /// <summary>Delivers an interrupt message, after the work that the event it comes from took so far.</summary>
    internal void Deliver(MsiMessage interrupt)
    {
        if (delayed == null)
        {
            interrupts.Deliver(interrupt);
        }
        else
        {
            delayed.Deliver(interrupt);
        }
    }

    /// <summary>
    /// Runs the writes that wait now. What they cause in turn waits for the next call, so a ring of devices that write to
    /// each other cannot hold the machine. The machine calls this between quanta.
    /// </summary>
    public void RunPeerWrites()
    {
        Span<byte> bytes = stackalloc byte[8];
        for (var left = PendingPeerWrites; left > 0; left--)
        {
            var write = ring[head];
            head = (head + 1) % PeerWriteLimit;
            PendingPeerWrites--;
            System.Buffers.Binary.BinaryPrimitives.WriteUInt64LittleEndian(bytes, write.Data);
            Mmio.Write(write.Address, bytes[..write.Length]);
        }
    }

    /// <summary>Drops everything that waits, as a platform reset does.</summary>
    public void Reset()
    {
        head = 0;
        PendingPeerWrites = 0;
        delayed?.Reset();
    }

    internal void Attach(DmaPort port) => ports.Add(port);

    /// <summary>The port of a requester, or null.</summary>
    internal DmaPort? FindPort(Bdf requester) => ports.Find(p => p.Requester == requester);

    /// <summary>Rules were armed or disarmed: ports choose between the short way and the one that asks.</summary>
    internal void FaultsChanged()
    {
        foreach (var port in ports)
        {
            port.FaultsChanged();
        }
    }

    /// <summary>Queues a write as naturally aligned pieces of at most 8 bytes. False, and nothing queued, when they do not all fit.</summary>
    internal bool TryQueue(ulong address, ReadOnlySpan<byte> data)
    {
        var pieces = Pieces(address, data.Length);
        if (pieces > PeerWriteLimit - PendingPeerWrites)
        {
            RefusedPeerWrites++;
            return false;
        }

        while (data.Length > 0)
        {
            var length = PieceLength(address, data.Length);
            ulong value = 0;
            for (var i = length; i-- > 0;)
            {
                value = value << 8 | data[i];
            }

            ring[(head + PendingPeerWrites) % PeerWriteLimit] = new(address, value, (byte)length);
            PendingPeerWrites++;
            address += (ulong)length;
            data = data[length..];
        }

        return true;
    }

    static int Pieces(ulong address, int length)
    {
        var count = 0;
        for (; length > 0; count++)
        {
            var piece = PieceLength(address, length);
            address += (ulong)piece;
            length -= piece;
        }

        return count;
    }

    static int PieceLength(ulong address, int left)
    {
        var length = 8;
        while (length > left || (address & (ulong)(length - 1)) != 0)
        {
            length /= 2;
        }

        return length;
    }

    /// <inheritdoc/>
    public void Save(SnapshotWriter writer)
    {
        writer.U16((ushort)PendingPeerWrites);
        for (var i = 0; i < PendingPeerWrites; i++)
        {
            var write = ring[(head + i) % PeerWriteLimit];
            writer.U64(write.Address);
            writer.U64(write.Data);
            writer.U8(write.Length);
        }

        writer.Flag(delayed != null);
        delayed?.Save(writer);
    }

    /// <inheritdoc/>
    public void Load(SnapshotReader reader)
    {
        var count = reader.U16();
        if (count > PeerWriteLimit)
        {
            throw reader.Bad($"{count} waiting writes exceed {PeerWriteLimit}");
        }

        head = 0;
        PendingPeerWrites = count;
        for (var i = 0; i < count; i++)
        {
            ring[i] = new(reader.U64(), reader.U64(), reader.U8());
            if (ring[i].Length is not (1 or 2 or 4 or 8))
            {
                throw reader.Bad($"waiting write {i} has length {ring[i].Length}");
            }
        }

        if (reader.Flag() != (delayed != null))
        {
            throw reader.Bad("made by a machine whose transfers cost otherwise");
        }

        delayed?.Load(reader);
    }
}
