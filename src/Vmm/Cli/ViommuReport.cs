using System.Globalization;
using System.Text;
using Vmm.Machine;
using Vmm.Platform.Dma;
using Vmm.Specs.Virtio;
using Vmm.VirtioIommu;

namespace Vmm.Cli;

/// <summary>What a virtio-iommu did, by endpoint, domain and request, and what it would do with one address.</summary>
internal static class ViommuReport
{
    /// <summary>Counters for the run report.</summary>
    public static string Text(VirtualMachine machine, ViommuDevice device)
    {
        var text = new StringBuilder();
        text.AppendLine(CultureInfo.InvariantCulture, $"  {device.Name,-13} bypass {(device.IsBypass ? "on" : "off")}, features {device.Negotiated}; {device.Domains.Count()} domains, {device.MappingCount} mappings; faults {device.ReportedEvents} reported, {device.DroppedEvents} dropped; cache {device.CacheLosses.Evictions} evictions, {device.CacheLosses.Invalidations} invalidations");
        foreach (var function in machine.Pci.Pci.Functions)
        {
            ref readonly var dma = ref function.Dma.Counters;
            if (device.Endpoints.FirstOrDefault(e => e.Requester == function.Address) is { } endpoint)
            {
                text.AppendLine(CultureInfo.InvariantCulture, $"    {function.Address} {function.Name}: endpoint {endpoint.Id}{(endpoint.Domain is { } home ? $" in domain {home.Id}" : "")}, {Counts(endpoint.Counters)}, {endpoint.Counters.Interrupts} interrupts; {dma.BytesTranslated:N0} bytes through it");
            }
            else if (dma.BytesRead + dma.BytesWritten != 0)
            {
                text.AppendLine(CultureInfo.InvariantCulture, $"    {function.Address} {function.Name}: no endpoint; {dma.BytesBypassed:N0} bytes past it");
            }
        }

        foreach (var (id, counters) in device.DomainCounters)
        {
            text.AppendLine(CultureInfo.InvariantCulture, $"    domain {id}: {Counts(counters)}; {counters.Maps} maps, {counters.Unmaps} unmaps that removed {counters.Removed}");
        }

        text.AppendLine($"    requests: {string.Join(", ", Requests(device))}");
        return text.ToString();
    }

    static string Counts(in ViommuCounters c) => string.Create(
        CultureInfo.InvariantCulture,
        $"{c.Hits} hits, {c.Misses} misses, {c.Bypassed} bypassed, {c.Faults} faults{(c.Faults == 0 ? "" : $" ({c.DomainFaults} domain, {c.MappingFaults} mapping, {c.UnknownFaults} unknown)")}");

    static IEnumerable<string> Requests(ViommuDevice device)
    {
        foreach (var type in Enum.GetValues<VirtioIommuRequest>())
        {
            foreach (var status in Enum.GetValues<VirtioIommuStatus>().Where(s => device.Requests(type, s) != 0))
            {
                yield return string.Create(CultureInfo.InvariantCulture, $"{type} {status} {device.Requests(type, status)}");
            }
        }

        if (device.UnparsedRequests != 0)
        {
            yield return string.Create(CultureInfo.InvariantCulture, $"unparsed {device.UnparsedRequests}");
        }
    }

    /// <summary>One translation.</summary>
    public static string Walk(ViommuDevice device, DmaRequest request)
    {
        var found = device.Explain(request);
        var text = new StringBuilder();
        text.AppendLine(CultureInfo.InvariantCulture, $"{device.Name}: {request.Requester} {request.Access} {request.Address}{(request.HasPasid ? $" PASID 0x{request.Pasid:x}" : "")}");
        text.AppendLine(
            found.Endpoint == null ? "  the function is not behind this IOMMU"
            : found.Domain is not { } domain ? $"  endpoint {found.Endpoint.Id} is attached to no domain; bypass is {(device.IsBypass ? "on" : "off")}"
            : $"  endpoint {found.Endpoint.Id} is in {(domain.IsBypass ? "bypass " : "")}domain {domain.Id}, which has {domain.Endpoints} endpoints and {domain.Mappings} mappings");
        if (found.Mapping is { } mapping)
        {
            text.AppendLine(CultureInfo.InvariantCulture, $"  mapping 0x{mapping.Start:x} to 0x{mapping.End:x} at 0x{mapping.Physical:x}, {mapping.Flags}{(found.IsCached ? " (cached)" : "")}");
        }

        if (found.Fault is { } fault)
        {
            text.AppendLine(CultureInfo.InvariantCulture, $"  fault reason {(int)fault} {fault}");
        }
        else
        {
            text.AppendLine(CultureInfo.InvariantCulture, $"  -> {found.Window.Address}{(found.IsBypass ? " (bypass)" : "")}, {(found.Window.Readable ? "R" : "-")}{(found.Window.Writable ? "W" : "-")}");
        }

        return text.ToString();
    }
}
