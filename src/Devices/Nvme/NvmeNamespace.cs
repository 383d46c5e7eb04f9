using Vmm.Platform.Block;
using Vmm.Platform.Snapshots;
using Vmm.Specs.Nvme;

namespace Vmm.Nvme;

/// <summary>One namespace: a backend seen as logical blocks of 512 or 4096 bytes, and the blocks that are uncorrectable.</summary>
sealed class NvmeNamespace(uint nsid, NvmeNamespaceOptions options, Guid id)
{
    readonly IBlockBackend backend = options.Backend;
    readonly BlockRanges bad = new();

    /// <summary>Namespace id, from 1 on.</summary>
    public uint Nsid { get; } = nsid;

    /// <summary>Identity: UUID and NGUID.</summary>
    public Guid Id { get; } = id;

    /// <summary>log2 of the logical block size: 9 or 12.</summary>
    public int BlockShift { get; private set; } = options.BlockSize == 4096 ? 12 : 9;

    /// <summary>Size in logical blocks.</summary>
    public ulong Blocks => backend.Length >> BlockShift;

    /// <summary>The guest may not write.</summary>
    public bool IsReadOnly => backend.IsReadOnly;

    /// <summary>True when the range lies in the namespace.</summary>
    public bool Contains(ulong start, ulong count) => start <= Blocks && count <= Blocks - start;

    /// <summary>True when the namespace holds a block of this size.</summary>
    public bool Fits(int blockShift) => backend.Length >> blockShift != 0;

    /// <summary>Reads whole blocks; the range is inside.</summary>
    public NvmeStatus Read(ulong block, Span<byte> destination)
    {
        return bad.Intersects(block, (ulong)destination.Length >> BlockShift)
            ? NvmeStatus.UnrecoveredRead
            : Status(backend.Read(block << BlockShift, destination));
    }

    /// <summary>Reads a part of a range of blocks, already known to be good, for checking.</summary>
    public NvmeStatus ReadBytes(ulong offset, Span<byte> destination) => Status(backend.Read(offset, destination));

    /// <summary>True when a block of the range is uncorrectable.</summary>
    public bool IsBad(ulong block, ulong count) => bad.Intersects(block, count);

    /// <summary>Writes whole blocks; the range is inside. Writing makes uncorrectable blocks good again.</summary>
    public NvmeStatus Write(ulong block, ReadOnlySpan<byte> source)
    {
        var result = Status(backend.Write(block << BlockShift, source));
        return result == NvmeStatus.Success ? Heal(block, (ulong)source.Length >> BlockShift) : result;
    }

    /// <summary>Makes blocks read as zeros.</summary>
    public NvmeStatus Zero(ulong block, ulong count)
    {
        var result = Status(backend.Zero(block << BlockShift, count << BlockShift));
        return result == NvmeStatus.Success ? Heal(block, count) : result;
    }

    /// <summary>Makes blocks uncorrectable until they are written.</summary>
    public NvmeStatus Spoil(ulong block, ulong count) =>
        bad.TryAdd(block, count) ? NvmeStatus.Success : NvmeStatus.InternalError;

    /// <summary>The guest no longer needs the blocks.</summary>
    public void Discard(ulong block, ulong count)
    {
        if (!IsReadOnly && Heal(block, count) == NvmeStatus.Success)
        {
            backend.Discard(block << BlockShift, count << BlockShift);
        }
    }

    /// <summary>Makes what was written durable.</summary>
    public NvmeStatus Flush() => Status(backend.Flush());

    /// <summary>Formats: a new block size, and all user data erased if asked for.</summary>
    public NvmeStatus Format(int blockShift, bool erase)
    {
        var result = erase ? Status(backend.Zero(0, backend.Length)) : NvmeStatus.Success;
        if (result == NvmeStatus.Success)
        {
            BlockShift = blockShift;
            bad.Clear();
        }

        return result;
    }

    public void Save(SnapshotWriter writer)
    {
        writer.U64(backend.Length);
        writer.U8((byte)BlockShift);
        bad.Save(writer);
    }

    public void Load(SnapshotReader reader)
    {
        var length = reader.U64();
        if (length != backend.Length)
        {
            throw reader.Bad($"namespace {Nsid} had {length} bytes, {backend.Name} has {backend.Length}");
        }

        BlockShift = reader.U8();
        if (BlockShift is not (9 or 12))
        {
            throw reader.Bad($"namespace {Nsid}: block size 2^{BlockShift}");
        }

        bad.Load(reader);
    }

    NvmeStatus Heal(ulong block, ulong count) =>
        bad.Count == 0 || bad.TryRemove(block, count) ? NvmeStatus.Success : NvmeStatus.InternalError;

    static NvmeStatus Status(BlockResult result) => result switch
    {
        BlockResult.Ok => NvmeStatus.Success,
        BlockResult.ReadFailed => NvmeStatus.UnrecoveredRead,
        BlockResult.NoSpace => NvmeStatus.CapacityExceeded,
        BlockResult.ReadOnly => NvmeStatus.WriteProtected,
        _ => NvmeStatus.WriteFault,
    };
}
