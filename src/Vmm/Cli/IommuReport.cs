using System.Globalization;
using System.Text;
using Vmm.Iommu;
using Vmm.Machine;
using Vmm.Platform.Dma;
using Vmm.Specs.VtD;

namespace Vmm.Cli;

/// <summary>What the remapping unit did, by device and domain, and what it would do with one address.</summary>
internal static class IommuReport
{
    /// <summary>Counters for the run report; empty without a unit.</summary>
    public static string Text(VirtualMachine machine)
    {
        if (machine.VirtioIommu is { } viommu)
        {
            return ViommuReport.Text(machine, viommu);
        }

        if (machine.Iommu is not { } unit)
        {
            return "";
        }

        var counters = unit.Counters;
        var text = new StringBuilder();
        text.AppendLine(CultureInfo.InvariantCulture, $"  {unit.Name,-13} translation {(unit.IsTranslating ? "on" : "off")}, interrupt remapping {(unit.IsRemapping ? "on" : "off")}, faults {counters.RecordedFaults} recorded, {counters.CompressedFaults} compressed, {counters.OverflowedFaults} overflowed; interrupt entries {counters.InterruptHits} hits, {counters.InterruptMisses} misses; waits {counters.Waits}");
        foreach (var function in machine.Pci.Pci.Functions)
        {
            var device = counters.Device(function.Address);
            ref readonly var dma = ref function.Dma.Counters;
            if (device.Hits + device.Misses + device.PassedThrough + device.Faults + device.Interrupts + dma.KeptTranslations + dma.BytesRead + dma.BytesWritten != 0)
            {
                text.AppendLine(CultureInfo.InvariantCulture, $"    {function.Address} {function.Name}: {device.Hits + dma.KeptTranslations} hits ({dma.KeptTranslations} kept by the port), {device.Misses} misses, {device.Walks} walks, {device.PassedThrough} passed through, {device.Faults} faults, {device.Interrupts} interrupts; {dma.BytesTranslated:N0} bytes translated, {dma.BytesBypassed:N0} bypassed");
                foreach (var reason in Enum.GetValues<FaultReason>().Where(r => counters.Faults(function.Address, r) != 0))
                {
                    text.AppendLine(CultureInfo.InvariantCulture, $"      fault reason 0x{(int)reason:x2} {reason}: {counters.Faults(function.Address, reason)}");
                }
            }
        }

        for (var domain = 0; domain < 65536; domain++)
        {
            var count = counters.Domain((ushort)domain);
            if (count.Hits + count.Misses + count.Invalidations != 0)
            {
                text.AppendLine(CultureInfo.InvariantCulture, $"    domain {domain}: {count.Hits} hits, {count.Misses} misses, {count.Walks} walks, {count.Invalidations} invalidations");
            }
        }

        var invalidations = Enum.GetValues<InvalidationType>().Where(t => counters.Invalidations(t) != 0).Select(t => $"{t} {counters.Invalidations(t)}");
        text.AppendLine($"    invalidations: {string.Join(", ", invalidations)}");
        foreach (var cache in Enum.GetValues<VtdCache>().Where(c => unit.MissingInvalidations.Count(c) != 0))
        {
            text.AppendLine(CultureInfo.InvariantCulture, $"    missing invalidations found by hits in the {cache} cache: {unit.MissingInvalidations.Count(cache)}");
        }

        return text.ToString();
    }

    /// <summary>One translation, step by step.</summary>
    public static string Walk(VirtualMachine machine, DmaRequest request) =>
        machine.VirtioIommu is { } device ? ViommuReport.Walk(device, request)
        : machine.Iommu is { } unit ? Walk(unit, request)
        : throw new UsageException("--iommu: the machine has none");

    static string Walk(VtdUnit unit, DmaRequest request)
    {
        var report = unit.Explain(request);
        var text = new StringBuilder();
        text.AppendLine(CultureInfo.InvariantCulture, $"{unit.Name}: {request.Requester} {request.Access} {request.Address}{(request.HasPasid ? $" PASID 0x{request.Pasid:x}" : "")}");
        if (!unit.IsTranslating)
        {
            text.AppendLine("  translation is off (GSTS.TES = 0): the address is used as it is");
        }

        foreach (var step in report.Steps)
        {
            text.Append(CultureInfo.InvariantCulture, $"  {step.Table,-18}{(step.Level != 0 ? $" level {step.Level}" : "        ")} at {step.Address}: 0x{step.Value:x16}{(step.HighValue != 0 ? $" high 0x{step.HighValue:x16}" : "")}{(step.IsCached ? " (cached)" : "")}");
            text.AppendLine(step.Fault == FaultReason.None ? "" : string.Create(CultureInfo.InvariantCulture, $"  <- fault reason 0x{(int)step.Fault:x2} {step.Fault}"));
        }

        if (report.Fault != FaultReason.None)
        {
            text.AppendLine(CultureInfo.InvariantCulture, $"  fault reason 0x{(int)report.Fault:x2} {report.Fault}{(report.IsFaultSuppressed ? ", not recorded: FPD is set (VT-d §7.2.1)" : "")}");
        }
        else
        {
            text.AppendLine(CultureInfo.InvariantCulture, $"  -> {report.Window.Address}{(report.IsPassThrough ? " (pass-through)" : "")}{(report.Domain is { } domain ? $", domain {domain}" : "")}, {(report.Window.Readable ? "R" : "-")}{(report.Window.Writable ? "W" : "-")}");
        }

        if (report.IsCached)
        {
            text.AppendLine(CultureInfo.InvariantCulture, $"  the IOTLB answers {(report.CachedFault != FaultReason.None ? report.CachedFault.ToString() : report.CachedWindow.Address.ToString())}{(report.IsStale ? ": stale, an invalidation is missing or still to come" : "")}");
        }

        return text.ToString();
    }
}
