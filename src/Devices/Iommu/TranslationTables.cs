using Vmm.Platform.Dma;
using Vmm.Platform.Memory;
using Vmm.Specs.VtD;

namespace Vmm.Iommu;

/// <summary>
/// Reads and checks root, context and PASID structures (VT-d §3.4, §9). Knows no cache; a <see cref="WalkReport"/> turns
/// a read into an explanation, which is then not counted.
/// </summary>
sealed class TranslationTables(GuestMemory memory, VtdCapabilities capabilities, VtdCounters counters)
{
    readonly int width = capabilities.HostAddressWidth;

    /// <summary>Reads are not counted: they are a check of the unit's own, not hardware's.</summary>
    public bool IsQuiet { get; set; }

    /// <summary>Finds the legacy context entry of a source. <paramref name="entry"/> is read as far as its FPD is valid.</summary>
    public FaultReason ReadContext(ulong rootTable, Bdf source, WalkReport? report, out ContextEntry entry)
    {
        entry = default;
        var address = rootTable + source.Bus * (ulong)RootEntry.Size;
        var read = Read128(VtdTable.Root, address, report, out var low, out var high);
        var root = new RootEntry(low, high);
        var reason = !read ? FaultReason.RootAccess : !root.P ? FaultReason.RootNotPresent :
            root.HasReserved(width) ? FaultReason.RootReserved : FaultReason.None;
        report?.Add(VtdTable.Root, 0, address, low, high, reason);
        if (reason != FaultReason.None)
        {
            return reason;
        }

        address = root.CTP + source.DevFn * (ulong)ContextEntry.Size;
        read = Read128(VtdTable.Context, address, report, out low, out high);
        entry = new(low, high);
        reason = !read ? FaultReason.ContextAccess : !entry.P ? FaultReason.ContextNotPresent :
            entry.HasReserved(width, capabilities.DomainBits) ? FaultReason.ContextReserved : FaultReason.None;
        report?.Add(VtdTable.Context, 0, address, low, high, reason);
        return reason;
    }

    /// <summary>Checks what a present legacy context entry asks for (LCT.4) and decodes it.</summary>
    public FaultReason Decode(ContextEntry entry, out TranslationContext context)
    {
        var levels = capabilities.LevelsFor(entry.AW);
        context = new()
        {
            Kind = entry.TT == TranslationType.PassThrough ? StageKind.PassThrough : StageKind.SecondStage,
            SecondStageLevels = (byte)levels,
            SecondStageRoot = entry.SSPTPTR,
            Domain = entry.DID,
            Switches = (entry.FPD ? ContextSwitches.FaultProcessingDisable : 0) | ContextSwitches.SnoopedWalk |
                (entry.TT == TranslationType.SecondStageWithDeviceTlb ? ContextSwitches.DeviceTlb : 0),
        };
        context.SetTag();
        var supported = levels != 0 && entry.TT switch
        {
            TranslationType.SecondStage => true,
            TranslationType.SecondStageWithDeviceTlb => capabilities.Ecap.DT,
            TranslationType.PassThrough => capabilities.Ecap.PT && levels == capabilities.LargestLevels,
            _ => false,
        };
        return supported ? FaultReason.None : FaultReason.ContextInvalid;
    }

    /// <summary>Finds the scalable-mode context entry of a source.</summary>
    public FaultReason ReadContext(ulong rootTable, Bdf source, WalkReport? report, out ScalableContextEntry entry)
    {
        entry = default;
        var address = rootTable + source.Bus * 16ul + (source.DevFn >= 128 ? 8ul : 0);
        var read = Read64(VtdTable.Root, address, report, out var raw);
        var root = new ScalableRootHalf(raw);
        var reason = !read ? FaultReason.SmRootAccess : !root.P ? FaultReason.SmRootNotPresent :
            root.HasReserved(width) ? FaultReason.SmRootReserved : FaultReason.None;
        report?.Add(VtdTable.Root, 0, address, raw, 0, reason);
        if (reason != FaultReason.None)
        {
            return reason;
        }

        address = root.CTP + (source.DevFn & 127u) * (ulong)ScalableContextEntry.Size;
        ulong upperLow = 0, upperHigh = 0;
        read = Read128(VtdTable.Context, address, report, out var low, out var high) &&
            memory.TryRead(new(address + 16), out upperLow) && memory.TryRead(new(address + 24), out upperHigh);
        entry = new(low, high);
        reason = !read ? FaultReason.SmContextAccess : !entry.P ? FaultReason.SmContextNotPresent :
            (upperLow | upperHigh) != 0 || entry.HasReserved(width, capabilities.Ecap) ? FaultReason.SmContextReserved : Check(entry);
        report?.Add(VtdTable.Context, 0, address, low, high, reason);
        return reason;
    }

    FaultReason Check(ScalableContextEntry entry)
    {
        var ecap = capabilities.Ecap;
        return entry.DTE && !ecap.DT || entry.PASIDE && !ecap.PASID || entry.PRE && !ecap.PRS ? FaultReason.SmContextInvalid : FaultReason.None;
    }

    /// <summary>Finds the PASID table entry; <paramref name="suppressed"/> tells whether FPD of an entry on the way was set.</summary>
    public FaultReason ReadPasid(ScalableContextEntry context, uint pasid, WalkReport? report, out PasidTableEntry entry, out bool suppressed)
    {
        entry = default;
        suppressed = context.FPD;
        var address = context.PASIDDIRPTR + (pasid >> 6) * (ulong)PasidDirectoryEntry.Size;
        var read = Read64(VtdTable.PasidDirectory, address, report, out var raw);
        var directory = new PasidDirectoryEntry(raw);
        suppressed |= directory.FPD;
        var reason = !read ? FaultReason.PasidDirectoryAccess : !directory.P ? FaultReason.PasidDirectoryNotPresent :
            directory.HasReserved(width) ? FaultReason.PasidDirectoryReserved : FaultReason.None;
        report?.Add(VtdTable.PasidDirectory, 0, address, raw, 0, reason);
        if (reason != FaultReason.None)
        {
            return reason;
        }

        address = directory.SMPTBLPTR + (pasid & 63) * (ulong)PasidTableEntry.Size;
        ulong q2 = 0;
        read = Read128(VtdTable.PasidTable, address, report, out var q0, out var q1) && memory.TryRead(new(address + 16), out q2);
        ulong rest = 0;
        for (var offset = 24ul; read && offset < PasidTableEntry.Size; offset += 8)
        {
            read = memory.TryRead(new(address + offset), out ulong word);
            rest |= word;
        }

        entry = new(q0, q1, q2);
        suppressed |= entry.FPD;
        reason = !read ? FaultReason.PasidEntryAccess : !entry.P ? FaultReason.PasidEntryNotPresent :
            rest != 0 || entry.HasReserved(width, capabilities.DomainBits, capabilities.Ecap) ? FaultReason.PasidEntryReserved : FaultReason.None;
        report?.Add(VtdTable.PasidTable, 0, address, q0, q1, reason);
        return reason;
    }

    /// <summary>Checks what a present PASID table entry asks for (SPT.4) and decodes it.</summary>
    public FaultReason Decode(PasidTableEntry entry, uint pasid, bool suppressed, out TranslationContext context)
    {
        var ecap = capabilities.Ecap;
        var levels = capabilities.LevelsFor(entry.AW);
        context = new()
        {
            IsScalable = true,
            Pasid = pasid,
            Domain = entry.DID,
            SecondStageLevels = (byte)levels,
            SecondStageRoot = entry.SSPTPTR,
            FirstStageLevels = (byte)(4 + entry.FSPM),
            FirstStageRoot = entry.FSPTPTR,
            Switches = SwitchesOf(entry, suppressed),
            Kind = entry.PGTT switch
            {
                PasidTranslationType.FirstStage => StageKind.FirstStage,
                PasidTranslationType.SecondStage => StageKind.SecondStage,
                PasidTranslationType.Nested => StageKind.Nested,
                _ => StageKind.PassThrough,
            },
        };
        context.SetTag();
        var firstStage = entry.FSPM == 0 || entry.FSPM == 1 && capabilities.Cap.FS5LP;
        var supported = entry.PGTT switch
        {
            PasidTranslationType.FirstStage => ecap.FSTS && firstStage,
            PasidTranslationType.SecondStage => ecap.SSTS && levels != 0,
            PasidTranslationType.Nested => ecap.NEST && firstStage && levels != 0,
            PasidTranslationType.PassThrough => ecap.PT,
            _ => false,
        };
        return supported ? FaultReason.None : FaultReason.PasidEntryInvalid;
    }

    static ContextSwitches SwitchesOf(PasidTableEntry entry, bool suppressed) =>
        (suppressed ? ContextSwitches.FaultProcessingDisable : 0) |
        (entry.SRE ? ContextSwitches.SupervisorRequests : 0) |
        (entry.ERE ? ContextSwitches.ExecuteRequests : 0) |
        (entry.WPE ? ContextSwitches.WriteProtect : 0) |
        (entry.NXE ? ContextSwitches.NoExecute : 0) |
        (entry.SMEP ? ContextSwitches.SupervisorExecutePrevention : 0) |
        (entry.EAFE ? ContextSwitches.ExtendedAccessed : 0) |
        (entry.SSADE ? ContextSwitches.SecondStageAccessedDirty : 0) |
        (entry.PWSNP ? ContextSwitches.SnoopedWalk : 0);

    bool Read64(VtdTable table, ulong address, WalkReport? report, out ulong value)
    {
        Count(table, report);
        return memory.TryRead(new(address), out value);
    }

    bool Read128(VtdTable table, ulong address, WalkReport? report, out ulong low, out ulong high)
    {
        Count(table, report);
        high = 0;
        return memory.TryRead(new(address), out low) && memory.TryRead(new(address + 8), out high);
    }

    void Count(VtdTable table, WalkReport? report)
    {
        if (report == null && !IsQuiet)
        {
            counters.CountRead(table);
        }
    }
}
