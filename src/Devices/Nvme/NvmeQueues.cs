using System.Buffers.Binary;
using Vmm.Platform.Block;
using Vmm.Platform.Memory;
using Vmm.Specs.Nvme;

namespace Vmm.Nvme;

/// <summary>Doorbells, fetching and completing.</summary>
public sealed partial class NvmeController
{
    // Commands that wait for their time, at most; the last slots are for the admin queue alone.
    const int Slots = 1024, AdminSlots = 32;

    readonly SubmissionQueue[] submissions;
    readonly CompletionQueue[] completions;
    readonly DueQueue<FetchedCommand> inFlight = new(Slots);
    int nextQueue = 1;

    /// <summary>A command that waits for its time: the entry as it was fetched, guest memory is not looked at again.</summary>
    readonly record struct FetchedCommand(NvmeCommand Command, ushort Queue);

    /// <summary>Doorbells are aligned doublewords; other accesses have no effect (NVMe 1.4 §3.1.24).</summary>
    void RingDoorbell(ulong offset, ReadOnlySpan<byte> data)
    {
        if (!IsRunning || data.Length != 4 || (offset & 3) != 0)
        {
            return;
        }

        var value = BinaryPrimitives.ReadUInt32LittleEndian(data);
        var queue = offset >> 3;
        var isCompletion = (offset & 4) != 0;
        if (queue >= (ulong)submissions.Length || !(isCompletion ? completions[queue].Exists : submissions[queue].Exists))
        {
            RaiseEvent(NvmeEventType.Error, InvalidDoorbellRegister, NvmeLogPage.ErrorInformation);
            DeliverInterrupts();
            return;
        }

        if (isCompletion)
        {
            RingCompletion(completions[queue], value);
        }
        else
        {
            RingSubmission(submissions[queue], value);
        }

        DeliverInterrupts();
        ArmTimer();
    }

    void RingSubmission(SubmissionQueue queue, uint tail)
    {
        if (tail >= queue.Size)
        {
            RaiseEvent(NvmeEventType.Error, InvalidDoorbellValue, NvmeLogPage.ErrorInformation);
            return;
        }

        queue.Tail = tail;
        MirrorAdminTail(queue);
        PollShadowTail(queue);
        Fetch(queue, int.MaxValue);
        NoteSeenTail(queue);
    }

    void RingCompletion(CompletionQueue queue, uint head)
    {
        if (!TryConsume(queue, head))
        {
            RaiseEvent(NvmeEventType.Error, InvalidDoorbellValue, NvmeLogPage.ErrorInformation);
            return;
        }

        FetchAll();
        UpdatePin();
    }

    /// <summary>Moves the head as far as the guest has consumed. False when it claims entries that were never posted.</summary>
    static bool TryConsume(CompletionQueue queue, uint head)
    {
        if (head >= queue.Size || (head >= queue.Head ? head - queue.Head : head + queue.Size - queue.Head) > queue.Used)
        {
            return false;
        }

        queue.Head = head;
        return true;
    }

    /// <summary>Fetches from all queues in turn, a burst each (NVMe 1.4 §4.13.1), until none can go on.</summary>
    void FetchAll()
    {
        SendEvents();
        Fetch(submissions[0], int.MaxValue);
        var burst = (features[NvmeFeature.Arbitration] & 7) is var log and < 7 ? 1 << (int)log : int.MaxValue;
        for (var idle = 1; idle < submissions.Length && inFlight.Free > AdminSlots && IsRunning;)
        {
            nextQueue = nextQueue + 1 < submissions.Length ? nextQueue + 1 : 1;
            idle = Fetch(submissions[nextQueue], burst) ? 1 : idle + 1;
        }
    }

    /// <summary>
    /// Fetches up to a number of entries. An entry is fetched only when there is a slot for it and its completion has a
    /// place, so a guest that never consumes completions only stops its own queues. True when something was fetched.
    /// </summary>
    bool Fetch(SubmissionQueue queue, int limit)
    {
        var any = false;
        while (limit-- > 0 && queue.Exists && IsRunning && queue.Head != queue.Tail &&
            inFlight.Free > (queue.Id == 0 ? 0 : AdminSlots) && HasRoom(completions[queue.CompletionQueue]))
        {
            if (!Function.Dma.TryRead(ref queue.Entries, queue.HeadAddress, out NvmeCommand command))
            {
                Fail();
                break;
            }

            queue.Head = queue.Head + 1 == queue.Size ? 0 : queue.Head + 1;
            Admit(command, queue);
            any = true;
        }

        return any;
    }

    bool HasRoom(CompletionQueue queue)
    {
        if (!queue.HasRoom)
        {
            PollShadowHead(queue);
        }

        return queue.HasRoom;
    }

    void Admit(in NvmeCommand command, SubmissionQueue queue)
    {
        if (queue.Id != 0 && clock.Trace is { } trace)
        {
            var length = command.Opcode == NvmeIoOpcode.DatasetManagement ? ((command.Cdw10 & 0xFF) + 1) * 16 : DataBytes(command);
            trace.Write("pci_nvme_io_cmd", $"cid {command.CID} nsid 0x{command.NSID:x} sqid {queue.Id} opc 0x{command.Opcode:x} psdt {command.PSDT} prp1 0x{command.PRP1:x} prp2 0x{command.PRP2:x} length {length}");
        }

        queue.InFlight++;
        completions[queue.CompletionQueue].Reserved++;
        inFlight.Add(
            new(command, (ushort)queue.Id), queue.Id == 0 ? media.After(options.AdminNanoseconds) : media.Admit(WorkOf(command.Opcode), DataBytes(command)));
    }

    /// <summary>Bytes that a command moves, as far as it names blocks.</summary>
    ulong DataBytes(in NvmeCommand command) =>
        command.Opcode is NvmeIoOpcode.Read or NvmeIoOpcode.Write or NvmeIoOpcode.Compare or NvmeIoOpcode.Verify or NvmeIoOpcode.WriteZeroes
            ? (ulong)command.NLB << (Find(command.NSID)?.BlockShift ?? 9) : 0;

    static MediaWork WorkOf(byte opcode) => opcode switch
    {
        NvmeIoOpcode.Read or NvmeIoOpcode.Compare or NvmeIoOpcode.Verify => MediaWork.Read,
        NvmeIoOpcode.Flush => MediaWork.Flush,
        _ => MediaWork.Write,
    };

    /// <summary>Runs what is due, once round: commands that this makes the controller fetch wait for the next event.</summary>
    void RunDueCommands()
    {
        for (var left = inFlight.Count; left > 0 && inFlight.NextDue <= clock.Now && IsRunning; left--)
        {
            RunNext();
        }

        FetchAll();
    }

    void RunNext()
    {
        var slot = inFlight.Take();
        var queue = submissions[slot.Queue];
        if (Function.Dma.HasCommandRules && IsWatched(slot.Command, queue) && IsBrokenByRule(slot.Command, queue))
        {
            return;
        }

        uint result = 0;
        NvmeStatus status;
        Function.Dma.Opcode = OpcodeOf(slot.Command, queue);
        if (queue.Id == 0)
        {
            if (slot.Command.Opcode == NvmeAdminOpcode.AsyncEventRequest && TryKeepEventRequest(slot.Command))
            {
                Function.Dma.Opcode = null;
                Release(queue);
                SendEvents();
                return;
            }

            status = RunAdmin(slot.Command, queue, out result);
        }
        else
        {
            status = RunIo(slot.Command, queue);
        }

        Function.Dma.Opcode = null;
        Complete(queue, slot.Command, status, result);
        AfterCompletion(queue);
    }

    /// <summary>Gives back what fetching a command had taken.</summary>
    void Release(SubmissionQueue queue)
    {
        queue.InFlight--;
        completions[queue.CompletionQueue].Reserved--;
    }

    /// <summary>Completes a command that holds a slot and a promised completion entry.</summary>
    void Complete(SubmissionQueue queue, in NvmeCommand command, NvmeStatus status, uint result = 0)
    {
        if (status != NvmeStatus.Success)
        {
            status = NoteError(queue, command, status);
        }

        Release(queue);
        Post(queue, command.CID, status, result);
    }

    /// <summary>Writes a completion entry; the queue has room.</summary>
    void Post(SubmissionQueue queue, ushort cid, NvmeStatus status, uint result)
    {
        if (!IsRunning)
        {
            return;
        }

        var target = completions[queue.CompletionQueue];
        var entry = new NvmeCompletion
        {
            Result = result,
            Queue = (uint)queue.Id << 16 | queue.Head,
            Status = (uint)status << 17 | (target.Phase ? 1u << 16 : 0) | cid,
        };
        if (!Function.Dma.TryWrite(ref target.Entries, target.TailAddress, entry))
        {
            Fail();
            return;
        }

        clock.Trace?.Write("pci_nvme_enqueue_req_completion", $"cid {cid} cqid {queue.CompletionQueue} dw0 0x{result:x} dw1 0x{(uint)queue.Id << 16 | queue.Head:x} status 0x{(uint)status:x}");
        target.Advance();
        NotePosted(target);
        if (target.InterruptsEnabled)
        {
            posted[target.Vector]++;
            anyPosted = true;
        }
    }

    void ArmTimer()
    {
        if (inFlight.Count > 0 && IsRunning)
        {
            // A queue of commands that are due already must not stop the clock from reaching other events.
            timer.Arm(Math.Max(inFlight.NextDue, clock.Now + 1));
        }
        else
        {
            timer.Disarm();
        }
    }
}
