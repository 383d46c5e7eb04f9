using Vmm.Platform.Faults;
using Vmm.Specs.Virtio;

namespace Vmm.VirtioBlk;

/// <content>Requests that go wrong because a fault rule says so.</content>
public sealed partial class BlockDevice
{
    /// <summary>False: no rule can match a request whose time has come.</summary>
    bool IsWatched(in Request request) => Transport.Function.Dma.IsWatched(request.Type, DirectionOf(request.Type), request.Sector, Sectors(request.Type));

    /// <summary>Asks the rules about a request whose time has come; its chain is open. True: it is dealt with.</summary>
    bool IsBrokenByRule(in Request request)
    {
        var function = Transport.Function;
        var plan = function.Dma.Fabric.Faults!;
        var asked = new FaultRequest(FaultPoint.Completion, function.Address, request.Sector, Sectors(request.Type))
        {
            Opcode = request.Type, Direction = DirectionOf(request.Type),
        };
        if (plan.Fire(asked) is not { Rule.Action: CompletionFault fault } rule)
        {
            return false;
        }

        switch (fault.Kind)
        {
            case CompletionFaultKind.Status:
                var status = fault is { StatusCodeType: 0, StatusCode: (uint)VirtioBlkStatus.Unsupported } ? VirtioBlkStatus.Unsupported : VirtioBlkStatus.IoError;
                plan.Report(rule, asked, $"request of type {request.Type} at sector {request.Sector} answered with status {(int)status}", null);
                Answer(request, 0, status);
                break;
            case CompletionFaultKind.Timeout:
                // The buffer stays taken until the queue or the device is reset.
                pending.Add(request, ulong.MaxValue);
                plan.Report(rule, asked, $"request of type {request.Type} at sector {request.Sector} is never answered", "a request has no deadline (virtio 1.2 §2.7)");
                break;
            default:
                plan.Report(rule, asked, "device left its slot", "surprise removal without hot-plug registers shows only in reads of all ones (PCIe §6.7)");
                plan.RemoveDevice(function.Address);
                break;
        }

        return true;
    }

    /// <summary>Sectors of the open chain's data, where the header names the first; 0 for other requests.</summary>
    ulong Sectors(uint type) => type switch
    {
        VirtioBlkRequest.In => (chain.WritableLength - 1) / SectorSize,
        VirtioBlkRequest.Out => (chain.ReadableLength - Math.Min(chain.ReadableLength, VirtioBlkRequest.HeaderSize)) / SectorSize,
        _ => 0,
    };

    static FaultDirection? DirectionOf(uint type) => type switch
    {
        VirtioBlkRequest.In => FaultDirection.Write,
        VirtioBlkRequest.Out => FaultDirection.Read,
        _ => null,
    };
}
