using System.Runtime.InteropServices;
using Vmm.GuestDma.Guest;
using Vmm.Platform.Memory;
using Vmm.Specs.Nvme;

namespace Vmm.GuestDma.Drivers.Nvme;

/// <summary>A command that ended.</summary>
/// <param name="Tag">What the submitter gave.</param>
/// <param name="Status">Status field without the phase; 0 is success.</param>
public readonly record struct NvmeDone(int Tag, int Status);

/// <summary>A submission and a completion queue, and a page for the PRP list of each command slot (NVMe 1.4 §4.1, §4.3).</summary>
public sealed class NvmeQueuePair
{
    readonly IGuestView view;
    readonly IDmaMapper dma;
    readonly CoherentMemory submission, completion;
    readonly CoherentMemory[] lists;
    readonly int[] tags, freeSlots;
    readonly ulong submissionDoorbell, completionDoorbell;
    readonly int entries;
    int tail, head, phase = 1, freeCount, rung;

    internal NvmeQueuePair(IGuestView view, IDmaMapper dma, ulong doorbells, ulong stride, int id, int entries)
    {
        this.view = view;
        this.dma = dma;
        this.entries = entries;
        submissionDoorbell = doorbells + (ulong)(2 * id) * stride;
        completionDoorbell = doorbells + (ulong)(2 * id + 1) * stride;
        if (!dma.TryAllocateCoherent(entries * NvmeCommand.Size, out submission) || !dma.TryAllocateCoherent(entries * NvmeCompletion.Size, out completion))
        {
            throw new InvalidOperationException("nvme: no memory for a queue");
        }

        tags = new int[entries];
        freeSlots = new int[entries];
        lists = new CoherentMemory[entries];
        for (freeCount = 0; freeCount < entries - 1; freeCount++)
        {
            freeSlots[freeCount] = entries - 2 - freeCount;
        }
    }

    /// <summary>Commands that can be submitted now.</summary>
    public int Room => freeCount;

    /// <summary>Commands that were submitted and have not been reaped.</summary>
    public int InFlight => entries - 1 - freeCount;

    internal Iova SubmissionAddress => submission.DmaAddress;

    internal Iova CompletionAddress => completion.DmaAddress;

    /// <summary>Queues a read or write of blocks over mapped segments. False: no room, no memory for a list, or segments that PRPs cannot describe.</summary>
    public bool TryTransfer(bool write, ulong block, int blocks, ReadOnlySpan<ScatterEntry> segments, int tag) =>
        TrySubmit(new()
        {
            Cdw0 = write ? NvmeIoOpcode.Write : NvmeIoOpcode.Read, NSID = 1, Cdw10 = (uint)block, Cdw11 = (uint)(block >> 32), Cdw12 = (uint)(blocks - 1),
        }, segments, tag);

    /// <summary>Queues a command. The controller learns of it with <see cref="Ring"/>.</summary>
    internal bool TrySubmit(NvmeCommand command, ReadOnlySpan<ScatterEntry> segments, int tag)
    {
        if (freeCount == 0)
        {
            return false;
        }

        var slot = freeSlots[freeCount - 1];
        if (segments.Length > 0 && !TryDescribe(segments, slot, out command.PRP1, out command.PRP2))
        {
            return false;
        }

        freeCount--;
        tags[slot] = tag;
        command.Cdw0 |= (uint)slot << 16;
        MemoryMarshal.Write(view.Memory(submission.Address + (ulong)(tail * NvmeCommand.Size), NvmeCommand.Size), command);
        tail = (tail + 1) % entries;
        return true;
    }

    /// <summary>Tells the controller of everything queued.</summary>
    public void Ring()
    {
        if (rung != tail)
        {
            rung = tail;
            view.WriteRegister(submissionDoorbell, 4, (ulong)tail);
        }
    }

    /// <summary>Takes a completion out of the queue, if there is one.</summary>
    public bool TryReap(out NvmeDone done)
    {
        var entry = MemoryMarshal.Read<NvmeCompletion>(view.Memory(completion.Address + (ulong)(head * NvmeCompletion.Size), NvmeCompletion.Size));
        if ((int)(entry.Status >> 16 & 1) != phase)
        {
            done = default;
            return false;
        }

        var slot = (int)(entry.Status & 0xFFFF);
        done = new(tags[slot], (int)(entry.Status >> 17));
        freeSlots[freeCount++] = slot;
        head = (head + 1) % entries;
        phase ^= head == 0 ? 1 : 0;
        return true;
    }

    /// <summary>Tells the controller which completions were taken.</summary>
    public void FinishReaping() => view.WriteRegister(completionDoorbell, 4, (ulong)head);

    /// <summary>Gives all memory back; the controller must be stopped.</summary>
    internal void Free()
    {
        dma.FreeCoherent(submission);
        dma.FreeCoherent(completion);
        foreach (ref readonly var list in lists.AsSpan())
        {
            if (list.Bytes != 0)
            {
                dma.FreeCoherent(list);
            }
        }
    }

    /// <summary>
    /// PRP entries of segments: pages, of which only the first may start and only the last may end inside (NVMe 1.4 §4.3).
    /// A list is one page, so at most 512 pages after the first.
    /// </summary>
    bool TryDescribe(ReadOnlySpan<ScatterEntry> segments, int slot, out ulong first, out ulong second)
    {
        (first, second) = (0, 0);
        var count = 0;
        ulong previous = 0;
        for (var i = 0; i < segments.Length; i++)
        {
            var at = segments[i].DmaAddress.Value;
            var end = at + (ulong)segments[i].DmaLength;
            if (i > 0 && (at & 0xFFF) != 0 || i < segments.Length - 1 && (end & 0xFFF) != 0)
            {
                return false;
            }

            while (at < end)
            {
                switch (count)
                {
                    case 0:
                        first = at;
                        break;
                    case 1:
                        previous = at;
                        break;
                    case > 512:
                        return false;
                    default:
                        if (count == 2 && !TryList(slot, previous, out second))
                        {
                            return false;
                        }

                        view.Store(lists[slot].Address + (ulong)(count - 1) * 8, at);
                        break;
                }

                count++;
                at = (at & ~0xFFFul) + 4096;
            }
        }

        second = count == 2 ? previous : second;
        return true;
    }

    bool TryList(int slot, ulong entry, out ulong address)
    {
        ref var list = ref lists[slot];
        if (list.Bytes == 0 && !dma.TryAllocateCoherent(4096, out list))
        {
            address = 0;
            return false;
        }

        view.Store(list.Address, entry);
        address = list.DmaAddress.Value;
        return true;
    }
}
