using Vmm.Platform.Dma;
using Vmm.Platform.Memory;
using Vmm.Specs.Nvme;

namespace Vmm.Nvme;

/// <summary>
/// Doorbell Buffer Config (NVMe 1.4 §5.7, §7.13): the guest keeps doorbell values in memory and rings only when it
/// passes the value in the event index buffer. While commands of a queue are in flight its index is left behind, so the
/// guest need not ring; the controller looks for itself after each completion.
/// </summary>
public sealed partial class NvmeController
{
    ShadowDoorbells shadow;

    struct ShadowDoorbells
    {
        public bool Enabled;
        public ulong Doorbells;
        public ulong EventIndexes;
        public DmaCursor DoorbellCursor;
        public DmaCursor EventCursor;
    }

    static ulong TailOffset(SubmissionQueue queue) => (ulong)queue.Id * 8;

    static ulong HeadOffset(CompletionQueue queue) => (ulong)queue.Id * 8 + 4;

    NvmeStatus ConfigureDoorbellBuffer(in NvmeCommand command)
    {
        if (((command.PRP1 | command.PRP2) & (pageSize - 1)) != 0)
        {
            return Refuse(NvmeStatus.InvalidField);
        }

        shadow = new() { Enabled = true, Doorbells = command.PRP1, EventIndexes = command.PRP2 };
        foreach (var queue in submissions)
        {
            if (queue.Exists)
            {
                WriteShadow(shadow.Doorbells, ref shadow.DoorbellCursor, TailOffset(queue), queue.Tail);
                NoteSeenTail(queue);
            }
        }

        foreach (var queue in completions)
        {
            if (queue.Exists)
            {
                WriteShadow(shadow.Doorbells, ref shadow.DoorbellCursor, HeadOffset(queue), queue.Head);
                NotePosted(queue);
            }
        }

        return NvmeStatus.Success;
    }

    /// <summary>Guests in the field ring the admin doorbells only, and never write their shadows; so the controller does.</summary>
    void MirrorAdminTail(SubmissionQueue queue)
    {
        if (shadow.Enabled && queue.Id == 0)
        {
            WriteShadow(shadow.Doorbells, ref shadow.DoorbellCursor, TailOffset(queue), queue.Tail);
        }
    }

    /// <summary>Takes over a tail from the buffer. Impossible values are ignored.</summary>
    void PollShadowTail(SubmissionQueue queue)
    {
        if (shadow.Enabled && queue.Id != 0 && queue.Exists && TryReadShadow(TailOffset(queue), out var tail) && tail < queue.Size)
        {
            queue.Tail = tail;
        }
    }

    /// <summary>Takes over a head from the buffer, when a completion queue looks full.</summary>
    void PollShadowHead(CompletionQueue queue)
    {
        if (!shadow.Enabled || queue.Id == 0)
        {
            return;
        }

        if (TryReadShadow(HeadOffset(queue), out var head))
        {
            TryConsume(queue, head);
        }

        if (!queue.HasRoom)
        {
            // Nothing else will wake the queue, so ask for the next ring.
            WriteShadow(shadow.EventIndexes, ref shadow.EventCursor, HeadOffset(queue), queue.Head);
        }
    }

    /// <summary>Asks for a ring at the next submission, unless the controller will look again anyway.</summary>
    void NoteSeenTail(SubmissionQueue queue)
    {
        if (shadow.Enabled && (queue.InFlight == 0 || queue.Id == 0 || queue.Head != queue.Tail))
        {
            WriteShadow(shadow.EventIndexes, ref shadow.EventCursor, TailOffset(queue), queue.Tail);
        }
    }

    /// <summary>Looks for submissions that were not rung for.</summary>
    void AfterCompletion(SubmissionQueue queue)
    {
        if (shadow.Enabled && queue.Id != 0 && queue.Exists && IsRunning)
        {
            PollShadowTail(queue);
            Fetch(queue, int.MaxValue);
            NoteSeenTail(queue);
        }
    }

    /// <summary>With a pin the level depends on what the guest consumed, so every head must be rung.</summary>
    void NotePosted(CompletionQueue queue)
    {
        if (shadow.Enabled && (queue.Id == 0 || !Function.UsesMessages))
        {
            WriteShadow(shadow.EventIndexes, ref shadow.EventCursor, HeadOffset(queue), queue.Head);
        }
    }

    bool TryReadShadow(ulong offset, out uint value)
    {
        if (Function.Dma.TryRead(ref shadow.DoorbellCursor, new Iova(shadow.Doorbells + offset), out value))
        {
            return true;
        }

        Fail();
        return false;
    }

    void WriteShadow(ulong buffer, ref DmaCursor cursor, ulong offset, uint value)
    {
        if (!Function.Dma.TryWrite(ref cursor, new Iova(buffer + offset), value))
        {
            Fail();
        }
    }
}
