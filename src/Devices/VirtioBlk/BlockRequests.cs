using System.Buffers.Binary;
using Vmm.Platform.Block;
using Vmm.Platform.Time;
using Vmm.Specs.Virtio;
using Vmm.Virtio;

namespace Vmm.VirtioBlk;

/// <content>The life of a request: taken, waiting for its time, run in slices, answered.</content>
public sealed partial class BlockDevice
{
    /// <summary>Bytes moved at once; the rest of a larger request follows a little later.</summary>
    const uint Slice = 1 << 20;

    const ulong SliceNanoseconds = 1000;

    readonly MediaSchedule media;
    readonly DueQueue<Request> pending;
    BlockCounters counters;

    /// <summary>A request in flight. The header was read when it was taken and is not looked at again.</summary>
    readonly record struct Request(int Queue, VirtioBuffer Buffer, uint Type, ulong Sector, ulong Done);

    /// <summary>How far a request came.</summary>
    enum Progress
    {
        /// <summary>It has its status.</summary>
        Ended,

        /// <summary>A slice is done and more are left.</summary>
        GoesOn,
    }

    /// <inheritdoc/>
    public void Expired(ClockTimer timer, ulong due)
    {
        // Once round: what goes on in slices waits for the next event, whatever time these took.
        for (var left = pending.Count; left > 0 && pending.NextDue <= clock.Now && Transport.IsRunning; left--)
        {
            Run(pending.Take());
        }

        foreach (var queue in Transport.Queues)
        {
            queue.Signal();
        }

        ArmTimer();
    }

    /// <summary>A request was taken: its header tells how long it takes.</summary>
    void Start(Virtqueue queue, in VirtioBuffer buffer)
    {
        if (!queue.TryOpen(buffer, chain))
        {
            return;
        }

        if (chain.WritableLength == 0)
        {
            // There is no place for the status.
            queue.Break();
            return;
        }

        Span<byte> header = stackalloc byte[VirtioBlkRequest.HeaderSize];
        var type = chain.TryRead(header) ? BinaryPrimitives.ReadUInt32LittleEndian(header) : NoHeader;
        var request = new Request(queue.Index, buffer, type, BinaryPrimitives.ReadUInt64LittleEndian(header[8..]), 0);
        Enqueue(request, media.Admit(WorkOf(type), BytesOf(type)));
    }

    /// <summary>Bytes of data of the open chain, whose header was read.</summary>
    ulong BytesOf(uint type) => type switch
    {
        VirtioBlkRequest.In => chain.WritableLength - 1,
        VirtioBlkRequest.Out => chain.ReadableLeft,
        _ => 0ul,
    };

    static MediaWork WorkOf(uint type) => type switch
    {
        VirtioBlkRequest.Flush => MediaWork.Flush,
        VirtioBlkRequest.Out or VirtioBlkRequest.Discard or VirtioBlkRequest.WriteZeroes => MediaWork.Write,
        _ => MediaWork.Read,
    };

    void Enqueue(in Request request, ulong due)
    {
        pending.Add(request, due);
        ArmTimer();
    }

    void ArmTimer()
    {
        if (pending.NextDue != ulong.MaxValue && Transport.IsRunning)
        {
            timer.Arm(Math.Max(pending.NextDue, clock.Now + 1));
        }
        else
        {
            timer.Disarm();
        }
    }

    void Run(in Request request)
    {
        var queue = Transport.Queues[request.Queue];
        if (!queue.TryOpen(request.Buffer, chain))
        {
            return;
        }

        if (chain.WritableLength == 0)
        {
            queue.Break();
            return;
        }

        var dma = Transport.Function.Dma;
        if (request.Done == 0 && dma.HasCommandRules && IsWatched(request) && IsBrokenByRule(request))
        {
            return;
        }

        var done = request.Done;
        dma.Opcode = request.Type;
        var progress = Execute(request, ref done, out var status);
        dma.Opcode = null;
        if (progress == Progress.GoesOn)
        {
            Enqueue(request with { Done = done }, media.After(SliceNanoseconds));
            return;
        }

        Answer(request, done, status);
    }

    /// <summary>Answers a request whose chain is open.</summary>
    void Answer(in Request request, ulong done, VirtioBlkStatus status)
    {
        counters.Errors += status == VirtioBlkStatus.Ok ? 0u : 1;
        chain.SeekWritable(chain.WritableLength - 1);
        var queue = Transport.Queues[request.Queue];
        if (!chain.TryWrite((byte)status))
        {
            // The driver must not take what the byte said before for the answer.
            queue.Break();
            return;
        }

        // Used length counts from the first writable byte without gaps (§2.7.8.2).
        var written = IsRead(request.Type) ? done : 0;
        queue.Push(chain, (uint)Math.Min(written == chain.WritableLength - 1 ? written + 1 : written, uint.MaxValue));
    }

    static bool IsRead(uint type) => type is VirtioBlkRequest.In or VirtioBlkRequest.GetId;

    VirtioBlkStatus Check(BlockResult result) => result == BlockResult.Ok ? VirtioBlkStatus.Ok : VirtioBlkStatus.IoError;

    /// <summary>True when a range lies on the disk.</summary>
    bool IsOnDisk(ulong sector, ulong count) => sector <= sectors && count <= sectors - sector;
}
