using Vmm.Platform.Dma;
using Vmm.Specs.Nvme;

namespace Vmm.Nvme;

/// <summary>Commands of the NVM command set (NVMe 1.4 §6). All checks are made when the command runs, not when it is fetched.</summary>
public sealed partial class NvmeController
{
    const uint AllNamespaces = uint.MaxValue;
    const uint ForceUnitAccess = 1u << 30;

    readonly NvmeNamespace[] namespaces;
    readonly byte[] scratch = new byte[64 * 1024];

    NvmeStatus RunIo(in NvmeCommand command, SubmissionQueue queue)
    {
        if (command.FUSE != 0 || command.PSDT == 3)
        {
            return Refuse(NvmeStatus.InvalidField);
        }

        if (command.Opcode == NvmeIoOpcode.Flush && command.NSID == AllNamespaces)
        {
            return FlushAll();
        }

        if (!IsIoOpcode(command.Opcode))
        {
            return Refuse(NvmeStatus.InvalidOpcode);
        }

        if (Find(command.NSID) is not { } space)
        {
            return Refuse(NvmeStatus.InvalidNamespace);
        }

        return command.Opcode switch
        {
            NvmeIoOpcode.Read => Read(command, space, queue),
            NvmeIoOpcode.Write => Write(command, space, queue),
            NvmeIoOpcode.Flush => space.Flush(),
            NvmeIoOpcode.WriteUncorrectable => WriteUncorrectable(command, space),
            NvmeIoOpcode.Compare => Compare(command, space, queue),
            NvmeIoOpcode.WriteZeroes => WriteZeroes(command, space),
            NvmeIoOpcode.DatasetManagement => ManageDataset(command, space, queue),
            _ => Verify(command, space),
        };
    }

    static bool IsIoOpcode(byte opcode) => opcode is NvmeIoOpcode.Read or NvmeIoOpcode.Write or NvmeIoOpcode.Flush
        or NvmeIoOpcode.WriteUncorrectable or NvmeIoOpcode.Compare or NvmeIoOpcode.WriteZeroes
        or NvmeIoOpcode.DatasetManagement or NvmeIoOpcode.Verify;

    /// <summary>The namespace of an id, or null: 0, absent ids and the broadcast id name none.</summary>
    NvmeNamespace? Find(uint nsid) => nsid - 1 < (uint)namespaces.Length ? namespaces[nsid - 1] : null;

    static NvmeStatus Refuse(NvmeStatus status) => status | NvmeStatus.DoNotRetry;

    /// <summary>Checks a range of blocks, and against the largest transfer if data moves.</summary>
    NvmeStatus CheckRange(in NvmeCommand command, NvmeNamespace space, bool movesData)
    {
        if (movesData && (ulong)command.NLB << space.BlockShift > (ulong)transfer.Length)
        {
            return Refuse(NvmeStatus.InvalidField);
        }

        return space.Contains(command.SLBA, command.NLB) ? NvmeStatus.Success : Refuse(NvmeStatus.LbaOutOfRange);
    }

    NvmeStatus CheckWrite(in NvmeCommand command, NvmeNamespace space, bool movesData)
    {
        var status = CheckRange(command, space, movesData);
        return status == NvmeStatus.Success && space.IsReadOnly ? Refuse(NvmeStatus.WriteProtected) : status;
    }

    NvmeStatus Read(in NvmeCommand command, NvmeNamespace space, SubmissionQueue queue)
    {
        var status = CheckRange(command, space, movesData: true);
        if (status != NvmeStatus.Success)
        {
            return status;
        }

        var length = (int)command.NLB << space.BlockShift;
        smart.CountRead(length);
        if (TryGetWindow(command, ref queue.Data, length, DmaAccess.Write, out var window, out var blocked))
        {
            return space.Read(command.SLBA, window);
        }

        if (blocked)
        {
            return NvmeStatus.DataTransferError;
        }

        var buffer = transfer.AsSpan(0, length);
        status = space.Read(command.SLBA, buffer);
        return status == NvmeStatus.Success ? ToGuest(command, ref queue.Data, buffer) : status;
    }

    NvmeStatus Write(in NvmeCommand command, NvmeNamespace space, SubmissionQueue queue)
    {
        var status = CheckWrite(command, space, movesData: true);
        if (status != NvmeStatus.Success)
        {
            return status;
        }

        var length = (int)command.NLB << space.BlockShift;
        smart.CountWrite(length);
        if (!TryGetWindow(command, ref queue.Data, length, DmaAccess.Read, out var data, out var blocked))
        {
            if (blocked)
            {
                return NvmeStatus.DataTransferError;
            }

            // All data is fetched before any is written: a failing transfer leaves the media as it was.
            data = transfer.AsSpan(0, length);
            status = FromGuest(command, ref queue.Data, data);
            if (status != NvmeStatus.Success)
            {
                return status;
            }
        }

        status = space.Write(command.SLBA, data);
        return status == NvmeStatus.Success && MustBeDurable(command) ? space.Flush() : status;
    }

    /// <summary>Force Unit Access, or the volatile write cache is switched off.</summary>
    bool MustBeDurable(in NvmeCommand command) =>
        (command.Cdw12 & ForceUnitAccess) != 0 || (features[NvmeFeature.VolatileWriteCache] & 1) == 0;

    NvmeStatus FlushAll()
    {
        var worst = NvmeStatus.Success;
        foreach (var space in namespaces)
        {
            var status = space.Flush();
            worst = status == NvmeStatus.Success ? worst : status;
        }

        return worst;
    }

    NvmeStatus WriteUncorrectable(in NvmeCommand command, NvmeNamespace space)
    {
        var status = CheckWrite(command, space, movesData: false);
        return status == NvmeStatus.Success ? space.Spoil(command.SLBA, command.NLB) : status;
    }

    NvmeStatus WriteZeroes(in NvmeCommand command, NvmeNamespace space)
    {
        var status = CheckWrite(command, space, movesData: false);
        if (status != NvmeStatus.Success)
        {
            return status;
        }

        status = space.Zero(command.SLBA, command.NLB);
        return status == NvmeStatus.Success && MustBeDurable(command) ? space.Flush() : status;
    }

    NvmeStatus Compare(in NvmeCommand command, NvmeNamespace space, SubmissionQueue queue)
    {
        var status = CheckRange(command, space, movesData: true);
        if (status != NvmeStatus.Success)
        {
            return status;
        }

        var expected = transfer.AsSpan(0, (int)command.NLB << space.BlockShift);
        smart.CountRead(expected.Length);
        status = FromGuest(command, ref queue.Data, expected);
        return status == NvmeStatus.Success ? Check(command, space, expected) : status;
    }

    NvmeStatus Verify(in NvmeCommand command, NvmeNamespace space)
    {
        var status = CheckRange(command, space, movesData: false);
        return status == NvmeStatus.Success ? Check(command, space, default) : status;
    }

    /// <summary>Reads a range piece by piece and, unless it is empty, compares it with what is expected.</summary>
    NvmeStatus Check(in NvmeCommand command, NvmeNamespace space, ReadOnlySpan<byte> expected)
    {
        if (space.IsBad(command.SLBA, command.NLB))
        {
            return NvmeStatus.UnrecoveredRead;
        }

        var offset = command.SLBA << space.BlockShift;
        var left = (ulong)command.NLB << space.BlockShift;
        for (ulong done = 0; done < left;)
        {
            var part = (int)Math.Min(left - done, (ulong)scratch.Length);
            var found = scratch.AsSpan(0, part);
            var status = space.ReadBytes(offset + done, found);
            if (status != NvmeStatus.Success)
            {
                return status;
            }

            if (!expected.IsEmpty && !found.SequenceEqual(expected.Slice((int)done, part)))
            {
                return Refuse(NvmeStatus.CompareFailure);
            }

            done += (ulong)part;
        }

        return NvmeStatus.Success;
    }

    /// <summary>Dataset Management: only Deallocate does something, the other attributes are hints (NVMe 1.4 §6.7).</summary>
    NvmeStatus ManageDataset(in NvmeCommand command, NvmeNamespace space, SubmissionQueue queue)
    {
        const int rangeSize = 16;
        var ranges = scratch.AsSpan(0, ((int)(command.Cdw10 & 0xFF) + 1) * rangeSize);
        var status = FromGuest(command, ref queue.Data, ranges);
        if (status != NvmeStatus.Success || (command.Cdw11 & 4) == 0)
        {
            return status;
        }

        if (space.IsReadOnly)
        {
            return Refuse(NvmeStatus.WriteProtected);
        }

        // All ranges are checked before the first one is touched.
        for (var pass = 0; pass < 2; pass++)
        {
            for (var at = 0; at < ranges.Length; at += rangeSize)
            {
                var blocks = System.Buffers.Binary.BinaryPrimitives.ReadUInt32LittleEndian(ranges[(at + 4)..]);
                var start = System.Buffers.Binary.BinaryPrimitives.ReadUInt64LittleEndian(ranges[(at + 8)..]);
                if (!space.Contains(start, blocks))
                {
                    return Refuse(NvmeStatus.LbaOutOfRange);
                }

                if (pass == 1)
                {
                    space.Discard(start, blocks);
                }
            }
        }

        return NvmeStatus.Success;
    }
}
