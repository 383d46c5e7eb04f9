using Vmm.Platform.Dma;
using Vmm.Platform.Memory;
using Vmm.Platform.Snapshots;
using Vmm.Specs.Nvme;

namespace Vmm.Nvme;

/// <summary>A submission queue. One object per id for the controller's life, so that creating a queue allocates nothing.</summary>
sealed class SubmissionQueue(int id)
{
    /// <summary>Translation that fetching entries used last.</summary>
    public DmaCursor Entries;

    /// <summary>Translation that the data of this queue's commands used last.</summary>
    public DmaCursor Data;

    /// <summary>Queue id; 0 is the admin queue.</summary>
    public int Id { get; } = id;

    /// <summary>The guest created the queue.</summary>
    public bool Exists { get; set; }

    /// <summary>Base address.</summary>
    public ulong Base { get; set; }

    /// <summary>Entries.</summary>
    public uint Size { get; set; }

    /// <summary>Next entry to fetch.</summary>
    public uint Head { get; set; }

    /// <summary>One past the last entry the guest submitted.</summary>
    public uint Tail { get; set; }

    /// <summary>Id of the completion queue.</summary>
    public int CompletionQueue { get; set; }

    /// <summary>Commands fetched and not completed.</summary>
    public int InFlight { get; set; }

    /// <summary>Of those, commands that a fault rule lets never complete.</summary>
    public uint Lost { get; set; }

    /// <summary>Address of the next entry.</summary>
    public Iova HeadAddress => new(Base + Head * (ulong)NvmeCommand.Size);

    public void Create(ulong address, uint size, int completionQueue)
    {
        (Exists, Base, Size, CompletionQueue) = (true, address, size, completionQueue);
        (Head, Tail, InFlight, Lost) = (0, 0, 0, 0);
        Entries.Clear();
        Data.Clear();
    }

    public void Save(SnapshotWriter writer)
    {
        writer.Flag(Exists);
        writer.U64(Base);
        writer.U32(Size);
        writer.U32(Head);
        writer.U32(Tail);
        writer.U8((byte)CompletionQueue);
        writer.U32(Lost);
    }

    /// <summary><see cref="InFlight"/> is counted again from the commands in flight and lost.</summary>
    public void Load(SnapshotReader reader, int queues)
    {
        Exists = reader.Flag();
        (Base, Size, Head, Tail) = (reader.U64(), reader.U32(), reader.U32(), reader.U32());
        CompletionQueue = reader.U8();
        Lost = reader.U32();
        InFlight = 0;
        Entries.Clear();
        Data.Clear();
        if (Exists && (Size is < 2 or > 65536 || Head >= Size || Tail >= Size || CompletionQueue >= queues))
        {
            throw reader.Bad($"submission queue {Id} is not possible");
        }
    }
}

/// <summary>A completion queue.</summary>
sealed class CompletionQueue(int id)
{
    /// <summary>Translation that posting entries used last.</summary>
    public DmaCursor Entries;

    /// <summary>Queue id; 0 is the admin queue.</summary>
    public int Id { get; } = id;

    /// <summary>The guest created the queue.</summary>
    public bool Exists { get; set; }

    /// <summary>Base address.</summary>
    public ulong Base { get; set; }

    /// <summary>Entries.</summary>
    public uint Size { get; set; }

    /// <summary>Oldest entry that the guest has not consumed.</summary>
    public uint Head { get; set; }

    /// <summary>Next entry to post.</summary>
    public uint Tail { get; set; }

    /// <summary>Phase Tag of the next entry.</summary>
    public bool Phase { get; set; }

    /// <summary>Interrupt vector.</summary>
    public int Vector { get; set; }

    /// <summary>Interrupts Enabled.</summary>
    public bool InterruptsEnabled { get; set; }

    /// <summary>Entries promised to commands in flight: what is fetched can always be completed.</summary>
    public uint Reserved { get; set; }

    /// <summary>Entries that the guest has not consumed.</summary>
    public uint Used => Tail >= Head ? Tail - Head : Tail + Size - Head;

    /// <summary>True when one more completion can be promised.</summary>
    public bool HasRoom => Used + Reserved + 1 < Size;

    /// <summary>Address of the next entry.</summary>
    public Iova TailAddress => new(Base + Tail * (ulong)NvmeCompletion.Size);

    public void Create(ulong address, uint size, int vector, bool interrupts)
    {
        (Exists, Base, Size, Vector, InterruptsEnabled) = (true, address, size, vector, interrupts);
        (Head, Tail, Phase, Reserved) = (0, 0, true, 0);
        Entries.Clear();
    }

    /// <summary>Moves the tail past the entry just posted.</summary>
    public void Advance()
    {
        if (++Tail == Size)
        {
            Tail = 0;
            Phase = !Phase;
        }
    }

    public void Save(SnapshotWriter writer)
    {
        writer.Flag(Exists);
        writer.U64(Base);
        writer.U32(Size);
        writer.U32(Head);
        writer.U32(Tail);
        writer.Flag(Phase);
        writer.U8((byte)Vector);
        writer.Flag(InterruptsEnabled);
    }

    /// <summary><see cref="Reserved"/> is counted again from the commands in flight.</summary>
    public void Load(SnapshotReader reader, int vectors)
    {
        Exists = reader.Flag();
        (Base, Size, Head, Tail) = (reader.U64(), reader.U32(), reader.U32(), reader.U32());
        Phase = reader.Flag();
        Vector = reader.U8();
        InterruptsEnabled = reader.Flag();
        Reserved = 0;
        Entries.Clear();
        if (Exists && (Size is < 2 or > 65536 || Head >= Size || Tail >= Size || Vector >= vectors))
        {
            throw reader.Bad($"completion queue {Id} is not possible");
        }
    }
}
