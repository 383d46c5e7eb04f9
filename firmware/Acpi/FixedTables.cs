using Vmm.Specs.Acpi;
using F = Vmm.Specs.Acpi.Fadt;
using M = Vmm.Specs.Acpi.Madt;

namespace Vmm.Firmware.Acpi;

/// <summary>The tables without AML: RSDP, RSDT, XSDT, FADT, FACS, MADT, MCFG and HPET.</summary>
internal static class FixedTables
{
    const byte FadtRevision = 6, FadtMinor = 4, EnterpriseServer = 4;
    const uint ResetPort = 0xCF9;
    const byte ResetValue = 6;
    const byte ByteAccess = 1, WordAccess = 2, DwordAccess = 3;
    const byte CenturyIndex = 0x32;

    /// <summary>RSDP, ACPI 6.4 §5.2.5.3.</summary>
    public static byte[] Rsdp(AcpiConfig config, ulong rsdt, ulong xsdt)
    {
        var table = new TableWriter()
            .Text("RSD PTR ", 8).U8(0).Text(config.OemId, 6).U8(2).U32((uint)rsdt)
            .U32(AcpiTable.RsdpSize).U64(xsdt).Zeros(4).ToBytes();
        table[AcpiTable.RsdpChecksum] = TableWriter.Checksum(table.AsSpan(0, 20));
        table[AcpiTable.RsdpExtendedChecksum] = TableWriter.Checksum(table);
        return table;
    }

    /// <summary>RSDT, §5.2.7, for guests that know no other. The tables lie below 4 GiB.</summary>
    public static byte[] Rsdt(AcpiConfig config, IEnumerable<ulong> tables)
    {
        var writer = new TableWriter("RSDT", 1, config);
        foreach (var address in tables)
        {
            writer.U32((uint)address);
        }

        return writer.ToTable();
    }

    /// <summary>XSDT, §5.2.8.</summary>
    public static byte[] Xsdt(AcpiConfig config, IEnumerable<ulong> tables)
    {
        var writer = new TableWriter("XSDT", 1, config);
        foreach (var address in tables)
        {
            writer.U64(address);
        }

        return writer.ToTable();
    }

    /// <summary>FADT, §5.2.9.</summary>
    public static byte[] Fadt(AcpiConfig config, ulong dsdt, ulong facs)
    {
        var writer = new TableWriter("FACP", FadtRevision, config)
            .U32(0).U32((uint)dsdt).U8(0).U8(EnterpriseServer).U16(config.HardwareReduced ? 0 : config.SciInterrupt);
        FixedHardware(writer, config);
        writer.PadTo(F.PLvl2Lat).U16(ushort.MaxValue).U16(ushort.MaxValue)
            .PadTo(F.Century).U8(config.Rtc ? CenturyIndex : 0).U16(BootArchitecture(config))
            .PadTo(F.Flags).U32(Flags(config))
            .Gas(TableWriter.SystemIo, 8, ByteAccess, ResetPort).U8(ResetValue)
            .PadTo(F.MinorVersion).U8(FadtMinor)
            .U64(facs).U64(dsdt);
        ExtendedFixedHardware(writer, config);
        return writer.PadTo(F.Size).ToTable();
    }

    static void FixedHardware(TableWriter writer, AcpiConfig config)
    {
        if (config.HardwareReduced)
        {
            return;
        }

        uint port = config.PowerPort;
        writer.PadTo(F.Pm1aEvtBlk).U32(port)
            .PadTo(F.Pm1aCntBlk).U32(port + 4)
            .PadTo(F.PmTmrBlk).U32(port + 8)
            .PadTo(F.Pm1EvtLen).U8(4).U8(2).U8(0).U8(4);
    }

    static void ExtendedFixedHardware(TableWriter writer, AcpiConfig config)
    {
        uint port = config.PowerPort;
        if (config.HardwareReduced)
        {
            writer.PadTo(F.SleepControlReg).Gas(TableWriter.SystemIo, 8, ByteAccess, port + 5)
                .Gas(TableWriter.SystemIo, 8, ByteAccess, port + 1);
            return;
        }

        writer.PadTo(F.XPm1aEvtBlk).Gas(TableWriter.SystemIo, 32, WordAccess, port)
            .PadTo(F.XPm1aCntBlk).Gas(TableWriter.SystemIo, 16, WordAccess, port + 4)
            .PadTo(F.XPmTmrBlk).Gas(TableWriter.SystemIo, 32, DwordAccess, port + 8);
    }

    static uint Flags(AcpiConfig config)
    {
        const uint Always = F.Wbinvd | F.ProcC1 | F.ResetRegSup | F.SlpButton | F.FixRtc;
        return config.HardwareReduced
            ? Always | F.PwrButton | F.HwReducedAcpi
            : Always | F.TmrValExt | (config.FixedPowerButton ? 0 : F.PwrButton);
    }

    static int BootArchitecture(AcpiConfig config) => F.VgaNotPresent
        | (config.LegacyDevices ? F.LegacyDevices : 0)
        | (config.Rtc ? 0 : F.CmosRtcNotPresent);

    /// <summary>FACS, §5.2.10: the only table without checksum.</summary>
    public static byte[] Facs() => new TableWriter().Text("FACS", 4).U32(64).Zeros(24).U8(2).PadTo(64).ToBytes();

    /// <summary>MADT, §5.2.12.</summary>
    public static byte[] Madt(AcpiConfig config)
    {
        var legacy = config.LegacyDevices && !config.HardwareReduced;
        var writer = new TableWriter("APIC", 5, config).U32(config.LocalApicAddress).U32(legacy ? M.PcAtCompatible : 0);
        var extended = false;
        for (var i = 0; i < config.ApicIds.Count; i++)
        {
            var id = config.ApicIds[i];
            if (id <= M.LargestApicId && i <= M.LargestApicId)
            {
                writer.U8(M.LocalApic).U8(8).U8(i).U8((int)id).U32(M.Enabled);
            }
            else
            {
                extended = true;
                writer.U8(M.LocalX2Apic).U8(16).U16(0).U32(id).U32(M.Enabled).U32((uint)i);
            }
        }

        writer.U8(M.IoApic).U8(12).U8(config.IoApicId).U8(0).U32(config.IoApicAddress).U32(0);
        if (legacy)
        {
            Override(writer, 0, 2, M.Conforming);
        }

        if (!config.HardwareReduced)
        {
            Override(writer, config.SciInterrupt, config.SciInterrupt, M.ActiveHighLevel);
        }

        // NMI reaches LINT1 of every processor.
        writer.U8(M.LocalApicNmi).U8(6).U8(0xFF).U16(M.Conforming).U8(1);
        if (extended)
        {
            writer.U8(M.LocalX2ApicNmi).U8(12).U16(M.Conforming).U32(uint.MaxValue).U8(1).Zeros(3);
        }

        return writer.ToTable();
    }

    static void Override(TableWriter writer, byte irq, uint gsi, ushort flags) =>
        writer.U8(M.InterruptSourceOverride).U8(10).U8(0).U8(irq).U32(gsi).U16(flags);

    /// <summary>MCFG, PCI Firmware 3.2 §4.1.2.</summary>
    public static byte[] Mcfg(AcpiConfig config) =>
        new TableWriter("MCFG", 1, config).Zeros(8).U64(config.EcamBase).U16(0).U8(0).U8(config.LastBus).U32(0).ToTable();

    /// <summary>HPET, IA-PC HPET 1.0a §3.2.4: the event timer block id is the lower half of its capability register.</summary>
    public static byte[] Hpet(AcpiConfig config)
    {
        const uint EventTimerBlockId = 0x8086_A201;
        const int MinimumTick = 0x80;
        return new TableWriter("HPET", 1, config).U32(EventTimerBlockId)
            .Gas(TableWriter.SystemMemory, 64, 0, config.HpetAddress).U8(0).U16(MinimumTick).U8(0).ToTable();
    }
}
