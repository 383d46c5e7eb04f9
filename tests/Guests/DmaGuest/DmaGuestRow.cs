using Vmm.Beds;

namespace Vmm.Guests.DmaGuest;

/// <summary>What a machine counted by itself up to a moment, or between two.</summary>
/// <param name="Exits">Exits of the processor.</param>
/// <param name="Unit">Those that the IOMMU's registers answered.</param>
/// <param name="Disk">Those that the NVMe controller's registers answered.</param>
/// <param name="Commands">Invalidation descriptors but waits that the unit carried out, or requests.</param>
/// <param name="Waits">Wait descriptors, or notifications of the request queue.</param>
internal readonly record struct MachineCounts(ulong Exits, ulong Unit, ulong Disk, ulong Commands, ulong Waits)
{
    public static MachineCounts operator -(MachineCounts a, MachineCounts b) =>
        new(a.Exits - b.Exits, a.Unit - b.Unit, a.Disk - b.Disk, a.Commands - b.Commands, a.Waits - b.Waits);

    public static MachineCounts operator +(MachineCounts a, MachineCounts b) =>
        new(a.Exits + b.Exits, a.Unit + b.Unit, a.Disk + b.Disk, a.Commands + b.Commands, a.Waits + b.Waits);
}

/// <summary>Sum over the visits of a section.</summary>
internal sealed class SectionCounts
{
    /// <summary>What the machine counted, marks included.</summary>
    public MachineCounts Machine { get; private set; }

    /// <summary>Writes to the POST code port that ended the visits.</summary>
    public ulong Marks { get; private set; }

    public void Add(MachineCounts counts, ulong marks)
    {
        Machine += counts;
        Marks += marks;
    }
}

/// <summary>One line of the guest's table, and what was counted outside over the same time.</summary>
/// <param name="isLazy">Unmaps are deferred.</param>
/// <param name="recorder">What the unit was asked and which buffers the disk was given.</param>
internal sealed class DmaGuestRow(bool isLazy, DmaRecorder recorder)
{
    public const int Map = 1, Transfer = 2, Unmap = 3;

    /// <summary>Buffers that the guest maps before it transfers to or from the first of them.</summary>
    public const int Burst = 5;

    public bool IsLazy => isLazy;

    public DmaRecorder Recorder => recorder;

    public SectionCounts[] Sections { get; } = [new(), new(), new(), new()];

    /// <summary>The numbers of the line.</summary>
    public ulong[] Guest { get; set; } = [];

    public int Bytes => (int)Guest[0];

    public int Pieces => (int)Guest[1];

    public int Buffers => (int)Guest[2];

    public (ulong Accesses, ulong Commands, ulong Waits) GuestMap => (Guest[3], Guest[4], Guest[5]);

    public ulong GuestTransfer => Guest[6];

    public (ulong Accesses, ulong Commands, ulong Waits) GuestUnmap => (Guest[7], Guest[8], Guest[9]);

    /// <summary>When the line was printed.</summary>
    public ulong End { get; set; }

    /// <summary>
    /// The buffers in the order in which the guest mapped and unmapped them: a recorder sees a buffer only while the disk has
    /// it, but all of a burst are mapped before its first transfer and unmapped after its last.
    /// </summary>
    public IReadOnlyList<DmaStep> Sequence() =>
    [
        .. recorder.Steps.Chunk(2 * Burst).SelectMany(static burst =>
            burst.Where(static s => s.IsMap).Select(s => s with { Time = burst[0].Time })
                .Concat(burst.Where(static s => !s.IsMap).Select(s => s with { Time = burst[^1].Time }))),
    ];
}
