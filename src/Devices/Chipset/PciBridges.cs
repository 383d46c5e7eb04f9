using Vmm.Platform.Dma;
using Vmm.Platform.Pci;

namespace Vmm.Chipset;

/// <summary>The two functions that Q35 guests expect to find: registers a guest may look at, and no more.</summary>
static class PciBridges
{
    /// <summary>00:00.0, memory controller hub 8086:29c0. PCIEXBAR tells where ECAM is (Intel 3 Series §5.1.16).</summary>
    public static PciFunction HostBridge(DmaFabric fabric)
    {
        var function = new PciFunction(
            new("mch", 0x8086, 0x29C0, 0x06_00_00), new(0, 0, 0), fabric, null);
        // Bit 0: enabled. The smallest length that the register can express is 64 MiB (10b); buses past 0 are empty.
        function.Config.Define(new("PCIEXBAR", 0x60, 8, Reset: PciHost.EcamBase | 2 << 1 | 1));
        return function;
    }

    /// <summary>00:1f.0, LPC interface 8086:2918. PMBASE and ACPI_CNTL say where power management is (ICH9 §13.1).</summary>
    public static PciFunction IsaBridge(DmaFabric fabric)
    {
        var function = new PciFunction(
            new("lpc", 0x8086, 0x2918, 0x06_01_00, Revision: 2), new(0, 31, 0), fabric, null);
        function.Config.Define(new("PMBASE", 0x40, 4, Reset: 0x600 | 1));
        function.Config.Define(new("ACPI_CNTL", 0x44, 1, Reset: 0x80));
        // PIRQ routing to the 8259s; bit 7 set means not routed. INTx goes to the I/O APIC instead.
        for (var i = 0; i < 4; i++)
        {
            function.Config.Define(new($"PIRQ{(char)('A' + i)}", 0x60 + i, 1, Write: 0x8F, Reset: 0x80));
            function.Config.Define(new($"PIRQ{(char)('E' + i)}", 0x68 + i, 1, Write: 0x8F, Reset: 0x80));
        }

        return function;
    }
}
