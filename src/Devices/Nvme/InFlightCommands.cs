using Vmm.Platform.Snapshots;
using Vmm.Specs.Nvme;

namespace Vmm.Nvme;

/// <summary>
/// Commands that were fetched and wait for their time, ordered by due time and then by order of fetching.
/// A fixed number of slots: full means that nothing more is fetched.
/// </summary>
sealed class InFlightCommands(int capacity)
{
    readonly Slot[] heap = new Slot[capacity];
    ulong sequence;

    /// <summary>One command.</summary>
    public struct Slot
    {
        /// <summary>The entry as it was fetched; guest memory is not looked at again.</summary>
        public NvmeCommand Command;

        /// <summary>Due time, cycles.</summary>
        public ulong Due;

        /// <summary>Order of fetching.</summary>
        public ulong Sequence;

        /// <summary>Submission queue.</summary>
        public ushort Queue;
    }

    /// <summary>Commands that wait.</summary>
    public int Count { get; private set; }

    /// <summary>Slots left.</summary>
    public int Free => heap.Length - Count;

    /// <summary>Due time of the next command; meaningful while there is one.</summary>
    public ulong NextDue => heap[0].Due;

    /// <summary>Adds a command; there must be a free slot.</summary>
    public void Add(in NvmeCommand command, int queue, ulong due)
    {
        ref var slot = ref heap[Count];
        slot.Command = command;
        slot.Queue = (ushort)queue;
        slot.Due = due;
        slot.Sequence = sequence++;
        Up(Count++);
    }

    /// <summary>Takes the next command out.</summary>
    public Slot Take() => RemoveAt(0);

    /// <summary>Takes one command of a queue out, by its id or, with null, whichever is next. False when there is none.</summary>
    public bool TryTake(int queue, ushort? cid, out Slot found)
    {
        var best = -1;
        for (var i = 0; i < Count; i++)
        {
            if (heap[i].Queue == queue && (cid == null || heap[i].Command.CID == cid) && (best < 0 || Before(i, best)))
            {
                best = i;
            }
        }

        found = best < 0 ? default : RemoveAt(best);
        return best >= 0;
    }

    /// <summary>Drops everything.</summary>
    public void Clear() => Count = 0;

    /// <summary>The commands in no particular order.</summary>
    public ReadOnlySpan<Slot> All => heap.AsSpan(0, Count);

    public void Save(SnapshotWriter writer)
    {
        writer.U64(sequence);
        writer.U16((ushort)Count);
        foreach (ref readonly var slot in All)
        {
            writer.Bytes(System.Runtime.InteropServices.MemoryMarshal.AsBytes(new ReadOnlySpan<NvmeCommand>(in slot.Command)));
            writer.U64(slot.Due);
            writer.U64(slot.Sequence);
            writer.U16(slot.Queue);
        }
    }

    public void Load(SnapshotReader reader)
    {
        sequence = reader.U64();
        var count = reader.U16();
        if (count > heap.Length)
        {
            throw reader.Bad($"{count} commands in flight exceed {heap.Length}");
        }

        Count = 0;
        for (var i = 0; i < count; i++)
        {
            ref var slot = ref heap[Count];
            reader.BytesInto(System.Runtime.InteropServices.MemoryMarshal.AsBytes(new Span<NvmeCommand>(ref slot.Command)));
            slot.Due = reader.U64();
            slot.Sequence = reader.U64();
            slot.Queue = reader.U16();
            Up(Count++);
        }
    }

    Slot RemoveAt(int at)
    {
        var slot = heap[at];
        Count--;
        if (at < Count)
        {
            heap[at] = heap[Count];
            Up(at);
            Down(at);
        }

        return slot;
    }

    bool Before(int a, int b) =>
        heap[a].Due != heap[b].Due ? heap[a].Due < heap[b].Due : heap[a].Sequence < heap[b].Sequence;

    void Up(int at)
    {
        while (at > 0 && Before(at, (at - 1) / 2))
        {
            Swap(at, (at - 1) / 2);
            at = (at - 1) / 2;
        }
    }

    void Down(int at)
    {
        while (true)
        {
            var child = at * 2 + 1;
            if (child >= Count)
            {
                return;
            }

            if (child + 1 < Count && Before(child + 1, child))
            {
                child++;
            }

            if (!Before(child, at))
            {
                return;
            }

            Swap(at, child);
            at = child;
        }
    }

    void Swap(int a, int b) => (heap[a], heap[b]) = (heap[b], heap[a]);
}
