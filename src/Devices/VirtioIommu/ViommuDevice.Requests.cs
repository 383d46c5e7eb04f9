using System.Buffers.Binary;
using Vmm.Platform.Dma;
using Vmm.Platform.Faults;
using Vmm.Platform.Time;
using Vmm.Specs.Virtio;
using Vmm.Virtio;

namespace Vmm.VirtioIommu;

/// <content>Requests from the queue to their answers, and what fault rules make of those that take mappings away.</content>
public sealed partial class ViommuDevice : ITimerTarget
{
    const string Unseen = "the device reports only errors that it sees (virtio 1.2 §5.13.6.6)";
    const string NoDeadline = "a request has no deadline (virtio 1.2 §2.7)";

    readonly ClockTimer late;
    readonly List<Mapping> survivors = new(StaleMappings.Limit);
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

    /// <summary>Fault rules of the machine.</summary>
    FaultPlan? Rules => Transport.Function.Dma.Fabric.Faults;

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

    /// <summary>Asks the rules about a request that takes mappings away.</summary>
    InvalidationFault? FaultOf(ReadOnlySpan<byte> asked)
    {
        if (Rules is not { } plan || !plan.IsArmed(FaultPoint.Invalidation) || RequestOf(asked) is not { } request ||
            plan.Fire(request) is not { Rule.Action: InvalidationFault fault } rule)
        {
            return null;
        }

        var (effect, suppressedBy) = fault.Kind switch
        {
            InvalidationFaultKind.Skip => ("answered without having been done", Unseen),
            InvalidationFaultKind.Delay => ($"the queue waits {fault.DelayNanoseconds} ns", NoDeadline),
            InvalidationFaultKind.NeverComplete => ("the queue never goes on", NoDeadline),
            _ => ("answered with DEVERR", (string?)null),
        };
        plan.Report(rule, request, effect, suppressedBy);
        return fault;
    }

    /// <summary>The mappings of a range of a domain that rules keep through an UNMAP, or null.</summary>
    List<Mapping>? SurvivorsOf(ViommuDomain domain, ulong start, ulong end)
    {
        if (Rules is not { } plan || !plan.IsArmed(FaultPoint.Cache))
        {
            return null;
        }

        survivors.Clear();
        var length = end - start == ulong.MaxValue ? ulong.MaxValue : end - start + 1;
        foreach (var rule in plan.At(FaultPoint.Cache))
        {
            var match = rule.Rule.Match;
            var request = new FaultRequest(FaultPoint.Cache, match.Device, start, length) { Opcode = (uint)VirtioIommuRequest.Unmap };
            var first = survivors.Count;
            if (domains.FindEndpoint(match.Device!.Value.Value)?.Domain != domain)
            {
                continue;
            }

            Collect(domain, start, end, match.Address);
            if (survivors.Count == first)
            {
                continue;
            }

            if (plan.Fires(rule, request))
            {
                plan.Report(rule, request, $"{survivors.Count - first} translations kept", Unseen);
            }
            else
            {
                survivors.RemoveRange(first, survivors.Count - first);
            }
        }

        return survivors;
    }

    /// <summary>Lists what translates addresses of a range now and lies in another, as far as there is room: what is stale already comes first.</summary>
    void Collect(ViommuDomain domain, ulong start, ulong end, AddressRange? only)
    {
        domains.Stale.Collect(domain.Id, start, end, only, survivors);
        for (var node = domains.Pool.FirstEndingAt(domain.Root, start); node != 0 && survivors.Count < StaleMappings.Limit;)
        {
            var mapping = domains.Pool[node];
            if (mapping.Start > end)
            {
                break;
            }

            if (only is not { } range || range.Touches(mapping.Start, mapping.End - mapping.Start + 1))
            {
                survivors.Add(mapping);
            }

            node = mapping.End == ulong.MaxValue ? 0 : domains.Pool.FirstEndingAt(domain.Root, mapping.End + 1);
        }
    }

    /// <summary>What rules see of an UNMAP or DETACH; of anything else nothing.</summary>
    static FaultRequest? RequestOf(ReadOnlySpan<byte> asked)
    {
        if (asked.Length == 0)
        {
            return null;
        }

        switch ((VirtioIommuRequest)asked[0])
        {
            case VirtioIommuRequest.Unmap when asked.Length >= VirtioIommuLayout.UnmapSize:
                var (first, last) = (BinaryPrimitives.ReadUInt64LittleEndian(asked[8..]), BinaryPrimitives.ReadUInt64LittleEndian(asked[16..]));
                return new(FaultPoint.Invalidation, null, first, last >= first ? last - first + 1 : 0) { Opcode = asked[0] };
            case VirtioIommuRequest.Detach when asked.Length >= VirtioIommuLayout.DetachSize:
                return new(FaultPoint.Invalidation, new Bdf((ushort)BinaryPrimitives.ReadUInt32LittleEndian(asked[8..])), 0, ulong.MaxValue) { Opcode = asked[0] };
            default:
                return null;
        }
    }
}
