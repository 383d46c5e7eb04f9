using Vmm.Platform.Dma;
using Vmm.Platform.Time;
using Vmm.Specs.VtD;

namespace Vmm.Iommu;

/// <summary>What one device or one domain caused since the machine was built.</summary>
public struct TranslationCounters
{
    /// <summary>Requests answered by the IOTLB.</summary>
    public ulong Hits;

    /// <summary>Requests that the IOTLB could not answer.</summary>
    public ulong Misses;

    /// <summary>Page walks, complete or not.</summary>
    public ulong Walks;

    /// <summary>Requests that passed through without page tables.</summary>
    public ulong PassedThrough;

    /// <summary>Requests blocked with a fault condition, recorded or not.</summary>
    public ulong Faults;

    /// <summary>Interrupt messages remapped or posted (devices only).</summary>
    public ulong Interrupts;

    /// <summary>Invalidations that named this domain or this source.</summary>
    public ulong Invalidations;
}

/// <summary>Structures in memory that the unit reads, for counters and costs.</summary>
public enum VtdTable
{
    /// <summary>Root entries.</summary>
    Root,

    /// <summary>Context entries.</summary>
    Context,

    /// <summary>PASID directory entries.</summary>
    PasidDirectory,

    /// <summary>PASID table entries.</summary>
    PasidTable,

    /// <summary>First-stage paging entries.</summary>
    FirstStage,

    /// <summary>Second-stage paging entries.</summary>
    SecondStage,

    /// <summary>Interrupt remapping entries.</summary>
    InterruptRemapping,

    /// <summary>Posted interrupt descriptors.</summary>
    PostedDescriptor,

    /// <summary>Invalidation queue descriptors.</summary>
    InvalidationQueue,
}

/// <summary>
/// Counters of one unit. <see cref="Reads"/> counts every access of the unit to memory by structure and level, and is
/// what a cost model charges for.
/// </summary>
public sealed class VtdCounters
{
    readonly ExitLedger? ledger;
    readonly LedgerAccount? account;

    internal VtdCounters(ExitLedger? ledger, string unit)
    {
        this.ledger = ledger;
        account = ledger?.Account(unit);
    }

    /// <summary>Devices whose faults are counted by reason; a guest can renumber buses at will.</summary>
    public const int DeviceFaultLimit = 1024;

    const int Levels = 6;

    readonly TranslationCounters[]?[] devices = new TranslationCounters[]?[256];
    readonly TranslationCounters[]?[] domains = new TranslationCounters[]?[256];
    readonly ulong[] reads = new ulong[9 * Levels];
    readonly ulong[] invalidations = new ulong[16];
    readonly ulong[] faults = new ulong[256];
    readonly Dictionary<ushort, ulong[]> deviceFaults = [];

    /// <summary>Fault records written to FRCD registers.</summary>
    public ulong RecordedFaults { get; internal set; }

    /// <summary>Faults dropped because a record of the same source was pending.</summary>
    public ulong CompressedFaults { get; internal set; }

    /// <summary>Faults dropped because the registers were full.</summary>
    public ulong OverflowedFaults { get; internal set; }

    /// <summary>Faults not recorded because of FPD.</summary>
    public ulong SuppressedFaults { get; internal set; }

    /// <summary>Event messages sent (fault, invalidation, page request).</summary>
    public ulong EventMessages { get; internal set; }

    /// <summary>Wait descriptors completed.</summary>
    public ulong Waits { get; internal set; }

    /// <summary>Requests blocked by protected memory regions.</summary>
    public ulong ProtectedMemoryBlocks { get; internal set; }

    /// <summary>Page requests queued for software.</summary>
    public ulong PageRequests { get; internal set; }

    /// <summary>Interrupt entry cache hits.</summary>
    public ulong InterruptHits { get; internal set; }

    /// <summary>Interrupt entry cache misses.</summary>
    public ulong InterruptMisses { get; internal set; }

    /// <summary>Entries of a structure read at a paging level (0 where there are no levels).</summary>
    public ulong Reads(VtdTable table, int level = 0) => reads[(int)table * Levels + level];

    /// <summary>Descriptors or register commands of a type carried out.</summary>
    public ulong Invalidations(InvalidationType type) => invalidations[(int)type & 15];

    /// <summary>Times a condition blocked a request, recorded or not.</summary>
    public ulong Faults(FaultReason reason) => faults[(byte)reason];

    /// <summary>Times a condition blocked a request of one device.</summary>
    public ulong Faults(Bdf device, FaultReason reason) =>
        deviceFaults.TryGetValue(device.Value, out var counts) ? counts[(byte)reason] : 0;

    /// <summary>Counters of one device.</summary>
    public TranslationCounters Device(Bdf device) => devices[device.Bus]?[device.DevFn] ?? default;

    /// <summary>Counters of one domain.</summary>
    public TranslationCounters Domain(ushort domain) => domains[domain >> 8]?[domain & 0xFF] ?? default;

    internal ref TranslationCounters ForDevice(Bdf device)
    {
        var bus = devices[device.Bus] ??= new TranslationCounters[256];
        return ref bus[device.DevFn];
    }

    internal ref TranslationCounters ForDomain(ushort domain)
    {
        var page = domains[domain >> 8] ??= new TranslationCounters[256];
        return ref page[domain & 0xFF];
    }

    internal void CountRead(VtdTable table, int level = 0)
    {
        reads[(int)table * Levels + level]++;
        ledger?.Charge(account, table == VtdTable.InvalidationQueue ? CostKind.InvalidationDescriptor : CostKind.WalkRead);
    }

    internal void CountWait()
    {
        Waits++;
        ledger?.Charge(account, CostKind.IotlbInvalidation);
    }

    internal void CountInvalidation(InvalidationType type) => invalidations[(int)type & 15]++;

    internal void CountFault(Bdf device, FaultReason reason)
    {
        faults[(byte)reason]++;
        ForDevice(device).Faults++;
        if (!deviceFaults.TryGetValue(device.Value, out var counts) && deviceFaults.Count < DeviceFaultLimit)
        {
            counts = new ulong[256];
            deviceFaults.Add(device.Value, counts);
        }

        if (counts != null)
        {
            counts[(byte)reason]++;
        }
    }
}
