using Vmm.Platform.Memory;
using Vmm.Specs;
using Vmm.Specs.VtD;

namespace Vmm.Iommu;

/// <summary>The first stage, alone or nested on the second (VT-d §3.6, §3.8).</summary>
sealed partial class PageWalker
{
    FaultReason WalkFirstStage(in TranslationContext context, ulong input, in AccessNeed need, out WalkLeaf leaf)
    {
        leaf = default;
        if (!IsCanonical(input, context.FirstStageLevels))
        {
            return FaultReason.NotCanonical;
        }

        var nested = context.Kind == StageKind.Nested;
        var table = context.FirstStageRoot;
        var level = (int)context.FirstStageLevels;
        var rights = PageRights.AllFirstStage;
        if (!nested)
        {
            UseStructures(context.Tag, input, ref level, ref table, ref rights);
        }

        for (; ; level--)
        {
            var shift = 12 + 9 * (level - 1);
            var reason = LocateEntry(context, table + (input >> shift & 0x1FF) * 8, level, false, out var address);
            if (reason != FaultReason.None)
            {
                return reason;
            }

            reason = ReadFirstStage(context, address, level, out var entry);
            report?.Add(VtdTable.FirstStage, level, address, entry.Raw, 0, reason, !nested && HoldsStructure(context.Tag, input, level - 1));
            if (reason != FaultReason.None)
            {
                return reason;
            }

            rights = Combine(rights, entry, context);
            var isLeaf = entry.IsLeaf(level);
            var dirty = isLeaf && need.Write && need.Check(rights | PageRights.AllSecondStage, context) == FaultReason.None;
            reason = UpdateFirstStage(context, table + (input >> shift & 0x1FF) * 8, address, level, entry, dirty);
            if (reason != FaultReason.None)
            {
                return reason;
            }

            if (isLeaf)
            {
                leaf.Address = entry.ADDR & ~Bits.Mask(shift) | input & Bits.Mask(shift);
                leaf.Shift = shift;
                leaf.Rights = rights | PageRights.AllSecondStage | (entry.D || dirty ? PageRights.Dirty : 0);
                return nested ? NestLeaf(context, need, ref leaf) : FaultReason.None;
            }

            table = entry.ADDR;
            if (!nested)
            {
                KeepStructure(context.Tag, input, level - 1, table, rights);
            }
        }
    }

    static bool IsCanonical(ulong input, int levels)
    {
        var shift = 64 - (12 + 9 * levels);
        return (ulong)((long)(input << shift) >> shift) == input;
    }

    static PageRights Combine(PageRights rights, FirstStageEntry entry, in TranslationContext context)
    {
        rights &= ~(entry.RW ? 0 : PageRights.FirstStageWrite);
        rights &= ~(entry.US ? 0 : PageRights.FirstStageUser);
        return entry.XD && context.Has(ContextSwitches.NoExecute) ? rights | PageRights.FirstStageNoExecute : rights;
    }

    FaultReason ReadFirstStage(in TranslationContext context, ulong address, int level, out FirstStageEntry entry)
    {
        CountRead(VtdTable.FirstStage, level);
        var read = memory.TryRead(new Gpa(address), out ulong raw);
        entry = new(raw);
        if (!read)
        {
            return level == context.FirstStageLevels ? FaultReason.FsRootAccess : FaultReason.FsEntryAccess;
        }

        // Addresses of a nested first stage are bounded by the second stage's width instead of the host's.
        var width = context.Kind == StageKind.Nested ? 52 : capabilities.HostAddressWidth;
        return !entry.P ? FaultReason.FsNotPresent :
            entry.HasReserved(level, width, capabilities.Cap.FS1GP, context.Has(ContextSwitches.NoExecute)) ? FaultReason.FsReserved :
            FaultReason.None;
    }

    /// <summary>Host address of a first-stage entry: nested tables lie in the second stage's input space.</summary>
    FaultReason LocateEntry(in TranslationContext context, ulong guest, int level, bool write, out ulong address)
    {
        address = guest;
        if (context.Kind != StageKind.Nested)
        {
            return FaultReason.None;
        }

        var reason = WalkSecondStage(context, guest, write, out var leaf);
        address = leaf.Address;
        var isRoot = level == context.FirstStageLevels;
        return reason switch
        {
            FaultReason.AddressBeyondSecondStage => FaultReason.FsTableBeyondSecondStage,
            FaultReason.SsNotPresent => isRoot ? FaultReason.FsRootReadDenied : FaultReason.FsEntryReadDenied,
            not FaultReason.None => reason,
            _ when (leaf.Rights & PageRights.SecondStageRead) == 0 => isRoot ? FaultReason.FsRootReadDenied : FaultReason.FsEntryReadDenied,
            _ when write && (leaf.Rights & PageRights.SecondStageWrite) == 0 => FaultReason.FsEntryWriteDenied,
            _ => FaultReason.None,
        };
    }

    FaultReason UpdateFirstStage(in TranslationContext context, ulong guest, ulong address, int level, FirstStageEntry entry, bool dirty)
    {
        var set = FirstStageEntry.AccessedBit | (dirty ? FirstStageEntry.DirtyBit : 0) |
            (context.Has(ContextSwitches.ExtendedAccessed) ? FirstStageEntry.ExtendedAccessedBit : 0);
        if ((entry.Raw & set) == set)
        {
            return FaultReason.None;
        }

        if (context.Kind == StageKind.Nested)
        {
            var reason = LocateEntry(context, guest, level, true, out _);
            if (reason != FaultReason.None)
            {
                return reason;
            }
        }

        return SetFlags(context, address, entry.Raw, set, FaultReason.FsUpdateNotSnooped, FaultReason.FsUpdateFailed);
    }

    /// <summary>Sends the first stage's output through the second and merges both pages.</summary>
    FaultReason NestLeaf(in TranslationContext context, in AccessNeed need, ref WalkLeaf leaf)
    {
        var allowed = need.Write && need.Check(leaf.Rights, context) == FaultReason.None;
        var reason = WalkSecondStage(context, leaf.Address, allowed, out var second);
        if (reason != FaultReason.None)
        {
            return reason;
        }

        var first = leaf.Rights & ~PageRights.AllSecondStage & (second.Rights | ~PageRights.Dirty);
        leaf = new()
        {
            Address = second.Address,
            Shift = Math.Min(leaf.Shift, second.Shift),
            Rights = first | second.Rights & PageRights.AllSecondStage,
        };
        return FaultReason.None;
    }
}
