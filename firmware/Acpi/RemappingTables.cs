using D = Vmm.Specs.Acpi.Dmar;
using V = Vmm.Specs.Acpi.Viot;

namespace Vmm.Firmware.Acpi;

/// <summary>DMAR (VT-d 4.1 §8) and VIOT (ACPI 6.5 §5.2.34).</summary>
internal static class RemappingTables
{
    const int PageMask = 0xFFF;
    const int LongestPath = 124;

    /// <summary>DMAR; structures go in ascending order of type.</summary>
    /// <exception cref="ImageException">The configuration contradicts itself.</exception>
    public static byte[] Dmar(AcpiConfig config, DmarConfig dmar)
    {
        Check(dmar);
        var flags = (dmar.InterruptRemapping ? D.IntrRemap : 0)
            | (dmar.X2ApicOptOut ? D.X2ApicOptOut : 0)
            | (dmar.DmaProtectionOptIn ? D.DmaCtrlPlatformOptIn : 0);
        var writer = new TableWriter("DMAR", 1, config).U8(dmar.HostAddressWidth - 1).U8(flags).PadTo(D.Structures);
        foreach (var unit in dmar.Units)
        {
            Structure(writer, D.Drhd, unit.Scopes, fields => fields
                .U8(unit.IncludePciAll ? D.IncludePciAll : 0).U8(0).U16(unit.Segment).U64(unit.RegisterBase));
        }

        foreach (var region in dmar.ReservedRegions)
        {
            Structure(writer, D.Rmrr, region.Scopes, fields => fields.U16(0).U16(region.Segment).U64(region.Base).U64(region.Limit));
        }

        foreach (var ports in dmar.RootPortAts)
        {
            Structure(writer, D.Atsr, ports.AllPorts ? [] : ports.Scopes, fields => fields
                .U8(ports.AllPorts ? D.AllPorts : 0).U8(0).U16(ports.Segment));
        }

        foreach (var devices in dmar.SocAtc)
        {
            Structure(writer, D.Satc, devices.Scopes, fields => fields
                .U8(devices.AtcRequired ? D.AtcRequired : 0).U8(0).U16(devices.Segment));
        }

        return writer.ToTable();
    }

    static void Structure(TableWriter table, ushort type, IReadOnlyList<DmarScope> scopes, Func<TableWriter, TableWriter> fields)
    {
        var body = fields(new TableWriter());
        foreach (var scope in scopes)
        {
            body.U8(scope.Type).U8(D.ScopeHeaderSize + 2 * scope.Path.Count).U8(0).U8(0).U8(scope.EnumerationId).U8(scope.StartBus);
            foreach (var (device, function) in scope.Path)
            {
                body.U8(device).U8(function);
            }
        }

        table.U16(type).U16(4 + body.Length).Append(body.ToBytes());
    }

    static void Check(DmarConfig dmar)
    {
        Require(dmar.Units.Count > 0, "dmar units", "at least one is needed");
        Require(dmar.HostAddressWidth is >= 32 and <= 64, "dmar host address width", $"{dmar.HostAddressWidth} is not between 32 and 64");
        foreach (var segment in dmar.Units.GroupBy(unit => unit.Segment))
        {
            Require(!segment.SkipLast(1).Any(unit => unit.IncludePciAll), "dmar units", $"in segment {segment.Key} the unit for all other devices is not the last one");
        }

        Require(dmar.Units.Select(unit => unit.RegisterBase).Distinct().Count() == dmar.Units.Count, "dmar units", "two share a register base");
        foreach (var unit in dmar.Units)
        {
            Require((unit.RegisterBase & PageMask) == 0 && unit.RegisterBase != 0, "dmar register base", $"0x{unit.RegisterBase:x} is 0 or not 4 KiB aligned");
            Require(unit.IncludePciAll || unit.Scopes.Count > 0, "dmar unit", $"the one at 0x{unit.RegisterBase:x} serves no device");
        }

        foreach (var region in dmar.ReservedRegions)
        {
            Require(region.Base < region.Limit && (region.Base & PageMask) == 0 && (region.Limit & PageMask) == PageMask,
                "dmar reserved region", $"0x{region.Base:x} to 0x{region.Limit:x} are not whole pages in order");
            Require(region.Scopes.Count > 0, "dmar reserved region", $"the one at 0x{region.Base:x} names no device");
        }

        CheckScopes(dmar);
    }

    static void CheckScopes(DmarConfig dmar)
    {
        var scopes = dmar.Units.SelectMany(unit => unit.Scopes).Concat(dmar.ReservedRegions.SelectMany(region => region.Scopes))
            .Concat(dmar.RootPortAts.SelectMany(ports => ports.Scopes)).Concat(dmar.SocAtc.SelectMany(devices => devices.Scopes));
        foreach (var scope in scopes)
        {
            Require(scope.Type is >= D.ScopeEndpoint and <= D.ScopeNamespace, "dmar device scope", $"type {scope.Type} is unknown");
            Require(scope.Path.Count is > 0 and <= LongestPath, "dmar device scope", $"its path has {scope.Path.Count} steps");
            Require(scope.Path.All(step => step.Device < 32 && step.Function < 8), "dmar device scope", "a device is above 31 or a function above 7");
        }

        var served = dmar.Units.SelectMany(unit => unit.Scopes.Select(scope => (unit.Segment, scope.Type, scope.StartBus, scope.EnumerationId, string.Join(',', scope.Path)))).ToList();
        Require(served.Distinct().Count() == served.Count, "dmar device scope", "a device is named twice");
    }

    /// <summary>VIOT: the IOMMU comes first, so that the ranges' output node is the first offset.</summary>
    /// <exception cref="ImageException">A range is empty, reversed or overlaps another.</exception>
    public static byte[] Viot(AcpiConfig config, ViotConfig viot)
    {
        Require(viot.Ranges.Count is > 0 and < 2048, "viot ranges", $"{viot.Ranges.Count} of them");
        var writer = new TableWriter("VIOT", 0, config).U16(1 + viot.Ranges.Count).U16(V.Nodes).PadTo(V.Nodes)
            .U8(V.VirtioPciIommu).U8(0).U16(V.VirtioPciIommuSize).U16(viot.Segment).U16(viot.Iommu.Value).Zeros(8);
        foreach (var range in viot.Ranges)
        {
            Require(range.First.Value <= range.Last.Value && range.FirstSegment <= range.LastSegment, "viot range", $"{range.First} to {range.Last} is reversed");
            Require(viot.Ranges.Count(other => Overlap(range, other)) == 1, "viot range", $"{range.First} to {range.Last} overlaps another");
            writer.U8(V.PciRange).U8(0).U16(V.PciRangeSize).U32(range.FirstEndpoint)
                .U16(range.FirstSegment).U16(range.LastSegment).U16(range.First.Value).U16(range.Last.Value).U16(V.Nodes).Zeros(6);
        }

        return writer.ToTable();
    }

    static bool Overlap(ViotRange a, ViotRange b) => a.First.Value <= b.Last.Value && b.First.Value <= a.Last.Value
        && a.FirstSegment <= b.LastSegment && b.FirstSegment <= a.LastSegment;

    static void Require(bool holds, string field, string problem)
    {
        if (!holds)
        {
            throw new ImageException(field, -1, problem);
        }
    }
}
