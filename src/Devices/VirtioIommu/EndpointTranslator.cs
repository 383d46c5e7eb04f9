using Vmm.Platform.Dma;
using Vmm.Platform.Interrupts;
using Vmm.Platform.Memory;
using Vmm.Specs.Virtio;

namespace Vmm.VirtioIommu;

/// <summary>A blocked access, as the event queue reports it (virtio 1.2 §5.13.6.9).</summary>
/// <param name="Reason">Why.</param>
/// <param name="Flags">What the access was.</param>
/// <param name="Endpoint">Who made it.</param>
/// <param name="Address">Where to.</param>
public readonly record struct FaultReport(VirtioIommuFault Reason, VirtioIommuFaultFlags Flags, uint Endpoint, ulong Address);

/// <summary>Takes fault reports to the driver.</summary>
interface IFaultSink
{
    /// <summary>Reports, or drops when the driver gave no buffer.</summary>
    void Report(in FaultReport fault);
}

/// <summary>What the device does with the accesses of its endpoints.</summary>
/// <param name="domains">Endpoints and their mappings.</param>
/// <param name="sink">Where faults go.</param>
sealed class EndpointTranslator(DomainTable domains, IFaultSink sink)
{
    const DmaAccess Kinds = DmaAccess.Translation | DmaAccess.Translated;

    /// <summary>The configuration field bypass.</summary>
    public bool Bypass { get; set; }

    /// <summary>Requests of functions that are no endpoints; they are blocked, and there is no id to report.</summary>
    public ulong Strangers { get; private set; }

    /// <inheritdoc cref="IDmaTranslator.TryTranslate"/>
    public bool TryTranslate(in DmaRequest request, out DmaWindow window)
    {
        if (domains.FindEndpoint(request.Requester.Value) is not { } endpoint)
        {
            Strangers++;
            window = default;
            return false;
        }

        if (TryResolve(endpoint, request, true, out window, out var reason))
        {
            return true;
        }

        endpoint.Counted.Count(reason);
        endpoint.Domain?.Box.Value.Count(reason);
        sink.Report(new(reason, FlagsOf(request.Access), endpoint.Id, request.Address.Value));
        return false;
    }

    /// <summary>
    /// An interrupt message. In the MSI region it passes, attached or not: the region is a doorbell, and virtio-iommu has no
    /// remapping. Without such a region the doorbell needs a writable mapping that leads to the interrupt range.
    /// </summary>
    public bool TryRemap(Bdf requester, MsiMessage message, out MsiMessage remapped)
    {
        remapped = message;
        if (domains.FindEndpoint(requester.Value) is not { } endpoint)
        {
            Strangers++;
            return false;
        }

        if (!domains.TryFindReserved(message.Address, out var region) || region.Kind != VirtioIommuReservedKind.Msi)
        {
            if (!TryTranslate(new(requester, new(message.Address), DmaAccess.Write), out var window) || !DmaPort.IsInterruptAddress(window.Address.Value))
            {
                return false;
            }

            remapped = message with { Address = window.Address.Value };
        }

        endpoint.Counted.Interrupts++;
        return true;
    }

    /// <summary>Translates, or says why not. With <paramref name="live"/> false nothing is counted and the cache is left alone.</summary>
    public bool TryResolve(ViommuEndpoint endpoint, in DmaRequest request, bool live, out DmaWindow window, out VirtioIommuFault reason)
    {
        window = default;
        reason = VirtioIommuFault.Unknown;
        if (request.HasPasid || (request.Access & Kinds) != 0)
        {
            return false;
        }

        reason = VirtioIommuFault.Mapping;
        var address = request.Address.Value;
        if (domains.TryFindReserved(address, out _))
        {
            return false;
        }

        if (endpoint.Domain is not { } domain)
        {
            reason = VirtioIommuFault.Domain;
            return Bypass && Identity(endpoint, address, live, out window);
        }

        if (domain.IsBypass)
        {
            return Identity(endpoint, address, live, out window);
        }

        if (!(live ? domains.TryFind(endpoint, domain, address, out var mapping) : TryPeek(domain, address, out mapping)) || !Allows(mapping.Flags, request.Access))
        {
            return false;
        }

        var offset = address - mapping.Start;
        var left = mapping.End - address;
        window = new(
            new(mapping.Physical + offset), left == ulong.MaxValue ? left : left + 1,
            (mapping.Flags & VirtioIommuMapFlags.Read) != 0, (mapping.Flags & VirtioIommuMapFlags.Write) != 0);
        return true;
    }

    bool TryPeek(ViommuDomain domain, ulong address, out Mapping mapping)
    {
        var node = domains.Pool.Find(domain.Root, address);
        mapping = domains.Pool[node];
        return node != 0;
    }

    bool Identity(ViommuEndpoint endpoint, ulong address, bool live, out DmaWindow window)
    {
        endpoint.Counted.Bypassed += live ? 1u : 0u;
        window = new(new(address), domains.UnreservedFrom(address), true, true);
        return true;
    }

    static bool Allows(VirtioIommuMapFlags flags, DmaAccess access)
    {
        var need = (access & (DmaAccess.Read | DmaAccess.Atomic)) != 0 ? VirtioIommuMapFlags.Read : 0;
        need |= (access & (DmaAccess.Write | DmaAccess.Atomic)) != 0 ? VirtioIommuMapFlags.Write : 0;
        return (flags & need) == need;
    }

    /// <summary>The access, as reports show it.</summary>
    public static VirtioIommuFaultFlags FlagsOf(DmaAccess access) =>
        VirtioIommuFaultFlags.Address |
        ((access & (DmaAccess.Read | DmaAccess.Atomic)) != 0 ? VirtioIommuFaultFlags.Read : 0) |
        ((access & (DmaAccess.Write | DmaAccess.Atomic)) != 0 ? VirtioIommuFaultFlags.Write : 0);
}
