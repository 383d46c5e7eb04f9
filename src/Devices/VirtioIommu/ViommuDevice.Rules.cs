using System.Buffers.Binary;
using Vmm.Platform.Dma;
using Vmm.Platform.Faults;
using Vmm.Specs.Virtio;

namespace Vmm.VirtioIommu;

/// <content>Asks the fault rules about requests that take mappings away, and about what survives those.</content>
public sealed partial class ViommuDevice
{
    const string Unseen = "the device reports only errors that it sees (virtio 1.2 §5.13.6.6)";
    const string NoDeadline = "a request has no deadline (virtio 1.2 §2.7)";

    readonly List<Mapping> survivors = new(StaleMappings.Limit);

    /// <summary>Fault rules of the machine.</summary>
    FaultPlan? Rules => Transport.Function.Dma.Fabric.Faults;

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
