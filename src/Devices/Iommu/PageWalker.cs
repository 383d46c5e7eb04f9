using Vmm.Platform.Dma;
using Vmm.Platform.Memory;
using Vmm.Specs;
using Vmm.Specs.VtD;

namespace Vmm.Iommu;

/// <summary>End of a page walk: the page that holds the input address.</summary>
struct WalkLeaf
{
    /// <summary>Output address of the input address itself, in bytes.</summary>
    public ulong Address;

    /// <summary>log2 of the page size: 12, 21 or 30.</summary>
    public int Shift;

    public PageRights Rights;
}

/// <summary>
/// Walks first-stage, second-stage and nested page tables (VT-d §3.6, §3.7, §3.8). A live walk sets accessed and dirty
/// flags, uses and fills the paging-structure caches and counts its reads; any other walk changes nothing.
/// </summary>
sealed partial class PageWalker(GuestMemory memory, VtdCapabilities capabilities, VtdCounters counters, StampedCache structures)
{
    /// <summary>The walk in progress has effects.</summary>
    bool live;

    /// <summary>Explanation of the walk in progress.</summary>
    WalkReport? report;

    /// <summary>A pointer of the live walk in progress came from the paging-structure caches.</summary>
    public bool UsedStructureCache { get; private set; }

    /// <summary>Translates by the stages of <paramref name="context"/>. Permissions of the final page are not checked here.</summary>
    public FaultReason Walk(in TranslationContext context, ulong input, in AccessNeed need, bool isLive, WalkReport? explanation, out WalkLeaf leaf)
    {
        live = isLive;
        report = explanation;
        UsedStructureCache = false;
        var reason = context.Kind == StageKind.SecondStage
            ? WalkSecondStage(context, input, need.Write, out leaf)
            : WalkFirstStage(context, input, need, out leaf);
        if (reason == FaultReason.None && DmaPort.IsInterruptAddress(leaf.Address))
        {
            reason = FaultReason.SmOutputInInterruptRange;
        }

        return reason;
    }

    /// <param name="context">Whose second stage.</param>
    /// <param name="input">Guest address.</param>
    /// <param name="write">Sets the dirty flag if the write is allowed.</param>
    /// <param name="leaf">The page.</param>
    FaultReason WalkSecondStage(in TranslationContext context, ulong input, bool write, out WalkLeaf leaf)
    {
        leaf = default;
        if (input >> context.SecondStageWidth != 0)
        {
            return FaultReason.AddressBeyondSecondStage;
        }

        var table = context.SecondStageRoot;
        var level = (int)context.SecondStageLevels;
        var tag = TranslationContext.TagOf(StageKind.SecondStage, context.Domain, 0);
        var rights = PageRights.AllSecondStage;
        UseStructures(tag, input, ref level, ref table, ref rights);
        var flags = context.Has(ContextSwitches.SecondStageAccessedDirty);
        for (; ; level--)
        {
            var shift = 12 + 9 * (level - 1);
            var address = table + (input >> shift & 0x1FF) * 8;
            var reason = ReadSecondStage(context, address, level, out var entry);
            report?.Add(VtdTable.SecondStage, level, address, entry.Raw, 0, reason, HoldsStructure(tag, input, level - 1));
            if (reason != FaultReason.None)
            {
                return reason;
            }

            rights &= ~PageRights.AllSecondStage | (entry.R ? PageRights.SecondStageRead : 0) | (entry.W ? PageRights.SecondStageWrite : 0);
            var isLeaf = entry.IsLeaf(level);
            var dirty = !flags || entry.D;
            if (flags)
            {
                var set = isLeaf && write && (rights & PageRights.SecondStageWrite) != 0 ? SecondStageEntry.DirtyBit | SecondStageEntry.AccessedBit : SecondStageEntry.AccessedBit;
                reason = SetFlags(context, address, entry.Raw, set, FaultReason.SsUpdateNotSnooped, FaultReason.SsUpdateFailed);
                if (reason != FaultReason.None)
                {
                    return reason;
                }

                dirty |= (set & SecondStageEntry.DirtyBit) != 0;
            }

            if (isLeaf)
            {
                leaf.Address = entry.ADDR & ~Bits.Mask(shift) | input & Bits.Mask(shift);
                leaf.Shift = shift;
                leaf.Rights = rights | PageRights.AllFirstStage | (dirty ? PageRights.Dirty : 0);
                return FaultReason.None;
            }

            table = entry.ADDR;
            KeepStructure(tag, input, level - 1, table, rights);
        }
    }

    FaultReason ReadSecondStage(in TranslationContext context, ulong address, int level, out SecondStageEntry entry)
    {
        CountRead(VtdTable.SecondStage, level);
        var read = memory.TryRead(new Gpa(address), out ulong raw);
        entry = new(raw);
        if (!read)
        {
            return level == context.SecondStageLevels ? FaultReason.SsRootAccess : FaultReason.SsEntryAccess;
        }

        return !entry.R && !entry.W ? FaultReason.SsNotPresent :
            entry.HasReserved(level, capabilities.HostAddressWidth, capabilities.Cap.SSLPS, capabilities.Ecap.SC) ? FaultReason.SsReserved :
            FaultReason.None;
    }

    /// <summary>Starts a walk at the lowest table that the paging-structure caches know.</summary>
    void UseStructures(ulong tag, ulong input, ref int level, ref ulong table, ref PageRights rights)
    {
        if (!live)
        {
            return;
        }

        for (var below = 1; below < level; below++)
        {
            var found = structures.Find(input >> 12 + 9 * below, TagAt(tag, below));
            if (found >= 0)
            {
                level = below;
                table = structures[found].Target;
                rights = structures[found].Rights;
                UsedStructureCache = true;
                return;
            }
        }
    }

    /// <summary>The caches know the table at a level below, so a live walk skips the entry that points to it.</summary>
    bool HoldsStructure(ulong tag, ulong input, int level) =>
        level > 0 && structures.Find(input >> 12 + 9 * level, TagAt(tag, level)) >= 0;

    void KeepStructure(ulong tag, ulong input, int level, ulong table, PageRights rights)
    {
        if (live)
        {
            structures.Insert(input >> 12 + 9 * level, TagAt(tag, level), table, rights);
        }
    }

    /// <summary>Tag of a cached pointer to the table at a level, in paging-structure caches.</summary>
    internal static ulong TagAt(ulong tag, int level) => tag | (ulong)level << 40;

    /// <summary>Sets flags of an entry in memory. Needs snooped walks (PWSNP), as hardware does for its atomic updates.</summary>
    FaultReason SetFlags(in TranslationContext context, ulong address, ulong value, ulong set, FaultReason notSnooped, FaultReason failed)
    {
        if ((value & set) == set)
        {
            return FaultReason.None;
        }

        if (!context.Has(ContextSwitches.SnoopedWalk))
        {
            report?.MarkLast(notSnooped);
            return notSnooped;
        }

        return !live || memory.TryCompareExchange(new(address), value, value | set, out var found) && found == value
            ? FaultReason.None : failed;
    }

    void CountRead(VtdTable table, int level)
    {
        if (live)
        {
            counters.CountRead(table, level);
        }
    }
}
