using Vmm.Specs.VtD;

namespace Vmm.Iommu;

/// <summary>What a cached translation allows, stage by stage. A stage that takes no part allows everything.</summary>
[Flags]
enum PageRights : byte
{
    None = 0,
    FirstStageWrite = 1,
    FirstStageUser = 2,
    FirstStageNoExecute = 4,

    /// <summary>Dirty flags are set or not kept: a write needs no walk.</summary>
    Dirty = 8,
    SecondStageRead = 16,
    SecondStageWrite = 32,

    /// <summary>No translation: a not-present or erroneous entry, cached in caching mode.</summary>
    Absent = 64,

    AllSecondStage = SecondStageRead | SecondStageWrite,
    AllFirstStage = FirstStageWrite | FirstStageUser,
}

/// <summary>What a request needs.</summary>
readonly record struct AccessNeed(bool Read, bool Write, bool Execute, bool Privileged)
{
    /// <summary>The same requester, reading.</summary>
    public AccessNeed AsRead => new(true, false, false, Privileged);

    /// <summary>The same requester, writing.</summary>
    public AccessNeed AsWrite => new(false, true, false, Privileged);

    /// <summary>The condition that denies the access, or None. Reasons are scalable mode's (VT-d §3.6.1, §3.7).</summary>
    public FaultReason Check(PageRights rights, in TranslationContext context)
    {
        if ((rights & PageRights.AllSecondStage) != PageRights.AllSecondStage)
        {
            if (Write && (rights & PageRights.SecondStageWrite) == 0)
            {
                return FaultReason.SmNoWritePermission;
            }

            if ((Read || Execute) && (rights & PageRights.SecondStageRead) == 0)
            {
                return FaultReason.SmNoReadPermission;
            }
        }

        return context.Kind == StageKind.SecondStage ? FaultReason.None : CheckFirstStage(rights, context);
    }

    FaultReason CheckFirstStage(PageRights rights, in TranslationContext context)
    {
        var user = (rights & PageRights.FirstStageUser) != 0;
        if (!Privileged && !user)
        {
            return FaultReason.UserDenied;
        }

        if (Write && (rights & PageRights.FirstStageWrite) == 0 && (!Privileged || context.Has(ContextSwitches.WriteProtect)))
        {
            return FaultReason.SmNoWritePermission;
        }

        var denied = (rights & PageRights.FirstStageNoExecute) != 0 ||
            Privileged && user && context.Has(ContextSwitches.SupervisorExecutePrevention);
        return Execute && denied ? FaultReason.ExecuteDenied : FaultReason.None;
    }

    /// <summary>Legacy mode's name of a second-stage condition (VT-d §7.1.3).</summary>
    public FaultReason ToLegacy(FaultReason reason) => reason switch
    {
        FaultReason.SsEntryAccess => FaultReason.PagingEntryAccess,
        FaultReason.SsRootAccess => FaultReason.ContextInvalid,
        FaultReason.SsReserved => FaultReason.PagingEntryReserved,
        FaultReason.SsNotPresent => Write ? FaultReason.NoWritePermission : FaultReason.NoReadPermission,
        FaultReason.SmNoWritePermission => FaultReason.NoWritePermission,
        FaultReason.SmNoReadPermission => FaultReason.NoReadPermission,
        FaultReason.AddressBeyondSecondStage or FaultReason.AddressBeyondHardware => FaultReason.AddressBeyondWidth,
        FaultReason.SmOutputInInterruptRange => FaultReason.OutputInInterruptRange,
        _ => reason,
    };
}
