using System.CommandLine;
using Vmm.GuestDma;
using Vmm.GuestDma.Cost;
using Vmm.GuestDma.Measurement;
using Vmm.Beds;

namespace Vmm.Cli;

/// <summary><c>vmm bench dma</c>.</summary>
internal static class BenchCommand
{
    /// <summary>Builds the command.</summary>
    public static Command Create()
    {
        var dma = new Command("dma", "What DMA mapping costs: load x policy x IOMMU x prices, in virtual time");
        dma.SetAction(_ =>
        {
            foreach (var policy in new[] { DmaPolicy.Off, DmaPolicy.Bypass, DmaPolicy.Identity, DmaPolicy.Strict, DmaPolicy.Lazy, DmaPolicy.Batched, DmaPolicy.Referenced, DmaPolicy.Pool, DmaPolicy.Adaptive })
            {
                foreach (var kib in new[] { 4, 64 })
                {
                    using var bed = new DmaBed(new() { Policy = policy, Vtd = policy == DmaPolicy.Off ? null : new() { AddressWidth = 48 } });
                    var load = new BlockLoad(bed.Machine, new(kib << 10, 64, false, 1000), DmaBed.DiskBlocks);
                    load.Run(1000);
                    bed.Ledger.Clear();
                    var start = bed.Clock.Now;
                    load.Run(2000);
                    Console.Write($"{policy} {kib} KiB bad {load.Bad} {2000.0 * kib / 1024 / ((bed.Clock.Now - start) / (double)bed.Clock.Hertz):F0} MiB/s:");
                    foreach (var cause in Enum.GetValues<CycleCause>())
                    {
                        Console.Write($" {cause}={bed.Ledger.Cycles(cause) / 2000}");
                    }

                    Console.WriteLine();
                }
            }

            return ExitCode.Pass;
        });
        return new("bench", "Measure") { dma };
    }
}
