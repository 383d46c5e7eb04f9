using Vmm.Specs.Nvme;

namespace Vmm.Nvme;

/// <summary>Admin commands (NVMe 1.4 §5): dispatch, queues, Abort and Format NVM.</summary>
public sealed partial class NvmeController
{
    NvmeStatus RunAdmin(in NvmeCommand command, SubmissionQueue queue, out uint result)
    {
        result = 0;
        // On PCIe the admin queue uses PRPs only (NVMe 1.4 §4.4).
        if (command.FUSE != 0 || command.PSDT != 0)
        {
            return Refuse(NvmeStatus.InvalidField);
        }

        return command.Opcode switch
        {
            NvmeAdminOpcode.DeleteSq => DeleteSubmissionQueue(command),
            NvmeAdminOpcode.CreateSq => CreateSubmissionQueue(command),
            NvmeAdminOpcode.GetLogPage => GetLogPage(command, queue),
            NvmeAdminOpcode.DeleteCq => DeleteCompletionQueue(command),
            NvmeAdminOpcode.CreateCq => CreateCompletionQueue(command),
            NvmeAdminOpcode.Identify => Identify(command, queue),
            NvmeAdminOpcode.Abort => Abort(command, out result),
            NvmeAdminOpcode.SetFeatures => SetFeatures(command, queue, out result),
            NvmeAdminOpcode.GetFeatures => GetFeatures(command, queue, out result),
            NvmeAdminOpcode.AsyncEventRequest => Refuse(NvmeStatus.EventLimitExceeded),
            NvmeAdminOpcode.DoorbellBufferConfig => ConfigureDoorbellBuffer(command),
            NvmeAdminOpcode.FormatNvm => Format(command),
            _ => Refuse(NvmeStatus.InvalidOpcode),
        };
    }

    /// <summary>Checks what both kinds of queue have in common: id, size, address and contiguity.</summary>
    NvmeStatus CheckNewQueue(in NvmeCommand command, bool exists, int entrySize, int wantedEntrySize)
    {
        var id = command.Cdw10 & 0xFFFF;
        var size = (command.Cdw10 >> 16) + 1;
        if (id == 0 || id >= (uint)submissions.Length || exists)
        {
            return NvmeStatus.InvalidQueueId;
        }

        if (size < 2 || size > (uint)options.QueueEntries || entrySize != wantedEntrySize)
        {
            return NvmeStatus.InvalidQueueSize;
        }

        if ((command.PRP1 & (pageSize - 1)) != 0)
        {
            return NvmeStatus.InvalidPrpOffset;
        }

        return (command.Cdw11 & 1) == 0 ? NvmeStatus.InvalidField : NvmeStatus.Success;
    }

    NvmeStatus CreateCompletionQueue(in NvmeCommand command)
    {
        var id = (int)(command.Cdw10 & 0xFFFF);
        var status = CheckNewQueue(command, id < completions.Length && completions[id].Exists, controllerConfig.IOCQES, 4);
        if (status != NvmeStatus.Success)
        {
            return Refuse(status);
        }

        var vector = (int)(command.Cdw11 >> 16);
        if (vector >= VectorCount || vector != 0 && !Function.UsesMessages)
        {
            return Refuse(NvmeStatus.InvalidVector);
        }

        completions[id].Create(command.PRP1, (command.Cdw10 >> 16) + 1, vector, (command.Cdw11 & 2) != 0);
        return NvmeStatus.Success;
    }

    NvmeStatus CreateSubmissionQueue(in NvmeCommand command)
    {
        var id = (int)(command.Cdw10 & 0xFFFF);
        var target = command.Cdw11 >> 16;
        if (target == 0 || target >= (uint)completions.Length || !completions[target].Exists)
        {
            return Refuse(NvmeStatus.InvalidCompletionQueue);
        }

        var status = CheckNewQueue(command, id < submissions.Length && submissions[id].Exists, controllerConfig.IOSQES, 6);
        if (status != NvmeStatus.Success)
        {
            return Refuse(status);
        }

        submissions[id].Create(command.PRP1, (command.Cdw10 >> 16) + 1, (int)target);
        NoteSeenTail(submissions[id]);
        return NvmeStatus.Success;
    }

    NvmeStatus DeleteSubmissionQueue(in NvmeCommand command)
    {
        var id = (int)(command.Cdw10 & 0xFFFF);
        if (id == 0 || id >= submissions.Length || !submissions[id].Exists)
        {
            return Refuse(NvmeStatus.InvalidQueueId);
        }

        while (inFlight.TryTake(c => c.Queue == id, out var slot))
        {
            Complete(submissions[id], slot.Command, NvmeStatus.AbortedSqDeletion);
        }

        submissions[id].Exists = false;
        return NvmeStatus.Success;
    }

    NvmeStatus DeleteCompletionQueue(in NvmeCommand command)
    {
        var id = (int)(command.Cdw10 & 0xFFFF);
        if (id == 0 || id >= completions.Length || !completions[id].Exists)
        {
            return Refuse(NvmeStatus.InvalidQueueId);
        }

        foreach (var queue in submissions)
        {
            if (queue.Exists && queue.CompletionQueue == id)
            {
                return Refuse(NvmeStatus.InvalidQueueDeletion);
            }
        }

        completions[id].Exists = false;
        UpdatePin();
        return NvmeStatus.Success;
    }

    /// <summary>Abort: bit 0 of the result is clear when the command was found and aborted.</summary>
    NvmeStatus Abort(in NvmeCommand command, out uint result)
    {
        var (queue, cid) = ((int)(command.Cdw10 & 0xFFFF), (ushort)(command.Cdw10 >> 16));
        result = 1;
        if (queue >= submissions.Length || !submissions[queue].Exists)
        {
            return NvmeStatus.Success;
        }

        if (inFlight.TryTake(c => c.Queue == queue && c.Command.CID == cid, out var slot))
        {
            Complete(submissions[queue], slot.Command, NvmeStatus.AbortRequested);
            AfterCompletion(submissions[queue]);
            result = 0;
        }
        else if (queue == 0 && TryAbortEventRequest(cid))
        {
            result = 0;
        }

        return NvmeStatus.Success;
    }

    NvmeStatus Format(in NvmeCommand command)
    {
        var format = command.Cdw10 & 0xF;
        var erase = command.Cdw10 >> 9 & 7;
        if (command.NSID != AllNamespaces && Find(command.NSID) == null)
        {
            return Refuse(NvmeStatus.InvalidNamespace);
        }

        // Metadata settings and protection information (8:4) need metadata, which no format has.
        if (format > 1 || (command.Cdw10 & 0x1F0) != 0)
        {
            return Refuse(NvmeStatus.InvalidFormat);
        }

        if (erase > 1)
        {
            return Refuse(NvmeStatus.InvalidField);
        }

        foreach (var space in namespaces)
        {
            if (command.NSID == AllNamespaces || command.NSID == space.Nsid)
            {
                var status = Format(space, format == 0 ? 9 : 12, erase == 1);
                if (status != NvmeStatus.Success)
                {
                    return status;
                }
            }
        }

        return NvmeStatus.Success;
    }

    NvmeStatus Format(NvmeNamespace space, int blockShift, bool erase)
    {
        if (space.IsReadOnly)
        {
            return Refuse(NvmeStatus.WriteProtected);
        }

        if (!space.Fits(blockShift))
        {
            return Refuse(NvmeStatus.InvalidFormat);
        }

        var before = space.BlockShift;
        var status = space.Format(blockShift, erase);
        if (space.BlockShift != before)
        {
            NoteNamespaceChanged(space);
        }

        return status;
    }
}
