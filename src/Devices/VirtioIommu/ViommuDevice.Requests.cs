using Vmm.Platform.Faults;
using Vmm.Platform.Time;
using Vmm.Specs.Virtio;
using Vmm.Virtio;

namespace Vmm.VirtioIommu;

/// <content>Requests from the queue to their answers, which fault rules may delay, spoil or prevent.</content>
public sealed partial class ViommuDevice : ITimerTarget
{
    readonly ClockTimer late;
    Stall stall;
    VirtioBuffer held;

    /// <summary>Why no request is taken.</summary>
    enum Stall : byte
    {
        /// <summary>Requests are taken.</summary>
        None,

        /// <summary>A request is carried out late.</summary>
        UntilTimer,

        /// <summary>A request is never answered, and nothing behind it.</summary>
        ForEver,
    }

    /// <inheritdoc/>
    public bool Process(Virtqueue queue)
    {
        if (queue.Index != VirtioIommuLayout.RequestQueue)
        {
            return false;
        }

        var left = Batch;
        while (left > 0 && stall == Stall.None && queue.TryPop(chain))
        {
            if (!TryAnswer(queue, isLate: false))
            {
                queue.Break();
                return false;
            }

            left--;
        }

        queue.Signal();
        return left == 0 && stall == Stall.None;
    }

    /// <summary>The time of the request that a rule holds back is over.</summary>
    public void Expired(ClockTimer timer, ulong due)
    {
        stall = Stall.None;
        var queue = Transport.Queues[VirtioIommuLayout.RequestQueue];
        if (!queue.TryOpen(held, chain))
        {
            return;
        }

        if (!TryAnswer(queue, isLate: true))
        {
            queue.Break();
            return;
        }

        Transport.Resume(queue);
    }

    /// <inheritdoc/>
    public void QueueReset(Virtqueue queue)
    {
        if (queue.Index == VirtioIommuLayout.RequestQueue)
        {
            Release();
        }
    }

    /// <summary>Forgets the request that is held back.</summary>
    void Release()
    {
        stall = Stall.None;
        held = default;
        late.Disarm();
    }

    /// <summary>One request. False: its bytes cannot be reached, so it cannot even be answered.</summary>
    bool TryAnswer(Virtqueue queue, bool isLate)
    {
        var asked = request.AsSpan(0, (int)Math.Min(chain.ReadableLength, (ulong)request.Length));
        var room = reply.AsSpan(0, (int)Math.Min(chain.WritableLength, (ulong)reply.Length));
        if (!chain.TryRead(asked))
        {
            return false;
        }

        if (!isLate)
        {
            costs.ChargeRequest();
            if (clock.Trace is { } trace)
            {
                TraceRequest(trace, asked);
            }
        }

        var fault = isLate || room.Length < VirtioIommuLayout.TailSize ? null : FaultOf(asked);
        switch (fault?.Kind)
        {
            case InvalidationFaultKind.Delay:
                Hold(Stall.UntilTimer);
                late.Arm(clock.Now + Math.Max(1, clock.ToCycles(fault.DelayNanoseconds, 1_000_000_000)));
                return true;
            case InvalidationFaultKind.NeverComplete:
                Hold(Stall.ForEver);
                return true;
            case null:
                room = room[..Carry(asked, room)];
                break;
            default:
                room = room[..VirtioIommuLayout.TailSize];
                room.Clear();
                room[0] = (byte)(fault.Kind == InvalidationFaultKind.Skip ? VirtioIommuStatus.Ok : VirtioIommuStatus.DevErr);
                break;
        }

        if (!chain.TryWrite(room))
        {
            return false;
        }

        queue.Push(chain, (uint)room.Length);
        return true;
    }

    void Hold(Stall how) => (stall, held) = (how, chain.Buffer);

    /// <summary>Carries out a request and charges for what it made the back end do; see <see cref="RequestProcessor.Process"/>.</summary>
    internal int Carry(ReadOnlySpan<byte> asked, Span<byte> room)
    {
        var before = domains.Work;
        var used = requests.Process(asked, room);
        costs.ChargeBackend(domains.Work.Since(before));
        if (RequestOf(asked) != null)
        {
            Rules?.InvalidationDone();
        }

        return used;
    }
}
