using Vmm.Cli;
using Vmm.Guests.Kit;
using Vmm.Iommu;
using Vmm.Machine;
using Vmm.Platform.Block;
using Vmm.Platform.Time;
using Vmm.Specs.X86;
using Xunit;
using Xunit.Abstractions;

namespace Vmm.Guests;

/// <summary>The ledger of Debian's kernel: it sums up to the clock and repeats, with and without a trace.</summary>
public sealed class LedgerTests(ITestOutputHelper log)
{
    static Guest Boot() => new(
        Kernel.Cloud,
        Guest.Script("dd if=/dev/nvme0n1 of=/dev/nvme0n1 bs=64k count=16 seek=16 conv=fsync,notrunc 2>/dev/null"),
        2, append: "quiet iommu.strict=1", configure: c => c with { Vtd = new VtdOptions(), Disks = [new(() => new MemoryBlockBackend("disk", 4 << 20))] });

    [SkippableFact]
    public void The_ledger_of_Linux_sums_up_to_the_clock_and_is_the_same_with_a_trace()
    {
        using var plain = Boot();
        Assert.Equal(StopCause.PowerOff, plain.Run().Cause);
        var ledger = plain.Machine.TakeLedger();
        log.WriteLine(LedgerReport.Text(plain.Machine, ledger));
        Assert.All(ledger.Vcpus, t => Assert.Equal(plain.Machine.Now, t.Cycles));
        AssertCountersAgree(plain.Machine, ledger);

        using var traced = Boot();
        using var text = new MemoryStream();
        using (TraceFile.Attach(traced.Machine, text, 64 << 20))
        {
            Assert.Equal(StopCause.PowerOff, traced.Run().Cause);
        }

        var again = traced.Machine.TakeLedger();
        Assert.Equal(ledger.Total.Rows, again.Total.Rows);
        Assert.Equal(ledger.Between.Rows, again.Between.Rows);
        Assert.Equal(plain.Machine.StateHash(), traced.Machine.StateHash());
        var lines = System.Text.Encoding.ASCII.GetString(text.ToArray()).Split('\n');
        log.WriteLine(string.Join("\n", lines.Take(5)));
        Assert.Equal(again.Total.ExitCount, (ulong)lines.Count(l => l.Contains(" kvm_exit: ", StringComparison.Ordinal)));
        Assert.Equal(
            again.Total[ExitReason.IoInstruction].Count,
            (ulong)lines.Count(l => l.Contains(" kvm_pio: ", StringComparison.Ordinal)));
        Assert.Equal(
            again.Total[CostKind.InvalidationDescriptor].Count,
            (ulong)lines.Count(l => l.Contains(" vtd_inv_desc: ", StringComparison.Ordinal)));
    }

    /// <summary>The ledger counts what the devices count themselves.</summary>
    static void AssertCountersAgree(VirtualMachine machine, LedgerImage ledger)
    {
        var counters = machine.Iommu!.Counters;
        Assert.Equal(counters.Waits, ledger.Total[CostKind.IotlbInvalidation].Count);
        var reads = 0ul;
        foreach (var table in Enum.GetValues<VtdTable>().Where(t => t != VtdTable.InvalidationQueue))
        {
            for (var level = 0; level < 6; level++)
            {
                reads += counters.Reads(table, level);
            }
        }

        Assert.Equal(reads, ledger.Devices["vtd0"][CostKind.WalkRead].Count);
        var dma = machine.Nvme[0].Function.Dma.Counters;
        Assert.InRange(ledger.Devices["nvme0"][CostKind.DmaLine].Count, (dma.BytesRead + dma.BytesWritten) / 64, (dma.BytesRead + dma.BytesWritten) / 64 + dma.Reads + dma.Writes);
        Assert.NotEqual(0ul, ledger.Between.Cycles);
        Assert.Equal(machine.Instructions, ledger.Total[CostKind.Instruction].Count);
        // CLFLUSH of the remapping tables: ECAP.C is clear in the legacy profile.
        Assert.NotEqual(0ul, ledger.Total[CostKind.CacheFlush].Count);
    }
}
