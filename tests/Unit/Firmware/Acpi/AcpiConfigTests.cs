using Vmm.Firmware;
using Vmm.Firmware.Acpi;
using Vmm.Platform.Dma;
using Xunit;
using static Vmm.Unit.Firmware.Acpi.AcpiSamples;

namespace Vmm.Unit.Firmware.Acpi;

public sealed class AcpiConfigTests
{
    static void Refused(AcpiConfig config, string part)
    {
        var error = Assert.Throws<ImageException>(() => AcpiBuilder.Build(config, Ram));
        Assert.Contains(part, error.Message, StringComparison.Ordinal);
    }

    static AcpiConfig With(DmarConfig dmar) => Small with { Dmar = dmar };

    static readonly DmarScope Nvme = DmarScope.Endpoint(new Bdf(0, 3, 0));

    [Fact]
    public void Impossible_machines_are_refused()
    {
        Refused(Small with { ApicIds = [] }, "apic ids");
        Refused(Small with { ApicIds = [1, 1] }, "twice");
        Refused(Small with { ApicIds = [uint.MaxValue] }, "apic ids");
        Refused(Small with { SoftOffType = 8 }, "soft off");
        Refused(Small with { EcamBase = 0xE0000001 }, "ECAM");
        Refused(Small with { EcamBase = 0xFFF00000, LastBus = 1 }, "ECAM");
        Refused(Small with { PciRoutes = [new(32, 0, 16)] }, "routes");
        Refused(Small with { PciRoutes = [new(1, 0, 16), new(1, 0, 17)] }, "twice");
        Refused(Small with { Memory32 = [new(0xF0000000, 0x10000001)] }, "window");
        Refused(Small with { Memory32 = [new(0xF0000000, 0)] }, "window");
        Refused(Small with { Memory64 = new(ulong.MaxValue, 2) }, "window");
        Refused(Reduced with { Dmar = new() }, "either");
        Assert.Throws<ImageException>(() => AcpiBuilder.Build(Small, 1 << 20));
        Assert.Throws<ImageException>(() => AcpiBuilder.Build(Small with { ApicIds = [.. Enumerable.Range(0, 4096).Select(i => (uint)i)] }, 2 << 19));
    }

    [Fact]
    public void The_largest_machine_fits() =>
        Assert.NotEmpty(AcpiBuilder.Build(Small with { ApicIds = [.. Enumerable.Range(0, 4096).Select(i => (uint)i)] }, Ram).Tables);

    [Fact]
    public void Contradictory_remapping_units_are_refused()
    {
        Refused(With(new() { Units = [] }), "at least one");
        Refused(With(new() { HostAddressWidth = 20 }), "width");
        Refused(With(new() { Units = [new() { RegisterBase = 0xFED90800 }] }), "aligned");
        Refused(With(new() { Units = [new() { IncludePciAll = false }] }), "no device");
        Refused(With(new() { Units = [new(), new() { RegisterBase = 0xFED91000 }] }), "not the last one");
        Refused(With(new() { Units = [new() { IncludePciAll = false, Scopes = [Nvme] }, new()] }), "share a register base");
        Refused(With(new() { Units = [new() { Scopes = [Nvme, Nvme] }] }), "named twice");
        Refused(With(new() { Units = [new() { Scopes = [Nvme with { Type = 6 }] }] }), "unknown");
        Refused(With(new() { Units = [new() { Scopes = [Nvme with { Path = [] }] }] }), "0 steps");
        Refused(With(new() { Units = [new() { Scopes = [Nvme with { Path = [(32, 0)] }] }] }), "above 31");
    }

    [Fact]
    public void Reserved_regions_are_whole_pages_in_order()
    {
        Refused(With(new() { ReservedRegions = [new(0x2000, 0x1FFF, [Nvme])] }), "reserved region");
        Refused(With(new() { ReservedRegions = [new(0x2000, 0x2FFE, [Nvme])] }), "reserved region");
        Refused(With(new() { ReservedRegions = [new(0x2001, 0x2FFF, [Nvme])] }), "reserved region");
        Refused(With(new() { ReservedRegions = [new(0x2000, 0x2FFF, [])] }), "names no device");
    }

    [Fact]
    public void Virtio_iommu_ranges_are_in_order_and_do_not_overlap()
    {
        ViotRange all = new(new Bdf(0, 0, 0), new Bdf(0, 31, 7), 0);
        Refused(Small with { Viot = new(new Bdf(0, 3, 0), []) }, "viot");
        Refused(Small with { Viot = new(new Bdf(0, 3, 0), [all with { First = new Bdf(1, 0, 0) }]) }, "reversed");
        Refused(Small with { Viot = new(new Bdf(0, 3, 0), [all, all with { First = new Bdf(0, 31, 7) }]) }, "overlaps");
    }

    [Fact]
    public void Extra_tables_are_taken_as_they_are_when_header_and_checksum_are_right()
    {
        byte[] table = [.. "SSDT"u8, 36, 0, 0, 0, 2, 0, .. new byte[26]];
        table[9] = (byte)-table.Sum(value => value);
        var tables = AcpiBuilder.Build(Small with { ExtraTables = [table] }, Ram).Tables;
        Assert.Equal(table, tables.Single(placed => placed.Signature == "SSDT").Bytes.ToArray());

        Refused(Small with { ExtraTables = [table.AsMemory(0, 35)] }, "header");
        Refused(Small with { ExtraTables = [(byte[])[.. table, 0]] }, "length");
        table[20]++;
        Refused(Small with { ExtraTables = [table] }, "checksum");
        byte[] second = [.. "DMAR"u8, .. table[4..]];
        second[9] += (byte)-second.Sum(value => value);
        Refused(Small with { ExtraTables = [second] }, "own");
        Refused(Small with { ExtraTables = [new byte[2 << 20]] }, "more than");
    }
}
