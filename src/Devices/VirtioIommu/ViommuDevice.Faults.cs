using Vmm.Platform.Dma;
using Vmm.Platform.Faults;
using Vmm.Platform.Interrupts;
using Vmm.Specs.Virtio;

namespace Vmm.VirtioIommu;

/// <content>Faults that rules raise.</content>
public sealed partial class ViommuDevice
{
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

        // Other reasons are not there to be reported (virtio 1.2 §5.13.6.9).
        var told = reason <= (uint)VirtioIommuFault.Mapping ? (VirtioIommuFault)reason : VirtioIommuFault.Unknown;
        var reported = ReportedEvents;
        ((IFaultSink)this).Report(new(told, EndpointTranslator.FlagsOf(request.Access), endpoint.Id, request.Address.Value));
        return new(true, ReportedEvents != reported ? null : "the driver gave no event buffer (virtio 1.2 §5.13.6.9)");
    }

    /// <inheritdoc/>
    public InjectedFault InjectRemapFault(Bdf requester, MsiMessage message, uint reason) => new(false, "virtio-iommu remaps no interrupts (virtio 1.2 §5.13)");
}
