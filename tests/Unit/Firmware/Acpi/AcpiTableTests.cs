using System.Buffers.Binary;
using System.Text;
using Vmm.Firmware;
using Vmm.Firmware.Acpi;
using Vmm.Firmware.Boot;
using Vmm.Platform.Dma;
using Vmm.Unit.Firmware.Boot;
using Xunit;
using static Vmm.Unit.Firmware.Acpi.AcpiSamples;

namespace Vmm.Unit.Firmware.Acpi;

/// <summary>Layouts against literal offsets of the specifications, never through our own constants.</summary>
public sealed class AcpiTableTests
{
    static uint U32(byte[] table, int at) => BinaryPrimitives.ReadUInt32LittleEndian(table.AsSpan(at));

    static ulong U64(byte[] table, int at) => BinaryPrimitives.ReadUInt64LittleEndian(table.AsSpan(at));

    static int Sum(ReadOnlySpan<byte> bytes)
    {
        var sum = 0;
        foreach (var value in bytes)
        {
            sum += value;
        }

        return sum & 0xFF;
    }

    [Fact]
    public void Every_table_has_its_length_and_adds_up_to_zero()
    {
        foreach (var config in new[] { Small, Full, Reduced })
        {
            foreach (var table in AcpiBuilder.Build(config, Ram).Tables.Where(table => table.Signature is not ("RSD PTR " or "FACS")))
            {
                var bytes = table.Bytes.ToArray();
                Assert.Equal(table.Signature, Encoding.ASCII.GetString(bytes, 0, 4));
                Assert.Equal((uint)bytes.Length, U32(bytes, 4));
                Assert.Equal(0, Sum(bytes));
                Assert.Equal(0UL, table.Address.Value % 16);
            }
        }
    }

    [Fact]
    public void The_guest_can_walk_from_the_rsdp_to_every_table()
    {
        var tables = AcpiBuilder.Build(Full, Ram);
        using var guest = new GuestView(new() { RamBytes = Ram, Image = TestImages.Vmlinux(), Acpi = tables });
        foreach (var rsdp in new[] { guest.U64(guest.Entry.Rsi + 0x70), 0xF0000UL })
        {
            Assert.Equal("RSD PTR ", Encoding.ASCII.GetString(guest.Bytes(rsdp, 8)));
            Assert.Equal(0, Sum(guest.Bytes(rsdp, 20)));
            Assert.Equal(0, Sum(guest.Bytes(rsdp, 36)));
            Assert.Equal(2, guest.U8(rsdp + 15));
            var xsdt = guest.U64(rsdp + 24);
            var signatures = Enumerable.Range(0, ((int)guest.U32(xsdt + 4) - 36) / 8)
                .Select(i => Encoding.ASCII.GetString(guest.Bytes(guest.U64(xsdt + 36 + (ulong)i * 8), 4)));
            Assert.Equal(["FACP", "APIC", "MCFG", "HPET", "DMAR"], signatures);
            ulong rsdt = guest.U32(rsdp + 16);
            Assert.Equal("RSDT", Encoding.ASCII.GetString(guest.Bytes(rsdt, 4)));
            var addresses = Enumerable.Range(0, ((int)guest.U32(rsdt + 4) - 36) / 4).Select(i => (ulong)guest.U32(rsdt + 36 + (ulong)i * 4));
            Assert.Equal(Enumerable.Range(0, 5).Select(i => guest.U64(xsdt + 36 + (ulong)i * 8)), addresses);
        }
    }

    [Fact]
    public void Tables_lie_in_reclaimable_memory_and_facs_in_memory_that_is_kept()
    {
        var tables = AcpiBuilder.Build(Full, Ram);
        var map = MemoryMap.Build(Ram, tables.Regions);
        MemoryKind At(ulong address) => map.First(range => range.Start.Value <= address && address < range.End).Kind;

        foreach (var table in tables.Tables)
        {
            var kind = table.Signature == "FACS" ? MemoryKind.AcpiNvs : MemoryKind.AcpiReclaim;
            Assert.Equal(kind, At(table.Address.Value));
            Assert.Equal(kind, At(table.Address.Value + (ulong)table.Bytes.Length - 1));
        }

        Assert.Equal(0UL, tables.Tables.Single(table => table.Signature == "FACS").Address.Value % 64);
        foreach (var address in new ulong[] { 0xE0000000, 0xE00FFFFF, 0xFEC00000, 0xFEE00000, 0xFED90000, 0xFED91000, 0x8000000, 0x8001FFF })
        {
            Assert.Equal(MemoryKind.Reserved, At(address));
        }
    }

    [Fact]
    public void The_fadt_describes_pm1_the_timer_and_the_reset_register()
    {
        var fadt = Table(Small, "FACP");
        Assert.Equal(276, fadt.Length);
        Assert.Equal(6, fadt[8]);
        Assert.Equal(9, BinaryPrimitives.ReadUInt16LittleEndian(fadt.AsSpan(46)));
        Assert.Equal((0x600u, 0x604u, 0x608u), (U32(fadt, 56), U32(fadt, 64), U32(fadt, 76)));
        Assert.Equal([4, 2, 0, 4, 0, 0], fadt[88..94]);
        Assert.Equal(0x05, fadt[109]);
        Assert.Equal(0x00000565u, U32(fadt, 112));
        Assert.Equal([1, 8, 0, 1, 0xF9, 0x0C, 0, 0, 0, 0, 0, 0, 6], fadt[116..129]);
        Assert.Equal([1, 32, 0, 2, 0x00, 0x06, 0, 0, 0, 0, 0, 0], fadt[148..160]);
        Assert.Equal([1, 16, 0, 2, 0x04, 0x06, 0, 0, 0, 0, 0, 0], fadt[172..184]);
        Assert.Equal([1, 32, 0, 3, 0x08, 0x06, 0, 0, 0, 0, 0, 0], fadt[208..220]);
        Assert.Equal(0u, U32(fadt, 36));
        Assert.Equal(Ram - 4096, U64(fadt, 132));
        Assert.Equal(U32(fadt, 40), U64(fadt, 140));
        Assert.Equal(0x10u, U32(Table(Small with { FixedPowerButton = false }, "FACP"), 112) & 0x10);
    }

    [Fact]
    public void A_reduced_platform_has_sleep_registers_and_no_fixed_hardware()
    {
        var fadt = Table(Reduced, "FACP");
        Assert.All(fadt[46..108], (value, i) => Assert.Equal(i + 46 is >= 96 and < 100 ? 0xFF : 0, value));
        Assert.Equal(0x00100475u, U32(fadt, 112));
        Assert.Equal(0x24, fadt[109]);
        Assert.Equal([1, 8, 0, 1, 0x05, 0x06, 0, 0, 0, 0, 0, 0, 1, 8, 0, 1, 0x01, 0x06, 0, 0, 0, 0, 0, 0], fadt[244..268]);
        Assert.Equal(0UL, U64(fadt, 132));
        Assert.DoesNotContain(AcpiBuilder.Build(Reduced, Ram).Tables, table => table.Signature == "FACS");
    }

    [Fact]
    public void The_madt_lists_processors_io_apic_overrides_and_nmi()
    {
        byte[] expected =
        [
            0, 0, 0xE0, 0xFE, 1, 0, 0, 0,
            0, 8, 0, 0, 1, 0, 0, 0,
            1, 12, 0, 0, 0, 0, 0xC0, 0xFE, 0, 0, 0, 0,
            2, 10, 0, 0, 2, 0, 0, 0, 0, 0,
            2, 10, 0, 9, 9, 0, 0, 0, 0x0D, 0,
            4, 6, 0xFF, 0, 0, 1,
        ];
        Assert.Equal(expected, Table(Small, "APIC")[36..]);
    }

    [Fact]
    public void An_apic_id_above_254_gets_an_x2apic_entry()
    {
        var madt = Table(Full, "APIC");
        Assert.Equal([9, 16, 0, 0, 0x2C, 1, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0], madt[(44 + 24)..(44 + 40)]);
        Assert.Equal([10, 12, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 1, 0, 0, 0], madt[^12..]);
        Assert.Equal(5, madt[44 + 40 + 2]);
    }

    [Fact]
    public void The_mcfg_covers_bus_0_only()
    {
        byte[] expected = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xE0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        Assert.Equal(expected, Table(Small, "MCFG")[36..]);
    }

    [Fact]
    public void The_hpet_table_names_the_block() =>
        Assert.Equal([0x01, 0xA2, 0x86, 0x80, 0, 64, 0, 0, 0, 0, 0xD0, 0xFE, 0, 0, 0, 0, 0, 0x80, 0, 0], Table(Full, "HPET")[36..]);

    [Fact]
    public void The_dmar_of_one_unit_is_72_bytes_with_the_io_apic_in_its_scope()
    {
        var dmar = Table(Small with { Dmar = DmarConfig.SingleUnit(0, new Bdf(0xFF, 0, 0)) }, "DMAR");
        byte[] expected =
        [
            45, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            0, 0, 24, 0, 1, 0, 0, 0, 0, 0, 0xD9, 0xFE, 0, 0, 0, 0,
            3, 8, 0, 0, 0, 0xFF, 0, 0,
        ];
        Assert.Equal(72, dmar.Length);
        Assert.Equal(expected, dmar[36..]);
    }

    [Fact]
    public void The_dmar_holds_several_units_reserved_regions_and_ats()
    {
        byte[] expected =
        [
            38, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            0, 0, 32, 0, 0, 0, 0, 0, 0, 0x10, 0xD9, 0xFE, 0, 0, 0, 0, 1, 8, 0, 0, 0, 0, 2, 0, 2, 8, 0, 0, 0, 0, 28, 4,
            0, 0, 32, 0, 1, 0, 0, 0, 0, 0, 0xD9, 0xFE, 0, 0, 0, 0, 3, 8, 0, 0, 5, 0xF0, 31, 7, 4, 8, 0, 0, 0, 0xF0, 15, 0,
            1, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0xFF, 0x1F, 0, 8, 0, 0, 0, 0, 1, 8, 0, 0, 0, 0, 3, 1,
            2, 0, 16, 0, 0, 0, 0, 0, 2, 8, 0, 0, 0, 0, 28, 4,
            2, 0, 8, 0, 1, 0, 0, 0,
            5, 0, 16, 0, 1, 0, 2, 0, 1, 8, 0, 0, 0, 0, 4, 0,
        ];
        var config = Full with { Dmar = Full.Dmar! with { SocAtc = [new(true, [DmarScope.Endpoint(new Bdf(0, 4, 0))], 2)] } };
        Assert.Equal(expected, Table(config, "DMAR")[36..]);
        var optOut = Small with { Dmar = new() { InterruptRemapping = false, X2ApicOptOut = true, DmaProtectionOptIn = true } };
        Assert.Equal(6, Table(optOut, "DMAR")[37]);
    }

    [Fact]
    public void The_viot_points_its_ranges_at_the_iommu()
    {
        byte[] expected =
        [
            3, 0, 48, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            3, 0, 16, 0, 0, 0, 0x18, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            1, 0, 24, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x17, 0, 48, 0, 0, 0, 0, 0, 0, 0,
            1, 0, 24, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0x20, 0, 0xFF, 0, 48, 0, 0, 0, 0, 0, 0, 0,
        ];
        Assert.Equal(expected, Table(Reduced, "VIOT")[36..]);
    }
}
