using Vmm.Platform.Dma;
using Vmm.Platform.Faults;
using Vmm.Platform.Interrupts;
using Vmm.Specs.Virtio;

namespace Vmm.VirtioIommu;

/// <content>Faults that rules raise, and requests that they spoil.</content>
public sealed partial class ViommuDevice
{
    /// <summary>Fault rules of the machine.</summary>
    FaultPlan? Rules => Transport.Function.Dma.Fabric.Faults;

    /// <inheritdoc/>
    public InjectedFault InjectFault(in DmaRequest request, uint reason, uint level)
    {
        if (domains.FindEndpoint(request.Requester.Value) is not { } endpoint)
        {
            return new(false, "the function is no endpoint (virtio 1.2 §5.13.4)");
        }

        if (endpoint.Domain == null && translator.Bypass)
        {
            return new(false, "the endpoint bypasses the IOMMU (virtio 1.2 §5.13.6.3)");
        }

        var reported = ReportedEvents;
        ((IFaultSink)this).Report(new((VirtioIommuFault)reason, EndpointTranslator.FlagsOf(request.Access), endpoint.Id, request.Address.Value));
        return new(true, ReportedEvents != reported ? null : "the driver gave no event buffer (virtio 1.2 §5.13.6.9)");
    }

    /// <inheritdoc/>
    public InjectedFault InjectRemapFault(Bdf requester, MsiMessage message, uint reason) => new(false, "virtio-iommu remaps no interrupts (virtio 1.2 §5.13)");

    /// <summary>
    /// Asks the rules about a request that takes mappings away. True: it is answered with <paramref name="status"/> and not
    /// carried out, or, with null, never answered.
    /// </summary>
    bool IsBrokenByRule(ReadOnlySpan<byte> asked, out VirtioIommuStatus? status)
    {
        status = VirtioIommuStatus.Ok;
        if (Rules is not { } plan || !plan.IsArmed(FaultPoint.Invalidation) || RequestOf(asked) is not { } request ||
            plan.Fire(request) is not { Rule.Action: InvalidationFault fault } rule)
        {
            return false;
        }

        switch (fault.Kind)
        {
            case InvalidationFaultKind.Skip:
                plan.Report(rule, request, "answered without having been done", "the device reports only errors that it sees (virtio 1.2 §5.13.6.6)");
                return true;
            case InvalidationFaultKind.NeverComplete:
                status = null;
                plan.Report(rule, request, "never answered", "a request has no deadline (virtio 1.2 §2.7)");
                return true;
            case InvalidationFaultKind.Delay:
                plan.Report(rule, request, "left alone: requests are answered at once", "a request has no deadline (virtio 1.2 §2.7)");
                return false;
            default:
                status = VirtioIommuStatus.DevErr;
                plan.Report(rule, request, "answered with DEVERR", null);
                return true;
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
                var (first, last) = (BitConverter.ToUInt64(asked[8..]), BitConverter.ToUInt64(asked[16..]));
                return new(FaultPoint.Invalidation, null, first, last >= first ? last - first + 1 : 0) { Opcode = asked[0] };
            case VirtioIommuRequest.Detach when asked.Length >= 12:
                return new(FaultPoint.Invalidation, new Bdf((ushort)BitConverter.ToUInt32(asked[8..])), 0, ulong.MaxValue) { Opcode = asked[0] };
            default:
                return null;
        }
    }
}
