using System.Globalization;
using Vmm.GuestDma;
using Vmm.GuestDma.Measurement;

namespace Vmm.Beds;

/// <summary>
/// What an IOMMU adds to the processor time of a TCP stream over gigabit Ethernet, on the machine itself. Published: 15 to
/// 30 % (Calgary, netperf), about 3 % (VT-d, iperf).
/// </summary>
internal static class NetworkCost
{
    /// <summary>Work of a packet of 1500 bytes without mapping: one cycle for each bit, the rule of thumb of its time.</summary>
    public const ulong PacketCycles = 12_000;

    /// <summary>Bytes of data in a packet, and packets in 64 KiB of data.</summary>
    const ulong DataBytes = 1460, PacketsOf64KiB = 45;

    /// <summary>How a driver maps.</summary>
    public enum Driver
    {
        /// <summary>Header and payload of every packet, one mapping each; receive buffers stay.</summary>
        Packets,

        /// <summary>The card cuts 64 KiB into packets; each page is a mapping.</summary>
        Pages,

        /// <summary>The same, all pages in one mapping.</summary>
        Lists,
    }

    /// <summary>Processor time of a stream over that without a unit, minus 1.</summary>
    public static double Extra(Driver driver, DmaPolicy policy) =>
        Measure(driver, policy, "vtd-metal").CyclesPerOperation / Measure(driver, DmaPolicy.Off, "none").CyclesPerOperation - 1;

    static MeasurementRow Measure(Driver driver, DmaPolicy policy, string iommu) => (driver switch
    {
        // An operation is a packet that comes and one that goes.
        Driver.Packets => new DmaPoint(DmaLoad.Packets, 3000, 256, policy, iommu, "comet-lake") { Application = 2 * PacketCycles },
        Driver.Pages => new(DmaLoad.Transmit, 4096, 256, policy, iommu, "comet-lake") { Application = PacketCycles * 4096 / DataBytes },
        _ => new(DmaLoad.Transmit, 64 << 10, 64, policy, iommu, "comet-lake") { Application = PacketCycles * PacketsOf64KiB },
    }).Run();

    /// <summary>Writes the table.</summary>
    public static void Report(TextWriter text, Func<bool> stop)
    {
        text.WriteLine(string.Create(CultureInfo.InvariantCulture, $"""
            ## A TCP stream over gigabit Ethernet: processor time that mapping adds

            On the machine itself (`vtd-metal`, `comet-lake` prices). A packet of 1500 bytes costs {PacketCycles} cycles without mapping: one for each bit, the
            rule of thumb of its time. Published: 15 to 30 % more for Calgary, which maps every packet and waits for each flush; about 3 % for VT-d.

            | driver | strict | lazy | pool | adaptive | identity |
            | --- | ---: | ---: | ---: | ---: | ---: |
            """));
        foreach (var (driver, name) in new[] { (Driver.Packets, "header and payload of each packet"), (Driver.Pages, "64 KiB cut by the card, page by page"), (Driver.Lists, "64 KiB cut by the card, as a list") }.TakeWhile(_ => !stop()))
        {
            var extras = new[] { DmaPolicy.Strict, DmaPolicy.Lazy, DmaPolicy.Pool, DmaPolicy.Adaptive, DmaPolicy.Identity }.Select(p => Extra(driver, p));
            text.WriteLine($"| {name} | {string.Join(" | ", extras.Select(static e => e.ToString("0.0 %", CultureInfo.InvariantCulture)))} |");
        }
    }
}
