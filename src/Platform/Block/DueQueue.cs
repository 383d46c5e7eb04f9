using Vmm.Platform.Snapshots;

namespace Vmm.Platform.Block;

/// <summary>
/// Commands that a disk took and that wait for their time, ordered by due time and then by order of arrival. A fixed number
/// of places: full means that nothing more is taken. Adding and taking allocate nothing.
/// </summary>
/// <param name="capacity">Places.</param>
public sealed class DueQueue<T>(int capacity)
    where T : struct
{
    readonly Slot[] heap = new Slot[capacity];
    ulong sequence;

    struct Slot
    {
        public T Item;
        public ulong Due;
        public ulong Sequence;
    }

    /// <summary>Commands that wait.</summary>
    public int Count { get; private set; }

    /// <summary>Places left.</summary>
    public int Free => heap.Length - Count;

    /// <summary>Due time of the next command in cycles; <see cref="ulong.MaxValue"/> when there is none, or none that is ever due.</summary>
    public ulong NextDue => Count == 0 ? ulong.MaxValue : heap[0].Due;

    /// <summary>Adds a command; there must be a free place.</summary>
    /// <param name="item">The command.</param>
    /// <param name="due">Due time in cycles; <see cref="ulong.MaxValue"/>: it waits until it is taken out.</param>
    public void Add(in T item, ulong due) => Add(item, due, sequence++);

    /// <summary>Takes the next command out; there must be one.</summary>
    public T Take() => RemoveAt(0);

    /// <summary>Takes the next of those commands out that a condition holds for. False when there is none.</summary>
    public bool TryTake(Predicate<T> condition, out T found)
    {
        var best = -1;
        for (var i = 0; i < Count; i++)
        {
            if (condition(heap[i].Item) && (best < 0 || Before(i, best)))
            {
                best = i;
            }
        }

        found = best < 0 ? default : RemoveAt(best);
        return best >= 0;
    }

    /// <summary>Drops the commands that a condition holds for. Order among the others stays.</summary>
    public void RemoveAll(Predicate<T> condition)
    {
        var kept = 0;
        for (var i = 0; i < Count; i++)
        {
            if (!condition(heap[i].Item))
            {
                heap[kept++] = heap[i];
            }
        }

        Count = kept;
        for (var at = kept / 2; at-- > 0;)
        {
            Down(at);
        }
    }

    /// <summary>Drops everything.</summary>
    public void Clear() => Count = 0;

    /// <summary>Writes the commands in order.</summary>
    public void Save(SnapshotWriter writer, Action<SnapshotWriter, T> save)
    {
        writer.U64(sequence);
        writer.U32((uint)Count);
        foreach (var slot in heap[..Count].OrderBy(static s => s.Due).ThenBy(static s => s.Sequence))
        {
            save(writer, slot.Item);
            writer.U64(slot.Due);
            writer.U64(slot.Sequence);
        }
    }

    /// <summary>Reads back what <see cref="Save"/> wrote.</summary>
    /// <exception cref="SnapshotException">There are too many, or one is not possible.</exception>
    public void Load(SnapshotReader reader, Func<SnapshotReader, T> load)
    {
        Count = 0;
        sequence = reader.U64();
        var count = reader.U32();
        if (count > heap.Length)
        {
            throw reader.Bad($"{count} commands in flight exceed {heap.Length}");
        }

        while (Count < count)
        {
            Add(load(reader), reader.U64(), reader.U64());
        }
    }

    void Add(in T item, ulong due, ulong order)
    {
        ref var slot = ref heap[Count];
        slot.Item = item;
        slot.Due = due;
        slot.Sequence = order;
        Up(Count++);
    }

    T RemoveAt(int at)
    {
        var item = heap[at].Item;
        Count--;
        if (at < Count)
        {
            heap[at] = heap[Count];
            Up(at);
            Down(at);
        }

        return item;
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
